"""Guess: what a checkpoint's file leaves open, as a sentence that knows what it is about."""

from __future__ import annotations

from typing import Any


class Guess(str):
    """A sentence on what was assumed of a network.

    Where results are stored it is the sentence alone; the rest is for whoever asks a person.

    Parameters
    ----------
    sentence
        What was assumed, and why that is a guess.
    field
        The field of a profile file that states it, such as ``"activation"``, or
        ``"arguments.strides"`` for an argument of the network's class.
    assumed
        Its value.
    candidates
        Values that the file fits as well, the assumed one first; empty where there is no end of
        them.
    """

    field: str
    assumed: Any
    candidates: tuple[Any, ...]

    def __new__(
        cls, sentence: str, field: str = "", assumed: Any = None, candidates: tuple[Any, ...] = ()
    ) -> Guess:
        """Make it of its sentence and what that is about."""
        made = super().__new__(cls, sentence)
        others = tuple(one for one in candidates if one != assumed)
        made.field, made.assumed = field, assumed
        made.candidates = (assumed, *others) if others else ()
        return made


def of_argument(
    name: str, sentence: str, assumed: Any = None, candidates: tuple[Any, ...] = ()
) -> Guess:
    """Make a guess on an argument of the network's class."""
    return Guess(sentence, f"arguments.{name}", assumed, candidates)


def questions(guessed: tuple[str, ...]) -> tuple[Guess, ...]:
    """Return those of the guesses that a person may decide among candidates."""
    return tuple(one for one in guessed if isinstance(one, Guess) and one.candidates)
