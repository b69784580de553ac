"""What is known of a session before it begins: where it will lie, and what was read before.

Runs beside the window, and knows none of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from napari_ies.viewer.session.saving import Found
from napari_ies.viewer.state.event import Event
from napari_ies.viewer.work.lane import Errand

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_ies.viewer.state.loaded import Chosen
    from napari_ies.viewer.state.reading import Reading
    from napari_ies.viewer.state.state import State
    from napari_ies.viewer.work.lane import Lane


@dataclass(frozen=True, eq=False)
class Ahead:
    """What is known of the images that would be segmented now."""

    planned: Path | None
    """Where their session will lie; None if none can be made there."""
    found: Found
    """What was read of them before."""


class Beforehand:
    """Looks for what belongs to images as soon as they are chosen.

    Parameters
    ----------
    state
        Whose choice is followed.
    lane
        The thread that looks.
    roots
        The folders whose folders may be sessions of an image's file, the first choice first.

    Attributes
    ----------
    root
        The folder that a person chose for the next session, or None for the usual one.
    """

    def __init__(
        self, state: State, lane: Lane, roots: Callable[[Path | None], tuple[Path, ...]]
    ) -> None:
        self._state, self._lane, self._roots = state, lane, roots
        self._segmented: object = None
        self.root: Path | None = None
        self.known: Event[[Ahead | None]] = Event()
        """Where the next session will lie and what there is; None while there is no next one."""
        state.images_chosen.connect(self._on_chosen)
        state.reading_changed.connect(self._on_reading)

    @property
    def chosen(self) -> Chosen | None:
        """The images that would be segmented now, if they are not those of the reading."""
        chosen = self._state.chosen
        if chosen is None or (self._state.reading and chosen.images == self._segmented):
            return None
        return chosen

    def choose(self, root: Path) -> None:
        """Begin the next session below a folder."""
        self.root = root
        self._on_chosen(self._state.chosen)

    def take_root(self) -> Path | None:
        """Return the folder that was chosen for the session that begins now."""
        root, self.root = self.root, None
        return root

    def _on_reading(self, _: Reading | None) -> None:
        chosen = self._state.chosen
        self._segmented = None if chosen is None else chosen.images

    def _on_chosen(self, _: Chosen | None) -> None:
        chosen = self.chosen
        if chosen is None:
            self.known.emit(None)
            return
        roots = self._roots(chosen.paths[0])
        own = () if self.root is None else (self.root,)
        self._lane.add(
            Errand(
                partial(_look, chosen, (*own, *roots), len(own) or len(roots)),
                partial(self._on_looked, chosen),
                # What cannot be looked at is said when it is saved.
                lambda _: self._on_looked(chosen, Ahead(None, Found(None, ()))),
                key="look ahead",
            )
        )

    def _on_looked(self, chosen: Chosen, ahead: Ahead) -> None:
        if chosen is self.chosen:
            self.known.emit(ahead)


def _look(chosen: Chosen, roots: tuple[Path, ...], for_new: int) -> Ahead:
    """Look where a session may lie; the first roots, so many, are those for a new one."""
    from napari_ies.results.provenance import data_digest
    from napari_ies.results.session import next_session_folder, sessions_in, shows

    values = {
        name: partial(lambda one: data_digest(np.asarray(one.stored, np.float32)), source)
        for name, source in chosen.sources.items()
    }
    earlier, problems = [], list[str]()
    for root in dict.fromkeys(roots):
        there, unread = sessions_in(root)
        problems += unread
        earlier += [
            one for one in there if one.record.holds_work and shows(one, chosen.sha256, values)
        ]
    planned = (next_session_folder(r, chosen.subject, chosen.visit) for r in roots[:for_new])
    last = max(earlier, key=lambda summary: summary.saved_at, default=None)
    return Ahead(
        next((one for one in planned if one is not None), None), Found(last, tuple(problems))
    )
