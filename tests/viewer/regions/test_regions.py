"""Any region explained, and what the network would mark were it different; with real events."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from napari.layers import Labels
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt

from napari_ies import Edit, explain, what_if
from napari_ies.progress import finish
from napari_ies.viewer.canvas.layers import key_of
from napari_ies.viewer.canvas.legend.colour_strip import ColourStrip
from napari_ies.viewer.regions import region_choice
from napari_ies.viewer.session.opening import open_session, read_map
from napari_ies.viewer.volumes.frame import Frame
from napari_ies.viewer.volumes.layer_mask import layer_mask
from napari_ies.viewer.volumes.sources import source_of


def open_tab(hands):
    tabs = hands.panel.tabs
    names = [tabs.tabText(i) for i in range(tabs.count())]
    tabs.setCurrentIndex(names.index("Regions"))
    hands.settle()


def last_said():
    return notification_manager.records[-1].message


def stored_mask(hands, patient, painted):
    """Find the stored voxels under displayed ones by the image's values alone."""
    flair = hands.layer("sub-01_FLAIR")
    t1 = hands.layer("sub-01_T1")
    # One value may come twice, a pair of values does not.
    shown = np.asarray(flair.data)[painted] + 1j * np.asarray(t1.data)[painted]
    mask = np.isin(patient.volumes["FLAIR"] + 1j * patient.volumes["T1"], shown)
    assert mask.sum() == painted.sum()
    return mask


@pytest.mark.parametrize("patient", ["oblique"], indirect=True)
def test_a_painted_region_is_explained_as_it_is_seen(segmented, patient):
    a_painted_region_is_explained_as_it_is_seen(segmented, patient)


def a_painted_region_is_explained_as_it_is_seen(segmented, patient):
    panel = segmented.panel
    flair = segmented.layer("sub-01_FLAIR")
    world = segmented.world_of(patient.volumes["FLAIR"], flair, patient.centres[1])
    segmented.go(world)
    open_tab(segmented)
    assert not segmented.control("explain_region").isEnabled()
    segmented.press("new_region")
    region = segmented.layer("Region 1")
    segmented.click(world, drag=30)
    # Painting is no click on the lesion beneath.
    assert panel.state.selected is None
    painted = np.asarray(region.data) == 1
    assert painted.any()
    segmented.press("explain_region")
    segmented.wait(lambda: segmented.answer("Region 1") is not None)
    segmented.finish()
    mask = stored_mask(segmented, patient, painted)
    reading = panel.state.reading
    np.testing.assert_array_equal(reading.mask_of("Region 1"), mask)
    expected = explain(reading.model, reading.case, mask, n_samples=3)
    kept = segmented.answer("Region 1").saliency
    np.testing.assert_array_equal(kept.maps, expected.maps)
    assert segmented.layer("Region 1 · SmoothGrad mean · FLAIR").visible
    np.testing.assert_array_equal(np.asarray(region.data) == 1, painted)
    a_region_is_an_outline_while_a_map_is_shown(segmented, region, world)

    # A second label elsewhere: alone, together, and its part at the crosshair.
    other = segmented.world_of(patient.volumes["FLAIR"], flair, patient.centres[2])
    segmented.go(other)
    segmented.viewer.layers.selection.active = region
    region.mode, region.selected_label = "paint", 2
    segmented.click(other)
    second = np.asarray(region.data) == 2
    assert second.any()
    # Painted while a map is shown it is an outline, too, at once.
    lines = panel.features["planes"].outlines
    edges = lines.count
    region.visible = False
    assert edges > lines.count
    region.visible = True
    assert edges == lines.count
    for label, part, name, wanted in (
        (2, False, "Region 1, label 2", second),
        (0, True, "Region 1, part at", second),
        (0, False, "Region 1", second | painted),
    ):
        segmented.control("region_label").setValue(label)
        segmented.control("only_part").setChecked(part)
        segmented.press("explain_region")
        segmented.wait(lambda name=name: str(panel.state.selected).startswith(name))
        segmented.finish()
        found = reading.mask_of(panel.state.selected)
        np.testing.assert_array_equal(found, stored_mask(segmented, patient, wanted))
    # Painted on, the region of the same name has another map.
    assert len(panel.state.answers.of("Region 1")) == 1
    np.testing.assert_array_equal(segmented.answer("Region 1").saliency.mask, found)


