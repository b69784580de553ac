"""Grid: the voxels of a volume and where they lie in millimetres."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from nibabel.affines import apply_affine, from_matvec, voxel_sizes
from nibabel.orientations import aff2axcodes

from napari_ies.geometry.box import Box

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

SAME_GRID_VOXELS = 0.05
"""Two grids are the same where no corner lies further apart than this fraction of a voxel.

Rotations stored as quaternions and affines stored in single precision differ by up to a
thousandth of a voxel; values interpolated over a twentieth differ by less than images do.
"""

AXES = (frozenset("LR"), frozenset("AP"), frozenset("IS"))
"""What the axes of an axial volume run along, in storage order."""


@dataclass(frozen=True, eq=False)
class Grid:
    """The voxels of a volume.

    Parameters
    ----------
    shape
        Number of voxels along each stored axis.
    affine
        Maps voxel indices to millimetres (RAS+), 4 x 4; oblique or not.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]

    @classmethod
    def of(cls, shape: tuple[int, ...], affine: ArrayLike) -> Grid:
        """Make a grid of any three sizes and any 4 x 4 matrix."""
        x, y, z = (int(size) for size in shape)
        return cls((x, y, z), np.array(affine, dtype=np.float64).reshape(4, 4))

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size along each stored axis, in mm."""
        x, y, z = voxel_sizes(self.affine)
        return float(x), float(y), float(z)

    @property
    def voxel_mm3(self) -> float:
        """Volume of a voxel, in mm³."""
        return abs(float(np.linalg.det(self.affine[:3, :3])))

    @property
    def orientation(self) -> str:
        """Where each stored axis points, such as ``"LAS"``: the nearest patient axis of each."""
        return "".join(aff2axcodes(self.affine))

    @property
    def is_axial(self) -> bool:
        """Whether the stored axes run R/L, A/P and S/I, in this order."""
        return all(code in axis for code, axis in zip(self.orientation, AXES, strict=True))

    @property
    def words(self) -> str:
        """Size and voxel size, such as ``"182 × 218 × 182 voxels of 1 × 1 × 1 mm"``."""
        return f"{' × '.join(map(str, self.shape))} voxels of {size_words(self.spacing)} mm"

    def same_as(self, other: Grid) -> bool:
        """Whether each voxel of one grid is the same voxel of the other.

        They are where the sizes agree and the farthest corner of the volume is no more than a
        twentieth of a voxel away: in units of voxels, so that the answer is the same for a mouse
        and for a head.
        """
        return self.shape == other.shape and self._offset(other.affine) <= SAME_GRID_VOXELS

    @property
    def corners(self) -> NDArray[np.float64]:
        """Where the outermost voxels have their centres, (8, 3), in mm."""
        return self.to_scanner(_corners(self.shape, 0.0))

    def to_scanner(self, voxels: ArrayLike) -> NDArray[np.float64]:
        """Return where voxels, (..., 3) indices, have their centres, in mm."""
        return np.asarray(apply_affine(self.affine, voxels))

    def voxel_at(self, point: ArrayLike) -> tuple[int, int, int] | None:
        """Return the voxel that holds a point, in mm; None outside the grid."""
        exact = apply_affine(np.linalg.inv(self.affine), point)
        x, y, z = (int(index) for index in np.floor(exact + 0.5))
        return (x, y, z) if Box.whole(self.shape).holds((x, y, z)) else None

    def part(self, box: Box) -> Grid:
        """Return the grid of a box of these voxels."""
        return Grid(box.shape, self.affine @ from_matvec(np.eye(3), box.start))

    def to_voxels(self, other: Grid) -> NDArray[np.float64]:
        """Return the matrix from the voxel indices of another grid to those of this one.

        Where the other's voxels are this one's, in another order or a part of them, it is exact:
        whole numbers without the rounding of the files.
        """
        matrix = np.linalg.inv(self.affine) @ other.affine
        whole = np.rint(matrix)
        corners = _corners(other.shape)
        away = np.abs(apply_affine(matrix, corners) - apply_affine(whole, corners)).max()
        is_turn = (np.abs(whole[:3, :3]).sum(axis=0) == 1).all() and (
            np.abs(whole[:3, :3]).sum(axis=1) == 1
        ).all()
        return whole if is_turn and away <= SAME_GRID_VOXELS else matrix

    def _offset(self, affine: NDArray[np.float64]) -> float:
        """Return how far the farthest corner moves under another affine, in voxels."""
        corners = _corners(self.shape)
        there = apply_affine(np.linalg.inv(self.affine) @ affine, corners)
        return float(np.abs(there - corners).max())


def size_words(spacing: ArrayLike) -> str:
    """Return voxel sizes in words, such as ``"0.9 × 0.9 × 3"``."""
    return " × ".join(f"{size:.2f}".rstrip("0").rstrip(".") for size in np.asarray(spacing))


def _corners(shape: tuple[int, int, int], beyond: float = 0.5) -> NDArray[np.float64]:
    """Return the corners of a volume that ends so far beyond the centres of its voxels, (8, 3)."""
    ends = [(-beyond, size - 1 + beyond) for size in shape]
    return np.array(np.meshgrid(*ends, indexing="ij"), dtype=float).reshape(3, -1).T
