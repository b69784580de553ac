"""How long running work will still take, by its reports."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_ies.progress import Progress

MEASURED = 2.0
"""Seconds after which the work's own pace counts."""


class TimeLeft:
    """Follows the reports of one computation after another.

    What was expected before it began counts at first, and its own pace the more the further it
    is: steps take unlike long. The clock gives the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._work: tuple[str, int] | None = None
        self._done, self._begun_at, self._begun_with = 0, 0.0, 0

    def after(self, report: Progress[Any]) -> float | None:
        """Return the seconds left after a report, or None where that is not known yet."""
        now, work = self._clock(), (report.step, report.total)
        if work != self._work or report.done < self._done:
            self._work, self._begun_at, self._begun_with = work, now, report.done
        self._done = report.done
        if report.total <= 0:
            return None
        share = report.done / report.total
        expected = None if report.seconds is None else report.seconds * (1 - share)
        taken, steps = now - self._begun_at, report.done - self._begun_with
        if steps <= 0 or taken < MEASURED:
            return expected
        own = taken / steps * (report.total - report.done)
        return own if expected is None else share * own + (1 - share) * expected
