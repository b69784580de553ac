"""Wheel: the mouse wheel turns slices, as radiologists are used to; with Ctrl it zooms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

ZOOM_STEP = 1.15


class Wheel:
    """Turns the slices of one canvas with the wheel, and zooms about the mouse with Ctrl.

    In the 3-d view the wheel alone zooms, as napari has it.

    Parameters
    ----------
    viewer
        The viewer, whose sliders say where slices are.
    model
        The viewer, or the viewer model of another canvas.
    on_zoom
        Called when a person zoomed.
    """

    def __init__(
        self, viewer: Any, model: Any, on_zoom: Callable[[], object] | None = None
    ) -> None:
        self._viewer, self._model, self._on_zoom = viewer, model, on_zoom
        self._turned = 0.0
        callbacks = model.mouse_wheel_callbacks
        # napari turns slices with Ctrl and the wheel.
        self._set_aside = [(i, own) for i, own in enumerate(callbacks) if _turns_slices(own)]
        for _, own in self._set_aside:
            callbacks.remove(own)
        callbacks.append(self)

    def release(self) -> None:
        """Give the wheel back to napari."""
        callbacks = self._model.mouse_wheel_callbacks
        if self in callbacks:
            callbacks.remove(self)
            for place, own in self._set_aside:
                callbacks.insert(place, own)

    def __call__(self, _: Any, event: Any) -> None:
        """Answer one turn of the wheel."""
        turn = float(np.clip(np.sum(event.delta), -1, 1))
        dims = self._model.dims
        # Modifiers are vispy's keys, which only compare like their names.
        if len(event.modifiers) == 1 and "Control" in event.modifiers:
            self._zoom(ZOOM_STEP**turn, event.position)
        elif not len(event.modifiers) and dims.ndisplay == 2 and dims.not_displayed:
            self._step(turn)
        else:
            return
        # napari sets the camera's own zooming on again with every change of the active layer.
        event.handled = True

    def _zoom(self, factor: float, position: Any) -> None:
        """Zoom; in a slice, what is under the mouse stays there."""
        dims, camera = self._model.dims, self._model.scene.camera
        camera.zoom *= factor
        if dims.ndisplay == 2:
            there = np.asarray(position, dtype=float)[list(dims.displayed)]
            centre = np.asarray(camera.center, dtype=float)
            centre[-2:] = there + (centre[-2:] - there) / factor
            camera.center = tuple(centre)
        if self._on_zoom is not None:
            self._on_zoom()

    def _step(self, turn: float) -> None:
        # A touch pad turns by fractions.
        self._turned += turn
        steps = int(self._turned)
        self._turned -= steps
        if not steps:
            return
        dims = self._model.dims
        axis = dims.not_displayed[-1]
        from_end = axis - dims.ndim
        start, stop, size = self._viewer.dims.range[from_end]
        index = round((dims.point[axis] - start) / size) - steps
        dims.set_point(axis, float(np.clip(start + index * size, start, stop)))


def _turns_slices(callback: Any) -> bool:
    return getattr(callback, "__name__", "") == "dims_scroll"
