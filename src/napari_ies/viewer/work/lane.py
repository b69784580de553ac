"""Background: a thread that does small things one after another, beside the computations.

What is saved must neither wait for a computation nor hold one up, so it has a thread of its own.
The thread ends when nothing is left to do. What was asked for is done even when the window closes:
the program waits for the thread at its end.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer

if TYPE_CHECKING:
    from collections.abc import Callable

POLL_MS = 40
"""How often the GUI thread looks whether something is done, in milliseconds."""


@dataclass(frozen=True, eq=False)
class Errand:
    """Something to do in the background.

    Parameters
    ----------
    work
        Runs in the thread.
    on_done
        Gets what it returned, on the GUI thread.
    on_failed
        Gets the exception that it ended with, on the GUI thread.
    key
        A new errand replaces the waiting one of the same key; None replaces none.
    """

    work: Callable[[], Any]
    on_done: Callable[[Any], None]
    on_failed: Callable[[Exception], None]
    key: object = None


class Errands:
    """The queue and its thread; knows no Qt, so that it outlives the window.

    Urgent errands are done first; each kind in the order in which it came.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._urgent: deque[Errand] = deque()
        self._later: deque[Errand] = deque()
        self._thread: threading.Thread | None = None
        self.done: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        """What is left to be called on the GUI thread."""

    @property
    def busy(self) -> bool:
        """Whether something is being done, waits to be done, or to be told."""
        with self._lock:
            return self._thread is not None or not self.done.empty()

    def add(self, errand: Errand, *, later: bool = False) -> None:
        """Do something as soon as possible, or `later`, when nothing else is to be done."""
        with self._lock:
            waiting = self._later if later else self._urgent
            if errand.key is not None:
                for other in [one for one in waiting if one.key == errand.key]:
                    waiting.remove(other)
            waiting.append(errand)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="napari-ies errand")
                self._thread.start()

    def drop_later(self) -> None:
        """Forget what waits to be done later."""
        with self._lock:
            self._later.clear()

    def _next(self) -> Errand | None:
        with self._lock:
            for waiting in (self._urgent, self._later):
                if waiting:
                    return waiting.popleft()
            self._thread = None
            return None

    def _work(self) -> None:
        while (errand := self._next()) is not None:
            self.done.put(_outcome(errand))


def _outcome(errand: Errand) -> Callable[[], None]:
    try:
        result = errand.work()
    except Exception as error:
        failure = error
        return lambda: errand.on_failed(failure)
    return lambda: errand.on_done(result)


class Background(QObject):
    """Errands whose outcome is told on the GUI thread, as long as there is somebody to tell."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._errands = Errands()
        self._timer = QTimer(self)
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self._on_poll)
        # Not a bound method of this: when it fires, the Qt side of this is gone already.
        self.destroyed.connect(self._errands.drop_later)

    @property
    def busy(self) -> bool:
        """Whether something is being done, waits to be done, or to be told."""
        return self._errands.busy

    def add(self, errand: Errand, *, later: bool = False) -> None:
        """Do something in the background; see `Errands.add`."""
        self._errands.add(errand, later=later)
        self._timer.start()

    def drop_later(self) -> None:
        """Forget what waits to be done later."""
        self._errands.drop_later()

    def release(self) -> None:
        """Tell nothing any more; what is urgent is still done."""
        self._errands.drop_later()
        self._timer.stop()
        while not self._errands.done.empty():
            self._errands.done.get()

    def _on_poll(self) -> None:
        busy = self._errands.busy  # before telling, so that nothing is left between the two
        while not self._errands.done.empty():
            self._errands.done.get()()
        if not busy:
            self._timer.stop()
