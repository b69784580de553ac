"""Canvases that are opened: what holds the window is announced before, and as little as can be.

And an axis that only other layers have, such as time, across or down a canvas.
"""

from __future__ import annotations

import threading

import numpy as np
import pytest
from napari._vispy.canvas import VispyCanvas
from napari.utils.action_manager import action_manager

from napari_ies.viewer.canvas import extra_view, surfaces

ORDERS = ((1, 2, 0, 3), (3, 2, 1, 0), (1, 2, 3, 0), (0, 1, 2, 3))


@pytest.fixture
def tidied(monkeypatch):
    """The canvases that napari tidied up, each time: it collects garbage then."""
    found = []
    tidy = VispyCanvas._clean_and_update_scenegraph
    monkeypatch.setattr(
        VispyCanvas,
        "_clean_and_update_scenegraph",
        lambda canvas: (found.append(canvas), tidy(canvas)),
    )
    return found


def test_canvases_and_surfaces(segmented, tidied, monkeypatch):
    with monkeypatch.context() as patched:
        surfaces_that_cannot_be_made_are_said_to_be(segmented, patched)
    segmented.settle()
    with monkeypatch.context() as patched:
        three_planes_and_space_are_announced_and_let_napari_tidy_up_once(segmented, tidied, patched)
    segmented.viewer.reset_view()
    segmented.afresh()
    any_order_of_the_axes(segmented)
    tidied.clear()  # or the canvases that were closed would stay


def three_planes_and_space_are_announced_and_let_napari_tidy_up_once(
    segmented, tidied, monkeypatch
):
    panel, said, shortcuts, threads = segmented.panel, [], [], []
    create, mesh = extra_view.QtViewer, surfaces._surface
    monkeypatch.setattr(
        extra_view, "QtViewer", lambda model: (said.append(panel.status.text), create(model))[1]
    )
    monkeypatch.setattr(
        surfaces,
        "_surface",
        lambda *solid: (threads.append(threading.current_thread()), mesh(*solid))[1],
    )
    action_manager.events.shortcut_changed.connect(shortcuts.append)
    panel.services.tell.say("What was said before.")
    panel.features["planes"].toggle()
    action_manager.events.shortcut_changed.disconnect(shortcuts.append)
    assert said == ["Opening the three planes…"] * 2
    assert panel.status.text == "What was said before."
    assert shortcuts == []
    three = panel.features["planes"].three
    segmented.wait(lambda: all(len(side.model.layers) >= 2 for side in three.sides))
    segmented.settle()
    tidied.clear()
    panel.features["planes"].toggle()
    assert len(tidied) == 2  # once each
    segmented.settle()

    panel.services.tell.say("What was said before.")
    panel.features["planes"].toggle_space()
    segmented.viewer.scene.camera.zoom *= 0.4
    assert panel.status.text == "Making the surfaces of the head and the lesions…"
    segmented.wait(lambda: "Lesions in space" in [layer.name for layer in segmented.viewer.layers])
    segmented.settle()
    assert panel.status.text == "The head and the lesions are shown as surfaces."
    assert threads
    assert threading.main_thread() not in threads
    tidied.clear()
    panel.features["planes"].toggle_space()
    assert len(tidied) == 1
    assert surfaces.surfaces_of(panel.state.reading, lambda: True) is None


def surfaces_that_cannot_be_made_are_said_to_be(segmented, monkeypatch):
    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(surfaces, "_surface", fail)
    segmented.panel.features["planes"].toggle_space()
    segmented.wait(lambda: "cannot be shown in space" in segmented.panel.status.text)
    assert "not enough memory" in segmented.panel.status.text
    segmented.panel.features["planes"].toggle_space()


def any_order_of_the_axes(segmented):
    panel, viewer = segmented.panel, segmented.viewer
    viewer.add_image(np.zeros((3, 9, 9, 9), np.float32), units=("s", "mm", "mm", "mm"))
    for order in ORDERS:
        viewer.dims.order = order
        segmented.settle()
    panel.state.select(2)
    assert panel.features["planes"].outlines.count > 0
    panel.features["planes"].toggle()
    for order in ORDERS:
        viewer.dims.order = order
        panel.features["planes"].three.crosshair.move((1.0, 2.0, 3.0))
        segmented.settle()
    panel.features["planes"].toggle()
    viewer.dims.order = ORDERS[0]
    panel.features["planes"].toggle()
    assert panel.features["planes"].three is None
    assert "cannot be shown" in panel.status.text
