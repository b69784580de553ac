"""LongWork: asks before work that takes more than an hour is started."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_ies.viewer.panel.dialogs import ask_to_start
from napari_ies.viewer.state.titles import request_title, subject_title

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtWidgets import QMessageBox

    from napari_ies.saliency.expected.expected_time import ExpectedTime
    from napari_ies.viewer.work.tasks import TakesLong


class LongWork(QObject):
    """One question at a time; the newest replaces the one before, and nothing waits for it.

    Parameters
    ----------
    host
        The panel.
    """

    def __init__(self, host: Any) -> None:
        super().__init__(host)
        self._host = host
        self._question: QMessageBox | None = None

    def ask(self, what: str, expected: ExpectedTime, start: Callable[[], None]) -> None:
        """Ask whether work is to start.

        Parameters
        ----------
        what
            The work, as the beginning of a sentence.
        expected
            How long it will take.
        start
            Starts it.
        """
        self.withdraw()
        text = f"{what} will take {expected.text}. It is shorter with {expected.shorter_with}."
        self._host.say(f"Not started: {text[:1].lower()}{text[1:]}")
        self._question = ask_to_start(self._host, text, start)

    def ask_about(self, answer: TakesLong) -> None:
        """Ask whether a lesion or a region is to be explained all the same."""
        host, reading = self._host, self._host.reading
        subject, request = answer.subject, answer.request

        def start() -> None:
            if host.reading is reading:
                host.explain(subject, agreed=host.saliency.request() == request)

        self.ask(f"{request_title(request)} of {subject_title(subject)}", answer.expected, start)

    def withdraw(self) -> None:
        """Take the question back: something else is wanted now."""
        question, self._question = self._question, None
        if question is not None:
            with suppress(RuntimeError):  # answered, and deleted since
                question.close()

    def release(self) -> None:
        """Ask no more: the panel is gone."""
        self.withdraw()
