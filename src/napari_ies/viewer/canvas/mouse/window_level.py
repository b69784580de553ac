"""WindowLevel: a drag with the right button sets window and level of the image under the mouse."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from napari_ies.viewer.canvas.layers.anatomy import on_top
from napari_ies.viewer.canvas.picking import is_editing

if TYPE_CHECKING:
    from collections.abc import Generator

PIXELS = 250
"""A drag of this many pixels makes the window e times as wide, or moves it by its width."""


class WindowLevel:
    """Answers drags with the right button on one canvas.

    To the right the window becomes wider, upwards the image brighter. napari zooms so, which the
    wheel does here.

    Parameters
    ----------
    model
        The viewer, or the viewer model of another canvas.
    viewer
        Whose images are set: those of another canvas may be copies that follow.
    """

    def __init__(self, model: Any, viewer: Any) -> None:
        self._model, self._viewer = model, viewer
        model.mouse_drag_callbacks.append(self)

    def release(self) -> None:
        """Leave the right button to napari."""
        if self in self._model.mouse_drag_callbacks:
            self._model.mouse_drag_callbacks.remove(self)

    def __call__(self, _: Any, event: Any) -> Generator[None, None, None]:
        """Follow one press of the mouse; napari drives this generator."""
        if event.button != 2 or len(event.modifiers) or is_editing(self._model):
            return
        image = on_top(self._under(event))
        if image is None or image.rgb:
            return
        # The camera, which would zoom, then hears nothing of this press.
        event.handled = True
        low, high = (float(limit) for limit in image.contrast_limits)
        x, y = event.pos
        yield
        while event.type == "mouse_move":
            right, up = event.pos[0] - x, y - event.pos[1]
            level = (low + high) / 2 - (high - low) * up / PIXELS
            half = (high - low) / 2 * math.exp(right / PIXELS)
            image.contrast_limits = (level - half, level + half)
            yield

    def _under(self, event: Any) -> list[Any]:
        """Return the layers under the mouse: in a grid those of one cell."""
        layers = list(self._viewer.layers)
        grid = self._viewer.canvas.grid
        if self._model is not self._viewer or not grid.enabled:
            return layers
        here = [layers[i] for i in grid.contents_at(tuple(event.viewbox), self._viewer.layers)]
        # A map has a cell of its own.
        return here if on_top(here) is not None else layers
