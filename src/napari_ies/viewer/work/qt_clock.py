"""QtClock: the GUI thread's own clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtCore import QObject

POLL_MS = 25
"""How often the GUI thread looks whether something is done, in milliseconds."""


class QtClock:
    """Calls a function again and again while it runs.

    Parameters
    ----------
    tick
        What is called, on the thread that made this.
    owner
        With it the clock goes, too.
    """

    def __init__(self, tick: Callable[[], None], owner: QObject | None = None) -> None:
        self._timer = QTimer(owner)
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(tick)

    def start(self) -> None:
        """Begin, or go on."""
        if not self._timer.isActive():
            self._timer.start()

    def stop(self) -> None:
        """Call no more until it is started again."""
        self._timer.stop()


class Soon:
    """Calls a function once when the GUI thread comes to it, however often it is asked to.

    Parameters
    ----------
    function
        What is called.
    owner
        With it the call goes, too.
    """

    def __init__(self, function: Callable[[], object], owner: QObject | None = None) -> None:
        self._timer = QTimer(owner)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(function)

    @property
    def waiting(self) -> bool:
        """Whether it will be called."""
        return bool(self._timer.isActive())

    def ask(self, milliseconds: int = 0) -> None:
        """Call it after a wait, counted from now, however often it was asked before."""
        if milliseconds == self._timer.interval() == 0 and self.waiting:
            return  # begun anew, it would never come where the clock is always due before it
        self._timer.start(milliseconds)

    def stop(self) -> None:
        """Call it no more, unless it is asked again."""
        self._timer.stop()
