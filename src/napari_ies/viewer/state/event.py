"""Event: says that something happened, to whoever listens.

Typed, so that a listener that takes something else fails the type check. Every listener is called,
whatever the others raise: one part's fault must not leave the others with what was before.
"""

from __future__ import annotations

from inspect import ismethod
from typing import TYPE_CHECKING, Generic, ParamSpec
from weakref import WeakMethod

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")


class Event(Generic[P]):
    """What happens, such as ``Event[[Reading | None]]``; methods that listen are held weakly."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[], Callable[P, object] | None]] = []

    def connect(self, listener: Callable[P, object]) -> None:
        """Call a method or function from now on, after those that listen already."""
        self._listeners.append(WeakMethod(listener) if ismethod(listener) else lambda: listener)

    def disconnect(self, listener: Callable[P, object]) -> None:
        """Call it no more; does nothing if it is not called."""
        self._listeners = [one for one in self._listeners if one() not in (None, listener)]

    def emit(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Call all that listen, in the order in which they began to.

        Raises
        ------
        Exception
            The first one that a listener raised, once all were called.
        """
        failures: list[Exception] = []
        for reference in list(self._listeners):
            listener = reference()
            if listener is None:
                self._listeners.remove(reference)
                continue
            try:
                listener(*args, **kwargs)
            except Exception as failure:
                failures.append(failure)
        if failures:
            raise failures[0]
