"""The curve of a lesion where there is no window: computed, kept, saved, brought back."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from without_a_window import Twin

from napari_ies.cohort.context.files import CaseContexts, collected
from napari_ies.cohort.context.growth import Growth
from napari_ies.cohort.context.perilesional import ContextRequest, perilesional
from napari_ies.cohort.row.targets import Target
from napari_ies.results.session import load_session
from napari_ies.segmentation.subject import Lesion, Region
from napari_ies.viewer.context.computing import CurveComputing
from napari_ies.viewer.context.words import curve_line, nearest_step, outdated, rows
from napari_ies.viewer.session.words import problems
from napari_ies.viewer.state.answers import Answers
from napari_ies.viewer.work import tasks

GROWTH = Growth(step_mm=2.0, farthest_mm=6.0)


def computing_of(twin):
    return CurveComputing(twin.state, twin.explaining, twin.work, twin.tell)


@pytest.fixture
def computing(twin):
    return computing_of(twin)


def compute(twin, computing, subject, sequences=(), growth=GROWTH):
    twin.state.select(subject)
    computing.begin(sequences, growth)
    twin.work.wait()
    return twin.state.curves.of(subject)


def paint(twin, start):
    mask = np.zeros(twin.state.reading.case.shape, dtype=bool)
    mask[start : start + 3, 8:11, 10] = True
    twin.explain_region("rim", mask)
    return mask


def same(one, other):
    for name in ("distance_mm", "kept_voxels", "mean_probability", "voxels_above"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.request == other.request
    assert (one.whole_probability, one.voxels) == (other.whole_probability, other.voxels)


@pytest.mark.slow
def test_a_curve_grows_is_kept_saved_and_comes_back(twin, computing, own_sessions, monkeypatch):
    monkeypatch.setattr("napari_ies.viewer.work.runner.REPORT_SECONDS", 0.0)
    seen = []
    computing.changed.connect(
        lambda: seen.append(computing.running and len(computing.running.context.distance_mm))
    )
    (curve,) = compute(twin, computing, 1)
    # Begun, then longer and longer, then no more.
    assert seen[0] is None
    assert seen[-1] is None
    assert seen[1:-1] == sorted(seen[1:-1])
    assert computing.asked is None
    assert twin.tell.text.startswith("Lesion 1: ")
    reading = twin.state.reading
    found = reading.segmentation
    request = ContextRequest((), GROWTH, found.threshold, found.forward)
    expected = perilesional(reading.model, reading.case, reading.mask_of(1), request)
    same(curve.context, expected)
    compute(twin, computing, 2, ("T1",))
    # The same once more is not computed again.
    assert compute(twin, computing, 1) == [curve]
    assert "there already" in twin.tell.text

    session = load_session(twin.session.folder)
    assert [one.subject for one in session.contexts] == [1, 2]
    assert "2 curves" in session.text
    assert not session.problems
    named = set(session.record.own_files) | {"session.json"}
    assert {path.name for path in twin.session.folder.iterdir()} == named
    again = Twin(own_sessions)
    again.reopening.open(twin.session.folder)
    again.work.wait()
    assert again.tell.failures == []
    (back,) = again.state.curves.of(1)
    same(back.context, curve.context)
    assert back.model_name == curve.model_name
    assert not back.other_model
    # Nothing is saved anew only because it was read back.
    before = {path.name for path in twin.session.folder.iterdir()}
    again.note(1, "pale")
    assert {path.name for path in twin.session.folder.iterdir()} == before


@pytest.mark.slow
def test_it_is_saved_to_a_folder_as_the_command_does(twin, computing, tmp_path):
    (first,) = compute(twin, computing, 1)
    compute(twin, computing, 2)
    mask = paint(twin, 10)
    compute(twin, computing, "rim")
    state = twin.state
    lost = dataclasses.replace(first, model_key="another", model_name="gone.pth")
    curves = [(curve, state.network(curve.model_key)) for curve in (*state.curves, lost)]
    reports = list(tasks.save_answers(tmp_path, state.reading, Answers(), False, curves))
    assert [report.note for report in reports if report.note] == [
        "The curve of lesion 1 is not saved: gone.pth is not loaded any more."
    ]
    saved = collected(tmp_path)
    assert list(dict.fromkeys(saved["lesion"])) == ["1", "2", "region rim"]
    np.testing.assert_array_equal(
        saved["mean_probability"][saved["lesion"] == "1"], first.context.mean_probability
    )
    # The command goes on with what lies there.
    reading = state.reading
    store = CaseContexts(tmp_path, reading.model, reading.case, first.context.request)
    assert store.known(Target(Lesion(1), reading.mask_of(1)), "all")
    assert store.known(Target(Region("rim"), mask), "all")
    assert not store.known(Target(Lesion(1), reading.mask_of(2)), "all")


def test_a_damaged_curve_is_left_out_and_named_and_stays_on_disk(twin, computing, own_sessions):
    compute(twin, computing, 1)
    compute(twin, computing, 2)
    folder = twin.session.folder
    table = folder / next(iter(load_session(folder).record.contexts[0].files))
    whole = table.read_bytes()
    table.write_bytes(whole + b"mine\n")
    again, opened = Twin(own_sessions), []
    again.reopening.shown.connect(lambda reopened: opened.append(reopened.session))
    again.reopening.open(folder)
    again.work.wait()
    assert "A curve of the context of lesion 1 is left out: " in "\n".join(problems(opened[0], ""))
    assert [curve.subject for curve in again.state.curves] == [2]
    again.note(2, "pale")
    table.write_bytes(whole)
    assert [one.subject for one in load_session(folder).contexts] == [1, 2]


def test_a_region_painted_anew_has_no_curve_until_it_is_computed(twin, computing):
    files = []
    for start in (10, 20):
        paint(twin, start)
        assert twin.state.curves.of("rim") == []
        compute(twin, computing, "rim")
        folder = twin.session.folder
        files.append({path.name for path in folder.iterdir() if "_context." in path.name})
    assert files[0] == files[1]
    assert len(files[0]) == 2
    assert len(load_session(folder).contexts) == 1


@pytest.mark.slow
def test_stopped_nothing_is_kept_and_a_click_goes_first(twin, computing, monkeypatch):
    monkeypatch.setattr("napari_ies.viewer.work.runner.REPORT_SECONDS", 0.0)
    order = []
    twin.state.answer_kept.connect(lambda answer: order.append(("map", answer.subject)))
    twin.state.curve_kept.connect(lambda curve: order.append(("curve", curve.subject)))

    def click():
        if computing.running is not None and not twin.explaining.running and not order:
            twin.explaining.explain(2)

    computing.changed.connect(click)
    twin.state.select(1)
    computing.begin((), Growth(0.5, 10.0))
    twin.work.wait()
    assert order == [("map", 2), ("curve", 1)]
    computing.changed.disconnect(click)

    computing.changed.connect(lambda: computing.running and computing.stop())
    assert compute(twin, computing, 2) == []
    assert computing.asked is None
    twin.state.select(2)
    computing.begin((), GROWTH)
    twin.work.cancel()
    assert computing.asked is None
    twin.work.wait()
    assert twin.state.curves.of(2) == []


def test_another_patient_or_an_absent_network_has_no_curve(twin, computing, own_sessions):
    compute(twin, computing, 1)
    again = Twin(own_sessions)
    again.reopening.open(twin.session.folder)
    again.work.wait()
    absent = computing_of(again)
    again.state.select(2)
    absent.begin((), GROWTH)
    assert absent.asked is None
    assert len(again.tell.failures) == 1
    twin.show(dataclasses.replace(twin.state.reading, regions={}))
    assert len(twin.state.curves) == 0


def test_in_what_a_curve_is_outdated_is_said(twin, computing):
    (curve,) = compute(twin, computing, 1)
    asked = computing.key((), GROWTH)
    threshold = twin.state.reading.segmentation.threshold
    assert curve_line(curve).startswith(
        f"Lesion 1 · all sequences to background · steps of 2 mm to 6 mm · threshold {threshold:g}"
    )
    assert outdated(curve, asked, threshold) == ""
    assert outdated(curve, None, None) == ""
    assert "other steps or sequences" in outdated(curve, computing.key(("T1",), GROWTH), None)
    assert "other steps or sequences" in outdated(curve, computing.key((), Growth(1.0, 6.0)), None)
    said = outdated(curve, (*asked[:2], "another"), 0.25)
    assert "another network is loaded now than small" in said
    assert "The threshold says 0.25 now" in said


def test_the_values_are_read_by_table_and_by_place(twin, computing):
    (curve,) = compute(twin, computing, 1)
    context = curve.context
    shown = rows(context)
    assert [row[0] for row in shown] == ["whole image", "lesion alone", "2 mm", "4 mm", "6 mm"]
    values = [context.whole_probability, *context.mean_probability]
    assert [row[1] for row in shown] == [f"{value:.3f}" for value in values]
    counts = [context.whole_above, *context.voxels_above]
    assert [(row[2], row[3]) for row in shown] == [
        ("yes" if count else "no", str(count)) for count in counts
    ]
    places = (-0.1, 0.0, 0.02, 0.17, 0.21, 0.5, 1.0, 1.1)
    assert [nearest_step(context, place) for place in places] == [None, 0, 0, 0, 1, 1, 3, None]
