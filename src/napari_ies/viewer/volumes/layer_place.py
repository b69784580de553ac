"""LayerPlace: where a layer lies in the viewer, in millimetres and axis-aligned, or why it is not.

napari composes ``affine(translate + rotate(shear(scale(data))))``; whichever of these hold a
translation, a scale, a mirrored or an exchanged axis makes no difference here. What is no such
combination cannot be one patient's stored grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.errors import CaseError
from napari_ies.geometry.orientation import Reorientation
from napari_ies.viewer.volumes.frame import Point, point
from napari_ies.viewer.volumes.units import MM, mm_of_axes, mm_per

if TYPE_CHECKING:
    from numpy.typing import NDArray

STRAIGHT = 1e-4
"""An axis may lean by this much per step along it: what rounding leaves of a rotation."""


@dataclass(frozen=True)
class LayerPlace:
    """Where the voxels of a layer lie."""

    turn: Reorientation
    """Axes of the layer's array to the axes of the world (inferior, posterior, left)."""
    scale: Point
    """Voxel size in mm along each world axis."""
    translate: Point
    """Where the centre of the first voxel lies once turned, in mm."""
    units: tuple[str, str, str] = MM
    """The layer's own units, by name."""

    @property
    def has_units(self) -> bool:
        """Whether the layer says how long its units are."""
        return all(mm_per(unit) is not None for unit in self.units)

    @property
    def affine(self) -> NDArray[np.float64]:
        """The affine of the layer's array to RAS+ mm, as the world's axes say."""
        affine = np.zeros((4, 4))
        affine[3, 3] = 1.0
        for axis, patient_axis in enumerate((2, 1, 0)):
            source, flip = self.turn.axes[axis], self.turn.flips[axis]
            first = self.translate[axis]
            step = self.scale[axis]
            if flip:
                first += step * (self.turn.shape[source] - 1)
                step = -step
            affine[patient_axis, source] = -step
            affine[patient_axis, 3] = -first
        return affine


def place_of(layer: Any) -> LayerPlace:
    """Return where an image or labels layer lies.

    Parameters
    ----------
    layer
        A layer of three dimensions, or of four with a first axis of length 1.

    Raises
    ------
    CaseError
        If it is rotated by other than right angles, sheared, or of no size along an axis.
    """
    steps, first = _composed(layer)
    linear = steps[-3:, -3:]
    lengths = np.abs(linear).max(axis=0)
    leading = steps[-3:, :-3].any() or steps[:-3, -3:].any()
    axes = np.abs(linear).argmax(axis=0)
    rest = linear.copy()
    rest[axes, range(3)] = 0.0
    if np.any(lengths == 0) or not np.isfinite(linear).all():
        raise CaseError(
            f"The layer {layer.name} has no size along one of its axes; give it a scale first."
        )
    if leading or sorted(axes) != [0, 1, 2] or np.any(np.abs(rest) > STRAIGHT * lengths):
        raise CaseError(
            f"The layer {layer.name} is rotated or sheared in the viewer; open its file with this "
            "panel instead."
        )
    units = tuple(str(unit) for unit in layer.units[-3:])
    mm = mm_of_axes(units)
    a, b, c = (int(size) for size in layer.data.shape[-3:])
    shape = a, b, c
    # The array's axis that each world axis shows.
    i, j, k = (int(axis) for axis in np.argsort(axes))
    signs = [linear[axis, source] for axis, source in enumerate((i, j, k))]
    flips = signs[0] < 0, signs[1] < 0, signs[2] < 0
    scale = np.abs(signs) * mm
    translate = first[-3:] * mm
    for axis, source in enumerate((i, j, k)):
        if flips[axis]:
            translate[axis] -= scale[axis] * (shape[source] - 1)
    return LayerPlace(
        Reorientation((i, j, k), (bool(flips[0]), bool(flips[1]), bool(flips[2])), shape),
        point(scale),
        point(translate),
        (units[0], units[1], units[2]),
    )


def _composed(layer: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the linear part of a layer's array to the world, and where its first voxel lies."""
    from napari.utils.transforms import Affine

    own = Affine(
        scale=np.asarray(layer.scale),
        translate=np.asarray(layer.translate),
        rotate=np.asarray(layer.rotate),
        shear=np.asarray(layer.shear),
    )
    outer = np.asarray(layer.affine.linear_matrix)
    first = outer @ np.asarray(own.translate) + np.asarray(layer.affine.translate)
    return outer @ np.asarray(own.linear_matrix), first
