"""The tab "View": how maps are coloured, and what a person set on the layers themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_ies.viewer.canvas.legend.colour_strip import ColourStrip


@pytest.fixture
def viewing(segmented):
    """Both lesions explained, the second one on screen, the tab open."""
    segmented.unfold()
    tabs = segmented.control("tabs")
    for label in (1, 2):
        segmented.panel.explaining.explain(label)
        segmented.wait(lambda label=label: segmented.answered(label))
    segmented.finish()
    # The small network is nearly linear: without this both limits would be the same.
    first = replace(segmented.answer(1), limit=1.5 * segmented.answer(1).limit)
    segmented.panel.state.answers.add(first)
    segmented.panel.state.show(first)
    segmented.panel.explaining.explain(2)
    tabs.setCurrentIndex([tabs.tabText(i) for i in range(tabs.count())].index("View"))
    segmented.settle()
    return segmented


def choose(hands, name, text):
    """Choose an entry of a combo box with the keyboard, as a person does."""
    combo = hands.control(name)
    combo.setFocus()
    steps = combo.findText(text) - combo.currentIndex()
    assert combo.findText(text) >= 0, text
    for _ in range(abs(steps)):
        hands.qtbot.keyClick(combo, Qt.Key.Key_Down if steps > 0 else Qt.Key.Key_Up)
    hands.settle()
    assert combo.currentText() == text


def limits(hands):
    return {tuple(layer.contrast_limits) for layer in hands.overlays()}


def bar(hands):
    """Return the bar in the strip below the canvas, which shows it or nothing."""
    hands.settle()
    strip = hands.viewer.window._qt_window.findChild(ColourStrip)
    (shown,) = strip.bars or (None,)
    return shown


def colour_under(hands, world):
    """Return the mean colour of the canvas around a world position."""
    hands.settle()
    picture = hands.viewer.screenshot(canvas_only=True, flash=False)
    at = hands.pixel_of(world)
    ratio = picture.shape[1] / hands.viewer.window._qt_viewer.canvas.native.width()
    row, column = round(at.y() * ratio), round(at.x() * ratio)
    return picture[row - 1 : row + 2, column - 1 : column + 2, :3].reshape(-1, 3).mean(axis=0)


def test_looks_by_hand_from_the_form_and_of_two_viewers(
    viewing, patient, monkeypatch, make_napari_viewer
):
    what_is_set_on_a_layer_itself_stays(viewing)
    viewing.panel.explaining.explain(2)
    with monkeypatch.context() as patched:
        a_look_applies_at_once_to_every_overlay_and_to_later_maps(viewing, patient, patched)
    two_viewers_do_not_know_of_each_other(viewing, make_napari_viewer)
    closing_in_the_middle_leaves_nothing_behind(viewing)


def a_look_applies_at_once_to_every_overlay_and_to_later_maps(viewing, patient, monkeypatch):
    own = {label: viewing.answer(label).limit for label in (1, 2)}
    assert own[1] > 1.2 * own[2]
    monkeypatch.setattr(viewing.panel.services.work, "run", lambda _: pytest.fail("computed again"))
    assert limits(viewing) == {(-own[2], own[2])}

    choose(viewing, "limits", "shared by all shown")
    assert limits(viewing) == {(-max(own.values()), max(own.values()))}
    choose(viewing, "limits", "fixed at")
    box = viewing.control("fixed_limit")
    box.selectAll()
    viewing.qtbot.keyClicks(box, box.locale().toString(0.25))
    viewing.qtbot.keyClick(box, Qt.Key.Key_Return)
    assert limits(viewing) == {(-0.25, 0.25)}
    assert (bar(viewing).low, bar(viewing).high) == (-0.25, 0.25)
    assert bar(viewing).words == ("FLAIR map", "10⁻³ logit per standard deviation")

    flair = viewing.layer("sub-01_FLAIR")
    world = viewing.world_of(patient.volumes["FLAIR"], flair, patient.centres[2])
    viewing.go(world)
    value = viewing.layer("Lesion 2 · SmoothGrad mean · FLAIR").get_value(world, world=True)
    box.setValue(value * 1.2)
    assert np.ptp(colour_under(viewing, world)) > 40
    viewing.control("threshold_percent").setValue(60)
    box.setValue(value / 0.55)  # below the threshold of 60 % now
    assert np.ptp(colour_under(viewing, world)) < 10

    choose(viewing, "signed_map", "Blue–red, dark centre")
    viewing.control("overlay_opacity").setValue(70)
    viewing.panel.explaining.explain(1)
    for layer in viewing.overlays():
        assert layer.colormap.name == "berlin from 60 %"
        assert layer.opacity == pytest.approx(0.7)
        assert layer.contrast_limits[1] == pytest.approx(value / 0.55, abs=1e-6)
    choose(viewing, "limits", "each map's own")
    assert limits(viewing) == {(-own[1], own[1])}


def what_is_set_on_a_layer_itself_stays(viewing):
    flair = viewing.layer("Lesion 2 · SmoothGrad mean · FLAIR")
    other = viewing.layer("Lesion 2 · SmoothGrad mean · T1")
    flair.contrast_limits = (-0.5, 0.75)
    flair.opacity = 0.4
    other.colormap = "turbo"
    viewing.settle()
    note = viewing.control("by_hand").text()
    assert "FLAIR: limits, opacity" in note
    assert "T1: colours" in note
    assert (bar(viewing).low, bar(viewing).high) == (-0.5, 0.75)
    viewing.panel.explaining.explain(1)
    own = viewing.answer(1).limit
    assert tuple(flair.contrast_limits) == (-0.5, 0.75)
    assert flair.opacity == 0.4
    assert other.colormap.name == "turbo"
    assert tuple(other.contrast_limits) == (-own, own)

    # Another kind of map has values of another size; the rest stays, and comes back.
    viewing.control("method").setCurrentText("Grad-CAM++")
    viewing.control("layer").setCurrentIndex(1)
    viewing.panel.explaining.explain(1)
    viewing.finish()
    viewing.control("method").setCurrentText("SmoothGrad")
    viewing.panel.explaining.explain(1)
    flair, other = (viewing.layer(f"Lesion 1 · SmoothGrad mean · {s}") for s in ("FLAIR", "T1"))
    assert tuple(flair.contrast_limits) == (-own, own)
    assert flair.opacity == 0.4
    assert other.colormap.name == "turbo"

    # The last hand wins: a change in the tab takes the opacity back, Reset everything.
    viewing.control("overlay_opacity").setValue(90)
    assert flair.opacity == other.opacity == pytest.approx(0.9)
    assert other.colormap.name == "turbo"
    viewing.settle()
    viewing.press("follow_look")
    assert other.colormap.name == flair.colormap.name
    viewing.settle()
    assert not viewing.control("follow_look").isEnabled()


def test_layers_are_switched_and_changed_while_a_map_is_computed(viewing):
    overlay_outlines_and_colour_bar_are_switched(viewing)
    viewing.control("method").setCurrentText("SmoothGrad")
    for button in ("show_colour_bar", "show_overlay", "show_outlines"):
        if not viewing.control(button).isChecked():
            viewing.press(button)
    any_layer_may_be_renamed_moved_or_deleted_while_a_map_is_computed(viewing)


def overlay_outlines_and_colour_bar_are_switched(viewing):
    viewer, panel = viewing.viewer, viewing.panel
    flair = viewing.layer("Lesion 2 · SmoothGrad mean · FLAIR")
    other = viewing.layer("Lesion 2 · SmoothGrad mean · T1")
    assert (flair.visible, other.visible) == (True, False)
    assert bar(viewing).title == "FLAIR map"
    flair.visible, other.visible = False, True
    assert bar(viewing).title == "T1 map"

    viewing.press("show_overlay")
    assert not other.visible
    assert bar(viewing) is None
    viewing.control("method").setCurrentText("Grad-CAM++")
    viewing.control("layer").setCurrentIndex(1)
    panel.explaining.explain(2)
    viewing.finish()
    (single,) = viewing.overlays()
    assert not single.visible  # off is off, also for a new layer
    viewing.press("show_overlay")
    assert single.visible
    assert bar(viewing).low == 0
    assert (bar(viewing).title, bar(viewing).unit) == ("Map of all sequences", "logit × activation")
    single.visible = False
    viewing.settle()
    assert not viewing.control("show_overlay").isChecked()

    lines = panel.features["planes"].outlines
    assert lines.count > 0
    viewing.press("show_outlines")
    assert lines.count == 0
    viewing.into_space()
    viewer.dims.ndisplay = 2
    viewer.dims.order = (1, 0, 2)
    viewing.settle()
    assert lines.count == 0
    viewing.press("show_outlines")
    assert lines.count > 0

    single.visible = True
    canvas = viewer.window._qt_viewer.canvas.native
    strip = viewer.window._qt_window.findChild(ColourStrip)
    height = canvas.height()
    viewing.press("show_colour_bar")
    viewing.settle()
    assert not strip.isVisible()
    assert canvas.height() > height


def any_layer_may_be_renamed_moved_or_deleted_while_a_map_is_computed(viewing):
    viewer, panel = viewing.viewer, viewing.panel
    panel.features["explaining"].form.samples.setValue(5000)
    panel.explaining.explain(1)
    viewing.wait(lambda: panel.state.shown is not None and not panel.state.shown.finished)
    for number, layer in enumerate(list(viewer.layers)):
        layer.name = f"mine {number}"
    viewer.layers.reverse()
    viewer.layers.move(0, len(viewer.layers))
    shown = []
    panel.state.answer_shown.connect(shown.append)
    viewing.wait(lambda: len(shown) > 1)
    for layer in list(viewer.layers):
        layer.visible = not layer.visible
    shown.clear()
    viewing.wait(lambda: len(shown) > 1)
    for layer in list(viewer.layers):
        if layer in viewer.layers:
            viewer.layers.remove(layer)
        viewing.settle()
    viewing.control("overlay_opacity").setValue(50)
    viewing.press("show_outlines")
    viewing.press("show_overlay")
    panel.features["explaining"].form.samples.setValue(2)
    panel.explaining.explain(2)
    viewing.wait(lambda: viewing.answered(2))
    viewing.finish()
    assert all(layer.opacity == 0.5 for layer in viewing.overlays())
    assert {layer.name for layer in viewing.overlays()} == {
        "Lesion 2 · SmoothGrad mean · FLAIR",
        "Lesion 2 · SmoothGrad mean · T1",
    }


def two_viewers_do_not_know_of_each_other(viewing, make_napari_viewer):
    panel = viewing.panel
    second = make_napari_viewer(show=True)
    _, other = second.window.add_plugin_dock_widget("napari-ies", "Lesion saliency")
    assert other is not panel
    other.state.show_reading(panel.state.reading)
    other.state.show(other.state.keep(viewing.answer(1)))
    before = [layer._get_state() for layer in viewing.overlays()]
    other.services.scene.overlays.set_look(other.services.scene.overlays.look)
    other.findChild(type(viewing.control("limits")), "signed_map").setFocus()
    combo = other.findChild(type(viewing.control("limits")), "signed_map")
    viewing.qtbot.keyClick(combo, Qt.Key.Key_Down)
    other.services.scene.overlays.set_on_show(False)
    viewing.settle()
    names = {layer.colormap.name for layer in second.layers if "·" in layer.name}
    assert names == {"berlin from 10 %"}
    for state, layer in zip(before, viewing.overlays(), strict=True):
        assert layer._get_state()["colormap"] == state["colormap"]
        assert layer.visible == state["visible"]
    assert panel.state.answers is not other.state.answers
    assert len(other.state.answers) == 1


def connected(viewer):
    """Count the callbacks on everything of a viewer that a panel may listen to."""
    groups = [viewer.events, viewer.layers.events, viewer.layers.selection.events]
    groups += [viewer.dims.events, viewer.scene.camera.events, viewer.cursor.events]
    groups += [layer.events for layer in viewer.layers]
    counts = []
    for group in groups:
        for name, emitter in dict(getattr(group, "emitters", None) or group).items():
            callbacks = getattr(emitter, "callbacks", None)
            ours = [c for c in callbacks or () if "napari_ies" in _origin(c)]
            counts += [f"{type(group).__name__}.{name}: {c}" for c in ours]
    return counts


def _origin(callback):
    owner = callback[0]() if isinstance(callback, tuple) else callback
    return f"{getattr(owner, '__module__', '')}{type(owner).__module__}"


def closing_in_the_middle_leaves_nothing_behind(viewing):
    viewer = viewing.viewer
    assert connected(viewer)
    viewing.panel.features["explaining"].form.samples.setValue(5000)
    viewing.panel.explaining.explain(1)
    viewing.wait(lambda: not viewing.panel.state.shown.finished)
    run = viewing.panel.services.work._run
    next(iter(viewer.window._wrapped_dock_widgets.values())).destroyOnClose()
    viewing.reply("Stop and close")
    viewing.wait(lambda run=run: run.done)
    viewing.settle()
    assert connected(viewer) == []
    assert viewer.window._qt_window.findChild(ColourStrip) is None
    # The map stays in the viewer, as layers like any other.
    for layer in viewing.overlays():
        layer.visible = not layer.visible
        layer.opacity = 0.3
