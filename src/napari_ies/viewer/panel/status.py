"""Status: what happens now, how far it is, and the button that stops it."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QProgressBar, QWidget

from napari_ies.duration import MINUTE, about
from napari_ies.time_left import TimeLeft
from napari_ies.viewer.panel.availability import allow, describe
from napari_ies.viewer.panel.controls import button, column, row, words
from napari_ies.viewer.work.qt_clock import Soon

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_ies.progress import Progress
    from napari_ies.viewer.work.runner import Runner

NOTHING_RUNS = "Nothing is being computed."

PAUSE_MS = 400
"""What takes less time never sets the bar moving: each of its steps paints the window anew."""

EXPLAINING, UNFINISHED = "Explaining", " A map on screen may be unfinished."
"""What the titles of computations of maps begin with, and what is added once one is cancelled."""


class StatusLine(QWidget):
    """A line of text, a progress bar and Cancel."""

    cancel_requested = Signal()
    """The button was pressed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text = words("status", "What happens now, or what happened last.")
        self._time_left = TimeLeft()
        self._progress = QProgressBar()
        self._progress.setTextVisible(True)
        describe(self._progress, "How much of the computation is done.", "progress")
        about = "Stop the computation; what is on screen stays."
        self._cancel = button("Cancel", "cancel", about, self.cancel_requested)
        column(self, self._text, row((self._progress, 1), self._cancel))
        self._pause = Soon(partial(self._progress.setRange, 0, 0), self)
        self.set_idle()

    def follow(self, work: Runner) -> None:
        """Show what a runner does; Cancel stops it."""
        self.cancel_requested.connect(work.cancel)
        work.started.connect(self._on_started)
        work.reported.connect(self.show_report)
        work.cancelled.connect(self._on_cancelled)
        work.idle.connect(self.set_idle)

    def _on_started(self, title: str) -> None:
        self.set_busy()
        self.say(f"{title}…")

    def _on_cancelled(self, title: str) -> None:
        of_a_map = title.startswith(EXPLAINING)
        self.say(f"Cancelled: {title}.{UNFINISHED if of_a_map else ''}")

    def say(self, text: str) -> None:
        """Show a sentence."""
        self._text.setText(text)

    @contextmanager
    def announce(self, text: str) -> Iterator[None]:
        """Show a sentence while something holds the window, and then the one before it again.

        It is painted at once: until the work is done, nothing else will be.
        """
        before = self.text
        self.say(text)
        self.layout().activate()
        self._text.repaint()
        try:
            yield
        finally:
            if self.text == text:
                self.say(before)

    @property
    def text(self) -> str:
        """The sentence on show."""
        return str(self._text.text())

    def set_busy(self) -> None:
        """Show that something starts; the bar moves once it has taken a while."""
        self._empty()
        self._pause.ask(PAUSE_MS)
        allow(self._cancel)

    def set_idle(self) -> None:
        """Show that nothing runs."""
        self._empty()
        allow(self._cancel, NOTHING_RUNS)

    def show_report(self, report: Progress[Any]) -> None:
        """Show how far a computation is."""
        self._pause.stop()
        self._progress.setRange(0, max(report.total, 0))
        self._progress.setValue(report.done)
        counted = f"{report.done} of {report.total} {report.unit}" if report.unit else ""
        left = self._time_left.after(report)
        if counted and left is not None and left >= MINUTE:
            counted = f"{counted}, {about(left)} left"
        self._progress.setFormat(counted)

    def _empty(self) -> None:
        self._pause.stop()
        self._progress.setRange(0, 1)
        self._progress.setValue(0)
        self._progress.setFormat("")
