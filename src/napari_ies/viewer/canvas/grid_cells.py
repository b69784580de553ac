"""GridCells: in napari's grid, where each layer has a cell of its own, maps lie on their images.

napari draws a layer once. A map's cell would show colours on black, with nothing that says where in
the head they are: the image that it explains is drawn below it there, a second time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari._vispy.utils.visual import create_vispy_layer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BELOW = -1
"""napari draws its layers in the order 0, 1, 2 …"""


class GridCells:
    """Draws images below their maps while a canvas shows a grid.

    Parameters
    ----------
    viewer, canvas
        The viewer, and napari's canvas (``QtViewer.canvas``).
    pairs
        Gives the maps that are visible, each with its image.
    """

    def __init__(
        self, viewer: Any, canvas: Any, pairs: Callable[[], Iterable[tuple[Any, Any]]]
    ) -> None:
        self._viewer, self._canvas, self._pairs = viewer, canvas, pairs
        self._drawn: list[tuple[Any, Any, Any, Any]] = []
        self._visuals: list[Any] = []
        canvas.events.draw.connect(self._on_canvas_drawn)

    @property
    def count(self) -> int:
        """How many images are drawn a second time."""
        return len(self._visuals)

    def release(self) -> None:
        """Draw none any more."""
        self._canvas.events.draw.disconnect(self._on_canvas_drawn)
        self._clear()

    def _on_canvas_drawn(self, _: Any = None) -> None:
        """Follow the grid, whose cells come and go with layers, before they are drawn."""
        wanted = self._wanted()
        if wanted == self._drawn:
            return
        self._clear()
        self._drawn = wanted
        for _, image, scene, units in wanted:
            visual = create_vispy_layer(image, font_info=self._canvas.font_info())
            visual.world_units = units
            visual.order = BELOW
            visual.node.parent = scene
            visual.reset()
            self._visuals.append(visual)

    def _wanted(self) -> list[tuple[Any, Any, Any, Any]]:
        """Return maps, their images, the scenes of the maps' cells, and the world's units."""
        if not self._viewer.canvas.grid.enabled or not len(self._viewer.layers):
            return []
        units, found = self._viewer.layers.extent.units, []
        for one, other in self._pairs():
            layer, image = (getattr(two, "__wrapped__", two) for two in (one, other))
            drawn, below = (self._canvas.layer_to_visual.get(two) for two in (layer, image))
            if drawn is None or below is None or drawn.node.parent is below.node.parent:
                continue
            # A hidden image is not sliced by napari: it would be another slice's.
            if layer.visible and image.visible:
                found.append((layer, image, drawn.node.parent, units))
        return found

    def _clear(self) -> None:
        for visual in self._visuals:
            visual.close()
        self._visuals, self._drawn = [], []
