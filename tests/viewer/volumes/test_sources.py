"""Layers from elsewhere: any place along the axes, any units, read when it is their turn."""

from __future__ import annotations

import threading

import nibabel as nib
import numpy as np
import pytest

pytest.importorskip("napari")

from napari.layers import Image, Labels

from napari_ies.errors import CaseError
from napari_ies.patient.loading import load_case
from napari_ies.viewer.preparing.assembling import assemble_case
from napari_ies.viewer.volumes.layer_data import read_image
from napari_ies.viewer.volumes.sources import source_of

SHAPE = (5, 6, 7)
VALUES = np.random.default_rng(0).normal(100, 10, SHAPE).astype(np.float32)


def matrix(linear, translate=(0, 0, 0)):
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = linear, translate
    return affine


ALONG_THE_AXES = {
    "scale": {"scale": (2, 3, 4), "translate": (7, -8, 9)},
    "translation in the affine": {"affine": matrix(np.eye(3), (7, -8, 9)), "scale": (2, 3, 4)},
    "scale in the affine": {
        "affine": matrix(np.diag([2, 3, 4]), (1, 2, 3)),
        "translate": (5, 1, 2),
    },
    "mirrored": {"scale": (-2, 3, 4), "translate": (1, 2, 3)},
    "mirrored in the affine": {"affine": matrix(np.diag([2, -3, -4])), "translate": (1, 2, 3)},
    "exchanged": {"affine": matrix([[0, 0, 2], [-3, 0, 0], [0, 4, 0]], (1, 2, 3))},
    "turned by a right angle": {"rotate": [[1, 0, 0], [0, 0, -1], [0, 1, 0]], "scale": (2, 3, 4)},
    "micrometres": {"scale": (2000, 3000, 4000), "units": ("um",) * 3, "translate": (9, 9, 1)},
    "one axis in cm": {"scale": (0.2, 3, 4), "units": ("cm", "mm", "mm")},
}
MM = {"micrometres": np.full(3, 1e-3), "one axis in cm": np.array([10, 1, 1])}


@pytest.mark.parametrize("name", ALONG_THE_AXES)
def test_every_voxel_lies_where_napari_shows_it(name):
    """However the layer's place is written down: its grid says the same to the millimetre."""
    layer = Image(VALUES, name="scan", **ALONG_THE_AXES[name])
    source = source_of(layer)
    case = assemble_case({"FLAIR": source})
    for voxel in [(0, 0, 0), (4, 0, 0), (0, 5, 0), (0, 0, 6), (1, 2, 3)]:
        i, j, k = np.asarray(layer.data_to_world(voxel)) * MM.get(name, np.ones(3))
        # The world's axes run towards inferior, posterior and left.
        expected = -k, -j, -i
        value = VALUES[voxel]
        (stored,) = np.argwhere(case.data[0] == value)
        np.testing.assert_allclose((case.affine @ [*stored, 1])[:3], expected, atol=1e-9)
        displayed = np.argwhere(source.displayed == value)[0]
        np.testing.assert_allclose(
            displayed * source.frame.scale + source.frame.translate, (i, j, k), atol=1e-9
        )
        np.testing.assert_allclose(source.frame.to_world(stored), (i, j, k), atol=1e-9)


@pytest.mark.parametrize(
    "place",
    [
        {"rotate": 10},
        {"shear": [0.1, 0, 0]},
        {"affine": matrix([[1, 0.1, 0], [0, 1, 0], [0, 0, 1]])},
    ],
)
def test_what_is_truly_rotated_or_sheared_is_refused(place):
    place = {**place}
    if "rotate" in place:
        angle = np.deg2rad(10)
        place["rotate"] = [
            [1, 0, 0],
            [0, np.cos(angle), -np.sin(angle)],
            [0, np.sin(angle), np.cos(angle)],
        ]
    with pytest.raises(CaseError, match="scan is rotated or sheared"):
        source_of(Image(VALUES, name="scan", **place))


