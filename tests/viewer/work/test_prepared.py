"""What the first click would wait for is done before it, in the background and without a word."""

from __future__ import annotations

import time

import numpy as np
import pytest

from napari_ies.progress import Progress
from napari_ies.saliency import case_explanations, explain
from napari_ies.saliency.case_explanations import FIRST_STEPS, CaseExplanations
from napari_ies.saliency.engines.jacobian import WindowedEngine
from napari_ies.saliency.request import SaliencyRequest
from napari_ies.viewer.state.reading import Reading
from napari_ies.viewer.work import tasks
from napari_ies.viewer.work.explaining import AHEAD


@pytest.fixture
def made(monkeypatch):
    """What the maps of a case share, each time it is made."""
    found, plain = [], CaseExplanations.__init__

    def counted(self, *args):
        found.append(self)
        plain(self, *args)

    monkeypatch.setattr(CaseExplanations, "__init__", counted)
    return found


def again(twin):
    """Return the same patient as another reading."""
    old = twin.state.reading
    return Reading.of(old.model, old.case, old.segmentation)


@pytest.mark.slow
def test_it_is_made_once_for_a_reading_and_no_click_makes_it_again(twin, made):
    said = []
    for event in (twin.work.started, twin.work.reported, twin.work.cancelled, twin.work.failed):
        event.connect(said.append)
    twin.show(again(twin))
    assert len(made) == 1
    assert said == [], "nobody asked for it"
    for lesion in (1, 2):
        twin.explain(lesion)
    twin.state.request = SaliencyRequest(n_samples=2, aggregation="max", seed=3)
    twin.explain(1)
    assert len(made) == 1
    twin.show(again(twin))
    assert len(made) == 2
    # Names are no part of what is computed.
    twin.state.rename("another", "second")
    twin.explain(2)
    assert len(made) == 2
    reading = twin.state.reading
    alone = explain(
        reading.model, reading.case, reading.segmentation.labels == 2, **vars(twin.state.request)
    )
    np.testing.assert_array_equal(twin.answer(2).saliency.maps, alone.maps)


def endless(begun, closed):
    def prepare(reading, model, request):
        begun.append(reading)
        try:
            while True:
                time.sleep(0.001)
                yield Progress("Preparing explanations", 0, 0, "")
        finally:
            closed.append(reading)

    return prepare


def test_a_click_goes_before_it_and_another_reading_ends_it(twin, monkeypatch):
    begun, closed = [], []
    monkeypatch.setattr(tasks, "prepare", endless(begun, closed))
    first, second = again(twin), again(twin)
    twin.state.show_reading(first)
    twin.explaining.explain(1)
    deadline = time.monotonic() + 60
    while not len(twin.state.answers) and time.monotonic() < deadline:
        twin.work.poll()
        time.sleep(0.001)
    assert len(twin.state.answers) == 1
    assert (begun, closed) == ([first], [])
    twin.state.show_reading(second)
    while len(begun) < 2 and time.monotonic() < deadline:
        twin.work.poll()
        time.sleep(0.001)
    assert (begun, closed) == ([first, second], [first])
    assert twin.tell.failures == []
    twin.work.cancel(AHEAD)
    twin.work.wait(60)
    assert closed == [first, second]


def test_what_goes_wrong_is_said_at_the_click(twin):
    twin.state.request = SaliencyRequest(class_index=9)
    twin.show(again(twin))
    assert twin.tell.failures == []
    twin.explain(1)
    assert [text[:22] for text in twin.tell.failures] == ["There is no class 9; t"]


def test_a_card_has_run_the_network_before(twin, monkeypatch):
    """Once, and for a step or two: kernels are loaded and memory is reserved."""
    reading, runs, plain = again(twin), [], WindowedEngine.linearise

    def counted(self, images, *args):
        runs.append(len(images))
        return plain(self, images, *args)

    monkeypatch.setattr(WindowedEngine, "linearise", counted)
    reading.prepared.explanations(reading.model, reading.case, twin.state.request)
    runs.clear()  # those of the engine's trial
    list(tasks.prepare(reading, reading.model, twin.state.request))
    assert runs == []
    monkeypatch.setattr(case_explanations, "runs_ahead", lambda device: True)
    steps = list(tasks.prepare(reading, reading.model, twin.state.request))
    assert 1 <= len(runs) <= FIRST_STEPS
    assert len(steps) == 2 + FIRST_STEPS
