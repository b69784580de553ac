"""The panel, driven by mouse and keyboard on a real canvas.

A window takes longer to make than most of what is seen in it: the functions are acts of a few
tests, each with one window, in an order in which every act finds what it begins with.
"""

from __future__ import annotations

import hashlib
import json
from copy import deepcopy
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QPoint, QRect, QSize, Qt
from qtpy.QtWidgets import QLabel, QMessageBox, QWidget

from napari_ies import explain
from napari_ies.network.model import SegmentationModel
from napari_ies.viewer.preparing.result_notes import PLACE_LINES


@pytest.mark.parametrize("patient", ["oblique"], indirect=True)
def test_all_is_seen_where_it_is(segmented, patient):
    all_is_seen_where_it_is(segmented, patient)
    a_click_lands_on_the_lesion_that_is_seen_in_3d(segmented, patient)


def all_is_seen_where_it_is(segmented, patient):
    """On a grid along the axes it is the first act of another window."""
    segmenting_shows_a_lesion_unless_one_is_in_view(segmented, patient)
    a_click_lands_on_the_lesion_that_is_seen(segmented, patient)
    the_overlay_shows_what_explain_computes_at_the_right_place(segmented, patient)


def segmenting_shows_a_lesion_unless_one_is_in_view(segmented, patient):
    dims, state = segmented.viewer.dims, segmented.panel.state
    reading, form = state.reading, segmented.panel.features["preparing"].segmentation
    largest = int(reading.segmentation.lesions["voxels"].idxmax())
    flair = segmented.layer("sub-01_FLAIR")
    there = reading.frame.to_world(reading.places[largest].centre)
    np.testing.assert_allclose(dims.point, there, atol=0.51 * max(flair.scale))
    # The middle of the head shows none, and so it is left when it is segmented.
    empty = segmented.world_of(patient.volumes["FLAIR"], flair, patient.background)
    other = segmented.world_of(patient.volumes["FLAIR"], flair, patient.centres[3 - largest])
    for place, moves in ((empty, True), (other, False)):
        segmented.go(place)
        before = tuple(dims.point)
        segmented.segment()
        assert state.reading.lineage is not reading.lineage
        after = there if moves else before
        np.testing.assert_allclose(dims.point, after, atol=0.51 * max(flair.scale))
    # Another threshold, and a session that was left there, stay as a person looks at them.
    segmented.go(empty)
    before, threshold = tuple(dims.point), form.threshold.value()
    form.threshold.setValue(0.3)
    segmented.press("update_threshold")
    segmented.finish()
    assert state.reading.segmentation.threshold == 0.3
    assert tuple(dims.point) == before
    form.threshold.setValue(threshold)
    state.show_reading(replace(reading, lineage=object(), session=patient.reference.parent))
    assert tuple(dims.point) == before


def a_click_lands_on_the_lesion_that_is_seen(segmented, patient):
    flair = segmented.layer("sub-01_FLAIR")
    for label, centre in patient.centres.items():
        world = segmented.world_of(patient.volumes["FLAIR"], flair, centre)
        segmented.go(world)
        segmented.click(world)
        assert segmented.panel.state.selected == label
        # The slice a person clicked in stays on screen.
        np.testing.assert_allclose(segmented.viewer.dims.point, world, atol=0.51 * max(flair.scale))
    segmented.finish()


def a_click_lands_on_the_lesion_that_is_seen_in_3d(segmented, patient):
    flair = segmented.layer("sub-01_FLAIR")
    segmented.into_space()
    segmented.viewer.scene.camera.angles = (12, 25, 70)
    segmented.settle()
    for label, centre in patient.centres.items():
        segmented.click(segmented.world_of(patient.volumes["FLAIR"], flair, centre))
        assert segmented.panel.state.selected == label
    segmented.finish()


