"""The radiologist's mouse: wheel, Ctrl and the wheel, right button, hovering, clicks close by."""

from __future__ import annotations

import re

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPoint, Qt
from qtpy.QtWidgets import QApplication

from napari_ies.viewer.canvas.mouse.window_level import PIXELS
from napari_ies.viewer.canvas.picking import REACH_MM, pick_lesion
from napari_ies.viewer.volumes.frame import Frame

from .test_planes import opened, pixel_in, press, turn_wheel

CTRL = Qt.KeyboardModifier.ControlModifier


def canvases(hands):
    """Every canvas with three planes open: its view and viewer model, the viewer's own first."""
    main = hands.viewer.window._qt_viewer
    sides = hands.panel.features["planes"].three.sides
    return [(main, hands.viewer), *((side.view, side.model) for side in sides)]


def canvas_pixel(view, model, world):
    at = pixel_in(view, model, world)
    point = QPoint(round(at[0]), round(at[1]))
    assert view.canvas.native.rect().contains(point)
    return point


def drag(hands, native, by, button):
    start = native.rect().center()
    hands.qtbot.mousePress(native, button, pos=start)
    for part in range(1, 4):
        at = QPoint(start.x() + by[0] * part // 3, start.y() + by[1] * part // 3)
        # Only an event of Qt's own says which button is down.
        hands.qtbot.mouseMove(native, at)
        send_move(native, at, button)
        hands.qtbot.wait(10)
    hands.qtbot.mouseRelease(native, button, pos=QPoint(start.x() + by[0], start.y() + by[1]))
    hands.settle()


def send_move(native, at, buttons=Qt.MouseButton.NoButton):
    from qtpy.QtCore import QPointF
    from qtpy.QtGui import QMouseEvent

    event = QMouseEvent(
        QEvent.Type.MouseMove,
        QPointF(at),
        QPointF(native.mapToGlobal(at)),
        Qt.MouseButton.NoButton,
        buttons,
        Qt.KeyboardModifier.NoModifier,
    )
    QApplication.sendEvent(native, event)


def test_the_mouse_in_every_plane(segmented, patient):
    viewer = segmented.viewer
    a_click_close_to_a_lesion_picks_it(segmented, patient)
    viewer.window.resize(1500, 900)
    segmented.settle()
    viewer.reset_view()
    segmented.afresh()
    one_plane(segmented)
    opened(segmented)
    # napari lets the camera zoom with the wheel again when another layer becomes active.
    for _, model in canvases(segmented):
        for layer in model.layers:
            model.layers.selection.active = layer
    for number in range(3):
        wheel_turns_slices_and_nothing_else(segmented, number)
        ctrl_and_wheel_zoom_about_the_mouse(segmented, number)
        right_button_sets_window_and_level(segmented, number)
        hovering_says_what_lies_there(segmented, patient, number)
    a_key_zooms_to_the_lesion_and_back(segmented)
    press(segmented, "three_planes_button")
    the_key_zooms_in_space_too(segmented)
    closing_the_panel_gives_the_mouse_back(segmented)


def one_plane(hands):
    viewer, native = hands.viewer, hands.viewer.window._qt_viewer.canvas.native
    zoom, step = viewer.scene.camera.zoom, viewer.dims.current_step
    turn_wheel(hands, native, -1)
    assert viewer.dims.current_step[0] == step[0] + 1
    assert viewer.scene.camera.zoom == zoom
    turn_wheel(hands, native, 1)
    assert viewer.dims.current_step == step


def wheel_turns_slices_and_nothing_else(hands, number):
    view, model = canvases(hands)[number]
    looks = [(m.scene.camera.zoom, m.scene.camera.center) for _, m in canvases(hands)]
    depth = model.dims.not_displayed[0]
    before = model.dims.point
    turn_wheel(hands, view.canvas.native, -2)
    size = hands.panel.state.reading.frame.scale[depth]
    assert model.dims.point[depth] - before[depth] == pytest.approx(size)
    hands.wait(lambda: hands.viewer.dims.point[depth] == pytest.approx(before[depth] + size))
    after = [(m.scene.camera.zoom, m.scene.camera.center) for _, m in canvases(hands)]
    assert after == looks
    # Past the last slice there is none.
    end = hands.viewer.dims.range[depth].stop
    model.dims.set_point(depth, end)
    turn_wheel(hands, view.canvas.native, -1)
    assert model.dims.point[depth] == pytest.approx(end, abs=1e-3)
    hands.panel.features["planes"].three.crosshair.move(before)


def ctrl_and_wheel_zoom_about_the_mouse(hands, number):
    view, model = canvases(hands)[number]
    native = view.canvas.native
    camera, point = model.scene.camera, model.dims.point
    zoom, centre = camera.zoom, np.array(camera.center)
    camera.center = tuple(centre + np.array([0.0, 4.0, -3.0]))
    hands.settle()
    under = QPoint(native.width() // 4, native.height() // 3)

    def world():
        return view.canvas._map_canvas2world((under.x(), under.y()), view.canvas.view)

    before = world()
    for turn in (1, 1):
        turn_wheel(hands, native, turn, CTRL, under)
    assert camera.zoom == pytest.approx(zoom * 1.15**2, rel=1e-3)
    assert model.dims.point == point
    np.testing.assert_allclose(world(), before, atol=0.5 / zoom)
    for turn in (-1, -1):
        turn_wheel(hands, native, turn, CTRL, under)
    assert camera.zoom == pytest.approx(zoom, rel=1e-3)
    camera.center = tuple(centre)


def right_button_sets_window_and_level(hands, number):
    view, model = canvases(hands)[number]
    flair, t1 = hands.layer("sub-01_FLAIR"), hands.layer("sub-01_T1")
    top, other = (flair, t1) if list(hands.viewer.layers).index(flair) else (t1, flair)
    zoom, others = model.scene.camera.zoom, tuple(other.contrast_limits)
    low, high = top.contrast_limits
    drag(hands, view.canvas.native, (60, 0), Qt.MouseButton.RightButton)
    wide = np.diff(top.contrast_limits)[0]
    assert wide == pytest.approx((high - low) * np.exp(60 / PIXELS), rel=0.02)
    assert np.mean(top.contrast_limits) == pytest.approx((low + high) / 2, rel=1e-3)
    drag(hands, view.canvas.native, (0, -60), Qt.MouseButton.RightButton)
    # Upwards is brighter: the level goes down.
    assert np.mean(top.contrast_limits) == pytest.approx(
        (low + high) / 2 - wide * 60 / PIXELS, rel=0.02
    )
    assert model.scene.camera.zoom == pytest.approx(zoom)
    assert tuple(other.contrast_limits) == others
    if number:
        side = hands.panel.features["planes"].three.sides[number - 1]
        hands.wait(
            lambda: tuple(side.mirror.copy_of(top).contrast_limits) == tuple(top.contrast_limits)
        )
    top.contrast_limits = (low, high)
    hands.settle()


def hovering_says_what_lies_there(hands, patient, number):
    panel = hands.panel
    planes, reading = panel.features["planes"], panel.state.reading
    panel.explaining.explain(2)
    hands.finish()
    voxel = patient.centres[2]
    world = reading.frame.to_world(voxel)
    planes.three.crosshair.move(world)
    hands.settle()
    view, model = canvases(hands)[number]
    overlay = [planes.overlay, *(side.overlay for side in planes.three.sides)][number]
    native = view.canvas.native
    send_move(native, QPoint(2, 2))
    hands.qtbot.wait(10)
    send_move(native, canvas_pixel(view, model, world))
    hands.wait(lambda: overlay.under_mouse and overlay.under_mouse[0].startswith("Lesion 2"))
    first, saliency = overlay.under_mouse
    assert first == f"Lesion 2 · probability {reading.segmentation.probability[voxel]:.2f}"
    said = float(re.search(r"FLAIR saliency (−?[\d.]+) ±", saliency)[1].replace("−", "-"))
    power = panel.services.scene.overlays.power
    value = panel.state.shown.saliency.maps[0][voxel] / 10**power
    assert saliency.endswith("· 10⁻³") == (power == -3)
    places = 10 ** -len(f"{said}".partition(".")[2])
    assert said == pytest.approx(value, rel=1e-6, abs=places)
    # A hidden map says nothing; a slice turned under a still mouse is another place.
    panel.services.scene.overlays.toggle()
    hands.settle()
    assert len(overlay.under_mouse) == 1
    panel.services.scene.overlays.toggle()
    (depth,) = model.dims.not_displayed
    planes.three.crosshair.step(depth, world[depth] + 10)
    turn_wheel(hands, native, -1)
    assert overlay.under_mouse[0].startswith("probability")
    QApplication.sendEvent(native, QEvent(QEvent.Type.Leave))
    assert overlay.under_mouse == ()


def a_key_zooms_to_the_lesion_and_back(hands):
    planes, reading = hands.panel.features["planes"], hands.panel.state.reading
    looks = [(m.scene.camera.zoom, m.scene.camera.center) for _, m in canvases(hands)]
    native = hands.viewer.window._qt_viewer.canvas.native
    shift = Qt.KeyboardModifier.ShiftModifier
    hands.qtbot.keyClick(native, "z", shift)
    hands.settle()
    place = reading.places[2]
    centre = np.array(reading.frame.to_world(place.centre))
    for (view, model), (zoom, _) in zip(canvases(hands), looks, strict=True):
        assert model.scene.camera.zoom > zoom
        at = pixel_in(view, model, centre)
        size = np.array([view.canvas.native.width(), view.canvas.native.height()])
        # The middle of the lesion in the middle of the canvas, in its slice.
        assert np.abs(at - size / 2).max() < 0.25 * size.min()
        depth = model.dims.not_displayed[0]
        assert abs(model.dims.point[depth] - centre[depth]) < 4 + reading.frame.scale[depth]
    assert planes.three is not None
    hands.qtbot.keyClick(native, "z", shift)
    hands.settle()
    for (_, model), (zoom, middle) in zip(canvases(hands), looks, strict=True):
        assert model.scene.camera.zoom == pytest.approx(zoom, rel=1e-3)
        np.testing.assert_allclose(model.scene.camera.center, middle, atol=0.1)


def the_key_zooms_in_space_too(hands):
    viewer, reading = hands.viewer, hands.panel.state.reading
    viewer.window.resize(900, 500)  # without a graphics card a large view takes seconds
    hands.into_space()
    # Filled lesions take half a second a picture, and more the larger; the camera is looked at.
    hands.lesions_layer().visible = False
    native, camera = viewer.window._qt_viewer.canvas.native, viewer.scene.camera
    before, angles = (camera.zoom, camera.center), camera.angles
    shift = Qt.KeyboardModifier.ShiftModifier
    hands.qtbot.keyClick(native, "z", shift)
    hands.settle()
    assert camera.zoom > before[0]
    place, turn = reading.places[2], reading.frame.reorientation
    box = turn.box_to_displayed(place.box)
    middle = (np.add(box.start, box.stop) - 1) / 2 * reading.frame.scale + reading.frame.translate
    np.testing.assert_allclose(camera.center, middle, atol=0.1)
    assert camera.angles == angles
    hands.qtbot.keyClick(native, "z", shift)
    hands.settle()
    assert camera.zoom == pytest.approx(before[0], rel=1e-3)
    np.testing.assert_allclose(camera.center, before[1], atol=0.1)
    viewer.dims.ndisplay = 2
    hands.settle()


def closing_the_panel_gives_the_mouse_back(hands):
    viewer = hands.viewer
    viewer.window.remove_dock_widget(hands.panel)
    names = [getattr(callback, "__name__", "ours") for callback in viewer.mouse_wheel_callbacks]
    assert names == ["dims_scroll", "layers_scroll"]
    assert not any("napari_ies" in repr(c) for c in viewer.mouse_drag_callbacks)
    assert not any("napari_ies" in repr(c) for c in viewer.mouse_move_callbacks)
    step, zoom = viewer.dims.current_step, viewer.scene.camera.zoom
    native = viewer.window._qt_viewer.canvas.native

    def zooms():
        turn_wheel(hands, native, 1)  # of no effect while the canvas takes its new size
        return viewer.scene.camera.zoom > 1.2 * zoom

    hands.wait(zooms)
    assert viewer.dims.current_step == step


def a_click_close_to_a_lesion_picks_it(segmented, patient):
    """By real clicks, beside the outline: within 2 mm, and not from farther away."""
    reading = segmented.panel.state.reading
    world = np.array(reading.frame.to_world(patient.centres[2]))
    segmented.go(world)
    segmented.viewer.scene.camera.zoom *= 2
    segmented.viewer.scene.camera.center = (0.0, *world[1:])
    segmented.settle()
    labels = reading.frame.reorientation.apply(reading.segmentation.labels)
    scale = np.array(reading.frame.scale)
    row = reading.frame.displayed_index(world)
    along = np.flatnonzero(labels[row[0], row[1]] == 2)
    border = (along[-1] + 0.5) * scale[2] + reading.frame.translate[2]
    for away, picked in ((REACH_MM + 1.0, None), (REACH_MM - 0.7, 2)):
        segmented.panel.state.selected = None
        segmented.click((world[0], world[1], border + away))
        assert segmented.panel.state.selected == picked
    segmented.finish()


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_nearest_in_the_slice_and_never_from_another_slice(depth):
    labels = np.zeros((20, 20, 20), np.int32)
    labels[10, 10, 10], labels[14, 14, 14] = 1, 2
    affine = np.diag([1.5, 1.0, 2.0, 1.0])
    frame = Frame.of_grid(affine, labels.shape)
    scale = np.array(frame.scale)
    centre = np.array(frame.to_world((10, 10, 10)))
    assert pick_lesion(labels, frame, centre, None, depth) == (1, (10, 10, 10))
    for axis in {0, 1, 2} - {depth}:
        beside = centre.copy()
        beside[axis] += scale[axis] / 2 + REACH_MM - 0.01
        assert pick_lesion(labels, frame, beside, None, depth) == (1, (10, 10, 10))
        assert pick_lesion(labels, frame, beside) is None
        beside[axis] += 0.02
        assert pick_lesion(labels, frame, beside, None, depth) is None
    behind = centre.copy()
    behind[depth] += scale[depth]
    assert pick_lesion(labels, frame, behind, None, depth) is None
    outside = centre + 1000
    assert pick_lesion(labels, frame, outside, None, depth) is None