def picture(hands):
    hands.settle()
    return hands.viewer.window._qt_viewer.screenshot(flash=False).astype(int)


def a_region_is_an_outline_while_a_map_is_shown(segmented, region, world):
    """The colours of the map are the same with the region over them as without it."""
    viewer, lines = segmented.viewer, segmented.panel.features["planes"].outlines
    # The brush was put away: the mouse moves the view again, and a click selects.
    assert str(region.mode) == "pan_zoom"
    segmented.go(world)
    centre = segmented.pixel_of(world)
    around = (slice(centre.y() - 3, centre.y() + 3), slice(centre.x() - 3, centre.x() + 3))
    edges, mapped = lines.count, picture(segmented)
    region.visible = False
    without = picture(segmented)
    assert lines.count < edges  # what is left is the outline of what is selected
    region.visible = True
    np.testing.assert_array_equal(mapped[around], without[around])
    # Without a map it is filled, to be painted on, and outlined no more.
    native = viewer.window._qt_viewer.canvas.native
    segmented.qtbot.keyClick(native, "h")
    assert region.opacity == 0.5
    assert lines.count < edges
    filled = picture(segmented)
    assert np.abs(filled[around] - without[around]).max() > 20
    segmented.qtbot.keyClick(native, "h")
    assert (region.opacity, lines.count) == (0.0, edges)
    # Who makes it opaque by hand has it filled.
    region.opacity = 0.3
    assert lines.count < edges
    segmented.qtbot.keyClick(native, "h")
    segmented.qtbot.keyClick(native, "h")
    assert region.opacity == 0.0  # until the map was hidden


def test_changes_notes_and_what_cannot_be_explained_in_one_sitting(segmented, patient, tmp_path):
    a_painted_region_is_explained_as_it_is_seen(segmented, patient)
    segmented.afresh()
    segmented.viewer.layers.remove(segmented.layer("Region 1"))
    segmented.settle()
    an_erased_lesion_is_gone_and_undo_brings_all_back(segmented, patient)
    segmented.afresh()
    how_a_region_was_taken_is_seen_and_saved_with_its_map(segmented, tmp_path)
    segmented.afresh()
    a_voxel_a_lesion_the_network_missed_and_what_cannot_be_explained(segmented, patient)


def a_voxel_a_lesion_the_network_missed_and_what_cannot_be_explained(segmented, patient):
    panel = segmented.panel
    notification_manager.records.clear()
    open_tab(segmented)
    form = segmented.control("region")
    flair = segmented.layer("sub-01_FLAIR")
    segmented.go(segmented.world_of(patient.volumes["FLAIR"], flair, patient.background))
    form.setCurrentText("the voxel at the crosshair")
    segmented.press("explain_region")
    segmented.wait(lambda: str(panel.state.selected).startswith("Voxel"))
    segmented.finish()
    (at,) = np.argwhere(panel.state.reading.mask_of(panel.state.selected))
    assert tuple(at) == patient.background

    segmented.press("new_region")
    # It can be named at once, or left as it is.
    name = segmented.control("region_name")
    assert name.window().focusWidget() is name
    for typed, called in (("left cortex", "left cortex"), ("  ", "left cortex"), ("Region 1",) * 2):
        name.selectAll()
        segmented.qtbot.keyClicks(name, typed)
        segmented.qtbot.keyClick(name, Qt.Key.Key_Return)
        segmented.settle()
        assert name.text() == form.currentText() == segmented.layer(called).name == called
    segmented.press("explain_region")
    segmented.finish()
    assert last_said() == "Region 1 holds no voxel; paint at least one, or choose another."
    region = segmented.layer("Region 1")
    region.data[3:5, 3:5, 3:5] = 1
    segmented.control("only_part").setChecked(True)
    segmented.press("explain_region")
    segmented.finish()
    assert last_said().startswith("The crosshair does not lie in Region 1; move the slices")
    segmented.control("only_part").setChecked(False)
    # The patient has no background; this one is given some.
    case = panel.state.reading.case
    painted = panel.state.reading.frame.reorientation.invert(np.asarray(region.data))
    panel.state.reading.case = replace(
        case, data=np.where(painted, 0, case.data).astype(np.float32)
    )
    segmented.press("explain_region")
    segmented.finish()
    assert last_said().startswith(
        "Region 1 lies outside the brain: every sequence is background in all of it"
    )

    # With a reference, what the network missed is a row of the table: it is explained by a click.
    reference = np.zeros_like(np.asarray(flair.data), dtype=np.uint8)
    missed = (slice(5, 8), slice(8, 12), slice(20, 24))
    reference[missed] = 1
    mask = segmented.viewer.add_labels(
        reference,
        name="missed",
        metadata={"napari_ies": {"affine": patient.affine}},
        **panel.state.reading.frame.placement(),
    )
    segmented.settle()
    panel.features["preparing"].segmentation.choose_mask(key_of(mask))
    segmented.segment()
    table = panel.state.reading.segmentation.lesions
    (label,) = table.index[table["match"] == "FN"]
    world = flair.data_to_world((6, 10, 22))
    segmented.go(world)
    segmented.viewer.layers.selection.active = segmented.lesions_layer()
    segmented.click(world)
    assert panel.state.selected == label
    segmented.wait(lambda: segmented.answered(label))
    segmented.finish()
    np.testing.assert_array_equal(
        segmented.answer(label).saliency.mask, panel.state.reading.segmentation.labels == label
    )