def test_lesions_and_their_maps_in_one_sitting(hands, segmented, patient, qtbot, monkeypatch):
    state, form = segmented.panel.state, segmented.panel.features["explaining"].form
    reading = state.reading
    all_is_seen_where_it_is(segmented, patient)
    state.show_reading(reading)
    segmented.settle()
    background_drags_and_painting_explain_nothing(segmented, patient)
    cancel_leaves_nothing_half_finished_behind_and_the_newest_click_wins(segmented)
    form.samples.setValue(3)
    a_click_explains_and_selects_everywhere(segmented, patient)
    the_overlay_is_seen_on_the_canvas(segmented, patient)
    a_computed_map_comes_back_at_once(segmented, monkeypatch)
    twenty_clicks_leave_no_clutter(segmented)
    a_row_selects_and_the_slices_move_there(segmented, patient)
    explained_once_more_a_lesion_in_view_stays_as_it_is_seen(segmented)
    there_is_no_lesion_after_the_last_one(segmented)
    gradcam_replaces_the_signed_overlays_by_one_that_is_not(segmented)
    form.set_method("smoothgrad")
    segmented.afresh()
    limits_stay_while_the_map_refines(segmented, monkeypatch)
    open_layers_serve_as_sequences(segmented, hands, patient)
    closing_the_viewer_in_the_middle_stops_the_work(segmented, qtbot)


def a_click_explains_and_selects_everywhere(segmented, patient):
    flair = segmented.layer("sub-01_FLAIR")
    world = segmented.world_of(patient.volumes["FLAIR"], flair, patient.centres[2])
    segmented.go(world)
    segmented.click(world)
    segmented.wait(lambda: segmented.answered(2))
    table = segmented.control("lesions")
    (row,) = {index.row() for index in table.selectionModel().selectedIndexes()}
    assert table.model().index(row, 0).data() == "2"
    assert segmented.lesions_layer().selected_label == 2
    assert {layer.name for layer in segmented.overlays()} == {
        "Lesion 2 · SmoothGrad mean · FLAIR",
        "Lesion 2 · SmoothGrad mean · T1",
    }
    cells = [table.model().index(row, c).data() for c in range(table.model().columnCount())]
    assert "mean" in cells, " / ".join(map(str, cells))


def the_overlay_shows_what_explain_computes_at_the_right_place(segmented, patient):
    segmented.panel.explaining.explain(2)
    segmented.wait(lambda: segmented.answered(2))
    reading = segmented.panel.state.reading
    expected = explain(
        reading.model, reading.case, reading.segmentation.labels == 2, n_samples=3
    ).maps
    flair = segmented.layer("sub-01_FLAIR")
    x, y, z = patient.centres[2]
    for channel, name in enumerate(("FLAIR", "T1")):
        overlay = segmented.layer(f"Lesion 2 · SmoothGrad mean · {name}")
        for voxel in [(x, y, z), (x + 2, y, z), (x, y - 2, z), (x, y, z + 1), (x - 3, y + 1, z)]:
            world = segmented.world_of(patient.volumes["FLAIR"], flair, voxel)
            index = tuple(np.round(overlay.world_to_data(world)).astype(int))
            assert overlay.data[index] == pytest.approx(expected[(channel, *voxel)], rel=1e-5)
        low, high = overlay.contrast_limits
        assert low == -high
    assert abs(expected[(0, x, y, z)]) > 0


def the_overlay_is_seen_on_the_canvas(segmented, patient):
    flair = segmented.layer("sub-01_FLAIR")
    world = segmented.world_of(patient.volumes["FLAIR"], flair, patient.centres[2])
    segmented.go(world)
    segmented.panel.explaining.explain(2)
    segmented.wait(lambda: segmented.answered(2))
    segmented.finish()

    def colour() -> np.ndarray:
        segmented.settle()
        picture = segmented.viewer.screenshot(canvas_only=True, flash=False)
        at = segmented.pixel_of(world)
        ratio = picture.shape[1] / segmented.viewer.window._qt_viewer.canvas.native.width()
        row, column = round(at.y() * ratio), round(at.x() * ratio)
        patch = picture[row - 1 : row + 2, column - 1 : column + 2, :3]
        return patch.reshape(-1, 3).astype(int).mean(axis=0)

    red, green, blue = colour()
    assert red > green + 40
    assert red > blue + 40
    segmented.layer("Lesion 2 · SmoothGrad mean · FLAIR").visible = False
    segmented.layer("Lesion 2 · SmoothGrad mean · T1").visible = True
    red, green, blue = colour()
    assert blue > red + 40
    segmented.layer("Lesion 2 · SmoothGrad mean · FLAIR").visible = True
    segmented.layer("Lesion 2 · SmoothGrad mean · T1").visible = False


