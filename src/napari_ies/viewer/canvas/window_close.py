"""WindowClose: tells that a window closes, while all of it is still there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtWidgets import QMainWindow


class WindowClose(QObject):
    """Calls a function when a window closes, until it is released.

    That is once nobody objects any more: a window that a person was asked about, and kept, is as
    it was. What is in the window goes later, and so can be left in order.
    """

    def __init__(self, window: QMainWindow, function: Callable[[], object]) -> None:
        super().__init__()
        self.window, self._function = window, function
        self._asked = False
        window.installEventFilter(self)

    def release(self) -> None:
        """Watch it no more."""
        self.window.removeEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Call the function when the window that is to close is hidden."""
        if watched is self.window and event.type() == QEvent.Type.Close:
            self._asked = True
        elif watched is self.window and event.type() == QEvent.Type.Hide:
            # One that is made small is hidden, too, by the system.
            asked, self._asked = self._asked, False
            if asked and not event.spontaneous():
                self._function()
        return False
