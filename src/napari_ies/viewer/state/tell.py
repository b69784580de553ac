"""Tell: the one way to say something to the person at the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager


class Tell(Protocol):
    """Sentences on their way to a person: the status line, notifications, a question."""

    @property
    def text(self) -> str:
        """The sentence that was said last and is on show."""

    def say(self, sentence: str) -> None:
        """Show a sentence in the status line."""

    def hint(self, sentence: str) -> None:
        """Show why an action did nothing, until the next one; then the sentence before it again."""

    def warn(self, sentence: str) -> None:
        """Show a sentence that a person should not miss."""

    def fail(self, sentence: str) -> None:
        """Say what went wrong, in the status line and so that it is not missed."""

    def ask(self, question: str, start: Callable[[], None], word: str = "Start") -> None:
        """Ask whether work is to start, in place of the question before; nothing waits for it.

        The word is that of the button that starts it.
        """

    def withdraw(self) -> None:
        """Take the question back: something else is wanted now."""

    def announce(self, sentence: str) -> AbstractContextManager[None]:
        """Show a sentence while something holds the window, then the one before it again."""