def background_drags_and_painting_explain_nothing(segmented, patient):
    flair = segmented.layer("sub-01_FLAIR")
    background = segmented.world_of(patient.volumes["FLAIR"], flair, patient.background)
    segmented.go(background)
    segmented.click(background)
    world = segmented.world_of(patient.volumes["FLAIR"], flair, patient.centres[1])
    segmented.go(world)
    centre = np.array(segmented.viewer.scene.camera.center)
    segmented.click(world, drag=60)
    assert segmented.panel.state.selected is None
    assert not segmented.panel.services.work.busy
    assert not segmented.overlays()
    # A drag pans.
    assert np.abs(np.array(segmented.viewer.scene.camera.center) - centre).max() > 1
    # A click with a tool of napari's is the tool's.
    own = segmented.viewer.add_labels(
        np.zeros_like(segmented.lesions_layer().data), scale=segmented.lesions_layer().scale
    )
    segmented.viewer.layers.selection.active = own
    own.mode = "paint"
    segmented.click(world)
    assert segmented.panel.state.selected is None
    segmented.viewer.layers.remove(own)


def cancel_leaves_nothing_half_finished_behind_and_the_newest_click_wins(segmented):
    segmented.panel.features["explaining"].form.samples.setValue(5000)
    assert not segmented.control("cancel").isEnabled()
    segmented.panel.explaining.explain(1)
    segmented.wait(segmented.overlays)
    assert segmented.control("progress").value() > 0
    segmented.press("cancel")
    segmented.finish()
    assert len(segmented.panel.state.answers) == 0
    assert segmented.control("status").text().startswith("Cancelled: Explaining lesion 1")
    assert "A map on screen may be unfinished" in segmented.control("status").text()
    assert not segmented.control("cancel").isEnabled()
    form = segmented.panel.features["explaining"].form
    form.samples.setValue(2)
    segmented.press("explain")
    segmented.wait(lambda: segmented.answered(1))
    form.samples.setValue(5000)
    segmented.panel.explaining.explain(1)
    segmented.wait(lambda: not segmented.panel.state.shown.finished)
    form.samples.setValue(2)
    segmented.panel.explaining.explain(2)
    segmented.wait(lambda: segmented.answered(2))
    segmented.finish()
    kept = [(one.subject, one.request.n_samples) for one in segmented.panel.state.answers]
    assert kept == [(1, 2), (2, 2)]
    assert all(layer.name.startswith("Lesion 2 ") for layer in segmented.overlays())


def a_computed_map_comes_back_at_once(segmented, monkeypatch):
    for label in (1, 2):
        segmented.panel.explaining.explain(label)
        segmented.wait(lambda label=label: segmented.answered(label))
    segmented.finish()
    before = {layer.name: layer.data.copy() for layer in segmented.overlays()}
    limits = [layer.contrast_limits for layer in segmented.overlays()]
    with monkeypatch.context() as patched:
        patched.setattr(
            segmented.panel.services.work, "run", lambda _: pytest.fail("computed again")
        )
        segmented.panel.explaining.explain(1)
        assert all(layer.name.startswith("Lesion 1 ") for layer in segmented.overlays())
        segmented.panel.explaining.explain(2)
    after = {layer.name: layer.data for layer in segmented.overlays()}
    assert before.keys() == after.keys()
    for name, data in before.items():
        np.testing.assert_array_equal(after[name], data)
    assert [layer.contrast_limits for layer in segmented.overlays()] == limits


def twenty_clicks_leave_no_clutter(segmented):
    for round_ in range(20):
        segmented.panel.explaining.explain(1 + round_ % 2)
    segmented.finish()
    assert len(segmented.overlays()) == 2
    assert len(segmented.viewer.layers) == 2 + 2 + 2  # images, segmentation, overlays


def a_row_selects_and_the_slices_move_there(segmented, patient):
    table = segmented.control("lesions")
    row = next(i for i in range(2) if table.model().index(i, 0).data() == "1")
    at = table.visualRect(table.model().index(row, 0)).center()
    segmented.qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=at)
    segmented.wait(lambda: segmented.answered(1))
    flair = segmented.layer("sub-01_FLAIR")
    world = segmented.world_of(patient.volumes["FLAIR"], flair, patient.centres[1])
    np.testing.assert_allclose(segmented.viewer.dims.point, world, atol=1.1 * max(flair.scale))
    segmented.qtbot.keyClick(table, Qt.Key.Key_Down)
    segmented.wait(
        lambda: segmented.panel.state.selected == 2
    )  # after a pause, so as to pass on quickly
    segmented.finish()


