"""Slices: a viewer's sliders stand on the slices of one grid, whatever other layers there are.

napari lets them step by the smallest voxel of all layers, over all that any layer reaches: 36
slices of 4 mm beside an image of 3 mm are stepped as 46, and some of the steps show no other slice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_ies.viewer.volumes.units import mm_of_world

if TYPE_CHECKING:
    from napari_ies.viewer.volumes.frame import Frame

_ROUNDING = 1e-6
"""napari rounds the number of steps down: this much of a step keeps the last slice in reach."""


class Slices:
    """Keeps the sliders of a viewer on a grid's slices, until it is released.

    Parameters
    ----------
    viewer
        The viewer.
    frame
        Where the grid lies: the case's, which is its first sequence's.

    Attributes
    ----------
    frame
        The same.
    """

    def __init__(self, viewer: Any, frame: Frame) -> None:
        self._viewer, self.frame = viewer, frame
        viewer.dims.events.range.connect(self._on_range)
        viewer.dims.events.units.connect(self._on_range)
        self._on_range()

    def release(self) -> None:
        """Let the sliders go as napari has it."""
        self._viewer.dims.events.range.disconnect(self._on_range)
        self._viewer.dims.events.units.disconnect(self._on_range)
        layers = self._viewer.layers
        if len(layers):
            world, step = layers.extent.world, layers.extent.step
            self._viewer.dims.range = tuple(zip(world[0], world[1], step, strict=True))

    def _on_range(self, _: Any = None) -> None:
        dims = self._viewer.dims
        if dims.ndim < 3 or not len(self._viewer.layers):
            return
        mm = mm_of_world(self._viewer, self.frame.units)
        ranges = list(dims.range)
        shape = self.frame.reorientation.displayed_shape
        for axis in range(3):
            step = float(self.frame.scale[axis] / mm[axis])
            start = float(self.frame.translate[axis] / mm[axis])
            # Equal numbers each time: a range that is set anew is told again.
            stop = start + step * (shape[axis] - 1 + _ROUNDING)
            ranges[axis - 3] = (start, stop, step)
        if [tuple(one) for one in dims.range] != ranges:
            dims.range = tuple(ranges)