def an_erased_lesion_is_gone_and_undo_brings_all_back(segmented, patient):
    panel = segmented.panel
    panel.explaining.explain(2)
    segmented.wait(lambda: segmented.answered(2))
    segmented.finish()
    reading = panel.state.reading
    names = {layer.name: layer.visible for layer in segmented.viewer.layers}
    data = {layer.name: np.array(layer.data) for layer in segmented.viewer.layers}
    open_tab(segmented)
    assert not segmented.control("undo").isEnabled()
    assert not segmented.control("amount").isEnabled()
    passes = []
    hook = reading.model.network.register_forward_hook(lambda *_: passes.append(1))
    segmented.press("see_changes")
    segmented.wait(lambda: "no longer" in segmented.control("outcome").text())
    segmented.finish()
    hook.remove()
    expected = what_if(
        reading.model,
        reading.case,
        reading.segmentation,
        reading.segmentation.labels == 2,
        Edit("FLAIR", margin_mm=1.0),
    )
    assert segmented.control("outcome").text() == "\n".join(expected.sentences)
    assert expected.sentences[0].startswith("Lesion 2: mean probability 0.")
    assert len(expected.lesions) == 1
    # Eight of the twelve windows hold a part of the lesion; each is run before and after.
    assert len(passes) == 16

    # Each displayed voxel of the change lies where the image shows the stored one.
    change = segmented.layer("What if: change of probability")
    flair = segmented.layer("sub-01_FLAIR")
    x, y, z = patient.centres[2]
    for voxel in ((x, y, z), (x + 2, y, z), (x, y - 2, z), (x, y, z + 1)):
        world = segmented.world_of(patient.volumes["FLAIR"], flair, voxel)
        at = tuple(np.round(change.world_to_data(world)).astype(int))
        assert change.data[at] == pytest.approx(expected.difference[voxel], abs=1e-6)
    assert change.data.min() < -0.5
    assert not segmented.layer("Lesion 2 · SmoothGrad mean · FLAIR").visible
    image = segmented.layer("What if: FLAIR filled as the tissue around")
    assert not image.visible
    change_and_original_are_flicked(segmented, image, change)
    at = tuple(np.round(image.world_to_data(segmented.world_of(
        patient.volumes["FLAIR"], flair, (x, y, z)))).astype(int))  # fmt: skip
    assert abs(image.data[at] - 100) < 3 < patient.volumes["FLAIR"][x, y, z] - 100
    # The reading is what it was.
    assert panel.state.reading is reading
    assert len(reading.segmentation.lesions) == 2

    # A map asked for now is seen, not hidden under the change.
    panel.explaining.explain(1)
    segmented.wait(lambda: segmented.answered(1))
    segmented.finish()
    assert segmented.layer("Lesion 1 · SmoothGrad mean · FLAIR").visible
    assert not change.visible
    assert not image.visible
    assert "original" not in panel.services.scene.legend.text
    panel.explaining.explain(2)
    segmented.finish()
    segmented.press("undo")
    assert {layer.name: layer.visible for layer in segmented.viewer.layers} == names
    for layer in segmented.viewer.layers:
        np.testing.assert_array_equal(np.array(layer.data), data[layer.name])
    assert segmented.control("outcome").text() == ""
    assert not segmented.control("undo").isEnabled()


