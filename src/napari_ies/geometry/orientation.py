"""Stored voxel axes to the axes of the screen, and back.

A case keeps its arrays as stored. What a person looks at is a view of them with the axes
(inferior, posterior, left): the first index counts slices towards the feet, the second rows
towards the back, the third columns towards the patient's left. On an axial slice the front of
the head is then up and the patient's right is on the left of the screen, as radiologists read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
from nibabel import orientations

from napari_ies.geometry.box import Box, Triple

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


DISPLAY_AXES = ("I", "P", "L")


@dataclass(frozen=True)
class Reorientation:
    """A permutation of axes with flips: exact, without interpolation.

    Parameters
    ----------
    axes
        Stored axis that each displayed axis shows.
    flips
        Whether that axis runs backwards.
    shape
        Size of the stored volume.
    """

    axes: Triple
    flips: tuple[bool, bool, bool]
    shape: Triple

    @classmethod
    def between(
        cls, affine: NDArray[np.float64], shape: Triple, codes: tuple[str, ...]
    ) -> Reorientation:
        """Return the reorientation of a stored grid to the given axis codes.

        Parameters
        ----------
        affine, shape
            The stored grid.
        codes
            Where each new axis points, such as ``("I", "P", "L")``.
        """
        stored = nib.io_orientation(affine)
        wanted = orientations.axcodes2ornt(codes)
        transform = orientations.ornt_transform(stored, wanted)
        axes, flips = [0, 0, 0], [False, False, False]
        for axis, (new, direction) in enumerate(transform):
            axes[int(new)] = axis
            flips[int(new)] = bool(direction < 0)
        return cls((axes[0], axes[1], axes[2]), (flips[0], flips[1], flips[2]), shape)

    @classmethod
    def for_display(cls, affine: NDArray[np.float64], shape: Triple) -> Reorientation:
        """Return the reorientation of a stored grid to the axes of the screen."""
        return cls.between(affine, shape, DISPLAY_AXES)

    @classmethod
    def identity(cls, shape: Triple) -> Reorientation:
        """Return the reorientation that changes nothing."""
        return cls((0, 1, 2), (False, False, False), shape)

    @property
    def displayed_shape(self) -> Triple:
        """Size of the reoriented volume."""
        a, b, c = self.axes
        return self.shape[a], self.shape[b], self.shape[c]

    def apply(self, volume: NDArray[Any]) -> NDArray[Any]:
        """Return a view of a stored volume, (..., X, Y, Z), with the new axes."""
        lead = volume.ndim - 3
        view = volume.transpose(*range(lead), *(lead + axis for axis in self.axes))
        return view[(..., *(slice(None, None, -1 if flip else None) for flip in self.flips))]

    def invert(self, volume: NDArray[Any]) -> NDArray[Any]:
        """Return a view of a reoriented volume with the stored axes: undoes :meth:`apply`."""
        lead = volume.ndim - 3
        view = volume[(..., *(slice(None, None, -1 if flip else None) for flip in self.flips))]
        return view.transpose(*range(lead), *(lead + int(a) for a in np.argsort(self.axes)))

    def to_displayed(self, voxel: Triple) -> Triple:
        """Return where a stored voxel is displayed."""
        i, j, k = (
            self.shape[axis] - 1 - voxel[axis] if flip else voxel[axis]
            for axis, flip in zip(self.axes, self.flips, strict=True)
        )
        return i, j, k

    def to_stored(self, voxel: Triple) -> Triple:
        """Return the stored voxel that a displayed one shows: undoes :meth:`to_displayed`."""
        stored = [0, 0, 0]
        for index, axis, flip in zip(voxel, self.axes, self.flips, strict=True):
            stored[axis] = self.shape[axis] - 1 - index if flip else index
        return stored[0], stored[1], stored[2]

    def box_to_displayed(self, box: Box) -> Box:
        """Return where a box of the stored grid is displayed."""
        return _turned(box, self.to_displayed)

    def box_to_stored(self, box: Box) -> Box:
        """Return the box of the stored grid that a box of the reoriented one shows."""
        return _turned(box, self.to_stored)

    def displayed_spacing(self, spacing: tuple[float, float, float]) -> tuple[float, float, float]:
        """Return the voxel sizes in mm along the displayed axes."""
        a, b, c = self.axes
        return spacing[a], spacing[b], spacing[c]


def _turned(box: Box, move: Callable[[Triple], Triple]) -> Box:
    x, y, z = box.stop
    return Box.of_voxels(np.array([move(box.start), move((x - 1, y - 1, z - 1))]))
