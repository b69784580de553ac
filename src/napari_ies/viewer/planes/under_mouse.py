"""UnderMouse: writes on a canvas what is known of the place under the mouse, as it moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ies.viewer.state.under_mouse import said_at

if TYPE_CHECKING:
    from napari_ies.viewer.canvas.layers import Scene
    from napari_ies.viewer.canvas.viewer_link import Hovering
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
        self._at: Hovering | None = None

    def move(self, at: Hovering) -> None:
        """Follow the mouse."""
        if self._at is not None and self._at.overlay is not at.overlay:
            self._at.overlay.set_under_mouse(())
        self._at = at
        at.overlay.set_under_mouse(self._lines(at))

    def refresh(self, _: object = None) -> None:
        """Write it anew where the mouse rests, if it is over a canvas."""
        at = self._at
        if at is not None and at.overlay.under_mouse and len(at.position) == at.model.dims.ndim:
            at.overlay.set_under_mouse(self._lines(at))

    def forget(self) -> None:
        """Write nothing any more; that canvas may go."""
        if self._at is not None:
            self._at.overlay.set_under_mouse(())
            self._at = None

    def _lines(self, at: Hovering) -> tuple[str, ...]:
        reading, shown, dims = self._state.reading, self._state.shown, at.model.dims
        if reading is None or dims.ndisplay != 2:
            return ()
        here = list(at.position)
        for axis in dims.not_displayed:
            here[axis] = dims.point[axis]
        voxel = reading.frame.to_stored(self._scene.in_mm(here))
        if voxel is None:
            return ()
        return said_at(reading, shown, at.visible(), voxel, self._scene.overlays.power)
