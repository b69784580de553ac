"""How long work reports itself: generators of :class:`Progress`.

Every long computation of the core is a generator. It yields often (after each window, each
chunk of rows, each noise sample), so one loop serves the command line's progress bar, the
viewer's live overlay and cancelling: whoever iterates stops iterating and closes the generator.
No hook and no changed network state is held open across a ``yield``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")
Other = TypeVar("Other")


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
    """

    step: str
    done: int
    total: int
    unit: str
    result: T | None = None
    note: str = ""
    seconds: float | None = None

    @property
    def finished(self) -> bool:
        """Whether this is the last report; `result` then holds the finished result."""
        return self.done >= self.total and self.result is not None

    def with_result(self, result: Other | None, **changes: Any) -> Progress[Other]:
        """Return the same report with another result, as whoever runs one work within another
        passes it on; further fields may be changed by name.
        """
        report: Any = replace(self, result=result, **changes)  # type: ignore[arg-type]
        passed_on: Progress[Other] = report
        return passed_on


def finish(reports: Iterator[Progress[T]]) -> T:
    """Run a computation to its end.

    Parameters
    ----------
    reports
        The generator of a long computation.

    Returns
    -------
    The finished result.

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