@pytest.mark.parametrize(
    ("unit", "size", "said"),
    [
        ("um", 1500.0, "is in micrometer: its voxel sizes were converted"),
        ("m", 1.5e-3, "is in meter: its voxel sizes were converted"),
        ("cm", 0.15, "is in centimeter: its voxel sizes were converted"),
        ("mm", 1.5, ""),
        ("pixel", 1.5, "does not say its units (pixel): its voxel sizes were taken as millimetres"),
    ],
)
def test_a_lesion_has_its_volume_whatever_the_layers_units(unit, size, said):
    layer = Image(VALUES, name="scan", scale=(size,) * 3, units=(unit,) * 3)
    case = assemble_case({"FLAIR": source_of(layer)})
    assert np.prod(case.spacing) == pytest.approx(1.5**3)
    assert said in " ".join(case.notes)
    assert ("units" in " ".join(case.notes) or "converted" in " ".join(case.notes)) == bool(said)


def test_a_lazy_layer_is_read_in_the_worker_and_not_before():
    """Describing a layer reads nothing; the thread that assembles the case does."""
    dask = pytest.importorskip("dask.array")
    read: list[threading.Thread] = []

    def block(index):
        read.append(threading.current_thread())
        return VALUES[index][None]

    from dask import delayed

    planes = [
        dask.from_delayed(delayed(block)(i), (1, *SHAPE[1:]), np.float32) for i in range(SHAPE[0])
    ]
    lazy = dask.concatenate(planes)[None]  # as other readers give it: with an axis of length 1
    layer = Image(lazy, name="scan", scale=(1, -2, 2, 2), cache=False, contrast_limits=(0, 200))
    read.clear()
    source = source_of(layer)
    _ = source.frame, source.stored_affine, source.stored_shape, source.notes
    assert not read
    case = assemble_case({"FLAIR": source})
    assert read
    np.testing.assert_array_equal(source.displayed, VALUES[::-1])
    assert np.isin(VALUES, case.data).all()


def test_a_mask_of_another_reader_in_micrometres_lies_where_it_is_shown():
    from napari_ies.viewer.volumes.layer_mask import layer_mask

    image = source_of(Image(VALUES, scale=(2, 2, 2), translate=(10, 20, 30), units=("mm",) * 3))
    case = assemble_case({"FLAIR": image})
    painted = np.zeros(SHAPE, np.uint8)
    painted[1, 2, 3] = 1
    layer = Labels(
        painted, scale=(2000,) * 3, translate=(10_000, 20_000, 30_000), units=("um",) * 3
    )
    mask, _ = layer_mask(source_of(layer), None, case, image.frame)
    assert case.data[0][mask] == pytest.approx(VALUES[1, 2, 3])


def oblique(shift=(0, 0, 0)):
    """A grid of unequal voxels, rotated by some 15 degrees."""
    a = 0.25
    rotation = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1.0]])
    return matrix(rotation @ np.diag([-2.0, 3.0, 4.0]), np.array([5.0, -7.0, 9.0]) + shift)


AFFINES = {"straight": matrix(np.diag([-2.0, 3.0, 4.0]), (5, -7, 9)), "oblique": oblique()}


def opened(folder, name="flair", values=VALUES, affine=AFFINES["straight"]):
    """A file, opened as the panel opens it."""
    path = folder / f"{name}.nii.gz"
    nib.save(nib.Nifti1Image(values, affine), path)
    data, arguments, _ = read_image(path)
    return Image(data, **arguments)


@pytest.mark.parametrize("affine", AFFINES)
def test_a_layer_that_still_shows_its_file_is_that_file(tmp_path, affine):
    layer = opened(tmp_path, affine=AFFINES[affine])
    case = assemble_case({"FLAIR": source_of(layer)})
    known = load_case({"FLAIR": tmp_path / "flair.nii.gz"})
    np.testing.assert_array_equal(case.data, known.data)
    np.testing.assert_array_equal(case.affine, known.affine)
    assert (case.paths, case.sha256, case.notes) == (known.paths, known.sha256, known.notes)
    assert (case.subject, case.space) == (known.subject, known.space)


