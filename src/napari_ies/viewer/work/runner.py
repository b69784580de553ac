"""Runner: one computation at a time, in the background, cancellable; the newest request wins.

The worker thread only leaves its latest report behind; the GUI thread collects it at most ten times
a second, so a fast computation cannot flood the window. It knows no Qt: a clock calls it there.

Background jobs make way: any other job suspends the running one, whose generator stays open
between two reports, and it goes on where it stopped once nothing else waits. So does every job for
one that is brief.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from napari_ies.errors import NapariIESError
from napari_ies.viewer.state.event import Event
from napari_ies.viewer.work.failures import sentence
from napari_ies.viewer.work.job import Job, Run
from napari_ies.viewer.work.lane import Lane

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_ies.progress import Progress

logger = logging.getLogger("napari_ies")

REPORT_SECONDS = 0.1
"""Reports and running results are shown no more often than this."""


class Clock(Protocol):
    """Calls something again and again on the GUI thread, while it runs."""

    def start(self) -> None:
        """Begin, or go on."""

    def stop(self) -> None:
        """Call no more until it is started again."""


class Runner:
    """Runs one job after another; a newer job of the same kind replaces the older one.

    Background jobs run when nothing else does. Small things run beside them, in lanes.

    Parameters
    ----------
    make_clock
        Makes the clock that calls :meth:`poll`; without one whoever waits has to
        (:meth:`wait`).
    """

    def __init__(self, make_clock: Callable[[Callable[[], None]], Clock] | None = None) -> None:
        self.started: Event[[str]] = Event()
        """The title of the job that starts now."""
        self.reported: Event[[Progress[Any]]] = Event()
        """The latest report of the running job."""
        self.noted: Event[[str]] = Event()
        """Something a person should know at once, such as a change of device."""
        self.failed: Event[[str]] = Event()
        """One sentence: what went wrong with a job."""
        self.cancelled: Event[[str]] = Event()
        """The title of a job that is stopped before its end."""
        self.cancelled_all: Event[[]] = Event()
        """All jobs are to stop, also those that somebody was about to ask for."""
        self.idle: Event[[]] = Event()
        """No job runs and none waits any more."""
        self._waiting: list[Job] = []
        self._suspended: list[Run] = []
        self._run: Run | None = None
        self._last_report = 0.0
        self._lanes: list[Lane] = []
        self._clock = None if make_clock is None else make_clock(self.poll)

    @property
    def busy(self) -> bool:
        """Whether something runs or waits."""
        return self._run is not None or bool(self._waiting) or bool(self._suspended)

    @property
    def titles(self) -> list[str]:
        """What runs or waits that a person knows of: the titles of its jobs."""
        begun = [run.job for run in reversed(self._runs()) if not run.cancelled.is_set()]
        return [job.title for job in (*begun, *self._waiting) if not job.silent]

    def lane(self, name: str, *, gives_way: bool = False) -> Lane:
        """Return a thread of its own for small things beside the jobs; see :class:`Lane`."""
        lane = Lane(name, self._wake, gives_way=gives_way)
        self._lanes.append(lane)
        return lane

    def wait(self, seconds: float = 600.0) -> None:
        """Poll until nothing is left to do: for a runner without a clock.

        Raises
        ------
        TimeoutError
            If that takes longer.
        """
        deadline = time.monotonic() + seconds
        while self.busy or any(lane.busy for lane in self._lanes):
            if time.monotonic() > deadline:
                raise TimeoutError(f"The work was not done within {seconds:g} seconds.")
            self.poll()
            time.sleep(0.001)

    def run(self, job: Job) -> None:
        """Run a job as soon as possible; one of the same kind makes way for it."""
        self._waiting = [other for other in self._waiting if other.kind != job.kind]
        for run in self._suspended:  # for what was brief
            if run.job.kind == job.kind and not (run.job.background or run.asks_for(job)):
                run.cancelled.set()
        if self._run is not None and self._takes_over(self._run, job):
            return
        self._waiting.append(job)
        if self._run is None:
            self._start_next()

    def is_active(self, kind: str) -> bool:
        """Whether a job of a kind runs or waits."""
        return any(job.kind == kind for job in self._waiting) or any(
            run.job.kind == kind and not run.cancelled.is_set() for run in self._runs()
        )

    def cancel(self, kind: str | None = None) -> None:
        """Stop the jobs of a kind, or all: at their next report; their results are dropped."""
        self._waiting = [job for job in self._waiting if kind not in (None, job.kind)]
        for run in self._runs():
            if kind in (None, run.job.kind) and not run.cancelled.is_set():
                run.cancelled.set()
                if not run.job.silent:
                    self.cancelled.emit(run.job.title)
        if kind is None:
            self.cancelled_all.emit()

    def release(self) -> None:
        """Stop everything without a word: the panel is gone."""
        self._waiting = []
        for run in self._runs():
            run.cancelled.set()

    def poll(self) -> None:
        """Tell on this thread what the others have left; the clock calls it."""
        self._poll_job()
        for lane in self._lanes:
            lane.tell()
        if not self.busy and not any(lane.busy for lane in self._lanes) and self._clock is not None:
            self._clock.stop()

    def _wake(self) -> None:
        if self._clock is not None:
            self._clock.start()

    def _runs(self) -> list[Run]:
        """Return what was begun, the running one last."""
        return [*self._suspended, *([] if self._run is None else [self._run])]

    def _takes_over(self, running: Run, job: Job) -> bool:
        """Stop or suspend what runs for a job's sake, or let the job have its computation."""
        wanted = running.asks_for(job)
        if running.job.kind == job.kind:
            if not wanted:
                running.cancelled.set()
            return wanted
        if job.background or not (running.job.background or job.brief):
            return False
        if wanted and not running.paused.is_set():
            running.job = job
            self.started.emit(job.title)
            return True
        running.paused.set()
        return False

    def _start_next(self) -> None:
        run = self._next()
        if run is None:
            self.idle.emit()
            return
        self._run = run
        self._wake()
        if not (run.cancelled.is_set() or run.job.silent):
            self.started.emit(run.job.title)
        # Not napari's worker: two at a time leave theirs in ``warnings`` (superqt 0.9.0), and with
        # it all that a job holds.
        threading.Thread(target=run.work, name=f"napari-ies {run.job.kind}").start()

    def _next(self) -> Run | None:
        """Take what is to run now: what a person waits for, then what was suspended for it."""
        job = next((job for job in self._waiting if not job.background), None)
        suspended = next((r for r in self._suspended if job is None or r.asks_for(job)), None)
        if suspended is not None:
            self._suspended.remove(suspended)
            suspended.resume()
            if job is not None:
                self._waiting.remove(job)
                suspended.job = job
            return suspended
        if job is None and self._waiting:
            job = self._waiting[0]
        if job is None:
            return None
        self._waiting.remove(job)
        return Run(job)

    def _poll_job(self) -> None:
        run = self._run
        if run is None:
            return
        done = run.done  # before collecting, so that nothing is left between the two
        now = time.monotonic()
        due = done or now - self._last_report >= REPORT_SECONDS
        if due and not run.cancelled.is_set() and self._show(run, done):
            self._last_report = now
        if done and self._run is run:
            self._finish(run)

    def _show(self, run: Run, done: bool) -> bool:
        latest, partial, notes = run.collect()
        for note in notes:
            self.noted.emit(note)
        if latest is not None and not run.job.silent:
            self.reported.emit(latest)
        if partial is not None and not done and run.job.on_partial is not None:
            run.job.on_partial(partial)
        return latest is not None

    def _finish(self, run: Run) -> None:
        self._run = None
        try:
            if run.suspended:
                self._suspended.append(run)
                return
            if run.cancelled.is_set():
                return
            if run.error is not None:
                if not isinstance(run.error, NapariIESError):
                    logger.error("%s failed", run.job.kind, exc_info=run.error)
                if run.job.on_failed is not None:
                    run.job.on_failed()
                self.failed.emit(sentence(run.error))
            elif run.result is not None:
                run.job.on_result(run.result)
        finally:
            if self._run is None:
                self._start_next()
