"""A window with a map on screen closes in order, and one that is kept after all is as it was."""

from __future__ import annotations


def test_a_window_that_is_kept_is_as_it_was_and_one_that_is_closed_is_left(segmented, monkeypatch):
    panel, planes = segmented.panel, segmented.panel.features["planes"]
    window = segmented.viewer.window._qt_window
    segmented.press("three_planes_button")
    panel.explaining.explain(2)
    segmented.finish()
    assert panel.services.scene.overlays.look.colour_bar
    three, overlay = planes.three, planes.overlay
    with monkeypatch.context() as patched:
        # napari asks a person here who presses the button of the window's frame.
        patched.setattr(type(window), "closeEvent", lambda _, event: event.ignore())
        window.windowHandle().close()
        segmented.settle()
    assert window.isVisible()
    assert planes.three is three
    assert three.sides[0].isVisible()
    assert planes.overlay is overlay

    panel.features["explaining"].form.samples.setValue(5000)
    panel.explaining.explain(1)
    segmented.wait(lambda: not panel.state.shown.finished)
    run = panel.services.work._run
    window.windowHandle().close()  # what is raised on the way fails the test
    assert planes.three is None
    assert planes.overlay is None
    segmented.wait(lambda: run.done)
    assert run.cancelled.is_set()
