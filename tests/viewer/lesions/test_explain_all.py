"""Explain all, with a click in the middle."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_ies import explain
from napari_ies.viewer.state.scaled import number
from napari_ies.viewer.work import tasks


@pytest.fixture
def gates(monkeypatch):
    """Hold each explanation after its first report until its lesion's gate is opened."""
    found = {1: threading.Event(), 2: threading.Event()}
    begun = []
    explained = tasks.explain_subject

    def held(reading, model, subject, request):
        begun.append(subject)
        for step, report in enumerate(explained(reading, model, subject, request)):
            yield report
            if step == 0:
                found[subject].wait(300)

    monkeypatch.setattr(tasks, "explain_subject", held)
    yield found, begun
    for gate in found.values():
        gate.set()


def test_all_are_explained_clicked_into_and_stopped(segmented, patient, gates):
    acts = (
        cancel_stops_the_queue_and_so_does_the_button,
        a_click_on_the_lesion_that_is_just_explained_shows_it,
        lambda hands, gates: a_click_goes_first_and_all_are_explained_in_the_end(
            hands, patient, gates
        ),
    )
    for act in acts:
        segmented.afresh()
        gate, begun = gates
        begun.clear()
        for each in gate.values():
            each.clear()
        act(segmented, gates)


def a_click_goes_first_and_all_are_explained_in_the_end(segmented, patient, gates):
    gate, begun = gates
    panel, kept = segmented.panel, []
    panel.state.answer_kept.connect(lambda answer: kept.append(answer.subject))
    segmented.press("explain_all")
    segmented.wait(lambda: begun == [1])
    assert segmented.control("explain_all").text() == "Stop"
    assert "lesion 1 of 2" in segmented.control("status").text()
    # A click in the middle of lesion 1.
    flair = segmented.layer("sub-01_FLAIR")
    world = segmented.world_of(patient.volumes["FLAIR"], flair, patient.centres[2])
    segmented.go(world)
    segmented.click(world)
    gate[1].set()
    segmented.wait(lambda: begun == [1, 2])
    gate[2].set()
    segmented.finish()
    assert kept == [2, 1]
    # Lesion 1 was resumed, not begun again, and did not come on screen; lesion 2 was not repeated.
    assert begun == [1, 2]
    assert panel.state.selected == panel.state.shown.subject == 2
    assert all("Lesion 2" in layer.name for layer in segmented.overlays())
    reading = panel.state.reading
    for label in (1, 2):
        expected = explain(
            reading.model, reading.case, reading.segmentation.labels == label, n_samples=3
        )
        np.testing.assert_array_equal(segmented.answer(label).saliency.maps, expected.maps)
        peak = expected.maps[0].flat[np.abs(expected.maps[0]).argmax()]
        rows = panel.features["lesions"].table.view.model()
        titles = [rows.headerData(c, Qt.Orientation.Horizontal) for c in range(rows.columnCount())]
        shown = rows.index(
            panel.features["lesions"].table.subjects().index(label),
            next(i for i, title in enumerate(titles) if title.startswith("▾ Peak FLAIR\nmean")),
        )
        power = panel.state.answers.power(segmented.answer(label))
        assert shown.data().removeprefix("+") == number(float(peak), power)
    assert segmented.control("explain_all").text() == "Explain all"
    # Nothing is left to do.
    segmented.press("explain_all")
    assert "already" in segmented.control("status").text()


def a_click_on_the_lesion_that_is_just_explained_shows_it(segmented, gates):
    gate, begun = gates
    panel = segmented.panel
    segmented.press("explain_all")
    segmented.wait(lambda: begun == [1])
    panel.explaining.explain(1)
    gate[1].set()
    gate[2].set()
    segmented.finish()
    assert begun == [1, 2]
    assert segmented.answered(1)
    assert segmented.answered(2)
    assert panel.state.shown.subject == 1


def cancel_stops_the_queue_and_so_does_the_button(segmented, gates):
    gate, begun = gates
    for stop in ("cancel", "explain_all"):
        begun.clear()
        segmented.press("explain_all")
        segmented.wait(lambda: begun == [1])
        segmented.press(stop)
        gate[1].set()
        segmented.finish()
        assert begun == [1]
        assert len(segmented.panel.state.answers) == 0
        assert segmented.control("explain_all").text() == "Explain all"
        gate[1].clear()
