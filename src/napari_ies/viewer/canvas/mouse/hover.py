"""Hover: says where the mouse rests on a canvas, without a button pressed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Hover:
    """Calls a function with the world position under the mouse, in slices only.

    Parameters
    ----------
    model
        The viewer, or the viewer model of another canvas.
    on_hover
        Gets the position; not called in the 3-d view, where nothing single lies under the mouse.
    """

    def __init__(self, model: Any, on_hover: Callable[[Sequence[float]], object]) -> None:
        self._model, self._on_hover = model, on_hover
        model.mouse_move_callbacks.append(self)

    def release(self) -> None:
        """Listen no more."""
        if self in self._model.mouse_move_callbacks:
            self._model.mouse_move_callbacks.remove(self)

    def __call__(self, _: Any, event: Any) -> None:
        """Tell the position."""
        if len(event.dims_displayed) == 2:
            self._on_hover(tuple(event.position))
