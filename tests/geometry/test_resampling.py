import nibabel as nib
import numpy as np
import pytest
from cases import OBLIQUE

from napari_ies.geometry import Grid, onto


def naive_linear(data, source, target, fill):
    """Trilinear interpolation of single voxels, the outermost values held for half a voxel."""
    to_voxels = np.linalg.inv(source.affine) @ target.affine
    result = np.full(target.shape, fill, dtype=np.float64)
    for index in np.ndindex(*target.shape):
        at = to_voxels[:3, :3] @ index + to_voxels[:3, 3]
        if any(a < -0.5 or a > size - 0.5 for a, size in zip(at, data.shape, strict=True)):
            continue
        at = [min(max(a, 0), size - 1) for a, size in zip(at, data.shape, strict=True)]
        low = [min(int(a), size - 2) for a, size in zip(at, data.shape, strict=True)]
        value = 0.0
        for corner in np.ndindex(2, 2, 2):
            weight = 1.0
            for a, base, step in zip(at, low, corner, strict=True):
                weight *= (a - base) if step else (1 - (a - base))
            value += weight * data[tuple(np.add(low, corner))]
        result[index] = value
    return result


@pytest.mark.parametrize("fill", [0.0, -1000.0])
def test_linear_resampling_equals_a_loop_over_voxels(fill):
    data = np.random.default_rng(0).normal(100, 20, (6, 7, 5)).astype(np.float32)
    source = Grid.of(data.shape, OBLIQUE)
    target = Grid.of((7, 6, 8), OBLIQUE @ np.diag([0.7, 1.31, 0.6, 1.0]))
    moved = onto(data, source, target, fill=fill)
    assert moved.how == "linear"
    np.testing.assert_allclose(moved.data, naive_linear(data, source, target, fill), atol=2e-3)


def test_two_thousandths_of_a_millimetre_change_nothing():
    """Not interpolated, and no outermost plane lost."""
    data = np.random.default_rng(0).random((6, 7, 5)).astype(np.float32)
    shifted = OBLIQUE.copy()
    shifted[:3, 3] += 0.002
    moved = onto(data, Grid.of(data.shape, shifted), Grid.of(data.shape, OBLIQUE))
    assert moved.how == "same"
    assert moved.data is data


@pytest.mark.parametrize("away", [0.2, 0.45])
def test_no_plane_within_half_a_voxel_of_the_edge_is_lost(away):
    data = np.full((6, 7, 5), 7.0, dtype=np.float32)
    shifted = OBLIQUE @ nib.affines.from_matvec(np.eye(3), [away, -away, away])
    moved = onto(data, Grid.of(data.shape, shifted), Grid.of(data.shape, OBLIQUE))
    np.testing.assert_allclose(moved.data, 7.0, rtol=1e-6)
    assert moved.covered == 1.0


@pytest.mark.parametrize("codes", ["LAS", "PSR", "IRA", "RPI"])
def test_another_storage_order_is_turned_without_interpolation(codes):
    data = np.random.default_rng(0).random((6, 7, 5)).astype(np.float32)
    image = nib.Nifti1Image(data, OBLIQUE)
    turn = nib.orientations.ornt_transform(
        nib.io_orientation(OBLIQUE), nib.orientations.axcodes2ornt(codes)
    )
    stored = image.as_reoriented(turn)
    values = np.asarray(stored.dataobj)
    # Single precision, as a file has it.
    affine = stored.affine.astype(np.float32).astype(float)
    moved = onto(values, Grid.of(values.shape, affine), Grid.of(data.shape, OBLIQUE))
    assert moved.how == ("same" if codes == "".join(nib.aff2axcodes(OBLIQUE)) else "turned")
    assert np.array_equal(moved.data, data)


def test_whole_voxel_shifts_are_exact_and_filled_outside():
    data = np.arange(27, dtype=np.float32).reshape(3, 3, 3)
    shifted = nib.affines.from_matvec(np.eye(3), [1, 0, 0])
    moved = onto(data, Grid.of((3, 3, 3), shifted), Grid.of((3, 3, 3), np.eye(4)), fill=-5)
    assert moved.how == "turned"
    assert (moved.data[0] == -5).all()
    assert np.array_equal(moved.data[1:], data[:2])
    assert moved.covered == pytest.approx(2 / 3)


def test_labels_keep_their_values_and_type():
    labels = np.zeros((6, 7, 5), dtype=np.int32)
    labels[2:4, 3, 2], labels[4, 5, 1] = 7, 300
    target = Grid.of((12, 14, 10), OBLIQUE @ np.diag([0.5, 0.5, 0.5, 1.0]))
    moved = onto(labels, Grid.of(labels.shape, OBLIQUE), target, order=0)
    assert moved.data.dtype == np.int32
    assert set(np.unique(moved.data)) == {0, 7, 300}


def test_every_second_voxel_is_no_other_order():
    data = np.random.default_rng(0).random((6, 8, 4)).astype(np.float32)
    coarse = Grid.of((3, 4, 2), OBLIQUE @ np.diag([2, 2, 2, 1.0]))
    moved = onto(data, Grid.of(data.shape, OBLIQUE), coarse)
    assert moved.how == "linear"
    np.testing.assert_allclose(moved.data, data[::2, ::2, ::2], atol=1e-6)