def change_and_original_are_flicked(segmented, image, change):
    """One key, the same display settings, and always said which of the two is seen."""
    viewer, legend = segmented.viewer, segmented.panel.services.scene.legend
    native, shows = viewer.window._qt_viewer.canvas.native, segmented.control("what_if_shows")
    strip = viewer.window._qt_window.findChild(ColourStrip)
    (bar,) = strip.bars
    assert (bar.title, bar.unit, bar.low, bar.high) == ("Change", "probability", -1.0, 1.0)
    assert bar.lowest == pytest.approx(float(np.min(change.data)))
    # Of the map that makes way for it nothing is said: it would take lines over the image.
    assert legend.text == "Change of probability, were FLAIR filled as the tissue around"
    original = segmented.layer("sub-01_FLAIR")
    original.contrast_limits, original.gamma = (30.0, 170.0), 0.8
    original.colormap = "magma"
    # A region's paint would tint what is compared.
    frame = segmented.panel.state.reading.frame
    region = segmented.viewer.add_labels(
        (image.data > 0).astype(np.uint8), name="painted over", **frame.placement()
    )
    seen = []
    for said in ("Changed image: FLAIR filled", "Original FLAIR", "Changed image: FLAIR filled"):
        segmented.qtbot.keyClick(native, "i", Qt.KeyboardModifier.ShiftModifier)
        assert said in legend.text
        assert image.visible == (said != "Original FLAIR")
        assert shows.currentIndex() == (1 if image.visible else 2)
        assert not change.visible
        assert not strip.bars
        assert original.visible
        assert region.opacity == 0.0 or region.contour
        seen.append(picture(segmented))
    assert tuple(image.contrast_limits) == (30.0, 170.0)
    assert (image.gamma, image.colormap.name) == (0.8, "magma")
    np.testing.assert_array_equal(seen[0], seen[2])
    # Where nothing was changed both look the same, to the shade.
    viewer.layers.remove(region)
    differing = np.abs(seen[0] - seen[1]).max(axis=-1) > 0
    assert 0 < differing.mean() < 0.2
    original.contrast_limits, original.gamma, original.colormap = (90.0, 170.0), 1.0, "gray"
    # The list does the same, and shows the change again.
    shows.setFocus()
    segmented.qtbot.keyClick(shows, Qt.Key.Key_Up)
    assert change.visible
    assert not image.visible
    segmented.qtbot.keyClick(shows, Qt.Key.Key_Down)
    assert image.visible


