"""The colour bar: napari's own, with the limits and the unit below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.components.overlays import TextOverlay

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_ies.viewer.canvas.layers.stack import LayerStack

OVERLAY_KEY = "saliency_unit"
"""Under this name the text lies in ``viewer.canvas.overlays``."""

CORNER = "bottom_right"
FONT_SIZE = 9
WIDTH, HEIGHT = 16, 130


def limits_text(limits: Sequence[float], unit: str) -> str:
    """Return what the ends of the colours mean, such as ``"±0.0123"``, and the unit below."""
    low, high = (f"{value:.3g}".replace("-", "−") for value in limits)
    ends = f"±{high}" if limits[0] == -limits[1] else f"{low} to {high}"
    return f"{ends}\n{unit.replace(' per ', ' per' + chr(10), 1)}"


class ColourBar:
    """The colour bar of one layer at a time, in the corner above the scale bar."""

    def __init__(self, stack: LayerStack) -> None:
        self._stack = stack
        self._key: str | None = None

    def show(self, key: str | None, unit: str = "") -> None:
        """Show the bar of a layer, in place of the one before; None shows no bar."""
        layer = self._stack.find(key)
        # In a grid napari 0.9.2 measures a new bar before it has a place on the canvas, and fails.
        bare = layer is None or bool(self._stack.viewer.canvas.grid.enabled)
        if bare or key != self._key:
            self._hide_bar()
            self._key = None if bare else key
            if layer is not None and not bare:
                bar = layer.colorbar
                bar.position, bar.size, bar.font_size = CORNER, (WIDTH, HEIGHT), FONT_SIZE
                bar.visible = True
        text = self._text()
        if layer is not None:
            text.text = limits_text(layer.contrast_limits, unit)
        text.visible = layer is not None

    def remove(self) -> None:
        """Take bar and text off the canvas."""
        self._hide_bar()
        self._key = None
        overlays = self._stack.viewer.canvas.overlays
        if OVERLAY_KEY in overlays:
            del overlays[OVERLAY_KEY]

    def _hide_bar(self) -> None:
        before = self._stack.find(self._key)
        if before is not None:
            before.colorbar.visible = False

    def _text(self) -> Any:
        overlays = self._stack.viewer.canvas.overlays
        if OVERLAY_KEY not in overlays:
            overlays[OVERLAY_KEY] = TextOverlay(position=CORNER, font_size=FONT_SIZE)
        return overlays[OVERLAY_KEY]
