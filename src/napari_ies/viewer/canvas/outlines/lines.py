"""OutlineLines: the outlines of the slice that a canvas shows, drawn in its scene."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.viewer.canvas.canvases import cells, shown_axes
from napari_ies.viewer.canvas.outlines.outlines import NO_LINES
from napari_ies.viewer.canvas.outlines.segments import Segments
from napari_ies.viewer.volumes.units import mm_of_world

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_ies.viewer.canvas.outlines.outlines import Outlines

WIDTH = 1.6
"""Width of an outline in pixels of the canvas."""

_OVER_LAYERS = 10**5
"""napari draws its layers in the order 0, 1, 2 …, and its own overlays from 1,000,000 on."""


class OutlineLines:
    """Draws outlines in one canvas, whatever slice of whatever plane it shows; not in 3-d.

    The lines are part of the picture: they are in napari's own screenshots. In napari's grid they
    are drawn in each cell.

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
        self._model, self._canvas, self._outlines = model, canvas, outlines
        self._scenes: list[Any] = []
        self._nodes: list[Any] = []
        canvas.events.draw.connect(self._on_canvas_drawn)
        dims = model.dims.events
        self._events: tuple[Any, ...] = (dims.point, dims.order, dims.ndisplay, dims.units)
        for event in self._events:
            event.connect(self.draw)
        outlines.changed.connect(self.draw)
        self._follow_cells()

    @property
    def count(self) -> int:
        """How many edges are drawn now."""
        return int(self._nodes[0].count) if self._nodes else 0

    def draw(self, _: Any = None) -> None:
        """Draw the slice that is on show."""
        dims = self._model.dims
        if not self._outlines.shown or dims.ndisplay != 2 or dims.ndim < 3:
            self._set(*NO_LINES)
            return
        plane = shown_axes(dims)
        if min(plane) < 0:  # an axis of other layers, such as time, is across or down
            self._set(*NO_LINES)
            return
        (depth,) = {0, 1, 2} - set(plane)
        mm = mm_of_world(self._model, self._outlines.units)
        position = float(dims.point[dims.ndim - 3 + depth]) * mm[depth]
        ends, colours = self._outlines.lines(plane, position)
        ends = (ends / mm[list(plane)]).astype(np.float32)
        # vispy's x goes along the columns.
        self._set(ends[:, :, ::-1], colours)

    def release(self) -> None:
        """Take the lines out of the canvas, and let go of the viewer."""
        for event in self._events:
            event.disconnect(self.draw)
        self._events = ()
        self._outlines.changed.disconnect(self.draw)
        self._canvas.events.draw.disconnect(self._on_canvas_drawn)
        self._leave()

    def _set(self, ends: NDArray[np.float32], colours: NDArray[np.float32]) -> None:
        for node in self._nodes:
            node.set_segments(ends, colours)

    def _on_canvas_drawn(self, _: Any = None) -> None:
        """Follow napari's grid, whose cells come and go with layers, before they are drawn."""
        if [scene for _, scene in cells(self._model, self._canvas)] != self._scenes:
            self._follow_cells()

    def _follow_cells(self) -> None:
        self._leave()
        self._scenes = [scene for _, scene in cells(self._model, self._canvas)]
        self._nodes = [Segments(WIDTH, parent=scene) for scene in self._scenes]
        for node in self._nodes:
            node.order = _OVER_LAYERS
        self.draw()

    def _leave(self) -> None:
        for node in self._nodes:
            node.parent = None
        self._nodes, self._scenes = [], []
