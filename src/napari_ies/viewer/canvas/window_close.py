"""WindowClose: tells that a window is about to close, while all of it is still there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtWidgets import QMainWindow


class WindowClose(QObject):
    """Calls a function before a window closes, whenever it does, until it is released."""

    def __init__(self, window: QMainWindow, function: Callable[[], object]) -> None:
        super().__init__()
        self.window, self._function = window, function
        window.installEventFilter(self)

    def release(self) -> None:
        """Watch it no more."""
        self.window.removeEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Call the function first."""
        if event.type() == QEvent.Type.Close and watched is self.window:
            self._function()
        return False