def explained_once_more_a_lesion_in_view_stays_as_it_is_seen(segmented):
    dims, panel = segmented.viewer.dims, segmented.panel
    centre, label = tuple(dims.point), panel.state.selected
    for button_or_key in ("explain", Qt.Key.Key_W):
        for slices, stays in ((1, True), (12, False)):
            dims.set_point(0, centre[0] + slices * dims.range[0].step)
            segmented.settle()
            there = tuple(dims.point)
            if button_or_key == "explain":
                segmented.press("explain")
            else:
                segmented.qtbot.keyClick(segmented.control("lesions"), button_or_key)
            segmented.finish()
            assert panel.state.selected == label
            assert tuple(dims.point) == (there if stays else centre)


def there_is_no_lesion_after_the_last_one(segmented):
    table = segmented.control("lesions")
    for _ in range(3):
        segmented.qtbot.keyClick(table, Qt.Key.Key_N)
    segmented.finish()
    segmented.qtbot.keyClick(table, Qt.Key.Key_N)
    assert segmented.control("status").text() == "There is no further lesion in the table."


def limits_stay_while_the_map_refines(segmented, monkeypatch):
    seen = []
    overlays = segmented.panel.services.scene.overlays
    show = overlays.show

    def watched(saliency, frame, title, limit, **settings):
        show(saliency, frame, title, limit, **settings)
        seen.append(limit)

    with monkeypatch.context() as patched:
        patched.setattr(overlays, "show", watched)
        segmented.panel.features["explaining"].form.samples.setValue(40)
        segmented.panel.explaining.explain(1)
        segmented.wait(lambda: segmented.answered(1))
    running = seen[:-1]
    assert running == sorted(running)
    assert len(set(running)) <= 4


def gradcam_replaces_the_signed_overlays_by_one_that_is_not(segmented):
    segmented.panel.explaining.explain(1)
    segmented.wait(lambda: segmented.answered(1))
    segmented.control("method").setCurrentText("Grad-CAM++")
    assert not segmented.control("samples").isEnabled()
    assert "SmoothGrad" in segmented.control("samples").toolTip()
    assert segmented.control("layer").isEnabled()
    segmented.control("layer").setCurrentIndex(1)
    segmented.press("explain")
    segmented.wait(lambda: segmented.answered(1))
    (overlay,) = segmented.overlays()
    assert overlay.name == "Lesion 1 · Grad-CAM++ 0"
    assert overlay.contrast_limits[0] == 0
    assert overlay.data.min() >= 0


def test_layers_and_the_panel_come_and_go(segmented, patient, tmp_path):
    the_reference_adds_matches_and_is_saved_with_what_was_computed(segmented, patient, tmp_path)
    what_is_read_is_in_sight_and_holds_still(segmented)
    layers_renamed_hidden_and_deleted_in_the_middle(segmented)
    closing_and_reopening_leaves_no_callback(segmented, patient)


