"""The benchmark at its smallest: ours and the literal loops give the same maps."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from napari_ies.network.model import SegmentationModel
from napari_ies.network.profile import Profile


@pytest.fixture
def tiny(request, monkeypatch):
    """A small U-Net on random noise, and two lesions."""
    monkeypatch.syspath_prepend(str(request.config.rootpath))
    from benchmarks.subjects import tiny_subjects

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tiny_subjects("cpu")
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.parametrize("forward", ["whole-volume", "sliding-window"])
def test_ours_equals_the_literal_loops(tiny, forward):
    from benchmarks.maps import max_difference, mean_difference

    for lesion in tiny.lesions:
        assert max_difference(tiny.model, lesion, forward) <= 1e-4
        assert mean_difference(tiny.model, lesion, forward) <= 1e-4


@pytest.mark.slow
def test_every_measurement_ends_in_a_positive_number(tiny, tmp_path):
    """But for those that a card is asked for, as the next test does."""
    from benchmarks import choices
    from benchmarks.max_maps import confluent_max_map
    from benchmarks.memory import peak_of_max_map
    from benchmarks.report import BEGIN, END, Report
    from benchmarks.settings import Settings

    settings = Settings().smoke()
    results = [
        *confluent_max_map(tiny, settings),
        *choices.precisions(tiny, settings),
        *choices.samples_together(tiny, settings),
    ]
    measured = [result for result in results if "not installed" not in result.note]
    assert all(result.value > 0 for result in measured)
    assert peak_of_max_map(tiny.model, tiny.confluent, 8) >= 0
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{BEGIN}\nof last year\n{END}\nafter\n")
    Report({"device": "CPU"}, {}, results).write(page)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "of last year" not in text
    assert all(result.what in text for result in results)


@pytest.mark.slow
def test_all_that_a_card_is_asked_for_ends_in_a_table(tiny):
    from benchmarks.card import BEGIN, parts, run
    from benchmarks.settings import Settings

    said = []
    report = run(tiny, Settings().smoke(), minutes=60, say=said.append)
    assert not [result.note for result in report.results if "failed" in result.note]
    measured = [result for result in report.results if "not installed" not in result.note]
    assert all(result.value > 0 for result in measured)
    assert len(said) == len(report.results) > len(parts(tiny, Settings()))
    assert {"DynUNet", "SwinUNETR"} <= {
        word.strip(",") for result in report.results for word in result.what.split()
    }
    assert report.marks[0] == BEGIN
    assert report.environment["napari-ies"] == "0.1.0"
    text = report.markdown()
    assert all(f"- {word}: " in text for word in ("date", "device", "torch", "subjects"))
    assert " operations" in text


def test_a_card_is_asked_for_nothing_more_when_its_minutes_are_over(tiny):
    from benchmarks.card import Part, within
    from benchmarks.report import Result

    def broken():
        yield Result("first half")
        raise RuntimeError("no such kernel\nand more")

    now = iter([0, 10, 70, 130])
    todo = [Part("broken", broken), Part("fine", lambda: iter([Result("fine")]))] * 2
    found = list(within(todo[:3], 1, lambda: next(now)))
    assert [result.what for result in found] == ["first half", "broken", "fine", "broken"]
    assert found[1].note == "failed: RuntimeError: no such kernel"
    assert found[2].note == found[3].note == "not measured: 1 minutes were over"


def test_operations_are_counted_and_a_card_is_asked_on_a_card_only(tiny):
    from benchmarks.usage import Usage, used

    usage = used(lambda: torch.ones(3) + torch.ones(3), torch.device("cpu"))
    assert usage == Usage(3)
    assert str(Usage(1234, 56, 0.007, 0.009)) == (
        "1,234 operations, 56 launches, 7 ms of the card's time, 9 ms between its events"
    )


def test_the_loops_draw_their_noise_as_ours_does(tiny):
    """The same standard deviation, drawn where the network computes."""
    from benchmarks.literal import Noisy
    from benchmarks.subjects import noisy_volume

    case = tiny.lesions[0].case
    noisy = Noisy.of(tiny.model, case)
    theirs, ours = noisy.draw() - noisy.image, noisy_volume(tiny.model, case, 0, 0) - noisy.image
    assert float(theirs.std()) == pytest.approx(float(ours.std()), rel=0.02)
    part = noisy.crop((slice(1, 5), slice(0, 4), slice(2, 6)))
    assert torch.equal(part.image, noisy.image[:, 1:5, 0:4, 2:6])
    assert part.draw().shape == (2, 4, 4, 4)


def test_the_difference_of_two_maps_is_said_in_numbers(tiny):
    from benchmarks.choices import difference_in_words

    expected = np.array([100.0, -50.0, 10.0, 0.5, 0.0])
    said = difference_in_words(expected * [1, 1, -1, -1, 1], expected)
    distance = np.sqrt(20.0**2 + 1) / np.linalg.norm(expected)
    assert said.startswith(f"relative L2 {distance:.2e}")
    assert "33 % of the 3 voxels above 1 % of the peak, 50 % of all" in said


def test_a_pass_of_the_loop_goes_through_every_window_of_the_volume(tiny):
    from benchmarks.literal import KeptForward
    from benchmarks.subjects import noisy_volume
    from benchmarks.work import operations

    def pass_operations(volume, voxel):
        kept = KeptForward.run(tiny.model, volume, "sliding-window")
        return operations(lambda: kept.row(voxel))

    noisy = noisy_volume(tiny.model, tiny.lesions[0].case, 0, 0)
    one = pass_operations(noisy[:, :16, :16, :16], np.array([8, 8, 8]))
    assert pass_operations(noisy, np.array([3, 3, 3])) == 8 * one


def test_the_fewest_operations_of_two_layers_are_their_products(tiny):
    from benchmarks.work import fewest_operations

    network = nn.Sequential(nn.Conv3d(2, 3, 3, padding=1), nn.Conv3d(3, 2, 1))
    profile = Profile("two layers", "UNet", {}, ("FLAIR", "T1"), divisor=(4, 4, 4))
    model = SegmentationModel(network, profile, torch.device("cpu"))
    assert fewest_operations(model, np.array([5, 6, 7])) == 2 * (3 + 3 * 27 * 2)


def test_ours_takes_no_fewer_operations_than_the_least_and_fewer_than_the_loop(tiny):
    from benchmarks.literal import KeptForward
    from benchmarks.rows import row_operations
    from benchmarks.subjects import noisy_volume
    from benchmarks.work import fewest_operations, operations

    lesion = tiny.confluent.thinned(9)
    least = np.mean([fewest_operations(tiny.model, voxel) for voxel in lesion.voxels])
    kept = KeptForward.run(tiny.model, noisy_volume(tiny.model, lesion.case, 0, 0), "whole-volume")
    literal = operations(lambda: kept.row(lesion.voxels[0]))
    assert least <= 1.1 * row_operations(tiny.model, lesion, "whole-volume")
    assert row_operations(tiny.model, lesion, "whole-volume") < literal


@pytest.mark.slow
def test_many_cases_are_measured_and_written_into_a_page(tiny, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed", reason="there is no dask.distributed")
    from benchmarks import cohorts

    def threads_for_workers(count, scheduler):
        assert scheduler is None
        return distributed.Client(
            processes=False, n_workers=count, threads_per_worker=1, dashboard_address=None
        )

    monkeypatch.setattr(cohorts, "workers_of", threads_for_workers)
    cohort = cohorts.tiny_cohort(tmp_path)
    results = list(cohorts.measure(cohort, cohorts.settings_of(2, None), 1, "cpu"))
    assert results[0].value > 0
    assert results[2].value > 0
    assert re.match(r"\S+ m?s a case, \S+ % of the engine's", results[1].ours)
    assert "2 cases, 4 lesions" in results[0].note
    assert results[2].what == "cases per hour, two workers"


def test_what_is_no_engine_is_a_share_of_its_time():
    from benchmarks.cohorts import Clock

    clock = Clock(engine=10, engine_processor=20, writing=0.5, whole=10.2, processor=20.3)
    assert clock.overhead == pytest.approx(2)
    assert clock.processor_overhead == pytest.approx(100 * (0.3 + 0.5) / 20)
    ticks = Clock()
    assert list(ticks.timed(lambda *numbers: iter(numbers))(3, 4)) == [3, 4]
    assert ticks.written(lambda *numbers, last: (*numbers, last))(1, last=2) == (1, 2)
    assert ticks.engine > 0


def test_what_many_scans_cost_is_reckoned_as_by_hand():
    from benchmarks.reckoned import Scan, Times, hours, in_words, table

    scan = Scan(lesions=2, voxels=10)
    times = Times("a machine", 1, 2, 0.1, 0.2, 0.01, case=3, lesion=0.5)
    # 50 samples: a mean takes 2 + 50 · 0.1 s a lesion, a max 2 + 50 · (0.2 + 10 · 0.01) s.
    assert times.of_scan(scan, "mean") == pytest.approx(3 + 1 + 2 * 7)
    assert times.of_scan(scan, "max") == pytest.approx(3 + 1 + 2 * 17)
    # 65 scans on 64 machines: one of them does two.
    assert hours(times, scan, "mean", 64, scans=65) == pytest.approx(2 * 18 / 3600)
    # A machine that computes faster than its maps are written waits for that.
    quick = Times("a quick one", 1, 0.01, 0.001, 0.001, 1e-6, case=3, lesion=0.5)
    assert quick.of_scan(scan, "mean") == pytest.approx(3 + 1 + 2 * 0.5)
    assert [in_words(n) for n in (0.034, 7.31, 50.0, 5040)] == [
        "0.034 h",
        "7.3 h",
        "2.1 days",
        "210 days",
    ]
    assert len(table().splitlines()) == 5


def test_the_page_has_the_table_that_is_reckoned(request):
    from benchmarks.reckoned import table

    page = (request.config.rootpath / "docs" / "performance.md").read_text(encoding="utf-8")
    assert table() in page


def test_the_parts_of_a_piece_of_work_are_its_products_and_what_it_reads_and_writes(tiny):
    from benchmarks.parts import Parts

    one, other, line = torch.randn(20, 30), torch.randn(30, 8), torch.randn(8)
    with Parts() as parts:
        for _ in range(3):
            made = (one @ other).relu_()
            made.T.contiguous().T.add_(line.expand(20, 8))
    assert sum(parts.products.values()) == 3
    numbers = {20 * 8: 3, 20 * 8 + 8: 3}  # in place: read and written in one place
    assert {size // 4: count for size, count in parts.copies.items()} == numbers
    parts.measure()
    assert parts.products_seconds() > 0
    assert parts.copies_seconds() > 0


def test_a_row_of_a_window_is_measured_against_a_batch_of_pytorchs_own(tiny):
    from benchmarks.settings import Settings
    from benchmarks.subjects import random_model
    from benchmarks.window_networks import SMALL
    from benchmarks.window_rows import window_row

    model = random_model("DynUNet", "cpu", **SMALL["DynUNet"])
    row = window_row(model, "DynUNet", Settings().smoke())
    assert row.value > 0
    assert re.search(r"a row$", row.against)
    assert re.search(r"\d+% of the matrix product's .* \d+% of what its parts allow", row.note)
