"""Three planes, their marks and crosshair, and the 3-d view, with mouse and wheel."""

from __future__ import annotations

import gc
import threading
import weakref
from functools import partial

import nibabel as nib
import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication, QLineEdit

from napari_ies.geometry.planes import PLANES, Marks, marks_of
from napari_ies.viewer.canvas.surfaces import head_surface, lesion_surfaces
from napari_ies.viewer.work import tasks

both_grids = pytest.mark.parametrize("patient", ["anisotropic", "oblique"], indirect=True)


def press(hands, name):
    hands.press(name)
    hands.settle()


def opened(hands):
    """Press the button, and wait until both planes show what the viewer shows."""
    press(hands, "three_planes_button")
    three = hands.panel.features["planes"].three
    visible = sum(layer.visible for layer in hands.viewer.layers)
    hands.wait(lambda: all(len(side.model.layers) == visible for side in three.sides))
    hands.settle()
    return three


def pixel_in(view, model, world):
    """Find the pixel of a world position by vispy's own transform."""
    scene = view.canvas.view
    shown = [world[axis] for axis in model.dims.displayed][::-1]
    x, y, _, w = (scene.transform * scene.scene.transform).map([*shown, 0.0, 1.0])
    return np.array([x / w, y / w])


def click(hands, native, at):
    point = QPoint(round(at[0]), round(at[1]))
    assert native.rect().contains(point)
    hands.qtbot.mouseClick(native, Qt.MouseButton.LeftButton, pos=point)
    hands.settle()


