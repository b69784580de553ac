"""NextAction: tells once of the next key or button of the mouse that a person presses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QApplication

from napari_ies.viewer.work.qt_clock import Soon

if TYPE_CHECKING:
    from collections.abc import Callable

ALONE = (Qt.Key.Key_Shift, Qt.Key.Key_Control, Qt.Key.Key_Alt, Qt.Key.Key_Meta)
"""Keys that do nothing by themselves."""


class NextAction(QObject):
    """Calls a function at the next press, anywhere in the program, and then watches no more.

    Parameters
    ----------
    function
        What is called, before whoever gets the press does anything.
    owner
        With it this goes, too.
    """

    def __init__(self, function: Callable[[], object], owner: QObject) -> None:
        super().__init__(owner)
        self._function, self._waits = function, False
        # A key that is being handled goes on to the widgets around, and is none that follows.
        self._soon = Soon(self._watch, owner)

    @property
    def waits(self) -> bool:
        """Whether a press is waited for."""
        return self._waits

    def wait(self) -> None:
        """Watch from now on."""
        self._waits = True
        self._soon.ask()

    def stop(self) -> None:
        """Watch no more."""
        self._waits = False
        self._soon.stop()
        QApplication.instance().removeEventFilter(self)

    def eventFilter(self, _: QObject, event: QEvent) -> bool:  # noqa: N802
        """Call the function at a press; leave the event to whom it is for."""
        key = event.type() == QEvent.Type.KeyPress and event.key() not in ALONE
        if key or event.type() == QEvent.Type.MouseButtonPress:
            self.stop()
            self._function()
        return False

    def _watch(self) -> None:
        QApplication.instance().installEventFilter(self)
