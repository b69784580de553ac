"""Wheel: in three planes the mouse wheel turns slices, as radiologists are used to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

ZOOM_STEP = 1.15


class Wheel:
    """Turns slices with the wheel, zooms with Shift and the wheel; Ctrl and the wheel are napari's.

    Parameters
    ----------
    viewer
        The viewer or viewer model; napari's own zooming with the wheel is off until
        :meth:`release`.
    on_zoom
        Called when a person zoomed.
    """

    def __init__(self, viewer: Any, on_zoom: Callable[[], None] | None = None) -> None:
        self._viewer, self._on_zoom = viewer, on_zoom
        self._turned = 0.0
        self._zoomed = bool(viewer.scene.camera.mouse_zoom)
        viewer.scene.camera.mouse_zoom = False
        viewer.mouse_wheel_callbacks.append(self)

    def release(self) -> None:
        """Give the wheel back to napari."""
        if self in self._viewer.mouse_wheel_callbacks:
            self._viewer.mouse_wheel_callbacks.remove(self)
        self._viewer.scene.camera.mouse_zoom = self._zoomed

    def __call__(self, viewer: Any, event: Any) -> None:
        """Answer one turn of the wheel."""
        turn = float(np.clip(np.sum(event.delta), -1, 1))
        # Modifiers are vispy's keys, which only compare like their names.
        if self._viewer.dims.ndisplay != 2 or "Shift" in event.modifiers:
            self._viewer.scene.camera.zoom *= ZOOM_STEP**turn
            if self._on_zoom is not None:
                self._on_zoom()
        elif not len(event.modifiers):
            self._step(turn)

    def _step(self, turn: float) -> None:
        # A touch pad turns by fractions.
        self._turned += turn
        steps = int(self._turned)
        self._turned -= steps
        dims = self._viewer.dims
        if steps and dims.not_displayed:
            axis = dims.not_displayed[-1]
            dims.set_current_step(axis, dims.current_step[axis] - steps)