def turn_wheel(hands, native, notches, modifier=Qt.KeyboardModifier.NoModifier, under=None):
    at = QPointF(under or native.rect().center())
    event = QWheelEvent(
        at,
        QPointF(native.mapToGlobal(at.toPoint())),
        QPoint(),
        QPoint(0, 120 * notches),
        Qt.MouseButton.NoButton,
        modifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(native, event)
    hands.settle()


def test_marks_of_each_plane():
    assert [plane.marks for plane in PLANES] == [
        Marks("R", "L", "A", "P"),
        Marks("R", "L", "S", "I"),
        Marks("A", "P", "S", "I"),
    ]
    assert marks_of((0, 2), ("up", "left")) == Marks("L", "R", "I", "S")


@both_grids
def test_right_front_and_top_are_where_the_marks_say(hands, patient, tmp_path):
    """A bright spot in the patient's right upper front lies in that quarter of every plane."""
    hands.viewer.window.resize(1500, 900)  # the docks leave the planes little of 1100
    shape = (24, 20, 22)
    indices = np.stack(np.indices(shape), axis=-1).reshape(-1, 3)
    inner = indices[np.all((indices >= 4) & (indices < np.array(shape) - 4), axis=1)]
    world = nib.affines.apply_affine(patient.affine, inner)
    # The affine maps to RAS+: right, front and top are where x, y and z are largest.
    spot = inner[np.argmax(world @ [1, 1, 1])]
    volume = np.full(shape, 10.0, np.float32)
    volume[tuple(slice(i - 1, i + 2) for i in spot)] = 100.0
    volume[0, 0, 0] = 0
    nib.save(nib.Nifti1Image(volume, patient.affine), tmp_path / "spot.nii.gz")
    hands.panel.features["preparing"].open_image("FLAIR", str(tmp_path / "spot.nii.gz"))
    hands.finish()
    three = opened(hands)
    layer = hands.viewer.layers[0]
    # All of the spot white, to its interpolated border: more of it than of the scale bar's letters.
    layer.contrast_limits = (0.0, 20.0)
    centre = np.argwhere(np.asarray(layer.data) == 100.0).mean(axis=0)
    at = tuple(np.asarray(layer.data_to_world(centre)))
    three.crosshair.move(at)
    hands.settle()
    main = hands.viewer.window._qt_viewer
    pictures = {
        0: hands.viewer.screenshot(canvas_only=True, flash=False),
        **{side.plane: side.view.screenshot(flash=False) for side in three.sides},
    }
    overlays = {
        0: hands.panel.features["planes"].overlay,
        **{s.plane: s.overlay for s in three.sides},
    }
    for plane, picture in pictures.items():
        bright = np.argwhere(picture[..., :3].astype(int).sum(axis=-1) > 600)
        assert len(bright) > 20, plane
        row, column = bright.mean(axis=0) / picture.shape[:2]
        marks = overlays[plane].marks
        side = {"R": column < 0.5, "A": column < 0.5 if plane == 2 else row < 0.5, "S": row < 0.5}
        for letter in {marks.left, marks.top}:
            assert side[letter], (plane, letter, row, column)
        assert {marks.left, marks.top} == ({"R", "A"}, {"R", "S"}, {"A", "S"})[plane]
        # The crosshair crosses on the spot.
        cross = overlays[plane].crosshair
        view = main if plane == 0 else next(s.view for s in three.sides if s.plane == plane)
        model = hands.viewer if plane == 0 else view.viewer
        expected = pixel_in(view, model, at)
        np.testing.assert_allclose([cross.x(), cross.y()], expected, atol=1.0)


def same(copy, layer):
    return np.array_equal(copy.data, layer.data)


@pytest.mark.parametrize("patient", ["oblique"], indirect=True)
def test_a_click_in_any_plane_picks_the_lesion_and_the_map_refines_in_all(segmented, patient):
    segmented.viewer.window.resize(1500, 900)  # the docks leave the planes little of 1100
    segmented.settle()
    three = opened(segmented)
    flair = segmented.layer("sub-01_FLAIR")
    for side, label in zip(three.sides, (1, 2), strict=True):
        world = segmented.world_of(patient.volumes["FLAIR"], flair, patient.centres[label])
        three.crosshair.step(side.plane, world[side.plane])
        segmented.settle()
        click(segmented, side.canvas, pixel_in(side.view, side.model, world))
        assert segmented.panel.state.selected == label
        segmented.wait(lambda label=label: segmented.answered(label))
        segmented.finish()
        np.testing.assert_allclose(three.crosshair.position, world, atol=0.6 * max(flair.scale))
        overlay = next(layer for layer in segmented.overlays() if layer.visible)
        for other in three.sides:
            copy = other.mirror.copy_of(overlay)
            assert len(other.model.layers) == 2  # the image on show and the overlay
            segmented.wait(partial(same, copy, overlay))
            np.testing.assert_allclose(copy.translate, overlay.translate)
            assert tuple(copy.contrast_limits) == tuple(overlay.contrast_limits)
            # Red at the lesion is what a person sees there.
            picture = other.view.screenshot(flash=False)
            x, y = pixel_in(other.view, other.model, world)
            ratio = picture.shape[1] / other.canvas.width()
            red, _, blue = picture[round(y * ratio), round(x * ratio), :3].astype(int)
            assert red > blue + 40
            # The lesion and the selected one, each with its own lines, in the slice on show.
            layer = segmented.lesions_layer()
            index = int(np.round(layer.world_to_data(world))[other.plane])
            labels = np.moveaxis(np.asarray(layer.data), other.plane, 0)[index]
            edges = [
                int(np.sum(np.diff(np.pad(shown, 1).astype(int), axis=axis) != 0))
                for shown in (labels, labels == label)
                for axis in (0, 1)
            ]
            assert other.outlines.count == sum(edges)


def test_wheel_keys_space_and_back_and_nothing_is_left_of_three_planes(segmented, patient):
    wheel_moves_the_lines_in_the_other_planes(segmented, patient)
    press(segmented, "crosshair_button")
    toggling_leaves_nothing_behind(segmented)
    segmented.viewer.reset_view()
    space_and_back_leaves_the_slices_as_they_were(segmented)
    press(segmented, "three_planes_button")
    segmented.viewer.reset_view()
    segmented.afresh()
    every_key_works_after_a_click_in_a_side_plane(segmented)
    opened(segmented)
    for what in ("panel", "viewer"):
        closing_in_the_middle_of_a_map(segmented, what)


def wheel_moves_the_lines_in_the_other_planes(segmented, patient):
    viewer = segmented.viewer
    before = viewer.scene.camera.center
    three = opened(segmented)
    coronal, sagittal = three.sides
    start, cross = three.crosshair.position, segmented.panel.features["planes"].overlay.crosshair
    other = sagittal.overlay.crosshair
    turn_wheel(segmented, coronal.canvas, -3)
    size = segmented.layer("sub-01_FLAIR").scale[1]
    assert three.crosshair.position[1] - start[1] == pytest.approx(size)
    zoom = viewer.scene.camera.zoom
    moved = segmented.panel.features["planes"].overlay.crosshair
    assert moved.y() - cross.y() == pytest.approx(size * zoom, rel=1e-3)
    assert sagittal.overlay.crosshair.x() - other.x() == pytest.approx(
        size * sagittal.model.scene.camera.zoom, rel=1e-3
    )
    segmented.wait(lambda: viewer.dims.point[1] == pytest.approx(start[1] + size))
    native = viewer.window._qt_viewer.canvas.native
    turn_wheel(segmented, native, 1)
    assert viewer.dims.point[0] < start[0]
    assert viewer.scene.camera.zoom == zoom
    assert three.crosshair.position[0] == viewer.dims.point[0]
    zoom = coronal.model.scene.camera.zoom
    turn_wheel(segmented, coronal.canvas, 1, Qt.KeyboardModifier.ControlModifier)
    assert coronal.model.scene.camera.zoom > zoom
    # A click far away brings the crosshair in sight where a plane is zoomed.
    coronal.model.scene.camera.zoom *= 8
    world = segmented.world_of(
        patient.volumes["FLAIR"], segmented.layer("sub-01_FLAIR"), patient.centres[2]
    )
    three.crosshair.move(world)
    segmented.settle()
    x, y = pixel_in(coronal.view, coronal.model, world)
    assert coronal.canvas.rect().contains(QPoint(round(x), round(y)))
    press(segmented, "crosshair_button")
    assert coronal.overlay.crosshair is None
    # Back in a single view nothing is left of three.
    press(segmented, "three_planes_button")
    np.testing.assert_allclose(viewer.scene.camera.center, before, atol=1e-3)
    assert viewer.scene.camera.mouse_zoom


def listeners(viewer):
    camera = viewer.scene.camera.events
    return [
        len(callbacks)
        for callbacks in (
            viewer.dims.events.point.callbacks,
            viewer.dims.events.order.callbacks,
            viewer.layers.events.inserted.callbacks,
            viewer.layers.events.reordered.callbacks,
            viewer.mouse_wheel_callbacks,
            viewer.mouse_drag_callbacks,
            camera.zoom.callbacks,
            [c for layer in viewer.layers for c in layer.events.opacity.callbacks],
        )
    ]


def use_three_planes(hands):
    """Turn the planes, and add, hide, remove and move layers; return the models, weakly."""
    viewer, three = hands.viewer, opened(hands)
    viewer.dims.order = (1, 0, 2)
    hands.settle()
    assert [side.plane for side in three.sides] == [0, 2]
    assert [side.overlay.plane_name for side in three.sides] == ["Axial", "Sagittal"]
    assert hands.panel.features["planes"].overlay.plane_name == "Coronal"
    viewer.dims.order = (0, 1, 2)
    hands.settle()
    own = viewer.add_points([[0.0, 0.0, 0.0]], name="mine")
    hands.wait(lambda: all(s.mirror.copy_of(own) is not None for s in three.sides))
    own.visible = False
    hands.settle()
    assert not any(side.mirror.copy_of(own).visible for side in three.sides)
    viewer.layers.remove(own)
    hands.wait(lambda: all("mine" not in s.model.layers for s in three.sides))
    viewer.layers.move(0, len(viewer.layers))
    hands.settle()
    names = [layer.name for layer in viewer.layers if layer.visible]
    assert [[layer.name for layer in s.model.layers] for s in three.sides] == [names, names]
    return [weakref.ref(side.model) for side in three.sides]


def toggling_leaves_nothing_behind(segmented):
    viewer = segmented.viewer
    row = viewer.window._qt_window.centralWidget().layout()
    before = listeners(viewer), row.count(), len(viewer.layers)
    models = use_three_planes(segmented)
    press(segmented, "three_planes_button")
    assert (listeners(viewer), row.count(), len(viewer.layers)) == before
    segmented.qtbot.wait(50)
    gc.collect()
    assert [model() for model in models] == [None, None]


def closing_in_the_middle_of_a_map(segmented, what):
    panel = segmented.panel
    panel.features["explaining"].form.samples.setValue(200 if what == "panel" else 201)
    panel.explaining.explain(1)
    segmented.wait(lambda: panel.state.shown is not None and not panel.state.shown.finished)
    assert segmented.panel.services.work.busy
    window = segmented.viewer.window
    if what == "panel":
        row = window._qt_window.centralWidget().layout()
        window.remove_dock_widget(segmented.panel)
        assert row.count() == 1
        assert segmented.panel.features["planes"].overlay is None
        assert segmented.viewer.scene.camera.mouse_zoom
        segmented.viewer.dims.set_point(0, 3.0)
        window.add_dock_widget(segmented.panel)
        segmented.settle()
        opened(segmented)
    else:
        segmented.viewer.close()
    segmented.settle()


def space_and_back_leaves_the_slices_as_they_were(segmented):
    viewer = segmented.viewer
    segmented.panel.explaining.explain(2)
    segmented.finish()
    viewer.scene.camera.zoom *= 1.7
    opened(segmented)
    point, order = viewer.dims.point, viewer.dims.order
    visible = {layer.name: layer.visible for layer in viewer.layers}
    legend = segmented.panel.services.scene.legend
    assert "FLAIR map on FLAIR" in legend.text
    assert segmented.panel.features["planes"].overlay.isVisible()
    press(segmented, "space_button")
    segmented.wait(lambda: "Lesions in space" in viewer.layers)
    assert viewer.dims.ndisplay == 3
    assert segmented.panel.features["planes"].overlay.marks is None
    letters_in_space_lie_where_the_sides_of_the_patient_do(segmented)
    colours = np.asarray(viewer.layers["Lesions in space"].vertex_colors)
    assert len(np.unique(colours, axis=0)) == 2
    # The sequence can be switched there, and the image follows in the slices.
    native = viewer.window._qt_viewer.canvas.native
    segmented.qtbot.keyClick(native, "q")
    segmented.settle()
    assert "T1 map on surfaces" in legend.text
    assert not legend.odd
    another_threshold_leaves_the_view_in_space(segmented)
    press(segmented, "space_button")
    segmented.wait(lambda: segmented.panel.features["planes"].three is not None)
    segmented.wait(lambda: "T1 map on T1" in legend.text)
    segmented.qtbot.keyClick(native, "q")
    segmented.settle()
    assert (viewer.dims.ndisplay, viewer.dims.order) == (2, order)
    np.testing.assert_allclose(viewer.dims.point, point)
    assert {layer.name: layer.visible for layer in viewer.layers} == visible
    the_slices_are_at_what_was_chosen_in_space(segmented)


def the_slices_are_at_what_was_chosen_in_space(segmented):
    viewer, reading = segmented.viewer, segmented.panel.state.reading
    scene, before = segmented.panel.services.scene, segmented.panel.state.selected
    places = [reading.frame.to_world(reading.places[label].centre) for label in (1, 2)]
    assert before == 2
    press(segmented, "space_button")
    segmented.wait(lambda: "Lesions in space" in viewer.layers)
    what_is_computed_in_space_is_said_and_seen_at_once(segmented, 1)
    press(segmented, "space_button")
    segmented.wait(lambda: segmented.panel.features["planes"].three is not None)
    segmented.settle()
    near, far = (np.abs(np.asarray(scene.crosshair) - place).max() for place in places)
    assert near < 3 < far
    segmented.panel.explaining.explain(2)
    segmented.finish()


def what_is_computed_in_space_is_said_and_seen_at_once(segmented, label):
    """Before there is anything of its map."""
    legend, go_on = segmented.panel.services.scene.legend, threading.Event()
    lesions = segmented.viewer.layers["Lesions in space"]
    colours, row = np.array(lesions.vertex_colors), segmented.control("lesions")
    explain = tasks.explain_subject

    def later(*arguments, **more):
        go_on.wait(60)
        yield from explain(*arguments, **more)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tasks, "explain_subject", later)
        at = row.visualRect(row.model().index(label - 1, 0)).center()
        segmented.qtbot.mouseClick(row.viewport(), Qt.MouseButton.LeftButton, pos=at)
        segmented.settle()
        assert legend.parts[:2] == (f"Lesion {label} is being computed", "still on show: Lesion 2")
        assert legend.odd
        assert (np.array(lesions.vertex_colors) != colours).any()
        go_on.set()
        segmented.finish()
    assert legend.parts[0] == f"Lesion {label}"
    assert not legend.odd


