"""Crosshair: the point that all planes show, told from and to the viewer's slices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_ies.viewer.canvas.canvases import shown_axes
from napari_ies.viewer.volumes.frame import point
from napari_ies.viewer.work.qt_clock import Soon

if TYPE_CHECKING:
    from collections.abc import Sequence

SETTLE_MS = 150
"""The viewer hears of a crosshair that moves within its plane when it has rested this long."""


class Crosshair(QObject):
    """One world position in mm for all planes, kept in the viewer's own ``dims.point``.

    Where the crosshair moves within the plane that the viewer shows, napari would slice every
    layer anew, in vain, at each step in another plane; it is told when the crosshair rests.
    """

    moved = Signal()
    """The position is another."""

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._told = self._point()
        self.position = self._told
        self._settle = Soon(self._on_settle, self)
        viewer.dims.events.point.connect(self._on_point)

    def release(self) -> None:
        """Leave the viewer, which then knows the position."""
        self._on_settle()
        self._settle.stop()
        self._viewer.dims.events.point.disconnect(self._on_point)

    def move(self, position: Sequence[float]) -> None:
        """Move to a world position in mm."""
        for axis, value in enumerate(tuple(position)[-3:]):
            self._set(axis, float(value))
        self._tell()

    def step(self, axis: int, value: float) -> None:
        """Move along one axis (0 to 2) to a place in mm."""
        self._set(axis, value)
        self._tell()

    def _set(self, axis: int, value: float) -> None:
        new = list(self.position)
        new[axis] = value
        self.position = point(new)

    def _tell(self) -> None:
        dims = self._viewer.dims
        if dims.ndim >= 3 and dims.ndisplay == 2:
            # More than one where an axis of other layers, such as time, is across or down.
            for depth in {0, 1, 2} - set(shown_axes(dims)):
                if self.position[depth] == self._told[depth]:
                    continue
                dims.set_point(dims.ndim - 3 + depth, self.position[depth])
        self._settle.ask(SETTLE_MS)
        self.moved.emit()

    def _point(self) -> tuple[float, float, float]:
        return point((0.0, 0.0, 0.0, *self._viewer.dims.point)[-3:])

    def _on_point(self, _: Any = None) -> None:
        point = self._point()
        if point == self._told:
            return
        for axis, (new, old) in enumerate(zip(point, self._told, strict=True)):
            if new != old:
                self._set(axis, new)
        self._told = point
        self.moved.emit()

    def _on_settle(self) -> None:
        dims = self._viewer.dims
        if dims.ndim >= 3 and self.position != self._point():
            lead = dims.ndim - 3
            dims.set_point([lead, lead + 1, lead + 2], list(self.position))
