"""The main job on real patients, as the issue of the viewer asks for it."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine

from napari_ies import explain

pytestmark = pytest.mark.real_data

CHECKPOINT = "checkpoints/unet_flair_t1_epoch_31.pth"


def _open(hands, real_file, images):
    hands.panel.features["preparing"].checkpoint.choose(str(real_file(CHECKPOINT)))
    for name, path in images.items():
        hands.panel.features["preparing"].open_image(name, str(path))
    hands.finish()
    hands.control("samples").setValue(2)
    hands.press("segment")
    hands.wait(lambda: hands.panel.state.reading is not None, seconds=300)
    hands.finish()


def _visible_voxels(hands, label):
    """Displayed indices of a lesion, most central slice first, read off the Labels layer."""
    layer = hands.lesions_layer()
    found = np.argwhere(np.asarray(layer.data) == label)
    middle = np.median(found[:, 0])
    return layer, found[np.argsort(np.abs(found[:, 0] - middle), kind="stable")]


def _blocks(folder, files, blocks):
    """Write a block of each file, and return where: most windows see no lesion, and take long."""
    images = {}
    for name, (file, block) in zip(("FLAIR", "T1"), zip(files, blocks, strict=True), strict=True):
        images[name] = folder / f"{name}.nii"
        nib.save(nib.load(file).slicer[block], images[name])
    return images


def test_patient07_from_files_to_saliency(hands, real_file, tmp_path):
    files = [real_file(f"data/open_ms/patient07/{name}.nii.gz") for name in ("FLAIR", "T1")]
    # Two windows wide, and some twenty lesions: all of the head takes twenty times as many.
    images = _blocks(tmp_path, files, 2 * [np.s_[36:146, 54:150, 45:141]])
    _open(hands, real_file, images)
    table = hands.panel.state.reading.segmentation.lesions.sort_values("voxels", ascending=False)
    first, second = (int(label) for label in table.index[:2])
    layer, voxels = _visible_voxels(hands, first)
    world = np.asarray(layer.data_to_world(voxels[0]))
    hands.go(world)
    hands.click(world)
    assert hands.panel.state.selected == first
    hands.wait(lambda: hands.answered(first), seconds=300)
    hands.finish()

    # The overlay shows explain()'s value where the image shows that voxel.
    reading = hands.panel.state.reading
    expected = explain(
        reading.model, reading.case, reading.segmentation.labels == first, n_samples=2
    ).maps
    stored = nib.load(images["FLAIR"])
    flair = hands.layer("FLAIR")
    x, y, z = np.unravel_index(np.abs(expected[0]).argmax(), expected.shape[1:])
    index = tuple(np.round(flair.world_to_data(_place_of(stored, flair, (x, y, z)))).astype(int))
    assert flair.data[index] == pytest.approx(float(stored.dataobj[x, y, z]))
    overlay = hands.layer(f"Lesion {first} · SmoothGrad mean · FLAIR")
    at = overlay.world_to_data(flair.data_to_world(index))
    assert overlay.data[tuple(np.round(at).astype(int))] == pytest.approx(
        expected[0, x, y, z], rel=1e-4
    )

    # Another lesion; cancelled; the first one comes back.
    hands.control("samples").setValue(9999)
    hands.panel.explaining.explain(second)
    hands.wait(lambda: hands.control("progress").value() > 0, seconds=300)
    hands.press("cancel")
    hands.finish()
    assert hands.panel.state.answers.of(second) == []
    hands.control("samples").setValue(2)
    hands.panel.explaining.explain(first)
    assert not hands.panel.services.work.busy

    # Closed and opened again: the reading is found again, as are the layers.
    reading = hands.panel.state.reading
    hands.viewer.window.remove_dock_widget("all")
    hands.settle()  # a closed panel waits in its window from the next event on
    _, hands.panel = hands.viewer.window.add_plugin_dock_widget("napari-ies", "Lesion saliency")
    hands.settle()
    assert hands.control("image_FLAIR").currentText() == "FLAIR"
    assert hands.control("image_T1").currentText() == "T1"
    assert hands.panel.state.reading is reading
    assert hands.control("segment").isEnabled()


def _place_of(image, layer, voxel):
    """World position of a stored voxel of an axis-aligned image: minus its RAS+ coordinates."""
    right, front, top = apply_affine(image.affine, voxel)
    return np.array([-top, -front, -right])


def test_patient12_oblique_with_another_grid_for_t1(hands, real_file, tmp_path):
    files = [real_file(f"data/open_ms_raw/patient12/{name}.nii.gz") for name in ("FLAIR", "T1W")]
    # The middle of the head, two windows wide and deep, on either grid.
    images = _blocks(tmp_path, files, (np.s_[76:244, 76:244], np.s_[45:211, 45:211]))
    _open(hands, real_file, images)
    assert "resampled" in hands.panel.features["preparing"].notes.view.sentences.text
    reading = hands.panel.state.reading
    if reading.segmentation.lesions.empty:
        # Raw scans are not what this network was trained on: take what it finds most likely.
        top = float(np.quantile(reading.segmentation.probability, 0.9999))
        hands.control("threshold").setValue(max(0.01, top))
        hands.segment()
    labels = [int(label) for label in hands.panel.state.reading.segmentation.lesions.index]
    assert labels
    stored = nib.load(images["FLAIR"])
    values = np.asarray(stored.dataobj, dtype=np.float32)
    flair = hands.layer("FLAIR")
    for label in (labels[0], labels[-1]):
        layer, voxels = _visible_voxels(hands, label)
        world = np.asarray(layer.data_to_world(voxels[0]))
        hands.go(world)
        hands.click(world)
        assert hands.panel.state.selected == label
        # The stored voxels of that lesion are those the image shows there.
        shown = [
            tuple(np.round(flair.world_to_data(layer.data_to_world(v))).astype(int)) for v in voxels
        ]
        mine = sorted(float(flair.data[index]) for index in shown)
        assert mine == sorted(
            values[hands.panel.state.reading.segmentation.labels == label].tolist()
        )
    hands.panel.services.work.cancel()
    hands.finish()
