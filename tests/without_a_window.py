"""The panel's twin where there is no window, and somebody to tell things to."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from napari_ies.viewer.session.autosave import Autosave
from napari_ies.viewer.session.reopening import Reopening
from napari_ies.viewer.state.reading import KnownRegion
from napari_ies.viewer.state.state import State
from napari_ies.viewer.work.explaining import Explaining
from napari_ies.viewer.work.runner import Runner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_ies.viewer.state.answers import Answer
    from napari_ies.viewer.state.reading import Reading


class Heard:
    """Keeps what was said: a :class:`napari_ies.viewer.state.tell.Tell` without a screen."""

    def __init__(self) -> None:
        self.text = ""
        self.warnings: list[str] = []
        self.failures: list[str] = []
        self.questions: list[tuple[str, Callable[[], None]]] = []

    def say(self, sentence: str) -> None:
        self.text = sentence

    def hint(self, sentence: str) -> None:
        self.text = sentence

    def warn(self, sentence: str) -> None:
        self.warnings.append(sentence)

    def fail(self, sentence: str) -> None:
        self.failures.append(sentence)

    def ask(self, question: str, start: Callable[[], None], word: str = "Start") -> None:
        self.questions.append((question, start))

    def withdraw(self) -> None:
        self.questions.clear()

    @contextmanager
    def announce(self, sentence: str) -> Iterator[None]:
        self.say(sentence)
        yield


class Twin:
    """The panel's twin: what it holds, computes and saves, and nobody to look at it.

    Parameters
    ----------
    folder
        Where sessions are saved.
    """

    def __init__(self, folder: Path) -> None:
        self.state, self.work, self.tell = State(), Runner(), Heard()
        self.work.failed.connect(self.tell.fail)
        self.explaining = Explaining(self.state, self.work, self.tell)
        lane = self.work.lane("session")
        self.session = Autosave(self.state, lane, lambda case: (folder,))
        self.news: list[str] = []
        self.session.saved.connect(lambda recording: self.news.extend(recording.take_news()))
        self.refused: list[Exception] = []
        self.session.refused.connect(self.refused.append)
        self.reopening = Reopening(self.state, self.explaining, self.work, lane, self.tell)
        self.reopening.shown.connect(self.session.resume)

    def show(self, reading: Reading) -> None:
        """Take a segmented patient, and save what is made of it from now on."""
        self.state.show_reading(reading)
        self.session.begin(reading)
        self.work.wait()

    def explain(self, subject: int | str) -> None:
        """Explain a lesion or a region, and wait until that is done and saved."""
        self.explaining.explain(subject)
        self.work.wait()

    def explain_region(self, name: str, mask: NDArray[np.bool_]) -> None:
        """Explain a region, and wait until that is done and saved."""
        reading = self.state.reading
        assert reading is not None
        self.explaining.explain_region(KnownRegion.of_mask(name, mask, reading.case.spacing))
        self.work.wait()

    def note(self, subject: int | str, text: str) -> None:
        """Write a note, and wait until it is saved."""
        self.state.set_note(subject, text)
        self.work.wait()

    def answer(self, subject: int | str) -> Answer:
        """Return the only kept map of a lesion or a region."""
        (answer,) = self.state.answers.of(subject)
        return answer
