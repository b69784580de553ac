"""Somebody to tell things to where there is no window."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Heard:
    """Keeps what was said: a :class:`napari_ies.viewer.state.tell.Tell` without a screen."""

    def __init__(self) -> None:
        self.text = ""
        self.warnings: list[str] = []
        self.failures: list[str] = []
        self.questions: list[tuple[str, Callable[[], None]]] = []

    def say(self, sentence: str) -> None:
        self.text = sentence

    def warn(self, sentence: str) -> None:
        self.warnings.append(sentence)

    def fail(self, sentence: str) -> None:
        self.failures.append(sentence)

    def ask(self, question: str, start: Callable[[], None]) -> None:
        self.questions.append((question, start))

    def withdraw(self) -> None:
        self.questions.clear()

    @contextmanager
    def announce(self, sentence: str) -> Iterator[None]:
        self.say(sentence)
        yield
