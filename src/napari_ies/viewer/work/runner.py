"""Jobs: one computation at a time, in the background, cancellable; the newest request wins.

A job is one of the core's generators of :class:`~napari_ies.progress.Progress`. A worker thread
iterates it and closes it there, so nothing of it is ever finished by the garbage collector on
the GUI thread. The worker only leaves its latest report behind; the GUI thread collects it at
most ten times a second, so a fast computation cannot flood the window.

Background jobs make way: any other job suspends the running one, whose generator stays open
between two reports, and it goes on where it stopped once nothing else waits.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_ies.errors import NapariIESError
from napari_ies.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_ies.progress import Progress

logger = logging.getLogger("napari_ies")

POLL_MS = 25
"""How often the GUI thread looks whether a job is done, in milliseconds."""

NICE = 10
"""How far computations make way for the window on Linux: about a tenth of its share of a core."""

REPORT_SECONDS = 0.1
"""Reports and running results are shown no more often than this."""


@dataclass(eq=False)
class Job:
    """A request for a computation.

    Parameters
    ----------
    kind
        A new job replaces the waiting or running one of its kind, such as ``"explain"``.
    title
        What is being done, in words.
    reports
        Starts the computation; called in the worker thread.
    on_result
        Gets the finished result, on the GUI thread.
    on_partial
        Gets running results, on the GUI thread, at most ten a second.
    key
        What is asked for; equal to that of the job before it, the new one is not needed. A job
        that asks for what a background job is computing takes that computation over.
    background
        Whether it makes way for every job that is not.
    """

    kind: str
    title: str
    reports: Callable[[], Iterator[Progress[Any]]]
    on_result: Callable[[Any], None]
    on_partial: Callable[[Any], None] | None = None
    key: object = None
    background: bool = False


@dataclass(eq=False, repr=False)
class _Run:
    """A job on its way through the worker thread; `lock` guards what the thread leaves.

    napari writes the representation of what a worker runs into its status, on the GUI thread and
    three times: that of this class must not be the case, the network and the map in full.
    """

    job: Job
    cancelled: threading.Event = field(default_factory=threading.Event)
    paused: threading.Event = field(default_factory=threading.Event)
    reports: Iterator[Progress[Any]] | None = None
    suspended: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)
    latest: Progress[Any] | None = None
    partial: Any = None
    notes: list[str] = field(default_factory=list)
    result: Any = None
    error: Exception | None = None
    done: bool = False

    def work(self) -> None:
        """Iterate the computation; runs in the worker thread and raises nothing."""
        _give_way_to_the_window()
        try:
            self.suspended = not self._iterate()
        except Exception as error:
            self.error = error
        finally:
            self.done = True

    def resume(self) -> None:
        """Make ready to go on where it was suspended."""
        self.paused.clear()
        self.suspended = self.done = False

    def asks_for(self, job: Job) -> bool:
        """Whether what this computes is what a job asks for."""
        return job.key is not None and self.job.key == job.key and not self.cancelled.is_set()

    def _iterate(self) -> bool:
        """Return whether the computation is over, and not just suspended."""
        over = True
        if self.reports is None:
            self.reports = self.job.reports()
        try:
            while not self.cancelled.is_set():
                if self.paused.is_set():
                    over = False
                    break
                report = next(self.reports, None)
                if report is None:
                    break
                if not self.cancelled.is_set():
                    self._take(report)
            return over
        finally:
            close = getattr(self.reports, "close", None)
            if over and close is not None:
                close()

    def _take(self, report: Progress[Any]) -> None:
        with self.lock:
            self.latest = report
            if report.result is not None:
                self.partial = self.result = report.result
            if report.note:
                self.notes.append(report.note)

    def collect(self) -> tuple[Progress[Any] | None, Any, list[str]]:
        """Take the latest report, the latest partial result and the notes since last time."""
        with self.lock:
            taken = self.latest, self.partial, self.notes
            self.latest, self.partial, self.notes = None, None, []
        return taken


class Jobs(QObject):
    """Runs one job after another; a newer job of the same kind replaces the older one.

    Background jobs run when nothing else does.
    """

    reported = Signal(object)
    """The latest :class:`~napari_ies.progress.Progress` of the running job."""
    noted = Signal(str)
    """Something a person should know at once, such as a change of device."""
    failed = Signal(str, str)
    """The kind of a job and one sentence: what went wrong."""
    cancelled = Signal(str)
    """The title of a job that is stopped before its end."""
    idle = Signal()
    """Nothing runs and nothing waits any more."""
    started = Signal(str)
    """The title of the job that starts now."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._waiting: list[Job] = []
        self._suspended: list[_Run] = []
        self._run: _Run | None = None
        self._last_report = 0.0
        self._timer = QTimer(self)
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self._on_poll)

    @property
    def busy(self) -> bool:
        """Whether something runs or waits."""
        return self._run is not None or bool(self._waiting) or bool(self._suspended)

    def submit(self, job: Job) -> None:
        """Run a job as soon as possible; one of the same kind makes way for it."""
        self._waiting = [other for other in self._waiting if other.kind != job.kind]
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
                self.cancelled.emit(run.job.title)

    def release(self) -> None:
        """Stop everything without a word: the panel is gone."""
        self._waiting = []
        for run in self._runs():
            run.cancelled.set()

    def _runs(self) -> list[_Run]:
        """Return what was begun, the running one last."""
        return [*self._suspended, *([] if self._run is None else [self._run])]

    def _takes_over(self, running: _Run, job: Job) -> bool:
        """Stop or suspend what runs for a job's sake, or let the job have its computation."""
        wanted = running.asks_for(job)
        if running.job.kind == job.kind:
            if not wanted:
                running.cancelled.set()
            return wanted
        if not running.job.background or job.background:
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
            self._timer.stop()
            self.idle.emit()
            return
        self._run = run
        self._timer.start()
        if not run.cancelled.is_set():
            self.started.emit(run.job.title)
        # Not napari's worker: two at a time leave theirs in ``warnings`` (superqt 0.9.0), and with
        # it all that a job holds.
        threading.Thread(target=run.work, name=f"napari-ies {run.job.kind}").start()

    def _next(self) -> _Run | None:
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
        return _Run(job)

    def _on_poll(self) -> None:
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

    def _show(self, run: _Run, done: bool) -> bool:
        latest, partial, notes = run.collect()
        for note in notes:
            self.noted.emit(note)
        if latest is not None:
            self.reported.emit(latest)
        if partial is not None and not done and run.job.on_partial is not None:
            run.job.on_partial(partial)
        return latest is not None

    def _finish(self, run: _Run) -> None:
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
                self.failed.emit(run.job.kind, sentence(run.error))
            elif run.result is not None:
                run.job.on_result(run.result)
        finally:
            if self._run is None:
                self._start_next()


def _give_way_to_the_window() -> None:
    """Lower the priority of this thread, and of the threads it computes with, where that is one's.

    Linux lowers that of the thread alone; elsewhere it would be that of the whole program.
    """
    if sys.platform == "linux":
        # Not allowed to everybody: then it stays as it is.
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


def sentence(error: Exception) -> str:
    """Say an error in one sentence."""
    if isinstance(error, NapariIESError):
        return str(error)
    from napari_ies.free_memory import is_out_of_memory  # PyTorch comes with it

    if is_out_of_memory(error):
        return (
            "There was not enough memory for this computation; close other programs, choose the "
            "device cpu, or use fewer or smaller images."
        )
    if isinstance(error, OSError):
        where = f" {error.filename}" if error.filename else ""
        return printable(
            f"The file{where} could not be read or written: {error.strerror or error}; check that "
            "it is there, that you may use it, and that the disk is not full."
        )
    what = " ".join([type(error).__name__, *str(error).split()])
    return (
        f"This could not be done because of a fault in napari-ies ({printable(what, 300)}); what "
        "was computed before is still there. Please report it with what the log says."
    )