def another_threshold_leaves_the_view_in_space(segmented):
    """By Update, and by Segment, which does the same here."""
    viewer, own = segmented.viewer, segmented.panel.state.reading
    shown = {layer.name: layer.visible for layer in viewer.layers}
    looks = viewer.scene.camera.angles, viewer.scene.camera.zoom
    form = segmented.panel.features["preparing"].segmentation
    for threshold, button in ((0.05, "update_threshold"), (own.segmentation.threshold, "segment")):
        before = len(viewer.layers["Lesions in space"].data[0])
        segmented.unfold()
        form.threshold.setValue(threshold)
        segmented.press(button)
        segmented.finish()
        segmented.wait(lambda: "Lesions in space" in viewer.layers)
        assert segmented.panel.state.reading.lineage is own.lineage
        assert len(viewer.layers["Lesions in space"].data[0]) != before
        assert viewer.dims.ndisplay == 3
        assert (viewer.scene.camera.angles, viewer.scene.camera.zoom) == looks
        assert segmented.control("space_button").isChecked()
    assert {layer.name: layer.visible for layer in viewer.layers} == shown


def letters_in_space_lie_where_the_sides_of_the_patient_do(segmented):
    viewer, overlay = segmented.viewer, segmented.panel.features["planes"].overlay
    view, camera = viewer.window._qt_viewer.canvas.view, viewer.scene.camera
    ends = {"S": (0, -1), "I": (0, 1), "A": (1, -1), "P": (1, 1), "R": (2, -1), "L": (2, 1)}
    kept, standard = camera.angles, camera.orientation
    # From the front, from behind, and from anywhere; mirrored, too.
    mirrored = ("away", *standard[1:])
    for orientation in (standard, mirrored):
        camera.orientation = orientation
        segmented.settle()
        for angles in (kept, (0, 0, 90), (0, 0, -90), (20, -40, 130), (-100, 15, 60)):
            camera.angles = angles
            assert overlay.isVisible()
            assert len(overlay.marks_in_space) >= 4

            def pixel(point):
                x, y, _, w = (view.transform * view.scene.transform).map([*point[::-1], 1.0])
                return np.array([x / w, y / w])

            centre = np.array(camera.center)
            middle = np.array([overlay.width() / 2, overlay.height() / 2])
            for letter, at in overlay.marks_in_space.items():
                axis, sign = ends[letter]
                side = pixel(centre + 10.0 * sign * np.eye(3)[axis]) - pixel(centre)
                written = np.array([at.x(), at.y()]) - middle
                cosine = side @ written / np.linalg.norm(side) / np.linalg.norm(written)
                assert cosine > 0.99, (letter, angles, orientation)
    camera.orientation, camera.angles = standard, kept
    segmented.settle()


