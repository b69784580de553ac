"""Job: a request for a computation, and its run through a worker thread.

A job is one of the core's generators of :class:`~napari_ies.progress.Progress`. A worker thread
iterates it and closes it there, so nothing of it is ever finished by the garbage collector on
the GUI thread. The worker only leaves its latest report behind.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_ies.progress import Progress

NICE = 10
"""How far computations make way for the window on Linux: about a tenth of its share of a core."""


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
    silent
        Whether nothing is said of it: nobody asked for it.
    brief
        Whether it takes a moment, so that what runs makes way for it, and goes on afterwards.
    on_failed
        Called, on the GUI thread, if it failed, before that is told.
    """

    kind: str
    title: str
    reports: Callable[[], Iterator[Progress[Any]]]
    on_result: Callable[[Any], None]
    on_partial: Callable[[Any], None] | None = None
    key: object = None
    background: bool = False
    silent: bool = False
    brief: bool = False
    on_failed: Callable[[], object] | None = None


@dataclass(eq=False, repr=False)
class Run:
    """A job on its way through the worker thread; `lock` guards what the thread leaves."""

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
        give_way_to_the_window()
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


def give_way_to_the_window() -> None:
    """Lower the priority of this thread, and of the threads it computes with, where that is one's.

    Linux lowers that of the thread alone; elsewhere it would be that of the whole program.
    """
    if sys.platform == "linux":
        # Not allowed to everybody: then it stays as it is.
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