def what_is_read_is_in_sight_and_holds_still(segmented):
    panel, state, qtbot = segmented.panel, segmented.panel.state, segmented.qtbot
    reading, shown = state.reading, segmented.answer(2)
    notes = tuple(f"What was found odd in image {number}, and what was done." for number in "123")
    noted = replace(reading, segmentation=replace(reading.segmentation, notes=notes))
    answers = {"Reopen": ("Go on.", lambda: None)}
    rows, text = segmented.control("lesions"), panel.findChild(QLabel, "result_notes_text")
    names = ("explain", "method", "aggregation", "tabs", "explain_all", "agree", "cancel")
    names = (*names, "status", "result_notes")

    def places():
        segmented.settle()
        found = {name: segmented.control(name) for name in ("lesions", *names)}
        return {n: (one.mapTo(panel, QPoint()), one.size()) for n, one in found.items()}

    heights = []
    for size in ((1280, 800), (1600, 1000)):
        segmented.viewer.window.resize(*size)
        state.show_reading(noted)
        state.show(state.keep(shown))
        panel.features["session"].notice.say("Read before: today, 3 maps. Reopen it?", answers)
        before = places()
        # Whole lines of the notes, as many as have a place.
        line, place = text.fontMetrics().lineSpacing(), text.parentWidget()
        assert PLACE_LINES * line <= place.height() < (PLACE_LINES + 0.5) * line
        for name in (*names, "session_notice_0", "session_notice_text"):
            one = segmented.control(name)
            assert one.visibleRegion().boundingRect() == one.rect(), (size, name)
        header, columns = rows.horizontalHeader(), range(rows.model().columnCount())
        titles = {c: rows.model().headerData(c, Qt.Orientation.Horizontal) for c in columns}
        for peak in (c for c, title in titles.items() if title.startswith("▾ Peak")):
            right = header.sectionViewportPosition(peak) + header.sectionSize(peak)
            assert right <= rows.viewport().width(), (size, titles[peak])
        four = QRect(QPoint(), QSize(rows.viewport().width(), 4 * rows.rowHeight(0)))
        assert rows.viewport().visibleRegion().boundingRect().contains(four), size
        heights.append(rows.height())
        # All notes lie over what is below, and the words on the threshold over what was found.
        for on in (True, False):
            qtbot.mouseClick(segmented.control("result_notes"), Qt.MouseButton.LeftButton)
            assert places() == before
            seen = text.visibleRegion().boundingRect().height()
            assert (seen >= text.heightForWidth(text.width())) == on
        form = segmented.control("threshold")
        form.setValue(form.value() + 0.1)
        assert places() == before
        words = segmented.control("threshold_text")
        assert words.visibleRegion().boundingRect() == words.rect()
        found = segmented.control("found")
        over = segmented.control("threshold_bar")
        assert over.mapTo(panel, QPoint()) == found.mapTo(panel, QPoint())
        assert over.size() == found.size()
        own = state.model
        network = deepcopy(own.model.network)
        other = replace(own.model.profile, name="another")
        state.take_model(replace(own, model=SegmentationModel(network, other, own.model.device)))
        assert words.text() == (
            "Lesions that small found; another is loaded now and explains these. Segment finds "
            "its own."
        )
        assert not segmented.control("update_threshold").isVisible()
        assert words.visibleRegion().boundingRect() == words.rect()
        state.take_model(own)
        form.setValue(reading.segmentation.threshold + 0.1)
        assert segmented.control("update_threshold").isVisible()
        form.setValue(reading.segmentation.threshold)
        assert places() == before
        qtbot.mouseClick(segmented.control("session_notice_0"), Qt.MouseButton.LeftButton)
        plain = replace(noted, segmentation=replace(noted.segmentation, notes=()))
        state.show_reading(plain)
        the_form_of_what_if_is_in_sight(segmented, size)
    assert heights[1] >= heights[0] + 3 * rows.rowHeight(0)
    the_border_stays_where_it_is_put(segmented, rows)
    segmented.viewer.window.resize(1100, 700)
    state.show_reading(reading)
    segmented.settle()


def the_border_stays_where_it_is_put(hands, rows):
    """A person's border between table and tabs is kept in a window of another height."""
    border = hands.control("lesions_and_tabs").handle(1)
    at, before = border.rect().center(), rows.height()
    hands.qtbot.mousePress(border, Qt.MouseButton.LeftButton, pos=at)
    hands.qtbot.mouseMove(border, at - QPoint(0, 30))
    hands.qtbot.mouseRelease(border, Qt.MouseButton.LeftButton, pos=at - QPoint(0, 30))
    assert 20 <= before - rows.height() <= 40
    put = rows.height()
    hands.viewer.window.resize(1600, 960)
    hands.settle()
    assert rows.height() == put


def the_form_of_what_if_is_in_sight(hands, size):
    tabs = hands.panel.tabs
    tabs.setCurrentIndex([tabs.tabText(n) for n in range(tabs.count())].index("Regions"))
    hands.settle()
    for name in ("explain_region", "amount", "see_changes", "undo", "what_if_shows"):
        one = hands.control(name)
        assert one.visibleRegion().boundingRect() == one.rect(), (size, name)
    tabs.setCurrentIndex(0)


