"""What is opened to be segmented is, once all is there, and never with what is not meant."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from without_a_window import Heard

from napari_ies.viewer.preparing.by_itself import SegmentsByItself
from napari_ies.viewer.state.state import State


class Twin:
    """The state, and what a panel would say and do."""

    def __init__(self):
        self.state, self.tell = State(), Heard()
        self.loading, self.why, self.segmented = False, "", 0
        work = SimpleNamespace(is_active=lambda kind: kind == "checkpoint" and self.loading)
        services = SimpleNamespace(state=self.state, work=work, tell=self.tell)
        self.by_itself = SegmentsByItself(services, self.segment, lambda: self.why)

    def segment(self):
        self.segmented += 1

    def load(self):
        self.loading = False
        self.state.take_model(object())


@pytest.fixture
def twin():
    return Twin()


@pytest.mark.parametrize("first", ["checkpoint", "session"])
def test_it_waits_for_the_checkpoint_and_for_the_look_at_earlier_sessions(twin, first):
    twin.state.segment_wanted.emit(False)
    steps = [twin.load, lambda: twin.state.looked_ahead.emit(False)]
    for step in steps if first == "checkpoint" else reversed(steps):
        assert twin.segmented == 0
        step()
    assert twin.segmented == 1
    # Once, and not with every further checkpoint.
    twin.load()
    twin.state.looked_ahead.emit(False)
    assert twin.segmented == 1


def test_a_checkpoint_that_is_being_loaded_is_meant_and_not_the_one_before(twin):
    twin.load()
    twin.loading = True
    twin.state.looked_ahead.emit(False)
    for anyway in (False, True):
        twin.state.segment_wanted.emit(anyway)
        assert twin.segmented == 0
    twin.load()
    assert twin.segmented == 1


def test_what_was_read_before_or_is_doubtful_is_left_to_a_person(twin):
    twin.load()
    twin.state.segment_wanted.emit(False)
    twin.state.looked_ahead.emit(True)
    assert twin.segmented == 0
    twin.state.looked_ahead.emit(False)  # "Start anew"
    assert twin.segmented == 1
    twin.why = "look at the images."
    twin.state.segment_wanted.emit(False)
    assert (twin.segmented, twin.tell.text) == (1, "Not segmented yet: look at the images.")
    twin.why = ""
    twin.state.looked_ahead.emit(False)
    assert twin.segmented == 1
    # The demo is sure.
    twin.why = "look at the images."
    twin.state.segment_wanted.emit(True)
    assert twin.segmented == 2


def test_other_images_and_another_patient_are_another_matter(twin):
    twin.load()
    twin.state.segment_wanted.emit(False)
    twin.state.images_chosen.emit(None)
    twin.state.layers_given.emit([])
    twin.state.looked_ahead.emit(False)
    assert twin.segmented == 0
