"""Explaining: a lesion or region is selected, and its map shown, from what is there or computed.

Knows no window: what is shown, and how, is the business of those who follow the state.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_ies.errors import CheckpointError, NapariIESError
from napari_ies.segmentation.subject import as_subject
from napari_ies.viewer.state.answers import Answer
from napari_ies.viewer.state.reading import model_key
from napari_ies.viewer.state.titles import request_title
from napari_ies.viewer.work import tasks
from napari_ies.viewer.work.job import Job

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_ies.network.model import SegmentationModel
    from napari_ies.saliency.expected.expected_time import ExpectedTime
    from napari_ies.saliency.request import SaliencyRequest
    from napari_ies.segmentation.subject import Subject
    from napari_ies.viewer.state.answers import Key
    from napari_ies.viewer.state.reading import KnownRegion, Reading
    from napari_ies.viewer.state.state import State
    from napari_ies.viewer.state.tell import Tell
    from napari_ies.viewer.volumes.frame import Voxel
    from napari_ies.viewer.work.runner import Runner

KIND, AHEAD = "explain", "prepare"
MORE_SAMPLES = " with {} samples (Explain computes the form's {})"
READING = "Reading the map of {} from the session…"


class Explaining:
    """Answers why the network marked a lesion, for the reading of a state.

    Parameters
    ----------
    state
        What is read, asked and shown.
    work
        Runs what has to be computed.
    tell
        Says what happens.
    """

    def __init__(self, state: State, work: Runner, tell: Tell) -> None:
        self._state, self._work, self._tell = state, work, tell
        self._wanted: Key | None = None
        self._asked: Key | None = None
        state.reading_changed.connect(self._prepare)
        state.network_given.connect(self._prepare)

    @property
    def running(self) -> bool:
        """Whether a map is being computed, or is about to be."""
        return self._work.is_active(KIND)

    @property
    def computed(self) -> tuple[Subject, SaliencyRequest] | None:
        """Of what a map is being computed for a click, while nothing of it is on screen yet."""
        shown, asked = self._state.shown, self._asked
        if not self.running or asked is None or (shown is not None and shown.key == asked):
            return None
        return asked[0], asked[1]

    def explain(
        self,
        subject: Subject | int | str,
        voxel: Voxel | None = None,
        *,
        agreed: bool = False,
        exactly: bool = False,
    ) -> None:
        """Select a lesion or region everywhere and show its saliency, computing it if need be.

        Parameters
        ----------
        subject
            A lesion's label or a region's name.
        voxel
            Stored voxel to move the slices to; by default the subject's centre.
        agreed
            Whether it may take more than an hour; else a person is asked before it starts.
        exactly
            Whether it is to have as many noise samples as the form asks for; else a map that
            differs in nothing but having more is shown, where there is one.
        """
        self._tell.withdraw()
        state, subject = self._state, as_subject(subject)
        reading = state.reading
        if reading is None or not state.select(subject, voxel):
            return
        self._wanted = None
        try:
            model = self.network(reading)
        except NapariIESError as error:
            self._tell.fail(str(error))
            return
        request = state.request
        key = subject, request, model_key(model)
        title = f"{subject.called}: {request_title(request)}"
        if not exactly:
            key = state.answers.as_good_as(key)
        kept = state.answers.get(key)
        if kept is not None:
            self.stop()
            state.show(kept)
            more = kept.request.n_samples, request.n_samples
            samples = "" if more[0] == more[1] else MORE_SAMPLES.format(*more)
            self._tell.say(f"Showing {title}{samples}, computed before.")
            return
        if self._shows_saved(reading, model, key):
            return
        work = partial(tasks.explain_subject, reading, model, subject, request)
        self._asked = key
        self._work.run(
            Job(
                KIND,
                f"Explaining {title}",
                partial(work, agreed=True) if agreed else work,
                partial(self._on_answer, reading),
                partial(self._on_running, reading),
                key=(id(reading), *key),
            )
        )

    def explain_selected(self) -> None:
        """Explain the selected lesion or region as the form asks for now."""
        if self._state.selected is not None:
            self.explain(self._state.selected, exactly=True)

    def explain_region(self, region: KnownRegion) -> None:
        """Select and explain a region that is no lesion of the table."""
        self._state.add_region(region)
        self.explain(region.name, exactly=True)

    def reopen(self, subject: Subject) -> None:
        """Select a lesion or region of a reopened session; its map is shown once it is read.

        That is the one with the settings that the form asks for, if there is one, else the latest.
        Nothing is computed.
        """
        self._tell.withdraw()
        state = self._state
        if state.reading is None or not state.select(subject):
            return
        self.stop()
        kept, awaited = state.answers.of(subject), state.answers.awaited(subject)
        asked = [key for key in (*awaited, *(one.key for one in kept)) if key[1] == state.request]
        latest = [*(one.key for one in kept), *awaited]
        self._wanted = next(reversed(asked or latest), None)
        there = None if self._wanted is None else state.answers.get(self._wanted)
        if there is not None:
            state.show(there)
            self._tell.say(f"Showing {there.title}.")
        elif self._wanted is not None:
            self._tell.say(READING.format(subject.called))

    def keep(self, answer: Answer) -> None:
        """Keep a finished map of this reading; it is shown only if a person waits for it."""
        kept = self._state.keep(answer)
        if answer.key == self._wanted and answer.subject == self._state.selected:
            self._state.show(kept)
            # What is said of a session that was opened is worth more than which map it shows.
            if self._tell.text == READING.format(answer.subject.called):
                self._tell.say(f"Showing {answer.title}, from the session.")

    def show(self, answer: Answer) -> None:
        """Show a kept map of the reading again, and have the form ask as it was asked for."""
        self._tell.withdraw()
        self.stop()
        self._wanted = None
        self._state.request_restored.emit(answer.request)
        self._state.show(answer)
        self._tell.say(f"Showing {answer.title}; the settings are those of this map.")

    def stop(self) -> None:
        """Compute no map any more for a click."""
        self._work.cancel(KIND)

    def network(self, reading: Reading) -> SegmentationModel:
        """Return the loaded network: it may be another one than the one that segmented.

        Raises
        ------
        CheckpointError
            If it takes other sequences than were segmented, or in another order.
        """
        loaded = self._state.model
        if loaded is None:
            return reading.model
        takes, given = loaded.model.profile.sequences, reading.case.sequences
        if tuple(takes) != tuple(given):
            raise CheckpointError(
                f"The loaded checkpoint takes {', '.join(takes)}, but {', '.join(given)} were "
                "segmented; segment again with it, or load the checkpoint that segmented."
            )
        return reading.own_network(loaded.model)

    def ask_first(self, what: str, expected: ExpectedTime, start: Callable[[], None]) -> None:
        """Ask whether work that takes long is to start.

        Parameters
        ----------
        what
            The work, as the beginning of a sentence.
        expected
            How long it will take.
        start
            Starts it.
        """
        text = f"{what} will take {_how_long(expected)}"
        self._tell.say(f"Not started: {text[:1].lower()}{text[1:]}")
        self._tell.ask(text, start)

    def ask_about(self, answer: tasks.TakesLong) -> None:
        """Ask whether a lesion or a region is to be explained all the same."""
        state, subject, request = self._state, answer.subject, answer.request
        reading = state.reading

        def start() -> None:
            if state.reading is reading:
                self.explain(subject, agreed=state.request == request, exactly=True)

        self.ask_first(_called(answer), answer.expected, start)

    def _prepare(self, reading: Reading | None) -> None:
        """Have done what the first click would wait for, while there is nothing else to do."""
        self._work.cancel(AHEAD)
        if reading is None:  # nobody waits for its maps any more
            self.stop()
        try:
            model = None if reading is None else self.network(reading)
        except NapariIESError:
            return  # said when a lesion is clicked
        if reading is None or model is None or reading.why_not_computable(model):
            return
        work = partial(tasks.prepare, reading, model, self._state.request)
        title = "Preparing explanations"
        self._work.run(Job(AHEAD, title, work, on_result=_nothing, background=True, silent=True))

    def _shows_saved(self, reading: Reading, model: SegmentationModel, key: Key) -> bool:
        """Show what a reopened session holds; return whether nothing is to be computed."""
        state, subject = self._state, key[0]
        awaited, kept = state.answers.awaited(subject), state.answers.of(subject)
        hindrance = reading.why_not_computable(model)
        if key not in awaited and not hindrance:
            return False
        self.stop()
        if key in awaited or (awaited and not kept):
            self._wanted = key if key in awaited else awaited[-1]
            self._tell.say(READING.format(subject.called))
        elif kept:
            state.show(kept[-1])
            self._tell.say(f"Showing {kept[-1].title}. {hindrance}")
        else:
            self._tell.fail(hindrance)
        return True

    def _on_running(self, reading: Reading, answer: Answer | tasks.TakesLong) -> None:
        if reading is not self._state.reading:
            return
        if isinstance(answer, Answer):
            self._state.show(answer)
        elif answer.begun:
            self._tell.say(f"{_called(answer)} takes {_how_long(answer.expected)}")

    def _on_answer(self, reading: Reading, answer: Answer | tasks.TakesLong) -> None:
        if reading is not self._state.reading:
            return
        if isinstance(answer, tasks.TakesLong):
            self.ask_about(answer)
            return
        self._state.show(self._state.keep(answer))
        self._tell.say(f"Finished {answer.subject.called}: {request_title(answer.request)}.")


def _called(answer: tasks.TakesLong) -> str:
    return f"{request_title(answer.request)} of {answer.subject.called}"


def _how_long(expected: ExpectedTime) -> str:
    return f"{expected.text}. It is shorter with {expected.shorter_with}."


def _nothing(_result: object) -> None:
    """Do no more: the reading keeps what is prepared."""
