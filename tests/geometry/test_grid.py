import numpy as np
import pytest
from cases import OBLIQUE

from napari_ies.geometry import Box, Grid


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


def test_a_voxel_holds_the_points_nearest_to_its_centre():
    """Also on an oblique grid, and none beyond half a voxel outside."""
    grid = Grid.of((5, 6, 7), OBLIQUE)
    generator = np.random.default_rng(0)
    for voxel in generator.integers(0, (5, 6, 7), size=(20, 3)):
        inside = voxel + generator.uniform(-0.49, 0.49, 3)
        assert grid.voxel_at(OBLIQUE[:3, :3] @ inside + OBLIQUE[:3, 3]) == tuple(voxel)
        assert np.allclose(grid.to_scanner(voxel), OBLIQUE[:3, :3] @ voxel + OBLIQUE[:3, 3])
    assert grid.voxel_at(grid.to_scanner((4.4, 5.4, 6.4))) == (4, 5, 6)
    for outside in ((4.6, 5, 6), (-0.6, 0, 0), (0, 0, 6.6)):
        assert grid.voxel_at(grid.to_scanner(outside)) is None


def test_a_part_of_a_grid_lies_where_its_voxels_do():
    grid, box = Grid.of((5, 6, 7), OBLIQUE), Box((1, 2, 3), (4, 4, 7))
    part = grid.part(box)
    assert part.shape == (3, 2, 4)
    assert np.allclose(part.to_scanner((1, 1, 2)), grid.to_scanner((2, 3, 5)))
    assert np.allclose(part.corners[[0, -1]], grid.to_scanner([(1, 2, 3), (3, 3, 6)]))