def test_layers_on_other_grids_are_brought_over_and_said_so(twin, patient, monkeypatch):
    reading = twin.state.reading
    placement = reading.frame.placement()
    stored = patient.volumes["FLAIR"] + 1j * patient.volumes["T1"]
    displayed = reading.frame.reorientation.apply(stored)
    half = np.zeros([n // 2 for n in displayed.shape], dtype=np.int32)
    half[4:9, 5:9, 6:12] = 3
    scale = np.array(placement["scale"])
    coarse = {"scale": 2 * scale, "translate": np.array(placement["translate"]) + 0.5 * scale}
    layer = Labels(half, name="coarse", **{**placement, **coarse})
    mask, (note,) = layer_mask(source_of(layer), 3, reading.case, reading.frame)
    painted = np.zeros(displayed.shape, dtype=bool)
    painted[8:18, 10:18, 12:24] = True
    # As the images are displayed: one value may come twice, a pair of values does not.
    expected = np.isin(stored, displayed[painted])
    assert expected.sum() == painted.sum()
    np.testing.assert_array_equal(mask, expected)
    assert note.startswith("coarse lay on another grid (")
    assert "was resampled (nearest neighbour) onto that of FLAIR (" in note
    assert f"{half.astype(bool).sum()} of its voxels became {painted.sum()}" in note
    assert not layer_mask(source_of(layer), 2, reading.case, reading.frame)[0].any()

    # With an affine of its own, shifted by whole voxels along stored axes.
    shift = np.eye(4)
    shift[:3, 3] = [2, -3, 1]
    affine = patient.affine @ shift
    own = np.zeros(reading.case.shape, dtype=np.uint8)
    own[10:15, 12:20, 8:11] = 1
    frame = Frame.of_grid(affine, own.shape)
    layer = Labels(
        np.ascontiguousarray(frame.reorientation.apply(own)),
        metadata={"napari_ies": {"affine": affine}},
        **frame.placement(),
    )
    mask, notes = layer_mask(source_of(layer), None, reading.case, reading.frame)
    expected = np.zeros_like(mask)
    expected[12:17, 9:17, 9:12] = True
    np.testing.assert_array_equal(mask, expected)
    assert len(notes) == 1

    # A region that takes long is explained, and what that takes is said before.
    monkeypatch.setattr(region_choice, "MANY_VOXELS", 100)
    choice = region_choice.RegionChoice(source=source_of(layer))
    chosen = finish(region_choice.choose_region(choice, reading))
    share = round(100 * expected.sum() / expected.size)
    assert f"holds {expected.sum()} voxels, as many as {share} % of the brain" in chosen.notes[1]


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["a" * 1500 + "b" + "a" * 1500, "a" * 1500 + "c" + "a" * 1500], "aaaa"),
        (["kein UTF-8 \udcff", "kein UTF-8 \udcfe"], "kein UTF-8 \\xf"),
        (["rim\x1b[31m", "rim\x1b[32m"], "rim\\x1b[3"),
    ],
)
def test_a_region_has_a_name_that_can_be_kept_whatever_its_layer_is_called(twin, names, shown):
    reading = twin.state.reading
    labels = reading.frame.reorientation.apply(reading.segmentation.labels)
    layer = Labels(labels, name="Lesions", **reading.frame.placement())
    chosen = []
    for name in names:
        source = replace(source_of(layer), name=name)
        choice = region_choice.RegionChoice(source=source)
        chosen.append(finish(region_choice.choose_region(choice, reading)).region.name)
    assert len(set(chosen)) == 2
    for name in chosen:
        assert name.startswith(shown)
        assert len(name) < 300
        assert name.isprintable()


def how_a_region_was_taken_is_seen_and_saved_with_its_map(segmented, tmp_path):
    panel = segmented.panel
    flair = segmented.layer("sub-01_FLAIR")
    half = np.zeros([n // 2 for n in flair.data.shape], dtype=np.int32)
    half[6:9, 6:9, 6:9] = 1
    segmented.viewer.add_labels(
        half,
        name="coarse",
        scale=2 * np.array(flair.scale),
        translate=np.array(flair.translate) + 0.5 * np.array(flair.scale),
        units=flair.units,
    )
    open_tab(segmented)
    segmented.control("region").setCurrentText("coarse")
    said = "27 of its voxels became 216"
    segmented.press("explain_region")
    segmented.wait(lambda: segmented.answer("coarse") is not None)
    segmented.finish()
    assert any(said in note for note in segmented.answer("coarse").saliency.provenance["notes"])
    assert said in segmented.panel.features["preparing"].notes.view.sentences.text
    # So it is in what is saved, by hand and by itself, and in the maps after reopening.
    panel.features["saving"].save_to(str(tmp_path / "out"))
    segmented.finish()
    sidecar, *_ = (tmp_path / "out").rglob("*region-coarse*.json")
    notes = json.loads(sidecar.read_text())["Provenance"]["notes"]
    assert sum(said in note for note in notes) == 1
    segmented.wait(lambda: not panel.features["session"].busy and panel.features["session"].folder)
    reopened = finish(open_session(panel.features["session"].folder))
    (saved,) = reopened.session.maps
    notes = read_map(saved, reopened).saliency.provenance["notes"]
    assert sum(said in note for note in notes) == 1
    assert any(said in note for note in reopened.reading.regions["coarse"].notes)
    # What would be different: there as well.
    segmented.press("see_changes")
    segmented.wait(lambda: segmented.control("outcome").text() != "")
    segmented.finish()
    assert said in segmented.control("outcome").text()