def layers_renamed_hidden_and_deleted_in_the_middle(segmented):
    segmented.panel.explaining.explain(1)
    segmented.wait(lambda: segmented.answered(1))
    first, second = segmented.overlays()
    first.name, second.name = "mine · a", "mine · b"
    segmented.viewer.layers.remove(second)
    segmented.viewer.layers.remove(segmented.lesions_layer())
    segmented.viewer.layers.remove(segmented.layer("sub-01_T1"))
    segmented.panel.explaining.explain(2)
    segmented.wait(lambda: segmented.answered(2))
    names = {layer.name for layer in segmented.overlays()}
    assert names == {"Lesion 2 · SmoothGrad mean · FLAIR", "Lesion 2 · SmoothGrad mean · T1"}
    segmented.settle()  # a change of the layers is heard of a moment later
    assert not segmented.control("segment").isEnabled()
    assert "T1" in segmented.control("segment").toolTip()


def test_a_panel_that_is_empty_and_what_is_opened_in_it(hands, patient, small, tmp_path):
    every_control_is_named_explained_seen_and_in_its_place(hands)
    errors_are_one_sentence(hands, tmp_path)
    nothing_moves_under_the_mouse(hands, patient)
    hands.viewer.layers.clear()
    hands.settle()
    a_checkpoint_is_loaded_and_described(hands, small)
    one_that_cannot_be_loaded_leaves_the_one_before(hands, small, tmp_path)
    layers_of_the_user_are_never_changed(hands, patient)


def layers_of_the_user_are_never_changed(hands, patient):
    from napari.layers import Labels

    own = hands.viewer.add_image(
        patient.volumes["FLAIR"].copy(), name="FLAIR of mine", scale=(2, 1, 1), opacity=0.7
    )
    labels = hands.viewer.add_layer(Labels(np.ones((4, 4, 4), int), name="mine"))
    state = [layer._get_state() for layer in (own, labels)]
    from napari_ies.viewer.state.loaded import LoadedModel

    model = _loaded()
    assert isinstance(model, LoadedModel)
    hands.panel.state.take_model(model)
    hands.panel.features["preparing"].open_image("T1", str(patient.images["T1"]))
    hands.finish()
    for before, layer in zip(state, (own, labels), strict=True):
        after = layer._get_state()
        assert np.array_equal(before.pop("data"), after.pop("data"))
        assert str(before) == str(after)


def _loaded():
    import torch
    from torch import nn

    from napari_ies.network.model import SegmentationModel
    from napari_ies.network.profile import Profile
    from napari_ies.viewer.state.loaded import LoadedModel

    profile = Profile("empty", "UNet", {}, ("FLAIR", "T1"))
    model = SegmentationModel(nn.Conv3d(2, 2, 1), profile, torch.device("cpu"))
    return LoadedModel(model, "CPU", ("cpu",), (), "")


def open_layers_serve_as_sequences(segmented, hands, patient):
    """The same arrays as plain layers, without any metadata, give the same lesions."""
    files = segmented.panel.state.reading
    expected = files.segmentation.lesions["voxels"].tolist()
    frame = files.frame
    for name in ("FLAIR", "T1"):
        hands.viewer.layers.remove(segmented.layer(f"sub-01_{name}"))
        hands.viewer.add_image(
            frame.reorientation.apply(patient.volumes[name]).copy(),
            name=f"my {name}",
            scale=frame.scale,
        )
    hands.settle()
    hands.segment()
    reading = hands.panel.state.reading
    assert reading is not files
    assert sorted(reading.segmentation.lesions["voxels"]) == sorted(expected)
    assert "taken as displayed" in hands.panel.features["preparing"].notes.view.sentences.text


def the_reference_adds_matches_and_is_saved_with_what_was_computed(segmented, patient, tmp_path):
    segmented.panel.features["preparing"].open_reference(str(patient.reference))
    segmented.finish()
    assert segmented.control("reference").currentText() == "reference"
    segmented.segment()
    assert segmented.panel.state.reading.segmentation.lesions["match"].tolist() == ["TP", "TP"]
    segmented.panel.explaining.explain(2)
    segmented.wait(lambda: segmented.answered(2))
    shown = segmented.answer(2)
    folder = tmp_path / "out"
    segmented.panel.features["saving"].save_to(str(folder))
    segmented.finish()
    (path,) = folder.rglob("*_dseg.json")
    digest = hashlib.sha256(patient.reference.read_bytes()).hexdigest()
    assert json.loads(path.read_text())["Reference"] == {
        "Name": "reference.nii.gz",
        "SHA256": digest,
    }
    (path,) = folder.rglob("*seq-FLAIR_lesion-002*agg-mean_saliency.nii.gz")
    image = nib.load(path)
    np.testing.assert_allclose(image.affine, segmented.panel.state.reading.case.affine, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(image.dataobj), shown.saliency.maps[0])
    assert str(folder) in segmented.control("status").text()


