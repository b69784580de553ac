import itertools

import nibabel as nib
import numpy as np
import pytest
from cases import OBLIQUE

from napari_ies.geometry import Box
from napari_ies.geometry.orientation import Reorientation

SHAPE = (4, 5, 6)


def affines():
    """Every axis order and direction, made slightly oblique."""
    for axes in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            affine = np.eye(4)
            affine[:3, :3] = np.eye(3)[:, list(axes)] * signs * [1.0, 2.0, 3.0] + 0.05
            affine[:3, 3] = 3, -4, 5
            yield affine


@pytest.mark.parametrize("affine", affines())
def test_display_runs_to_the_feet_the_back_and_the_left(affine):
    turn = Reorientation.for_display(affine, SHAPE)
    here = np.array(nib.affines.apply_affine(affine, turn.to_stored((0, 0, 0))))
    for axis, (direction, sign) in enumerate(((2, -1), (1, -1), (0, -1))):
        step = [0, 0, 0]
        step[axis] = 1
        there = nib.affines.apply_affine(affine, turn.to_stored(tuple(step)))
        moved = there - here
        assert np.abs(moved).argmax() == direction
        assert np.sign(moved[direction]) == sign
        assert turn.displayed_spacing(nib.affines.voxel_sizes(affine))[axis] == pytest.approx(
            np.linalg.norm(moved)
        )


@pytest.mark.parametrize("codes", ["IPL", "RAS", "SLP"])
def test_views_and_voxels_agree_and_invert(codes):
    volume = np.random.default_rng(0).random((2, *SHAPE))
    turn = Reorientation.between(OBLIQUE, SHAPE, tuple(codes))
    view = turn.apply(volume)
    assert np.shares_memory(view, volume)
    assert view.shape[1:] == turn.displayed_shape
    assert np.array_equal(turn.invert(view), volume)
    for voxel in np.ndindex(SHAPE):
        assert np.array_equal(view[(slice(None), *turn.to_displayed(voxel))], volume[:, *voxel])
        assert turn.to_stored(turn.to_displayed(voxel)) == voxel


def test_reorientation_equals_nibabel():
    volume = np.random.default_rng(0).random(SHAPE)
    image = nib.Nifti1Image(volume, OBLIQUE)
    for codes in ("LAS", "PIR", "IPL"):
        transform = nib.orientations.ornt_transform(
            nib.io_orientation(OBLIQUE), nib.orientations.axcodes2ornt(codes)
        )
        expected = image.as_reoriented(transform).get_fdata()
        assert np.array_equal(
            Reorientation.between(OBLIQUE, SHAPE, tuple(codes)).apply(volume), expected
        )


def test_a_box_comes_back_to_the_stored_voxels_it_shows():
    volume = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    turn = Reorientation.between(OBLIQUE, SHAPE, ("I", "P", "L"))
    box = Box.whole(turn.displayed_shape).grow(-1)
    assert set(turn.apply(volume)[box].ravel()) == set(volume[turn.box_to_stored(box)].ravel())
    assert turn.box_to_displayed(turn.box_to_stored(box)) == box
