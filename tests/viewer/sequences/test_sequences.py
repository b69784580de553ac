"""One sequence at a time: image, map and limits by one control and one key, all of it named."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QRect, Qt
from qtpy.QtGui import QImage
from qtpy.QtWidgets import QWidget

from napari_ies.saliency.reading_off.measures import measure
from napari_ies.viewer.canvas.legend.caption_overlay import CaptionOverlay
from napari_ies.viewer.canvas.legend.colour_strip import ColourStrip
from napari_ies.viewer.canvas.legend.writing import MARGIN
from napari_ies.viewer.canvas.plane_overlay import LETTER_PIXELS

from ..conftest import _with_patient
from ..planes.test_mouse import canvas_pixel, drag, send_move
from ..planes.test_planes import turn_wheel


def press(hands, letter, modifier=Qt.KeyboardModifier.NoModifier):
    hands.qtbot.keyClick(hands.viewer.window._qt_viewer.canvas.native, letter, modifier)
    hands.settle()


def explain(hands, label):
    hands.panel.explaining.explain(label)
    hands.wait(lambda: hands.answered(label))
    hands.finish()


def on_show(hands):
    """The names of the visible images and overlays."""
    images = {name for name in ("FLAIR", "T1") if hands.layer(f"sub-01_{name}").visible}
    return images, {layer.name.split(" · ")[-1] for layer in hands.overlays() if layer.visible}


def captions(hands):
    """What is written on each canvas in sight, without what stands between lines and parts."""
    hands.settle()
    overlays = hands.viewer.window._qt_window.findChildren(CaptionOverlay)
    lines = [" ".join(one.lines) for one in overlays if one.isVisible()]
    return [line.replace(" · ", " ") for line in lines]


def strip(hands):
    return hands.viewer.window._qt_window.findChild(ColourStrip)


def test_sequences_are_switched_named_and_measured(hands, patient):
    before_they_are_segmented(hands, patient)
    segmented = _with_patient(hands, patient)
    image_map_and_limits_are_switched_together(segmented)
    what_is_on_show_is_said_whoever_showed_it(segmented)
    the_state_of_a_map_is_said(segmented)
    the_bar_covers_nothing_and_says_real_numbers(segmented)
    every_canvas_has_a_caption(segmented)
    two_sequences_stand_side_by_side(segmented)


def before_they_are_segmented(hands, patient):
    """By key and button, two beside each other, on the slices of the first one."""
    fine = np.zeros((96, 40, 36), np.float32)
    other = hands.viewer.add_image(fine, name="fine", scale=(1.0, 1.1, 0.9), units=("mm",) * 3)
    other.visible = False
    hands.open(patient)
    coarse = hands.layer("sub-01_FLAIR").scale[0]
    assert hands.viewer.dims.range[0].step == pytest.approx(coarse)
    assert hands.viewer.dims.nsteps[0] == patient.volumes["FLAIR"].shape[2]
    native = hands.viewer.window._qt_viewer.canvas.native
    hands.viewer.dims.set_point(0, hands.viewer.dims.range[0].start + 4 * coarse)
    step = hands.viewer.dims.point[0]
    turn_wheel(hands, native, -1)
    assert hands.viewer.dims.point[0] - step == pytest.approx(coarse)
    turn_wheel(hands, native, 1)
    press(hands, "q")
    assert captions(hands) == ["T1"]
    assert hands.control("show_T1").isChecked()
    hands.qtbot.mouseClick(hands.control("show_FLAIR"), Qt.MouseButton.LeftButton)
    assert captions(hands) == ["FLAIR"]
    press(hands, "q", Qt.KeyboardModifier.ShiftModifier)
    assert sorted(captions(hands)) == ["FLAIR", "T1"]
    press(hands, "q", Qt.KeyboardModifier.ShiftModifier)
    assert captions(hands) == ["FLAIR"]
    # An action that has nothing to do says why, until the next one.
    said = hands.control("status").text()
    press(hands, "i", Qt.KeyboardModifier.ShiftModifier)
    assert "Nothing was changed yet" in hands.control("status").text()
    press(hands, "h")
    assert hands.control("status").text() == said
    press(hands, "h")
    hands.viewer.layers.remove(other)
    hands.viewer.layers.clear()


def image_map_and_limits_are_switched_together(segmented):
    # T1 was opened last, and FLAIR is the first sequence.
    assert on_show(segmented)[0] == {"FLAIR"}
    assert captions(segmented) == ["FLAIR"]
    explain(segmented, 1)
    assert on_show(segmented) == ({"FLAIR"}, {"FLAIR"})
    view = segmented.panel.features["colouring"].view
    view.limits.setCurrentIndex(1)
    view.limits.activated.emit(1)
    assert view.limits.currentText() == "each sequence's own"
    ranges = dict(zip(("FLAIR", "T1"), segmented.answer(1).ranges, strict=True))
    assert ranges["FLAIR"].limit > 1.2 * ranges["T1"].limit
    assert strip(segmented).bars[0].high == pytest.approx(ranges["FLAIR"].limit)

    press(segmented, "q")
    assert on_show(segmented) == ({"T1"}, {"T1"})
    assert captions(segmented) == ["Lesion 1 SmoothGrad mean T1 map on T1 3 samples"]
    (bar,) = strip(segmented).bars
    assert (bar.title, bar.high) == ("T1 map", pytest.approx(ranges["T1"].limit))
    assert view.fixed.value() == pytest.approx(ranges["T1"].limit, abs=1e-6)
    # The next lesion is shown as the one before, also when all maps are removed meanwhile.
    explain(segmented, 2)
    assert on_show(segmented) == ({"T1"}, {"T1"})
    segmented.control("method").setCurrentText("Grad-CAM++")
    segmented.control("layer").setCurrentIndex(1)
    explain(segmented, 2)
    assert "map of all sequences on T1" in captions(segmented)[0]
    segmented.qtbot.mouseClick(segmented.control("show_FLAIR"), Qt.MouseButton.LeftButton)
    assert "map of all sequences on FLAIR" in captions(segmented)[0]
    segmented.control("method").setCurrentText("SmoothGrad")
    explain(segmented, 2)
    assert on_show(segmented) == ({"FLAIR"}, {"FLAIR"})
    assert segmented.control("show_FLAIR").isChecked()
    assert not segmented.control("show_T1").isChecked()
    view.limits.setCurrentIndex(0)
    view.limits.activated.emit(0)


def what_is_on_show_is_said_whoever_showed_it(segmented):
    flair, t1 = (segmented.layer(f"sub-01_{name}") for name in ("FLAIR", "T1"))
    flair.visible, t1.visible = False, True
    assert "FLAIR map on T1" in captions(segmented)[0]
    assert segmented.panel.services.scene.legend.odd
    assert segmented.control("show_T1").isChecked()
    other = segmented.viewer.add_image(np.zeros((4, 4, 4), np.float32), name="mine")
    assert "FLAIR map on mine" in captions(segmented)[0]
    assert not segmented.control("show_T1").isChecked()
    # The key brings image and map together, and nothing lies over them.
    press(segmented, "q")
    assert on_show(segmented) == ({"FLAIR"}, {"FLAIR"})
    assert not other.visible
    assert not segmented.panel.services.scene.legend.odd
    segmented.viewer.layers.remove(other)

    press(segmented, "h")
    assert "map hidden, FLAIR" in captions(segmented)[0]
    height = segmented.viewer.window._qt_viewer.canvas.native.height()
    press(segmented, "q")
    assert on_show(segmented) == ({"T1"}, set())
    press(segmented, "h")
    assert on_show(segmented) == ({"T1"}, {"T1"})
    assert segmented.viewer.window._qt_viewer.canvas.native.height() == height
    press(segmented, "q")


def the_state_of_a_map_is_said(segmented):
    segmented.panel.features["explaining"].form.samples.setValue(5000)
    segmented.panel.explaining.explain(1)
    segmented.wait(lambda: "of 5000 samples" in "".join(captions(segmented)))
    assert "stopped" not in captions(segmented)[0]
    segmented.qtbot.mouseClick(segmented.control("cancel"), Qt.MouseButton.LeftButton)
    segmented.finish()
    assert "FLAIR map on FLAIR stopped: " in captions(segmented)[0]
    segmented.panel.features["explaining"].form.samples.setValue(3)


def the_bar_covers_nothing_and_says_real_numbers(segmented):
    explain(segmented, 1)
    canvas, window = (
        segmented.viewer.window._qt_viewer.canvas.native,
        segmented.viewer.window._qt_window,
    )
    shown = strip(segmented)
    places = [QRect(one.mapTo(window, QPoint(0, 0)), one.size()) for one in (canvas, shown)]
    assert not places[0].intersects(places[1])
    # Its numbers are those of Readout: the same unit, the same power of ten.
    answer, (bar,) = segmented.answer(1), shown.bars
    measures = measure(answer.saliency)
    assert bar.power == segmented.panel.state.answers.power(answer)
    assert bar.highest == pytest.approx(measures.loc["FLAIR", "peak_positive"])
    # The colours of the layer's own ends are painted at the ends of the bar.
    (top,) = [layer for layer in segmented.overlays() if layer.visible]
    picture = shown.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    ends = np.asarray(top.colormap.map(np.array([0.0, 1.0])))[:, :3]
    for colour in 255 * (0.9 * ends + 0.1 * 0.35):
        distances = [
            abs(np.array(picture.pixelColor(x, 9).getRgb()[:3]) - colour).max()
            for x in range(picture.width())
        ]
        assert min(distances) < 12
    # In a grid, and after it, too.
    segmented.viewer.canvas.grid.enabled = True
    explain(segmented, 2)
    assert len(shown.bars) == 1
    segmented.viewer.canvas.grid.enabled = False


def every_canvas_has_a_caption(segmented):
    segmented.viewer.window.resize(1400, 700)  # the docks leave the planes little of 1100
    segmented.press("three_planes_button")
    segmented.wait(lambda: len(captions(segmented)) == 3)
    press(segmented, "q")
    for line in captions(segmented):
        assert "T1 map on T1" in line
    side = segmented.viewer.window._qt_window.findChild(QWidget, "three_planes")
    for one in side.findChildren(CaptionOverlay):
        # Whole, below the letter in the middle of the upper border.
        assert one.parentWidget().rect().contains(one.geometry())
        assert one.y() > MARGIN + LETTER_PIXELS
        assert "…" not in "".join(one.lines)
    press(segmented, "q")
    segmented.press("three_planes_button")
    segmented.settle()
    assert len(captions(segmented)) == 1


def two_sequences_stand_side_by_side(segmented):
    shift, viewer = Qt.KeyboardModifier.ShiftModifier, segmented.viewer
    before = on_show(segmented), len(viewer.layers)
    press(segmented, "q", shift)
    second = segmented.panel.features["sequences"].beside.second
    assert segmented.control("show_both").isChecked()

    def there():
        visible = [layer.name for layer in second.model.layers if layer.visible]
        return {name.removeprefix("sub-01_").split(" · ")[-1] for name in visible}

    canvases = [one.parentWidget() for one in viewer.window._qt_window.findChildren(CaptionOverlay)]
    assert len({one.width() for one in canvases}) == 1
    assert there() == {"T1"}
    assert on_show(segmented) == ({"FLAIR"}, {"FLAIR"})
    assert ["FLAIR map on FLAIR" in line for line in captions(segmented)].count(True) == 1
    assert ["T1 map on T1" in line for line in captions(segmented)].count(True) == 1
    strips = viewer.window._qt_window.findChildren(ColourStrip)
    assert {one.bars[0].title for one in strips} == {"FLAIR map", "T1 map"}
    # Linked: the key swaps them; slices, limits of the look, hiding and new maps reach both.
    press(segmented, "q")
    assert there() == {"FLAIR"}
    assert on_show(segmented) == ({"T1"}, {"T1"})
    press(segmented, "h")
    assert (there(), on_show(segmented)[1]) == ({"FLAIR"}, set())
    assert all("map hidden" in line for line in captions(segmented))
    assert len(captions(segmented)) == 2
    press(segmented, "h")
    explain(segmented, 1)
    assert all("Lesion 1 SmoothGrad mean" in line for line in captions(segmented))
    second = two_stay_when_the_threshold_is_updated(segmented)
    viewer.dims.set_point(0, viewer.dims.point[0] + 4)
    assert second.model.dims.point == pytest.approx(viewer.dims.point)
    segmented.layer("sub-01_T1").contrast_limits = (20, 90)
    the_mouse_does_there_what_it_does_everywhere(segmented, second)
    # Three planes take the room; the button opens and closes it, too.
    segmented.press("three_planes_button")
    assert not segmented.control("show_both").isChecked()
    segmented.qtbot.mouseClick(segmented.control("show_both"), Qt.MouseButton.LeftButton)
    segmented.settle()
    assert segmented.panel.features["planes"].three is None
    press(segmented, "q")
    segmented.qtbot.mouseClick(segmented.control("show_both"), Qt.MouseButton.LeftButton)
    segmented.settle()
    assert segmented.panel.features["sequences"].beside.second is None
    assert (on_show(segmented), len(viewer.layers)) == before
    assert len(captions(segmented)) == 1


def two_stay_when_the_threshold_is_updated(hands):
    lineage = hands.panel.state.reading.lineage
    native = hands.viewer.window._qt_viewer.canvas.native
    hands.qtbot.keyClick(native, Qt.Key.Key_Y, Qt.KeyboardModifier.ShiftModifier)
    hands.settle()
    assert hands.panel.state.reading.verdicts == {1: "agree"}
    hands.unfold()
    hands.control("threshold").setValue(0.05)
    # Segment does the same as Update does, and asks as that does.
    hands.press("segment")
    hands.wait(lambda: "Not updated yet" in hands.panel.status.text)
    assert "1 verdict would go" in hands.reply("Update")
    hands.wait(lambda: hands.panel.state.reading.segmentation.threshold == 0.05)
    assert hands.panel.state.reading.lineage is lineage
    hands.finish()
    hands.control("threshold").setValue(0.5)
    hands.qtbot.mouseClick(hands.control("update_threshold"), Qt.MouseButton.LeftButton)
    hands.wait(lambda: hands.panel.state.reading.segmentation.threshold == 0.5)
    hands.finish()
    assert hands.panel.state.reading.verdicts == {1: "agree"}
    assert hands.control("show_both").isChecked()
    # What was explained at this threshold is there again, on both.
    lines = captions(hands)
    assert len(lines) == 2
    assert all("Lesion 1 SmoothGrad mean" in line for line in lines)
    return hands.panel.features["sequences"].beside.second


def the_mouse_does_there_what_it_does_everywhere(hands, second):
    native, viewer = second.canvas.canvas.native, hands.viewer
    at, zoom = viewer.dims.point[0], viewer.scene.camera.zoom
    turn_wheel(hands, native, -1)
    assert viewer.dims.point[0] > at
    assert viewer.scene.camera.zoom == zoom
    turn_wheel(hands, native, 1)
    turn_wheel(hands, native, 1, Qt.KeyboardModifier.ControlModifier)
    hands.wait(lambda: viewer.scene.camera.zoom == pytest.approx(1.15 * zoom, rel=1e-3))
    turn_wheel(hands, native, -1, Qt.KeyboardModifier.ControlModifier)
    flair = hands.layer("sub-01_FLAIR")
    limits, others = flair.contrast_limits, hands.layer("sub-01_T1").contrast_limits
    drag(hands, native, (40, 0), Qt.MouseButton.RightButton)
    assert np.diff(flair.contrast_limits) > np.diff(limits)
    assert hands.layer("sub-01_T1").contrast_limits == others
    flair.contrast_limits = limits
    reading = hands.panel.state.reading
    world = reading.frame.to_world(reading.places[2].centre)
    hands.go(world)
    point = canvas_pixel(second.canvas, second.model, world)
    send_move(native, point)
    hands.wait(lambda: second.overlay.under_mouse)
    assert second.overlay.under_mouse[0].startswith("Lesion 2 · probability")
    assert second.overlay.under_mouse[1].startswith("FLAIR saliency")
    hands.qtbot.mouseClick(native, Qt.MouseButton.LeftButton, pos=point)
    hands.finish()
    assert hands.panel.state.selected == 2