def errors_are_one_sentence(hands, tmp_path):
    for name, content in {"empty": b"", "broken": b"this is no image"}.items():
        path = tmp_path / f"{name}.nii.gz"
        path.write_bytes(content)
        before = len(notification_manager.records)
        hands.panel.features["preparing"].open_image("FLAIR", str(path))
        hands.finish()
        text = hands.control("status").text()
        assert f"{name}.nii.gz" in text
        assert text.rstrip(".").count(". ") == 0
        assert [r.message for r in notification_manager.records[before:]] == [text]


def nothing_moves_under_the_mouse(hands, patient):
    """When the intro goes, when much is said or asked, and when another tab is chosen."""
    panel, tabs = hands.panel, hands.panel.tabs

    def places():
        hands.settle()
        names = "preparation open_FLAIR checkpoint segment lesions tabs cancel help save"
        found = {name: hands.control(name) for name in (*names.split(), "three_planes_button")}
        return {name: (one.mapTo(panel, QPoint()), one.width()) for name, one in found.items()}

    before = places()
    assert hands.control("first_steps").isVisible()
    hands.open(patient)
    assert not hands.control("first_steps").isVisible()
    assert places() == before
    text = "What went wrong with which file, what was expected, and what to do about it. " * 5
    for tell in (panel.services.tell.say, panel.services.tell.fail):
        tell(text)
        assert places() == before
    panel.features["session"].notice.say(text, {"Reopen": ("Go on.", lambda: None)})
    assert places() == before
    bar = tabs.tabBar()
    for number in range(tabs.count()):
        at = bar.tabRect(number).center()
        hands.qtbot.mouseClick(bar, Qt.MouseButton.LeftButton, pos=at)
        assert tabs.currentIndex() == number
        assert places() == before
    hands.press("session_notice_0")
    assert places() == before


def one_that_cannot_be_loaded_leaves_the_one_before(hands, small, tmp_path):
    field, described = hands.control("checkpoint"), hands.control("checkpoint_description")
    loaded, told = hands.panel.state.model, described.text()
    broken = tmp_path / "broken.pth"
    broken.write_bytes(b"this is no checkpoint")
    field.setText(str(broken))
    hands.qtbot.keyClick(field, Qt.Key.Key_Return)
    hands.finish()
    assert "broken.pth" in hands.control("status").text()
    assert hands.panel.status.failed
    assert hands.control("status_sign").isVisible()
    assert hands.panel.state.model is loaded
    assert field.text() == str(small.checkpoint)
    assert described.text() == told
    assert hands.control("segment").isEnabled()
    hands.panel.services.tell.say("Well.")
    assert not hands.control("status_sign").isVisible()


def a_checkpoint_is_loaded_and_described(hands, small):
    hands.control("checkpoint").setText(str(small.checkpoint))
    hands.qtbot.keyClick(hands.control("checkpoint"), Qt.Key.Key_Return)
    hands.finish()
    text = hands.control("checkpoint_description").text()
    assert "UNet" in text
    assert "FLAIR + T1" in text
    assert "auto" in text
    assert not hands.control("segment").isEnabled()
    assert "Choose an image for FLAIR and T1 first." in hands.control("segment").toolTip()
    for name, path in small.images.items():
        hands.panel.features["preparing"].open_image(name, str(path))
    hands.finish()
    hands.segment()
    expected = small.case().affine
    np.testing.assert_array_equal(hands.panel.state.reading.case.affine, expected)


