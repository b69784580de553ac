"""LesionZoom: a key brings the selected lesion close in every plane, and the view back again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.viewer.canvas.canvases import shown_axes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

SURROUNDINGS = 3.0
"""The view is this many times as wide as the lesion …"""
LEAST_MM = 40.0
"""… and at least this wide: a lesion alone cannot be told from its surroundings."""

View = tuple[tuple[float, ...], float]
"""Centre and zoom of a camera."""


class LesionZoom:
    """Zooms to a box, or back to where the views were if they still look at it."""

    def __init__(self) -> None:
        self._before: list[tuple[Any, View, View]] = []

    def toggle(
        self,
        views: Iterable[tuple[Any, tuple[float, float]]],
        low: NDArray[np.float64],
        high: NDArray[np.float64],
        least: float,
    ) -> bool:
        """Zoom all views; return whether they look at the box now.

        Parameters
        ----------
        views
            Viewer models, and the size of each one's canvas in pixels.
        low, high
            Corners of the box in the viewer's world, along its last three axes.
        least
            The least width of a view, in the viewer's world.
        """
        before, self._before = self._before, []
        if before and all(_alike(_view(model), close) for model, _, close in before):
            for model, (centre, zoom), _ in before:
                model.scene.camera.zoom = zoom
                model.scene.camera.center = centre
            return False
        for model, size in views:
            was = _view(model)
            axes = list(shown_axes(model.dims)) if model.dims.ndisplay == 2 else [0, 1, 2]
            middle = ((low + high) / 2)[axes]
            width = max(SURROUNDINGS * float((high - low)[axes].max()), least)
            model.scene.camera.zoom = min(size) / width
            model.scene.camera.center = (0.0, 0.0, 0.0, *middle)[-3:]
            self._before.append((model, was, _view(model)))
        return True


def _view(model: Any) -> View:
    camera = model.scene.camera
    return tuple(float(value) for value in camera.center), float(camera.zoom)


def _alike(one: View, other: View) -> bool:
    """Whether nobody moved a camera since: it is told its place by the canvas, rounded."""
    # A pixel of the canvas is 1 / zoom.
    moved = np.abs(np.subtract(one[0], other[0])).max() * other[1]
    return bool(moved < 1 and abs(one[1] / other[1] - 1) < 1e-3)
