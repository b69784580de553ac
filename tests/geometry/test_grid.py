import numpy as np
import pytest
from cases import OBLIQUE

from napari_ies.geometry import Grid


def test_a_grid_says_what_it_is():
    grid = Grid.of((182, 218, 182), np.diag([-1.0, 1.0, 1.0, 1.0]))
    assert grid.orientation == "LAS"
    assert grid.spacing == (1.0, 1.0, 1.0)
    assert grid.words == "182 × 218 × 182 voxels of 1 × 1 × 1 mm"
    assert Grid.of((3, 3, 3), OBLIQUE).voxel_mm3 == pytest.approx(
        abs(np.linalg.det(OBLIQUE[:3, :3]))
    )


@pytest.mark.parametrize(("codes", "axial"), [("LAS", True), ("RPI", True), ("PSR", False)])
def test_axial_storage_is_told_from_sagittal(codes, axial):
    import nibabel as nib

    turn = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt(codes), nib.orientations.axcodes2ornt("RAS")
    )
    affine = nib.orientations.inv_ornt_aff(turn, (9, 8, 7))
    grid = Grid.of((9, 8, 7), affine)
    assert grid.orientation in (codes, "".join(nib.aff2axcodes(affine)))
    assert Grid.of((9, 8, 7), affine).is_axial == axial


@pytest.mark.parametrize("size", [0.001, 1.0, 1000.0])
def test_the_same_grid_is_a_matter_of_voxels_and_not_of_millimetres(size):
    """A twentieth of a voxel at the farthest corner, whatever the voxel's size."""
    scale = np.diag([size, size, size, 1.0])
    grid = Grid.of((100, 80, 60), scale @ OBLIQUE)
    for away, same in ((0.04, True), (0.06, False)):
        moved = grid.affine.copy()
        moved[:3, 3] += away * grid.affine[:3, 0]
        assert grid.same_as(Grid.of(grid.shape, moved)) is same
    assert not grid.same_as(Grid.of((100, 80, 61), grid.affine))


def test_a_small_turn_counts_at_the_farthest_corner():
    """0.001 radians move the middle by nothing and the corner of 200 voxels by a tenth."""
    grid = Grid.of((200, 200, 200), np.eye(4))
    turned = np.eye(4)
    angle = 0.001
    turned[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    assert not grid.same_as(Grid.of(grid.shape, turned))
    assert Grid.of((20, 20, 20), np.eye(4)).same_as(Grid.of((20, 20, 20), turned))
