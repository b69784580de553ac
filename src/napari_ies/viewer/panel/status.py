"""Status: what happens now, how far it is, and the button that stops it."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, Qt, Signal
from qtpy.QtWidgets import QFrame, QLabel, QProgressBar, QScrollArea, QWidget

from napari_ies.duration import MINUTE, about
from napari_ies.time_left import TimeLeft
from napari_ies.viewer.panel.availability import allow, describe
from napari_ies.viewer.panel.controls import button, column, row, words
from napari_ies.viewer.panel.next_action import NextAction
from napari_ies.viewer.panel.sentence_list import AMBER, warning_sign
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


LINES = 3
"""What needs more lines than this scrolls: a longer sentence moves nothing."""


class StatusLine(QWidget):
    """A sentence, a progress bar and Cancel."""

    cancel_requested = Signal()
    """The button was pressed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text = words("status", "What happens now, or what happened last.", selectable=True)
        self._text.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._sign = QLabel()
        describe(self._sign, "Something went wrong.", "status_sign")
        self._sign.setPixmap(warning_sign())
        self._sign.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._sign.hide()
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setWidget(self._text)
        self._running = self._before = ""
        self._next_action = NextAction(self._say_before, self)
        self._time_left = TimeLeft()
        self._progress = QProgressBar()
        self._progress.setTextVisible(True)
        describe(self._progress, "How much of the computation is done.", "progress")
        about = "Stop the computation; what is on screen stays."
        self._cancel = button("Cancel", "cancel", about, self.cancel_requested)
        self._said = QFrame()
        self._said.setObjectName("status_frame")
        column(self._said, row(self._sign, (self._scroll, 1)), margins=(4, 0, 0, 0))
        column(self, self._said, row((self._progress, 1), self._cancel), spacing=3)
        self._fit()
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
        self._running = f"{title}…"
        self.say(self._running)

    def _on_cancelled(self, title: str) -> None:
        of_a_map = title.startswith(EXPLAINING)
        self.say(f"Cancelled: {title}.{UNFINISHED if of_a_map else ''}")

    def say(self, text: str, *, failed: bool = False) -> None:
        """Show a sentence, with a sign and a bar beside it if something failed."""
        self._next_action.stop()
        self._text.setText(text)
        self._sign.setVisible(failed)
        bar = f"4px solid {AMBER}" if failed else "none"
        self._said.setStyleSheet(f"#status_frame {{ border: none; border-left: {bar}; }}")
        self._scroll.verticalScrollBar().setValue(0)

    def hint(self, text: str) -> None:
        """Show why an action did nothing, until the next one; then the sentence before it again."""
        before = self._before if self._next_action.waits else self.text
        self.say(text)
        self._before = before
        self._next_action.wait()

    def _say_before(self) -> None:
        self.say(self._before)

    @property
    def failed(self) -> bool:
        """Whether the sentence on show says what went wrong."""
        return not self._sign.isHidden()

    @contextmanager
    def announce(self, text: str) -> Iterator[None]:
        """Show a sentence while something holds the window, and then the one before it again.

        It is painted at once: until the work is done, nothing else will be.
        """
        before, failed = self.text, self.failed
        self.say(text)
        self.layout().activate()
        self._text.repaint()
        try:
            yield
        finally:
            if self.text == text:
                self.say(before, failed=failed)

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
        """Show that nothing runs; of what ran without a word on how it ended, no more is said."""
        if self.text == self._running:
            self.say("")
        if self._before == self._running:
            self._before = ""
        self._empty()
        allow(self._cancel, NOTHING_RUNS)

    def show_report(self, report: Progress[Any]) -> None:
        """Show how far a computation is."""
        known = report.unit and report.total  # how many passes tests take is not
        counted = f"{report.done} of {report.total} {report.unit}" if known else ""
        counted = report.said or counted
        left = self._time_left.after(report)
        if counted and left is not None and left >= MINUTE:
            counted = f"{counted}, {about(left)} left"
        self._show(max(report.total, 0), report.done, counted)

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802
        """Keep room for as many lines in another font."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.StyleChange, QEvent.Type.FontChange):
            self._fit()

    def _fit(self) -> None:
        self._text.ensurePolished()
        self._scroll.setFixedHeight(LINES * self._text.fontMetrics().lineSpacing() + 2)

    def _empty(self) -> None:
        self._show(1, 0, "")

    def _show(self, total: int, done: int, text: str) -> None:
        self._pause.stop()
        # Each change alone would paint all of the window at once.
        self._progress.setUpdatesEnabled(False)
        self._progress.setRange(0, total)
        self._progress.setValue(done)
        self._progress.setFormat(text)
        self._progress.setUpdatesEnabled(True)