def closing_and_reopening_leaves_no_callback(segmented, patient):
    viewer, panel = segmented.viewer, segmented.panel
    callbacks = len(viewer.mouse_drag_callbacks)
    emitters = [
        viewer.layers.events.inserted,
        viewer.layers.events.removed,
        viewer.dims.events.order,
    ]
    connected = [len(emitter.callbacks) for emitter in emitters]
    panel.features["explaining"].form.samples.setValue(3)
    panel.explaining.explain(2)
    segmented.wait(lambda: segmented.answered(2))
    reading, kept = panel.state.reading, len(panel.state.answers)
    for _ in range(3):
        panel.features["explaining"].form.samples.setValue(5000)
        panel.explaining.explain(1)
        segmented.wait(lambda: not panel.state.shown.finished)
        close_with_the_mouse(segmented)
        # Asked first, it goes on computing what is not to be stopped.
        assert "what is being computed: explaining lesion 1" in answer(segmented, "Not now")
        segmented.settle()
        assert panel.isVisible()
        assert panel.explaining.running
        close_with_the_mouse(segmented)
        answer(segmented, "Stop and close")
        segmented.settle()
        assert not panel.isVisible()
        assert not panel.explaining.running
        left = [type(one).__module__ for one in viewer.mouse_drag_callbacks]
        assert not [module for module in left if module.startswith("napari_ies")]
        _, opened = viewer.window.add_plugin_dock_widget("napari-ies", "Lesion saliency")
        segmented.settle()
        # All is found again.
        assert opened is panel
        assert panel.isVisible()
        assert panel.state.reading is reading
        assert len(panel.state.answers) == kept
        assert panel.status.text.startswith("Cancelled: Explaining lesion 1")
        assert len(viewer.mouse_drag_callbacks) == callbacks
        assert [len(emitter.callbacks) for emitter in emitters] == connected
    segmented.finish()
    panel.features["explaining"].form.samples.setValue(2)
    panel.explaining.explain(1)
    segmented.wait(lambda: segmented.answered(1))
    # Where nothing is computed nobody is asked.
    close_with_the_mouse(segmented)
    segmented.settle()
    assert not panel.isVisible()


def close_with_the_mouse(hands):
    (dock,) = hands.viewer.window._wrapped_dock_widgets.values()
    hands.qtbot.mouseClick(dock.title.close_button, Qt.MouseButton.LeftButton)


def answer(hands, word):
    """Answer the question on screen; return what it asked."""
    (box,) = [box for box in hands.panel.findChildren(QMessageBox) if box.isVisible()]
    (button,) = [one for one in box.buttons() if one.text() == word]
    text = box.text()
    hands.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    return text


def closing_the_viewer_in_the_middle_stops_the_work(segmented, qtbot):
    panel = segmented.panel
    panel.features["explaining"].form.samples.setValue(5000)
    panel.explaining.explain(1)
    segmented.wait(lambda: panel.state.shown is not None and not panel.state.shown.finished)
    run = panel.services.work._run
    segmented.viewer.close()
    qtbot.waitUntil(lambda: run.done, timeout=20_000)
    assert run.cancelled.is_set()


def every_control_is_named_explained_seen_and_in_its_place(hands):
    from qtpy.QtWidgets import QPushButton

    names = (
        "checkpoint images segment threshold lesions method aggregation samples noise layer "
        "explain cancel progress status device seed forward reference save smallest"
    )
    for name in names.split():
        control = hands.panel.findChild(QWidget, name)
        assert control is not None, name
        assert control.toolTip().endswith((".", ")")), name

    # Nothing is cut off.
    for name in ("open_T1", "device", "smallest", "seed", "cancel", "save"):
        control = hands.control(name)
        right = control.mapTo(hands.panel, control.rect().topRight()).x()
        assert right <= hands.panel.width(), name
        text = control.text() if hasattr(control, "text") else ""
        assert control.width() > control.fontMetrics().horizontalAdvance(text), name
    for name in ("orientation", "spacing"):
        edit = hands.control(name).lineEdit()
        assert edit.width() >= edit.fontMetrics().horizontalAdvance("as stored"), name

    # Tabs and buttons stand in the order of the features.
    tabs = hands.panel.tabs
    names = [tabs.tabText(number) for number in range(tabs.count())]
    assert names == ["Saliency", "Readout", "Context", "Regions", "Compare", "View"]
    buttons = {button.text(): button for button in hands.panel.findChildren(QPushButton)}
    for row in (["Session…", "Figure…", "Help", "Save…"], ["3 planes", "Crosshair", "3-D"]):
        places = [buttons[text].mapTo(hands.panel, buttons[text].rect().center()) for text in row]
        assert [place.x() for place in places] == sorted(place.x() for place in places)
        assert len({place.y() for place in places}) == 1
        # What is done with the patient stands on the right, how it is seen on the left.
        middle, panel = sum(place.x() for place in places) / len(places), hands.panel.width()
        assert middle > panel / 2 if "Save…" in row else middle < panel / 2
