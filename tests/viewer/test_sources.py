"""Layers from elsewhere: any place along the axes, any units, read when it is their turn."""

from __future__ import annotations

import threading

import numpy as np
import pytest

pytest.importorskip("napari")

from napari.layers import Image, Labels

from napari_ies.errors import CaseError
from napari_ies.viewer.assembling import assemble_case
from napari_ies.viewer.sources import source_of

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
    from napari_ies.viewer.layer_mask import layer_mask

    image = source_of(Image(VALUES, scale=(2, 2, 2), translate=(10, 20, 30), units=("mm",) * 3))
    case = assemble_case({"FLAIR": image})
    painted = np.zeros(SHAPE, np.uint8)
    painted[1, 2, 3] = 1
    layer = Labels(
        painted, scale=(2000,) * 3, translate=(10_000, 20_000, 30_000), units=("um",) * 3
    )
    mask, _ = layer_mask(source_of(layer), None, case, image.frame)
    assert case.data[0][mask] == pytest.approx(VALUES[1, 2, 3])
