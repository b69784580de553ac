"""Mouse: all that the mouse does on one canvas besides napari's panning, and its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_ies.viewer.canvas.mouse.hover import Hover
from napari_ies.viewer.canvas.mouse.wheel import Wheel
from napari_ies.viewer.canvas.mouse.window_level import WindowLevel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Mouse:
    """The wheel turns slices and zooms, the right button sets window and level.

    Parameters
    ----------
    viewer
        The viewer.
    model
        The canvas's viewer model; the viewer itself by default.
    on_zoom
        Called when a person zoomed here.
    on_hover
        Gets the world position under the mouse as it moves.
    own_images
        Whether window and level are set on the model's own layers, and not on the viewer's, whose
        copies they are.
    """

    def __init__(
        self,
        viewer: Any,
        model: Any = None,
        *,
        on_zoom: Callable[[], object] | None = None,
        on_hover: Callable[[Sequence[float]], object] | None = None,
        own_images: bool = False,
    ) -> None:
        model = viewer if model is None else model
        self._parts: list[Wheel | WindowLevel | Hover] = [
            Wheel(viewer, model, on_zoom),
            WindowLevel(model, model if own_images else viewer),
        ]
        if on_hover is not None:
            self._parts.append(Hover(model, on_hover))

    def release(self) -> None:
        """Give the mouse back to napari."""
        while self._parts:
            self._parts.pop().release()
