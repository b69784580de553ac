"""UnderMouse: writes on a canvas what is known of the place under the mouse, as it moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_ies.viewer.state.under_mouse import said_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_ies.viewer.canvas.layers import Scene
    from napari_ies.viewer.planes.overlay import PlaneOverlay
    from napari_ies.viewer.state.state import State


class UnderMouse:
    """What is written stays true while slices turn, maps refine or are hidden under a still mouse.

    Parameters
    ----------
    state, scene
        What is known, and what of it is on show.
    """

    def __init__(self, state: State, scene: Scene) -> None:
        self._state, self._scene = state, scene
        self._at: tuple[PlaneOverlay, Any, tuple[float, ...]] | None = None

    def move(self, overlay: PlaneOverlay, model: Any, position: Sequence[float]) -> None:
        """Follow the mouse.

        Parameters
        ----------
        overlay, model
            What is drawn over the canvas that the mouse is over, and the canvas's viewer model.
        position
            World position under the mouse.
        """
        if self._at is not None and self._at[0] is not overlay:
            self._at[0].set_under_mouse(())
        self._at = overlay, model, tuple(position)
        overlay.set_under_mouse(self._lines(model, position))

    def refresh(self, _: object = None) -> None:
        """Write it anew where the mouse rests, if it is over a canvas."""
        if self._at is None:
            return
        overlay, model, position = self._at
        if overlay.under_mouse and len(position) == model.dims.ndim:
            overlay.set_under_mouse(self._lines(model, position))

    def forget(self) -> None:
        """Write nothing any more."""
        if self._at is not None:
            self._at[0].set_under_mouse(())
            self._at = None

    def _lines(self, model: Any, position: Sequence[float]) -> tuple[str, ...]:
        reading, shown = self._state.reading, self._state.shown
        if reading is None or model.dims.ndisplay != 2:
            return ()
        here = list(position)
        for axis in model.dims.not_displayed:
            here[axis] = model.dims.point[axis]
        voxel = reading.frame.to_stored(self._scene.in_mm(here))
        if voxel is None:
            return ()
        return said_at(reading, shown, self._scene.overlays.visible_sequences(), voxel)
