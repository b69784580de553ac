"""Reopening: a saved session takes the place of what the state holds. Knows no window."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ies.errors import ResultsError
from napari_ies.segmentation.subject import as_subject
from napari_ies.viewer.session.opening import (
    Reopened,
    key_of_map,
    open_session,
    read_map,
    shown_maps,
)
from napari_ies.viewer.state.event import Event
from napari_ies.viewer.state.loaded import Restored
from napari_ies.viewer.work.failures import sentence
from napari_ies.viewer.work.job import Job
from napari_ies.viewer.work.lane import Errand

if TYPE_CHECKING:
    from napari_ies.results.session import SavedMap
    from napari_ies.segmentation.subject import Subject
    from napari_ies.viewer.state.answers import Answer
    from napari_ies.viewer.state.reading import Reading
    from napari_ies.viewer.state.state import State
    from napari_ies.viewer.state.tell import Tell
    from napari_ies.viewer.work.explaining import Explaining
    from napari_ies.viewer.work.lane import Lane
    from napari_ies.viewer.work.runner import Runner


class Reopening:
    """Opens sessions; their maps are read one after another, what is looked at first.

    Parameters
    ----------
    state, explaining
        What is filled, and what keeps the maps.
    work, lane
        Read the session, and then its maps when the thread has nothing else to do.
    tell
        Says what cannot be read.

    Attributes
    ----------
    reopened
        The session that the state's reading came from, or None.
    """

    def __init__(
        self, state: State, explaining: Explaining, work: Runner, lane: Lane, tell: Tell
    ) -> None:
        self._state, self._explaining = state, explaining
        self._work, self._lane, self._tell = work, lane, tell
        self.reopened: Reopened | None = None
        self.shown: Event[[Reopened]] = Event()
        """A session's lesions are on show; its maps are about to be read."""
        self._noticed: set[str] = set()
        self._waiting: list[SavedMap] = []
        state.selection_changed.connect(self._on_selected)
        state.reading_changed.connect(self._on_reading)

    def open(self, folder: str | Path) -> None:
        """Open a saved session in place of what the state holds."""
        folder = Path(folder)
        self._noticed.add(str(folder))
        from napari_ies.results.session import read_summary

        try:
            # Before what is being computed is given up for it.
            read_summary(folder)
        except ResultsError as error:
            self._tell.fail(str(error))
            return
        self._explaining.stop()
        title, work = f"Opening the session in {folder}", partial(open_session, folder)
        self._work.run(Job("session", title, work, self._on_opened, key=str(folder)))

    def open_once(self, folder: str | Path) -> None:
        """Open a saved session, unless it was noticed already."""
        if str(folder) not in self._noticed:
            self.open(folder)

    def stop(self) -> None:
        """Read no more maps."""
        self._waiting = []

    def _on_opened(self, reopened: Reopened) -> None:
        state, record = self._state, reopened.session.record
        self.reopened = reopened
        sequences = [image.sequence for image in reopened.session.images]
        images, reference = reopened.images, reopened.reference
        set_to = record.segmentation
        state.restored.emit(
            Restored(sequences, images, reference, set_to.threshold, set_to.smallest_lesion)
        )
        state.show_reading(reopened.reading)
        maps = {key_of_map(saved, reopened): saved for saved in shown_maps(reopened)}
        state.answers.await_saved(maps)
        self._waiting = list(maps.values())
        self.shown.emit(reopened)
        for curve in reopened.curves.values():
            state.keep_curve(curve)
        for told in reopened.unread:
            self._tell.warn(told)
        # The last one without noise does not say with which noise the others go on.
        noisy = [saved.request for saved in maps.values() if saved.request.is_smoothgrad]
        for request in (*noisy[-1:], record.request):
            if request is not None:
                state.request_restored.emit(request)
        if record.selected is not None:
            self._explaining.reopen(record.selected)
        self._read_next(reopened)
        self._tell.say(reopened.session.text)
        path = reopened.session.checkpoints[0].path
        state.checkpoint_wanted.emit("" if path is None else str(path), reopened.device)

    def _on_reading(self, reading: Reading | None) -> None:
        self.stop()
        self._lane.drop_later()
        if self.reopened is not None and reading is not self.reopened.reading:
            self.reopened = None

    def _read_next(self, reopened: Reopened) -> None:
        """Read the next map, and then the others."""
        if not self._waiting:
            return
        saved = self._waiting.pop(0)
        errand = Errand(
            partial(read_map, saved, reopened),
            partial(self._on_map, reopened),
            partial(self._on_lost, reopened, saved),
        )
        self._lane.add(errand, later=True)

    def _on_selected(self, subject: Subject | None) -> None:
        first = [saved for saved in self._waiting if saved.subject == subject]
        rest = [saved for saved in self._waiting if saved.subject != subject]
        self._waiting = [*first, *rest]

    def _on_map(self, reopened: Reopened, answer: Answer) -> None:
        if reopened.reading is self._state.reading:
            self._explaining.keep(answer)
            self._read_next(reopened)

    def _on_lost(self, reopened: Reopened, saved: SavedMap, error: Exception) -> None:
        if reopened.reading is self._state.reading:
            self._state.answers.await_no_more(key_of_map(saved, reopened))
            self._tell.warn(
                f"A map of {as_subject(saved.subject).called} is left out: {sentence(error)}"
            )
            self._read_next(reopened)
