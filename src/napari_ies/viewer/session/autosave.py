"""Autosave: brings the session on disk up to what the state holds, whenever that grows.

Knows no window. A save that failed or was replaced by a newer one loses nothing: the next one
brings the folder up to its own snapshot.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ies.viewer.session.opening import known_curves, known_maps
from napari_ies.viewer.session.saving import Found, Recording, Snapshot
from napari_ies.viewer.state.event import Event
from napari_ies.viewer.work.lane import Errand

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_ies.patient.case import Case
    from napari_ies.viewer.session.opening import Reopened
    from napari_ies.viewer.state.reading import Reading
    from napari_ies.viewer.state.state import State
    from napari_ies.viewer.work.lane import Lane


MOST_FORMER = 8
"""Thresholds of a reading whose sessions can go on: the lesions of each take some 30 MB at 1 mm."""


class Autosave:
    """Saves a reading from the first map, curve, note, verdict or region on.

    Parameters
    ----------
    state
        What is saved.
    lane
        The thread that saves.
    roots
        The folders whose folders may be sessions of a case, the first choice first.
    automatic
        Whether anything is saved at first.

    Attributes
    ----------
    recording
        The reading on its way to disk, or None.
    """

    def __init__(
        self,
        state: State,
        lane: Lane,
        roots: Callable[[Case], tuple[Path, ...]],
        *,
        automatic: bool = True,
    ) -> None:
        self._state, self._lane, self._roots = state, lane, roots
        self._automatic = automatic
        self.recording: Recording | None = None
        self._former: list[Recording] = []
        """Those of the same reading at other thresholds, the latest last."""
        self.looked: Event[[Found]] = Event()
        """It was looked where the session will lie, and what lies there."""
        self.saved: Event[[Recording]] = Event()
        """All that the state held then is saved."""
        self.refused: Event[[Exception]] = Event()
        """It could not be saved."""
        self._was_refused = False
        state.answer_kept.connect(self._on_changed)
        state.curve_kept.connect(self._on_changed)
        state.note_changed.connect(self._on_changed)
        state.verdict_changed.connect(self._on_changed)
        state.selection_changed.connect(self._on_changed)

    @property
    def folder(self) -> Path | None:
        """Where the session is saved, once it is."""
        return None if self.recording is None else self.recording.folder

    @property
    def unsaved(self) -> bool:
        """Whether the reading holds work that is neither on disk nor on its way there."""
        reading, recording = self._state.reading, self.recording
        now = None if reading is None else self._snapshot(reading)
        if now is None or not now.holds_work:
            return False
        if recording is None or recording.reading is not reading:
            return True
        return (self._was_refused or not self._automatic) and recording.lacks(now)

    @property
    def automatic(self) -> bool:
        """Whether what grows is saved."""
        return self._automatic

    @automatic.setter
    def automatic(self, on: bool) -> None:
        self._automatic = on
        reading = self._state.reading
        if on and self.recording is not None and self.recording.reading is reading:
            self.save()
        elif on and reading is not None:
            self.begin(reading)

    def begin(self, reading: Reading, root: Path | None = None) -> None:
        """Save from now on in a session of its own, which begins with the first saved work.

        Back at a threshold that the reading had before, it goes on in the session of that.

        Parameters
        ----------
        reading
            What is saved.
        root
            The folder for its folder, in place of the usual ones.
        """
        former, before = self.recording, frozenset[Path]()
        if former is None or former.reading.lineage is not reading.lineage:
            former, self._former = None, []
        else:
            before = former.before | ({former.folder} if former.folder else frozenset())
            self._former = [one for one in self._former if one is not former][1 - MOST_FORMER :]
            self._former.append(former)
            if former.reading is not reading:
                former.reading.let_go()
        latest = (one for one in reversed(self._former) if one.reading is not reading)
        same = (one for one in latest if one.reading.is_found_as(reading))
        recording = next(same, None) if root is None else None
        if recording is not None:
            recording.go_on(reading, before)
        else:
            beside = self._roots(reading.case) if former is None else former.roots
            roots = beside if root is None else (root,)
            recording = Recording(reading, roots, self._state.device, before)
        self.recording = recording
        self._add(recording.look, partial(self._on_looked, recording))
        self.save()

    def begin_now(self) -> bool:
        """Begin the session though nothing is finished yet; return whether it is to be saved."""
        recording = self.recording
        if not self._automatic or recording is None or recording.reading is not self._state.reading:
            return False
        recording.wanted = True
        self.save()
        return True

    def resume(self, reopened: Reopened) -> None:
        """Go on saving in the session that was opened, as soon as that is switched on."""
        root = reopened.session.folder.parent
        recording = Recording(reopened.reading, (root,), reopened.device)
        # As on disk, also maps of which another one followed with the same settings.
        recording.known = [(key, None) for key in known_maps(reopened)]
        recording.known_curves = known_curves(reopened)
        self.recording = recording
        self._add(partial(recording.resume, reopened.session), partial(self._on_saved, recording))

    def save(self) -> None:
        """Bring the session up to what the state holds now."""
        recording = self.recording
        if recording is None or recording.reading is not self._state.reading:
            return
        work = recording.save if self._automatic else recording.recognise
        self._add(
            partial(work, self._snapshot(recording.reading)),
            partial(self._on_saved, recording),
            key=("save" if self._automatic else "recognise", id(recording)),
        )

    def _add(
        self, work: Callable[[], object], done: Callable[[object], None], key: object = None
    ) -> None:
        self._lane.add(Errand(work, done, self._on_refused, key=key))

    def _snapshot(self, reading: Reading) -> Snapshot:
        state = self._state
        return Snapshot(
            answers=tuple((answer, state.network(answer.model_key)) for answer in state.answers),
            curves=tuple((curve, state.network(curve.model_key)) for curve in state.curves),
            regions={name: region.mask for name, region in reading.regions.items()},
            notes=dict(reading.notes),
            verdicts=dict(reading.verdicts),
            request=state.request,
            selected=state.selected,
        )

    def _on_changed(self, _: object) -> None:
        self.save()

    def _on_looked(self, recording: Recording, found: object) -> None:
        if recording is self.recording and isinstance(found, Found):
            self.looked.emit(found)

    def _on_refused(self, error: Exception) -> None:
        self._was_refused = True
        self.refused.emit(error)

    def _on_saved(self, recording: Recording, _: object) -> None:
        self._was_refused = False
        if recording is self.recording:
            self.saved.emit(recording)
