"""Telling: sentences reach the status line, napari's notifications, and one question at a time."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error, show_warning

from napari_ies.viewer.panel.dialogs import ask_to_start
from napari_ies.viewer.panel.plain_text import said_aloud

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from qtpy.QtWidgets import QMessageBox, QWidget

    from napari_ies.viewer.panel.status import StatusLine


class Telling:
    """See :class:`~napari_ies.viewer.state.tell.Tell`.

    Parameters
    ----------
    status
        The status line.
    window
        What questions are asked over.
    """

    def __init__(self, status: StatusLine, window: QWidget) -> None:
        self._status, self._window = status, window
        self._question: QMessageBox | None = None

    @property
    def text(self) -> str:
        """The sentence that was said last and is on show."""
        return self._status.text

    def say(self, sentence: str) -> None:
        """Show a sentence in the status line."""
        self._status.say(sentence)

    def hint(self, sentence: str) -> None:
        """Show why an action did nothing, until the next one."""
        self._status.hint(sentence)

    def warn(self, sentence: str) -> None:
        """Show a sentence that a person should not miss."""
        show_warning(said_aloud(sentence))

    def fail(self, sentence: str) -> None:
        """Say what went wrong, in the status line and as a notification."""
        self._status.say(sentence, failed=True)
        show_error(said_aloud(sentence))

    def ask(self, question: str, start: Callable[[], None], word: str = "Start") -> None:
        """Ask whether work is to start, in place of the question before; nothing waits for it."""
        self.withdraw()
        self._question = ask_to_start(self._window, question, start, word)

    def withdraw(self) -> None:
        """Take the question back: something else is wanted now."""
        question, self._question = self._question, None
        if question is not None:
            with suppress(RuntimeError):  # answered, and deleted since
                question.close()

    def announce(self, sentence: str) -> AbstractContextManager[None]:
        """Show a sentence while something holds the window, then the one before it again."""
        return self._status.announce(sentence)