def test_values_that_were_changed_count_as_shown(tmp_path):
    layer = opened(tmp_path)
    layer.name = "FLAIR"
    layer.data = layer.data * 2
    case = assemble_case({"FLAIR": source_of(layer)})
    np.testing.assert_array_equal(case.data[0], VALUES * 2)
    np.testing.assert_array_equal(case.affine, AFFINES["straight"])
    assert (case.paths, case.sha256) == ((None,), ("",))
    assert case.subject == load_case({"FLAIR": tmp_path / "flair.nii.gz"}).subject
    assert (
        "The layer FLAIR was changed since it was read from flair.nii.gz: its values as shown were "
        "taken." in case.notes
    )
    # A copy with the metadata of another layer's file.
    copy = Image(layer.data, metadata=layer.metadata, scale=layer.scale, translate=layer.translate)
    assert assemble_case({"FLAIR": source_of(copy)}).paths == (None,)


@pytest.mark.parametrize("affine", AFFINES)
def test_a_place_that_was_changed_counts_as_shown(tmp_path, affine):
    layer = opened(tmp_path, affine=AFFINES[affine])
    layer.translate = np.add(layer.translate, [0, 0, 15])
    case = assemble_case({"FLAIR": source_of(layer)})
    moved = AFFINES[affine].copy()
    moved[0, 3] -= 15  # the world's last axis runs towards the left
    np.testing.assert_allclose(case.affine, moved, atol=1e-5)
    np.testing.assert_array_equal(case.data[0], VALUES)
    assert case.paths == (None,)
    assert (
        "The layer flair was changed since it was read from flair.nii.gz: its place as shown was "
        "taken." in case.notes
    )
    layer.scale = np.asarray(layer.scale) * 2
    spacing = assemble_case({"FLAIR": source_of(layer)}).spacing
    np.testing.assert_allclose(spacing, [4, 6, 8], rtol=1e-6)


@pytest.mark.parametrize("affine", AFFINES)
@pytest.mark.parametrize("first", ["FLAIR", "T1"])
def test_a_layer_made_of_another_lies_on_it_voxel_for_voxel(tmp_path, affine, first):
    """However the file lies: what is displayed on the same voxels is on the same voxels."""
    flair = opened(tmp_path, affine=AFFINES[affine])
    t1 = Image(flair.data * 3, name="t1", scale=flair.scale, translate=flair.translate)
    t1.units = flair.units
    layers = {"FLAIR": flair, "T1": t1}
    order = [first, *(name for name in layers if name != first)]
    case = assemble_case({name: source_of(layers[name]) for name in order})
    one, other = (case.data[order.index(name)] for name in ("FLAIR", "T1"))
    np.testing.assert_allclose(other, one * 3, rtol=1e-6)
    assert not [note for note in case.notes if "resampled" in note]
    # Every voxel where the file says.
    for voxel in [(0, 0, 0), (4, 5, 6), (1, 2, 3)]:
        (stored,) = np.argwhere(one == VALUES[voxel])
        np.testing.assert_allclose(
            (case.affine @ [*stored, 1])[:3], (AFFINES[affine] @ [*voxel, 1])[:3], atol=1e-5
        )
    said = [note for note in case.notes if "placed as displayed beside flair" in note]
    assert len(said) == (affine == "oblique")


def test_a_moved_layer_lies_over_an_oblique_one_as_it_is_seen(tmp_path):
    """By two whole voxels along a displayed axis: exact, without interpolation."""
    flair = opened(tmp_path, affine=AFFINES["oblique"])
    t1 = opened(tmp_path, "t1", VALUES * 3, AFFINES["oblique"])
    t1.translate = np.add(t1.translate, [2 * t1.scale[0], 0, 0])
    case = assemble_case({"FLAIR": source_of(flair), "T1": source_of(t1)})
    # Two voxels towards the feet: down along the stored third axis.
    np.testing.assert_allclose(case.data[1][:, :, :-2], 3 * VALUES[:, :, 2:], rtol=1e-6)
    np.testing.assert_array_equal(case.data[0], VALUES)
    assert case.paths == (tmp_path / "flair.nii.gz", None)
