"""Lane: a thread that does small things one after another, beside the computations.

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

from napari_ies.viewer.work.job import give_way_to_the_window

if TYPE_CHECKING:
    from collections.abc import Callable


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


class Lane:
    """Errands whose outcome is told by whoever polls; the thread outlives the window.

    Urgent errands are done first; each kind in the order in which it came.

    Parameters
    ----------
    name
        What its thread is called.
    on_added
        Called with every new errand: from then on there is something to poll.
    gives_way
        Whether its thread makes way for the window, as jobs do.
    """

    def __init__(self, name: str, on_added: Callable[[], None], *, gives_way: bool = False) -> None:
        self._name, self._on_added, self._gives_way = name, on_added, gives_way
        self._silent = False
        self._lock = threading.Lock()
        self._urgent: deque[Errand] = deque()
        self._later: deque[Errand] = deque()
        self._thread: threading.Thread | None = None
        self._done: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    @property
    def busy(self) -> bool:
        """Whether something is being done, waits to be done, or to be told."""
        with self._lock:
            return self._thread is not None or not self._done.empty()

    def add(self, errand: Errand, *, later: bool = False) -> None:
        """Do something as soon as possible, or `later`, when nothing else is to be done."""
        self._silent = False
        with self._lock:
            waiting = self._later if later else self._urgent
            if errand.key is not None:
                for other in [one for one in waiting if one.key == errand.key]:
                    waiting.remove(other)
            waiting.append(errand)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=f"napari-ies {self._name}")
                self._thread.start()
        self._on_added()

    def drop_later(self) -> None:
        """Forget what waits to be done later."""
        with self._lock:
            self._later.clear()

    def tell(self) -> None:
        """Call what is left to be called, on this thread."""
        while not self._done.empty():
            told = self._done.get()
            if not self._silent:
                told()

    def release(self) -> None:
        """Tell nothing any more until something else is asked for; what is urgent is done."""
        self._silent = True
        self.drop_later()

    def _next(self) -> Errand | None:
        with self._lock:
            for waiting in (self._urgent, self._later):
                if waiting:
                    return waiting.popleft()
            self._thread = None
            return None

    def _work(self) -> None:
        if self._gives_way:
            give_way_to_the_window()
        while (errand := self._next()) is not None:
            self._done.put(_outcome(errand))


def _outcome(errand: Errand) -> Callable[[], None]:
    try:
        result = errand.work()
    except Exception as error:
        failure = error
        return lambda: errand.on_failed(failure)
    return lambda: errand.on_done(result)
