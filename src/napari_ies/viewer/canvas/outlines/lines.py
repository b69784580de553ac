"""OutlineLines: the outlines of the slice that a canvas shows, drawn in its scene."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.viewer.canvas.canvases import shown_axes
from napari_ies.viewer.canvas.outlines.outlines import NO_LINES
from napari_ies.viewer.canvas.outlines.segments import Segments
from napari_ies.viewer.volumes.units import mm_of_world

if TYPE_CHECKING:
    from napari_ies.viewer.canvas.outlines.outlines import Outlines

WIDTH = 1.6
"""Width of an outline in pixels of the canvas."""

_OVER_LAYERS = 10**5
"""napari draws its layers in the order 0, 1, 2 …, and its own overlays from 1,000,000 on."""


class OutlineLines:
    """Draws outlines in one canvas, whatever slice of whatever plane it shows; not in 3-d.

    The lines are part of the picture: they are in napari's own screenshots.

    Parameters
    ----------
    model
        The viewer, or viewer model, whose slices the canvas shows.
    canvas
        napari's canvas (``QtViewer.canvas``).
    outlines
        What is outlined.
    """

    def __init__(self, model: Any, canvas: Any, outlines: Outlines) -> None:
        self._model, self._outlines = model, outlines
        self._node: Any = Segments(WIDTH, parent=canvas.view.scene)
        self._node.order = _OVER_LAYERS
        dims = model.dims.events
        self._events: tuple[Any, ...] = (dims.point, dims.order, dims.ndisplay, dims.units)
        for event in self._events:
            event.connect(self.draw)
        outlines.changed.connect(self.draw)
        self.draw()

    @property
    def count(self) -> int:
        """How many edges are drawn now."""
        return int(self._node.count)

    def draw(self, _: Any = None) -> None:
        """Draw the slice that is on show."""
        dims = self._model.dims
        if not self._outlines.shown or dims.ndisplay != 2 or dims.ndim < 3:
            self._node.set_segments(*NO_LINES)
            return
        plane = shown_axes(dims)
        if min(plane) < 0:  # an axis of other layers, such as time, is across or down
            self._node.set_segments(*NO_LINES)
            return
        (depth,) = {0, 1, 2} - set(plane)
        mm = mm_of_world(self._model, self._outlines.units)
        position = float(dims.point[dims.ndim - 3 + depth]) * mm[depth]
        ends, colours = self._outlines.lines(plane, position)
        ends = (ends / mm[list(plane)]).astype(np.float32)
        # vispy's x goes along the columns.
        self._node.set_segments(ends[:, :, ::-1], colours)

    def release(self) -> None:
        """Take the lines out of the canvas, and let go of the viewer."""
        for event in self._events:
            event.disconnect(self.draw)
        self._events = ()
        self._outlines.changed.disconnect(self.draw)
        self._node.parent = None