def test_surfaces_lie_where_the_voxels_are():
    from napari_ies.viewer.volumes.frame import Frame

    affine = np.diag([-1.0, 1.5, 2.0, 1.0])
    shape = (40, 36, 30)
    frame = Frame.of_grid(affine, shape)
    grid = np.stack(np.indices(shape), axis=-1)
    spacing = np.array([1.0, 1.5, 2.0])
    ball = np.linalg.norm((grid - [25, 14, 12]) * spacing, axis=-1) < 14
    vertices, triangles = head_surface(ball.astype(np.float32), frame)
    centre = np.array(frame.to_world((25, 14, 12)))
    np.testing.assert_allclose(np.linalg.norm(vertices - centre, axis=1), 14, atol=2.5)
    assert triangles.max() < len(vertices)
    labels = np.zeros(shape, np.int32)
    labels[5:9, 6:10, 7:10] = 1
    labels[30, 30, 20:22] = 2
    (vertices, _), owners = lesion_surfaces(labels, frame)
    for label in (1, 2):
        own = vertices[owners == label]
        corners = [frame.to_world(voxel) for voxel in np.argwhere(labels == label)]
        low, high = np.min(corners, axis=0), np.max(corners, axis=0)
        assert np.all(own >= low - frame.scale)
        assert np.all(own <= high + frame.scale)
        np.testing.assert_allclose(own.mean(axis=0), (low + high) / 2, atol=0.5)


