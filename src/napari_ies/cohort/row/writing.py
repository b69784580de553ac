"""One piece of writing at a time, done beside what is computed next."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Generic, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future
    from types import TracebackType

T = TypeVar("T")


class WritingBeside(Generic[T]):
    """Writes in a thread of its own; packing leaves Python's lock to whoever computes.

    What waits to be written takes memory, so a piece begins when the one before is done. Leaving
    the context waits for the last one, whatever happened meanwhile: it is whole then.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="napari-ies-writing")
        self._current: Future[T] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.shutdown()

    def begin(self, work: Callable[[], T]) -> None:
        """Begin to write; the piece before must have been taken."""
        self._current = self._thread.submit(work)

    def taken(self, *, waiting: bool) -> Iterator[T]:
        """Give what came of the piece that was begun, if there is one and it is done.

        Parameters
        ----------
        waiting
            Whether to wait until it is.

        Raises
        ------
        Exception
            What went wrong with it.
        """
        current = self._current
        if current is not None and (waiting or current.done()):
            self._current = None
            yield current.result()
