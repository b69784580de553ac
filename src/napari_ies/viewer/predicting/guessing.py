"""Guessing: asks a model of errors about each lesion that gets a map, in a thread of its own.

Knows no Qt. What it finds goes to the state, whoever shows it.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ies.errors import NapariIESError
from napari_ies.segmentation.subject import Lesion
from napari_ies.viewer.state.titles import request_title
from napari_ies.viewer.work.failures import sentence
from napari_ies.viewer.work.lane import Errand

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_ies.cohort.qa.model import ErrorModel
    from napari_ies.segmentation.subject import Subject
    from napari_ies.viewer.state.answers import Answer
    from napari_ies.viewer.state.reading import Reading
    from napari_ies.viewer.state.state import State
    from napari_ies.viewer.state.tell import Tell
    from napari_ies.viewer.work.lane import Lane

NOT_MARKED = "The network does not mark this lesion; a model of errors is about those it marks."
Said = tuple[float | None, str]
"""The probability of a false positive, and in words what it rests on, or why there is none."""


class Guessing:
    """Holds the model that was chosen, and says of each lesion what it makes of its maps.

    Parameters
    ----------
    state
        Whose kept maps are looked at; `error_guessed` tells what was found.
    lane
        Where models are read and maps are measured.
    tell
        Told if a model cannot be read.
    """

    def __init__(self, state: State, lane: Lane, tell: Tell) -> None:
        self.path = ""
        """Of the model that is chosen; empty for none."""
        self.model: ErrorModel | None = None
        """Once it is read."""
        self._state, self._lane, self._tell = state, lane, tell
        self._said: set[Subject] = set()
        state.answer_kept.connect(self._on_answer)
        state.reading_changed.connect(self._on_reading)

    def choose(self, path: str) -> None:
        """Take the model in a file, or none, in place of the one before."""
        self.path, self.model = path, None
        for subject in self._said:
            self._state.error_guessed.emit(subject, None, "")
        self._said.clear()
        if path:
            work = partial(_read, path)
            failed = partial(self._on_unreadable, path)
            self._lane.add(Errand(work, partial(self._on_read, path), failed, key="model"))

    def _on_read(self, path: str, model: ErrorModel) -> None:
        if path == self.path:
            self.model = model
            if self._state.reading is not None:
                self._tell.say(f"{Path(path).name} fills the column p FP of lesions with a map.")
            self._on_reading(self._state.reading)

    def _on_unreadable(self, path: str, error: Exception) -> None:
        if path == self.path:
            self._tell.warn(sentence(error))

    def _on_reading(self, reading: Reading | None) -> None:
        self._said.clear()
        if reading is not None:
            for subject in dict.fromkeys(answer.subject for answer in self._state.answers):
                self._ask(subject)

    def _on_answer(self, answer: Answer) -> None:
        self._ask(answer.subject)

    def _ask(self, subject: Subject) -> None:
        model, reading = self.model, self._state.reading
        if model is None or reading is None or not isinstance(subject, Lesion):
            return
        table = reading.segmentation.lesions
        if "match" in table and table["match"].get(int(subject)) == "FN":
            self._say(subject, (None, NOT_MARKED))
            return
        answers = self._state.answers.of(subject)[::-1]
        work = partial(_look, model, Path(self.path).name, answers)
        done = partial(self._on_looked, model, reading, subject)
        self._lane.add(Errand(work, done, partial(self._on_failed, done), key=subject))

    def _on_looked(self, model: ErrorModel, reading: Reading, subject: Subject, said: Said) -> None:
        if model is self.model and reading is self._state.reading:
            self._say(subject, said)

    @staticmethod
    def _on_failed(done: partial[None], error: Exception) -> None:
        done((None, sentence(error)))

    def _say(self, subject: Subject, said: Said) -> None:
        self._said.add(subject)
        self._state.error_guessed.emit(subject, *said)


def _read(path: str) -> ErrorModel:
    from napari_ies.cohort.qa.model import read_model

    return read_model(Path(path))[0]


def _look(model: ErrorModel, name: str, answers: Sequence[Answer]) -> Said:
    """Ask a model about the newest of a lesion's maps that it fits; runs in the lane."""
    from napari_ies.cohort.qa.applying import guess_of, saw

    why_not = ""
    for answer in answers:
        try:
            guess, why = guess_of(model, answer.saliency)
        except NapariIESError as error:
            return None, str(error)
        if guess is None:
            why_not = why_not or why
            continue
        parts = [
            f"Probability that this lesion is a false positive, by {name}, from its map "
            f"{request_title(answer.request)}: {guess.probability:.2f}.",
            _worth(model),
        ]
        if not model.uses_any:
            parts.append("The model uses no feature: all lesions get this probability.")
        if saw(model, answer.saliency):
            parts.append("The model was fitted on this patient's images, too: it knows the answer.")
        if guess.beyond:
            parts.append(
                f"Outside what the model was fitted on, where nothing is known of it: "
                f"{', '.join(guess.beyond)}."
            )
        if guess.filled:
            parts.append(f"Missing, the median stands for it: {', '.join(guess.filled)}.")
        return guess.probability, " ".join(part for part in parts if part)
    return None, why_not


def _worth(model: ErrorModel) -> str:
    """Say how well a model did in patients that it never saw, as far as its file says so."""
    known = model.performance
    area, interval = known.get("AUC"), known.get("AUCInterval")
    if not isinstance(area, float):
        return ""
    between = ""
    if isinstance(interval, list) and [type(end) for end in interval] == [float, float]:
        between = f" (95 % {interval[0]:.2f} to {interval[1]:.2f})"
    return f"Area under its ROC curve in patients it never saw: {area:.2f}{between}."