def every_key_works_after_a_click_in_a_side_plane(segmented):
    panel, viewer = segmented.panel, segmented.viewer
    shift = Qt.KeyboardModifier.ShiftModifier
    three = opened(segmented)
    reading = panel.state.reading
    side = three.sides[0]
    here = reading.frame.to_world(reading.places[2].centre)
    segmented.go(here)
    click(segmented, side.canvas, pixel_in(side.view, side.model, here))
    segmented.finish()
    assert panel.state.shown.subject == 2
    focused = viewer.window._qt_window.focusWidget()
    assert focused is not side.canvas

    def press_key(letter, modifier=Qt.KeyboardModifier.NoModifier):
        segmented.qtbot.keyClick(focused, letter, modifier)
        segmented.settle()

    (top,) = [layer for layer in segmented.overlays() if layer.visible]
    press_key("h")
    assert not any(layer.visible for layer in segmented.overlays())
    press_key("h")
    press_key("k")
    press_key("k")
    press_key("k", shift)
    assert top.opacity == pytest.approx(0.9)
    press_key("n", shift)
    segmented.wait(lambda: panel.state.selected == 1 and segmented.answered(1))
    press_key("n")
    segmented.wait(lambda: panel.state.selected == 2)
    segmented.finish()
    panel.features["explaining"].form.samples.setValue(2)
    press_key("w")
    segmented.wait(lambda: segmented.answered(2))
    press_key("w", shift)
    segmented.wait(lambda: segmented.answered(1))
    segmented.finish()
    press_key("j")
    assert panel.features["lesions"].table.view.viewport().findChildren(QLineEdit)
    segmented.qtbot.keyClick(
        panel.features["lesions"].table.view.viewport().findChildren(QLineEdit)[0],
        Qt.Key.Key_Escape,
    )
    press_key("g")
    assert panel.features["planes"].three is None
