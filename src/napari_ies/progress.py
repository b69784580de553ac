"""How long work reports itself: generators of :class:`Progress`.

Every long computation of the core is a generator. It yields often (after each window, each
chunk of rows, each noise sample), so one loop serves the command line's progress bar, the
viewer's live overlay and cancelling: whoever iterates stops iterating and closes the generator.
No hook and no changed network state is held open across a ``yield``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Generic, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


@dataclass(frozen=True)
class Progress(Generic[T]):
    """One report of a running computation.

    Parameters
    ----------
    step
        What is being done, in words for a person, such as ``"Segmenting"``.
    done, total
        How many of how many `unit` are finished.
    unit
        What is counted, in the plural: ``"windows"``, ``"samples"``.
    result
        The running result where there is one to show, else None. In the last report it is
        the finished result.
    note
        Something the person should know at once, such as a change of device; usually empty.
    seconds
        What all of it is expected to take, where that was measured before it began.
    said
        How far it is in words, where a person asked for something else than is counted.
    """

    step: str
    done: int
    total: int
    unit: str
    result: T | None = None
    note: str = ""
    seconds: float | None = None
    said: str = ""

    def with_result(self, result: R | None, seconds: float | None = None) -> Progress[R]:
        """Return this report with another result, and what all of it takes, if that is known."""
        expected = self.seconds if seconds is None else seconds
        return Progress(
            self.step, self.done, self.total, self.unit, result, self.note, expected, self.said
        )

    @property
    def finished(self) -> bool:
        """Whether this is the last report; `result` then holds the finished result."""
        return self.done >= self.total and self.result is not None


def finish(reports: Iterator[Progress[T]]) -> T:
    """Run a long computation, given as its generator, to its end; return the finished result.

    Raises
    ------
    RuntimeError
        If the computation ended without a result, which is a defect of the generator.
    """
    result: T | None = None
    for report in reports:
        result = report.result
    if result is None:
        raise RuntimeError("the computation ended without a result")
    return result


def to_its_end(name: str, steps: Callable[P, Iterator[Progress[T]]]) -> Callable[P, T]:
    """Make the function of a name that runs a long computation to its end.

    It has the same parameters as the steps, which begin it, and returns the finished result.
    """

    @wraps(steps)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return finish(steps(*args, **kwargs))

    run.__name__ = run.__qualname__ = name
    run.__doc__ = f"Run :func:`{steps.__name__}`, which says more, to its end; return its result."
    return run
