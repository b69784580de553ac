"""Jobs: one computation at a time, in the background, cancellable; the newest request wins.

A job is one of the core's generators of :class:`~napari_ies.progress.Progress`. A worker thread
iterates it and closes it there, so nothing of it is ever finished by the garbage collector on
the GUI thread. The worker only leaves its latest report behind; the GUI thread collects it at
most ten times a second, so a fast computation cannot flood the window.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari.qt.threading import create_worker
from qtpy.QtCore import QObject, QTimer, Signal

from napari_ies.errors import NapariIESError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_ies.progress import Progress

logger = logging.getLogger("napari_ies")

POLL_MS = 25
"""How often the GUI thread looks whether a job is done, in milliseconds."""

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
        What is asked for; equal to that of the job before it, the new one is not needed.
    """

    kind: str
    title: str
    reports: Callable[[], Iterator[Progress[Any]]]
    on_result: Callable[[Any], None]
    on_partial: Callable[[Any], None] | None = None
    key: object = None


@dataclass(eq=False)
class _Run:
    """A job on its way through the worker thread; `lock` guards what the thread leaves."""

    job: Job
    cancelled: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    latest: Progress[Any] | None = None
    partial: Any = None
    notes: list[str] = field(default_factory=list)
    result: Any = None
    error: Exception | None = None
    done: bool = False

    def work(self) -> None:
        """Iterate the computation; runs in the worker thread and raises nothing."""
        try:
            self._iterate()
        except Exception as error:
            self.error = error
        finally:
            self.done = True

    def _iterate(self) -> None:
        reports = self.job.reports()
        try:
            for report in reports:
                if self.cancelled.is_set():
                    return
                with self.lock:
                    self.latest = report
                    if report.result is not None:
                        self.partial = self.result = report.result
                    if report.note:
                        self.notes.append(report.note)
        finally:
            close = getattr(reports, "close", None)
            if close is not None:
                close()

    def collect(self) -> tuple[Progress[Any] | None, Any, list[str]]:
        """Take the latest report, the latest partial result and the notes since last time."""
        with self.lock:
            taken = self.latest, self.partial, self.notes
            self.latest, self.partial, self.notes = None, None, []
        return taken


class Jobs(QObject):
    """Runs one job after another; a newer job of the same kind replaces the older one."""

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
        self._run: _Run | None = None
        self._last_report = 0.0
        self._timer = QTimer(self)
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self._on_poll)

    @property
    def busy(self) -> bool:
        """Whether something runs or waits."""
        return self._run is not None or bool(self._waiting)

    def submit(self, job: Job) -> None:
        """Run a job as soon as possible; one of the same kind makes way for it."""
        running = self._run
        if running is not None and running.job.kind == job.kind:
            same = job.key is not None and running.job.key == job.key
            if same and not running.cancelled.is_set():
                self._waiting = [other for other in self._waiting if other.kind != job.kind]
                return
            running.cancelled.set()
        self._waiting = [other for other in self._waiting if other.kind != job.kind]
        self._waiting.append(job)
        if self._run is None:
            self._start_next()

    def is_active(self, kind: str) -> bool:
        """Whether a job of a kind runs or waits."""
        running = self._run is not None and not self._run.cancelled.is_set()
        return any(job.kind == kind for job in self._waiting) or (
            running and self._run is not None and self._run.job.kind == kind
        )

    def cancel(self, kind: str | None = None) -> None:
        """Stop the jobs of a kind, or all: at their next report; their results are dropped."""
        self._waiting = [job for job in self._waiting if kind not in (None, job.kind)]
        if self._run is not None and kind in (None, self._run.job.kind):
            if not self._run.cancelled.is_set():
                self.cancelled.emit(self._run.job.title)
            self._run.cancelled.set()

    def release(self) -> None:
        """Stop everything without a word: the panel is gone."""
        self._waiting = []
        if self._run is not None:
            self._run.cancelled.set()

    def _start_next(self) -> None:
        if not self._waiting:
            self._timer.stop()
            self.idle.emit()
            return
        self._run = _Run(self._waiting.pop(0))
        self._timer.start()
        self.started.emit(self._run.job.title)
        create_worker(self._run.work, _start_thread=True)

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


def sentence(error: Exception) -> str:
    """Say an error in one sentence."""
    if isinstance(error, NapariIESError):
        return str(error)
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return (
            "There was not enough memory for this computation; close other programs, choose the "
            "device cpu, or use fewer or smaller images."
        )
    first = str(error).strip().splitlines()
    what = first[0].rstrip(".") if first else type(error).__name__
    return f"The computation stopped unexpectedly ({type(error).__name__}: {what}); see the log."
