"""What a canvas asks of OpenGL is done in its own context: see ``viewer/own_context.py``."""

from __future__ import annotations

import numpy as np
import pytest
from canvas_contexts import watch_contexts
from napari.components import ViewerModel

from napari_ies.viewer.canvas.extra_view import extra_view


@pytest.fixture
def strays(monkeypatch):
    """What canvases that are opened from now on have done in contexts of others."""
    found = []
    watch_contexts(found.append, monkeypatch.setattr)
    return found


def pictures(hands):
    three = hands.panel.features["planes"].three
    views = [hands.viewer.window._qt_viewer, *(side.view for side in three.sides)]
    return [view.screenshot(flash=False)[..., :3] for view in views]


def test_layers_and_canvases_go(strays, segmented):
    layers_that_go_while_another_canvas_was_drawn_last(strays, segmented)
    segmented.press("three_planes_button")
    segmented.settle()
    canvases_that_are_not_on_the_screen_yet_and_those_that_were(strays, segmented)


def layers_that_go_while_another_canvas_was_drawn_last(strays, segmented):
    panel, layers = segmented.panel, segmented.viewer.layers
    segmented.press("three_planes_button")
    three = panel.features["planes"].three
    segmented.wait(lambda: three.sides[1].model.layers)
    segmented.settle()
    assert strays == []
    before = pictures(segmented)
    for _ in range(3):
        # The canvas drawn last is one of the two beside the viewer's own.
        three.sides[1].canvas.repaint()
        extra = segmented.viewer.add_image(np.ones((9, 9, 9), np.float32), name="extra")
        segmented.settle()
        three.sides[0].canvas.repaint()
        layers.remove(extra)
        assert strays == []
    segmented.settle()
    for now, then in zip(pictures(segmented), before, strict=True):
        np.testing.assert_array_equal(now, then)
    assert strays == []


def canvases_that_are_not_on_the_screen_yet_and_those_that_were(strays, segmented):
    """A new canvas brings a context that is current at once; it has none of its own until shown."""
    panel, layers = segmented.panel, segmented.viewer.layers
    extra = segmented.viewer.add_image(np.ones((9, 9, 9), np.float32), name="extra")
    panel.features["planes"].toggle()
    layers.remove(extra)
    assert strays == []
    segmented.settle()
    panel.features["planes"].toggle()
    next(iter(segmented.viewer.window._wrapped_dock_widgets.values())).destroyOnClose()
    segmented.settle()
    # The panel is closed, but what its canvases left current is not the viewer's own context.
    for _ in range(2):
        layers.pop()
    segmented.settle()
    assert strays == []


def test_a_canvas_that_comes_to_another_window_is_empty_and_not_the_end(
    strays, make_napari_viewer, qtbot
):
    """Its context goes, and with it what vispy would draw from: that ended the program."""
    viewer, model = make_napari_viewer(show=True), ViewerModel()
    view = extra_view(model, viewer)
    model.add_image(np.ones((9, 9, 9), np.float32), contrast_limits=(0, 1))
    dock = viewer.window.add_dock_widget(view, name="canvas")
    qtbot.waitUntil(lambda: view.screenshot(flash=False)[..., :3].max() > 200)
    for loose in (True, False):
        dock.setFloating(loose)
        qtbot.wait(50)
        model.dims.set_point(0, 3)
        model.add_image(np.ones((9, 9, 9), np.float32))
        qtbot.wait(50)
        model.layers.pop()
        assert view.screenshot(flash=False)[..., :3].max() == 0
    view.close()
    assert strays == []
