"""Regions: Labels layers to paint in. They belong to the person who paints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.viewer.canvas.layers.stack import key_of
from napari_ies.viewer.volumes.layer_data import METADATA_KEY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_ies.patient.case import Case
    from napari_ies.viewer.canvas.layers.stack import LayerStack
    from napari_ies.viewer.canvas.outlines.outlines import Outlines
    from napari_ies.viewer.volumes.frame import Frame

BRUSH_MM = 4.0
PAN, TRANSFORM = "pan_zoom", "transform"
"""Modes of a Labels layer in which the mouse paints nothing."""
WATCHED = ("data", "labels_update", "paint", "opacity", "colormap", "visible")
"""What of a layer changes its outline, or is a person's wish to see it filled."""


class RegionLayers:
    """The regions that a person painted, filled or as outlines.

    While a map is shown they are outlines: a fill would colour the map. On the images' grid they
    are drawn as those of the lesions are, along the voxels' edges, and the fill is clear; on
    another grid they are napari's own contours. A person who makes a fill opaque again has it.

    Parameters
    ----------
    stack
        The viewer's layers.
    outlines
        Where outlines are drawn.
    """

    def __init__(self, stack: LayerStack, outlines: Outlines) -> None:
        self._stack, self._outlines = stack, outlines
        self._clear: dict[str, tuple[Any, float]] = {}
        self._contoured: dict[str, Any] = {}
        self._left: set[str] = set()
        self._brushes: set[str] = set()

    def add(self, case: Case, frame: Frame) -> str:
        """Add an empty Labels layer on a case's grid, with the brush in hand; return its key.

        From then on it is the user's own layer: but for how it is drawn while a map is shown, and
        for the brush that is put away after use, nothing here changes or removes it.
        """
        stack = self._stack
        names = {layer.name for layer in stack}
        number = next(n for n in range(1, len(names) + 2) if f"Region {n}" not in names)
        layer = stack.viewer.add_labels(
            np.zeros(frame.reorientation.displayed_shape, dtype=np.uint8),
            name=f"Region {number}",
            opacity=0.5,
            metadata={METADATA_KEY: {"affine": case.affine}},
            **frame.placement(),
        )
        key = key_of(layer)
        layer.brush_size = max(round(BRUSH_MM / min(frame.scale)), 1)
        stack.viewer.layers.selection.active = stack.find(key)
        layer.mode = "paint"
        self._brushes.add(key)
        return key

    def put_brush_away(self, key: str = "") -> None:
        """Let the mouse move the view again, and not paint, in what was added here and in a layer.

        Parameters
        ----------
        key
            Of the layer.
        """
        for one in {key, *self._brushes}:
            layer = self._stack.find(one)
            if layer is not None and str(layer.mode) not in (PAN, TRANSFORM):
                layer.mode = PAN

    def outline(self, layers: Iterable[Any], frame: Frame) -> None:
        """Show these layers as outlines, and none that was before."""
        found = {key_of(layer): layer for layer in layers}
        now = {*self._clear, *self._contoured}
        wanted = set(found) - self._left
        if wanted == now:
            return
        for key in now - wanted:
            self._fill(key)
        for key in wanted - now:
            layer = found[key]
            if _lies_on(layer, frame):
                self._clear[key] = layer, layer.opacity
                layer.opacity = 0.0
                for name in WATCHED:
                    getattr(layer.events, name).connect(self._on_layer)
            elif not layer.contour:
                self._contoured[key] = layer
                layer.contour = 1
        self._draw()

    def fill(self) -> None:
        """Show all of them filled, as they were."""
        for key in [*self._clear, *self._contoured]:
            self._fill(key)
        self._left.clear()
        self._draw()

    def _fill(self, key: str) -> None:
        if key in self._contoured:
            self._contoured.pop(key).contour = 0
            return
        layer, opacity = self._clear.pop(key)
        for name in WATCHED:
            getattr(layer.events, name).disconnect(self._on_layer)
        if not layer.opacity:
            layer.opacity = opacity

    def _on_layer(self, _: Any = None) -> None:
        for key, (layer, _opacity) in list(self._clear.items()):
            if layer.opacity:
                self._fill(key)
                self._left.add(key)
        self._draw()

    def _draw(self) -> None:
        shown = [layer for layer, _ in self._clear.values() if layer.visible]
        self._outlines.set_regions([(np.asarray(one.data), one.get_color) for one in shown])


def _lies_on(layer: Any, frame: Frame) -> bool:
    """Whether a layer's voxels are those of the images as they are displayed."""
    placed = frame.placement()
    return (
        tuple(layer.data.shape) == tuple(frame.reorientation.displayed_shape)
        and np.allclose(layer.scale, placed["scale"])
        and np.allclose(layer.translate, placed["translate"])
        and np.allclose(layer.affine.affine_matrix, np.eye(4))
        and np.allclose(layer.rotate, np.eye(3))
        and tuple(map(str, layer.units)) == tuple(map(str, frame.units))
    )
