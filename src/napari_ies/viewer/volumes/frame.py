"""Frame: where a case's stored grid lies in the viewer's world."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.geometry.grid import Grid
from napari_ies.geometry.orientation import Reorientation
from napari_ies.viewer.volumes.units import MM, mm_of_axes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from napari_ies.geometry.box import Box


Point = tuple[float, float, float]
Voxel = tuple[int, int, int]

AXIS_LABELS = ("inferior", "posterior", "left")


@dataclass(frozen=True)
class Frame:
    """Stored voxels to millimetres and back, along the axes (inferior, posterior, left).

    Layers are shown axis-aligned, because napari picks wrongly on an oblique layer; an oblique
    grid keeps its true affine on the case and in the files.
    """

    reorientation: Reorientation
    """Stored axes to displayed axes."""
    scale: Point
    """Voxel size in mm along each displayed axis."""
    translate: Point = (0.0, 0.0, 0.0)
    """Where the centre of the first displayed voxel lies, in mm."""
    units: tuple[str, str, str] = MM
    """In which layers are placed here, those of the images they lie on: napari draws layers whose
    units contradict each other by their bare numbers."""

    @classmethod
    def of_grid(cls, affine: NDArray[np.float64], shape: Voxel) -> Frame:
        """Return the frame of a stored grid, its centre at its place in the scanner.

        Images on different grids thus lie over each other: exactly where their axes are
        parallel to the scanner's, up to the difference of their rotations where oblique.

        Parameters
        ----------
        affine, shape
            The stored grid; the affine maps to RAS+ mm.
        """
        reorientation = Reorientation.for_display(affine, shape)
        grid = Grid.of(shape, affine)
        scale = np.array(reorientation.displayed_spacing(grid.spacing))
        right, front, top = grid.to_scanner((np.array(shape) - 1) / 2)
        half = (np.array(reorientation.displayed_shape) - 1) / 2
        translate = np.array([-top, -front, -right]) - half * scale
        return cls(reorientation, point(scale), point(translate))

    @property
    def mm(self) -> NDArray[np.float64]:
        """How many millimetres 1 is in the units of the layers, along each axis."""
        return mm_of_axes(self.units)

    @property
    def grid(self) -> Grid:
        """The grid as displayed: its axes are the viewer's, whatever the patient's are."""
        affine = np.diag([*self.scale, 1.0])
        affine[:3, 3] = self.translate
        return Grid(self.reorientation.displayed_shape, affine)

    def to_world(self, voxel: Sequence[int]) -> Point:
        """Return the position in mm of the centre of a stored voxel."""
        x, y, z = (int(index) for index in voxel)
        displayed = self.reorientation.to_displayed((x, y, z))
        return point(np.array(displayed) * self.scale + self.translate)

    def to_stored(self, position: Sequence[float]) -> Voxel | None:
        """Return the stored voxel that holds a position in mm, or None outside the grid."""
        indices = self.displayed_index(position)
        if np.any(indices < 0) or np.any(indices >= self.reorientation.displayed_shape):
            return None
        i, j, k = (int(index) for index in indices)
        return self.reorientation.to_stored((i, j, k))

    def displayed_index(self, position: Sequence[float]) -> NDArray[np.int64]:
        """Return the displayed index nearest to a position in mm, inside the grid or not."""
        offset = (np.asarray(position, dtype=float)[..., -3:] - self.translate) / self.scale
        return np.asarray(np.floor(offset + 0.5), dtype=np.int64)

    def placement(self, box: Box | None = None) -> dict[str, Any]:
        """Return the napari layer arguments that place the grid, or a box of it, in its units.

        Parameters
        ----------
        box
            Slices of stored voxels; None for the whole grid. The box is shown reoriented.
        """
        translate = np.array(self.translate)
        if box is not None:
            first = self.reorientation.box_to_displayed(box).start
            translate = translate + np.array(first) * self.scale
        mm = self.mm
        return {
            "scale": point(np.array(self.scale) / mm),
            "translate": point(translate / mm),
            "units": self.units,
            "axis_labels": AXIS_LABELS,
        }


def point(values: Iterable[float]) -> Point:
    """Return three numbers as a position, or as what else there is one of along each axis."""
    a, b, c = (float(value) for value in values)
    return a, b, c
