"""Masks and lesions from elsewhere, in whatever convention, and grids that differ."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from qtpy.QtCore import Qt
from scipy import ndimage

from napari_ies.geometry import Grid, onto
from napari_ies.patient.masks import read_mask
from napari_ies.segmentation import segmentation
from napari_ies.viewer.panel import dialogs
from napari_ies.viewer.preparing.assembling import assemble_case
from napari_ies.viewer.volumes.layer_data import read_image
from napari_ies.viewer.volumes.sources import source_of
from napari_ies.viewer.work import tasks

pytest.importorskip("napari")

from napari.layers import Image, Labels


def layer_of(layer_data):
    data, arguments, kind = layer_data
    return (Image if kind == "image" else Labels)(data, **arguments)


def opened(path):
    *_, last = tasks.open_mask(str(path))
    return layer_of(last.result)


CONVENTIONS = {
    "zero and one": (lambda m: m.astype(np.uint8), None),
    "255": (lambda m: 255 * m.astype(np.uint8), None),
    "minus one for nothing": (lambda m: m.astype(np.int16) * 2 - 1, None),
    "soft": (lambda m: np.where(m, 0.9, 0.2).astype(np.float32), None),
    "scaled int16": (lambda m: 30000 * m.astype(np.int16), (1 / 30000, 2e-5)),
}


@pytest.mark.parametrize("name", CONVENTIONS)
def test_a_mask_means_the_same_in_a_file_a_labels_layer_and_an_image_layer(patient, tmp_path, name):
    from napari_ies.patient.loading import load_case
    from napari_ies.viewer.volumes.layer_data import read_image
    from napari_ies.viewer.volumes.layer_mask import layer_mask

    make, scaling = CONVENTIONS[name]
    truth = nib.load(patient.reference).get_fdata() > 0
    path = tmp_path / "expert.nii.gz"
    image = nib.Nifti1Image(make(truth), patient.affine)
    if scaling is not None:
        image.header.set_slope_inter(*scaling)
    nib.save(image, path)
    case = load_case(patient.images)
    frame = source_of(layer_of(read_image(patient.images["FLAIR"]))).frame
    np.testing.assert_array_equal(read_mask(path, case).values, truth)
    for layer in (opened(path), layer_of(read_image(path))):
        mask, _ = layer_mask(source_of(layer), None, case, frame)
        np.testing.assert_array_equal(mask, truth)


def test_an_opened_label_map_keeps_its_labels(patient, tmp_path):
    labels = np.zeros(nib.load(patient.reference).shape, np.int16)
    labels[5:8, 5:8, 5:8], labels[20:22, 20:22, 20:22] = 7, 300
    path = tmp_path / "labels.nii.gz"
    nib.save(nib.Nifti1Image(labels, patient.affine), path)
    assert np.unique(opened(path).data).tolist() == [0, 7, 300]


def test_references_and_lesions_from_elsewhere(segmented, patient, tmp_path, monkeypatch):
    one_chosen_afterwards_is_matched_at_once(segmented, patient, monkeypatch)
    one_of_all_the_image_is_refused(segmented, patient)
    a_mask_opened_as_an_image_can_be_the_reference(segmented, patient)
    segmented.wait(lambda: not segmented.panel.features["session"].busy)
    lesions_of_another_program_fill_the_table_and_are_explained(segmented, patient, tmp_path)
    painted_over_lesions_are_taken_as_painted(segmented, patient)


def one_chosen_afterwards_is_matched_at_once(hands, patient, monkeypatch):
    """Without the network, and without a click more; what was said and computed stays."""
    panel, state = hands.panel, hands.panel.state
    panel.explaining.explain(2)
    hands.wait(lambda: hands.answered(2))
    hands.qtbot.mouseClick(hands.control("agree"), Qt.MouseButton.LeftButton)
    before, kept = state.reading, hands.answer(2)
    lesion = nib.load(patient.reference).get_fdata() > 0
    lesion[24:] = False
    lesion[3:6, 3:6, 3:6] = True  # and one that was missed
    path = patient.reference.with_name("expert.nii.gz")
    nib.save(nib.Nifti1Image(lesion.astype(np.uint8), patient.affine), path)

    def forbidden(*_, **__):
        raise AssertionError("the network is not needed")

    with monkeypatch.context() as patched:
        patched.setattr(segmentation, "segment_progressively", forbidden)
        patched.setattr(dialogs, "choose_file", lambda *_: str(path))
        hands.press("open_reference")
        hands.wait(lambda: state.reading is not before)
        hands.finish()
        reading = state.reading
        assert dict(reading.segmentation.lesions["match"]) == {1: "TP", 2: "FP", 3: "FN"}
        assert reading.reference == path
        assert "2 found (1 TP, 1 FP), 1 of the reference missed" in hands.control("status").text()
        assert (state.selected, reading.verdicts) == (2, {2: "agree"})
        assert hands.answer(2).saliency is kept.saliency
        assert panel.services.scene.lesions.matches == {1: "TP", 2: "FP", 3: "FN"}
        # None any more, by the keyboard.
        box = hands.control("reference")
        hands.unfold()
        box.setFocus()
        while box.currentIndex():
            hands.qtbot.keyClick(box, Qt.Key.Key_Up)
        hands.wait(lambda: "match" not in state.reading.segmentation.lesions)
        hands.finish()
    assert sorted(state.reading.places) == [1, 2]
    assert (state.reading.reference, state.reading.scores) == (None, None)
    assert state.reading.verdicts == {2: "agree"}


def one_of_all_the_image_is_refused(segmented, patient):
    truth = nib.load(patient.reference).get_fdata() > 0
    frame = segmented.panel.state.reading.frame
    before = segmented.panel.state.reading
    for values, said in (
        (np.ones_like(truth), "marks 100 % of the image"),
        (~truth, "of the image, so it cannot be a mask"),
    ):
        layer = segmented.viewer.add_labels(
            np.ascontiguousarray(frame.reorientation.apply(values.astype(np.uint8))),
            name="all",
            **frame.placement(),
        )
        segmented.settle()
        segmented.panel.features["preparing"].segmentation.choose_mask(str(layer.unique_id))
        segmented.panel.services.tell.say("Before.")
        segmented.segment()
        assert segmented.panel.state.reading is before
        assert said in segmented.panel.status.text
        segmented.viewer.layers.remove(layer)
    segmented.settle()


def a_mask_opened_as_an_image_can_be_the_reference(segmented, patient):
    # Opened as a mask it would be Labels: its name says what it is.
    data, arguments, _ = read_image(patient.reference)
    layer = segmented.viewer.add_image(data, **arguments)
    segmented.settle()
    assert type(layer).__name__ == "Image"
    segmented.panel.features["preparing"].segmentation.choose_mask(str(layer.unique_id))
    segmented.segment()
    assert list(segmented.panel.state.reading.segmentation.lesions["match"]) == ["TP", "TP"]
    segmented.viewer.layers.remove(layer)
    segmented.settle()


def test_layers_on_two_grids_are_brought_onto_the_first_and_it_is_said(patient):
    flair, t1 = patient.volumes["FLAIR"], patient.volumes["T1"]
    one = Image(flair, name="one", scale=(2, 1, 1), units=("mm",) * 3)
    other = Image(t1, name="two", scale=(2, 1, 1), translate=(1.0, 0, 0), units=("mm",) * 3)
    sources = {"FLAIR": source_of(one), "T1": source_of(other)}
    case = assemble_case(sources)
    np.testing.assert_array_equal(case.data[0], flair)
    # Half a slice further down: the mean of two slices.
    np.testing.assert_allclose(case.data[1][1:], (t1[1:] + t1[:-1]) / 2, rtol=1e-5)
    assert "T1 lay on another grid" in " ".join(case.notes)
    # A twentieth of a voxel is the same grid; a mirrored array is turned, not interpolated.
    near = Image(t1, name="two", scale=(2, 1, 1), translate=(0.05, 0, 0), units=("mm",) * 3)
    np.testing.assert_array_equal(
        assemble_case({"FLAIR": source_of(one), "T1": source_of(near)}).data[1], t1
    )
    mirrored = Image(
        t1[::-1], scale=(-2, 1, 1), translate=(2 * (len(t1) - 1), 0, 0), units=("mm",) * 3
    )
    turned = assemble_case({"FLAIR": source_of(one), "T1": source_of(mirrored)})
    np.testing.assert_array_equal(turned.data[1], t1)
    assert "resampled" not in " ".join(turned.notes)


def test_a_sequence_that_covers_next_to_nothing_is_refused(patient):
    from napari_ies.errors import CaseError

    flair = Image(patient.volumes["FLAIR"], name="one", units=("mm",) * 3)
    tiny = Image(patient.volumes["T1"], name="two", scale=(1e-3,) * 3, units=("mm",) * 3)
    with pytest.raises(CaseError, match="field of view of T1"):
        assemble_case({"FLAIR": source_of(flair), "T1": source_of(tiny)})


def lesions_of_another_program_fill_the_table_and_are_explained(segmented, patient, tmp_path):
    shape = nib.load(patient.reference).shape
    labels = np.zeros(shape, np.int16)
    labels[12:17, 24:29, 10:14], labels[20:23, 18:21, 6:9] = 4, 9
    path = tmp_path / "consensus.nii.gz"
    nib.save(nib.Nifti1Image(labels, patient.affine), path)
    panel = segmented.panel
    panel.features["preparing"].open_lesions(str(path))
    segmented.finish()
    assert segmented.control("lesions_from").currentText() == "consensus"
    assert not segmented.control("threshold").isEnabled()
    assert "taken from elsewhere" in segmented.control("threshold").toolTip()
    segmented.segment()
    reading = panel.state.reading
    np.testing.assert_array_equal(reading.segmentation.labels, labels)
    assert reading.segmentation.lesions.index.tolist() == [4, 9]
    assert "holds 2 labels" in panel.features["preparing"].notes.view.sentences.text
    # The second is none of the network's, and is explained by a click on it all the same.
    flair = segmented.layer("sub-01_FLAIR")
    world = segmented.world_of(patient.volumes["FLAIR"], flair, (21, 19, 7))
    segmented.go(world)
    segmented.click(world)
    assert panel.state.selected == 9
    segmented.wait(lambda: segmented.answered(9))

    # A mask opened as a layer: its connected parts.
    mask = segmented.viewer.add_labels(
        np.ascontiguousarray(reading.frame.reorientation.apply((labels > 0).astype(np.uint8))),
        name="mask",
        **reading.frame.placement(),
    )
    segmented.settle()
    panel.features["preparing"].segmentation.lesions.choose(str(mask.unique_id))
    segmented.segment()
    parts, count = ndimage.label(labels > 0, np.ones((3, 3, 3)))
    assert count == 2
    assert len(panel.state.reading.segmentation.lesions) == 2
    np.testing.assert_array_equal(panel.state.reading.segmentation.labels > 0, parts > 0)
    panel.features["preparing"].segmentation.lesions.choose(None)
    assert segmented.control("threshold").isEnabled()


def painted_over_lesions_are_taken_as_painted(segmented, patient):
    panel = segmented.panel
    panel.features["preparing"].open_lesions(str(patient.reference))
    segmented.finish()
    layer = segmented.layer("reference")
    data = layer.data.copy()
    data[data > 0] = 0
    data[3:5, 3:6, 3:6] = 1
    layer.data = data
    segmented.segment()
    expected = panel.state.reading.frame.reorientation.invert(data)
    np.testing.assert_array_equal(panel.state.reading.segmentation.labels > 0, expected > 0)


def test_the_same_display_of_another_grid_is_resampled_by_the_affines():
    """The rule is the core's: shape and corners, in fractions of a voxel."""
    a, b = Grid.of((4, 4, 4), np.eye(4)), Grid.of((4, 4, 4), np.diag([1, 1, 1.02, 1]))
    assert not a.same_as(b)
    assert onto(np.ones((4, 4, 4)), b, a).how == "linear"
