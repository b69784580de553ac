"""The benchmark at its smallest: ours and the literal loops give the same maps."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from napari_ies.network.model import SegmentationModel
from napari_ies.network.profile import Profile

SHAPE = (22, 20, 18)


@pytest.fixture
def tiny(request, monkeypatch):
    """A small U-Net on random noise, and two lesions."""
    monkeypatch.syspath_prepend(str(request.config.rootpath))
    from benchmarks.subjects import Subjects, random_model, synthetic_subjects

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    made = synthetic_subjects("cpu", SHAPE, sizes=(4, 7), confluent=60)
    model = random_model(
        "UNet",
        "cpu",
        arguments={"channels": (4, 6, 8), "strides": (2, 2)},
        divisor=(4, 4, 4),
        window=(16, 16, 16),
    )
    yield Subjects(model, made.lesions, made.confluent, made.origin)
    torch.set_num_threads(threads)


@pytest.mark.parametrize("forward", ["whole-volume", "sliding-window"])
def test_ours_equals_the_literal_loops(tiny, forward):
    from benchmarks.measurements import max_difference, mean_difference

    for lesion in tiny.lesions:
        assert max_difference(tiny.model, lesion, forward) <= 1e-4
        assert mean_difference(tiny.model, lesion, forward) <= 1e-4


@pytest.mark.slow
def test_every_measurement_ends_in_a_positive_number(tiny, tmp_path):
    from benchmarks import choices, measurements
    from benchmarks.memory import peak_of_max_map
    from benchmarks.report import BEGIN, END, Report

    settings = replace(measurements.Settings().quick(), product=64)
    results = [
        *measurements.max_map(tiny, settings, "whole-volume"),
        *measurements.confluent_max_map(tiny, settings),
        *measurements.mean_map_rows(tiny, settings),
        *measurements.first_overlay(tiny, settings),
        *measurements.segmentation(tiny, settings),
        *measurements.work_per_row(tiny, settings),
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
    from benchmarks.measurements import row_operations
    from benchmarks.subjects import noisy_volume
    from benchmarks.work import fewest_operations, operations

    lesion = tiny.confluent.thinned(9)
    least = np.mean([fewest_operations(tiny.model, voxel) for voxel in lesion.voxels])
    kept = KeptForward.run(tiny.model, noisy_volume(tiny.model, lesion.case, 0, 0), "whole-volume")
    literal = operations(lambda: kept.row(lesion.voxels[0]))
    assert least <= 1.1 * row_operations(tiny.model, lesion, "whole-volume")
    assert row_operations(tiny.model, lesion, "whole-volume") < literal
