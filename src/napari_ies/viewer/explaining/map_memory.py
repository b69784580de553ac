"""MapMemory: the maps that were not shown for longest make room, and come back by being looked at.

Beyond a limit, the values of a map move to a file without a name, mapped into memory: the system
reads what is looked at, and drops it again where memory is short. Nothing else changes: it is the
same map, bit for bit, for the screen, for comparing and for saving, with or without a session.
"""

from __future__ import annotations

import logging
import tempfile
import weakref
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from platformdirs import user_cache_dir

from napari_ies.viewer.work.lane import Errand
from napari_ies.viewer.work.qt_clock import Soon

if TYPE_CHECKING:
    from napari_ies.saliency.saliency import Saliency
    from napari_ies.viewer.state.answers import Answer, Key
    from napari_ies.viewer.state.reading import Reading
    from napari_ies.viewer.state.state import State
    from napari_ies.viewer.work.lane import Lane

logger = logging.getLogger("napari_ies")

HELD_BYTES = 2**30
"""Maps may take so much memory: 120 of the paper's U-Net, which are 6 to 11 MiB each, or 9 that
cover all of a 182 × 218 × 182 case. That is more than a reader goes back and forth between, and
an eighth of the memory of a small laptop."""

MOVED = ("cropped", "cropped_standard_error", "cropped_spread", "footprint")


class MapMemory:
    """Keeps the memory of the finished maps within a limit.

    Parameters
    ----------
    state
        Whose maps they are.
    lane
        The thread that moves them.
    """

    def __init__(self, state: State, lane: Lane) -> None:
        self._state, self._lane = state, lane
        self._shown: dict[Key, None] = {}
        self._on_disk: weakref.WeakSet[Saliency] = weakref.WeakSet()
        self._full = self._moving = False
        # Later than a map is kept: only then is it on the screen.
        self._soon = Soon(self._make_room)
        self._state.answer_shown.connect(self._on_shown)
        self._state.answer_kept.connect(self._on_kept)
        self._state.reading_changed.connect(self._on_reading)

    @property
    def held_bytes(self) -> int:
        """What the finished maps take in memory, in bytes."""
        return sum(_bytes(answer.saliency) for answer in self._held())

    @property
    def busy(self) -> bool:
        """Whether maps are being moved."""
        return self._moving or self._soon.waiting

    def release(self) -> None:
        """Move nothing any more."""
        self._soon.stop()
        self._lane.release()
        self._moving = False

    def _held(self) -> list[Answer]:
        return [one for one in self._state.answers.every if one.saliency not in self._on_disk]

    def _on_reading(self, _: Reading | None) -> None:
        self._shown.clear()

    def _on_shown(self, answer: Answer) -> None:
        if answer.finished:
            self._shown.pop(answer.key, None)
            self._shown[answer.key] = None

    def _on_kept(self, _: Answer) -> None:
        self._soon.ask()

    def _make_room(self) -> None:
        """Move what was not shown for longest, one map after another."""
        if self._moving or self._full or self.held_bytes <= HELD_BYTES:
            return
        latest = {key: number for number, key in enumerate(self._shown)}
        shown = self._state.shown
        # What was never shown goes first: "Explain all" made it.
        waiting = sorted(
            (one for one in self._held() if shown is None or one.saliency is not shown.saliency),
            key=lambda one: latest.get(one.key, -1),
        )
        if waiting:
            answer, self._moving = waiting[0], True
            cache = Path(user_cache_dir("napari-ies", appauthor=False))
            work = partial(moved, answer.saliency, cache)
            done = partial(self._on_moved, answer)
            self._lane.add(Errand(work, done, self._on_not_moved))

    def _on_moved(self, answer: Answer, saliency: Saliency) -> None:
        self._on_disk.add(saliency)
        self._state.answers.hold(answer, saliency)
        self._moving = False
        self._make_room()

    def _on_not_moved(self, error: Exception) -> None:
        """Keep in memory what cannot be put elsewhere."""
        self._full, self._moving = True, False
        logger.warning("Maps stay in memory, as they cannot be moved to a file: %s", error)


def moved(saliency: Saliency, folder: Path) -> Saliency:
    """Return a map with its values in a file that ends with its last reader.

    Parameters
    ----------
    saliency
        The map.
    folder
        Where the file lies; it has no name there, or loses it when it is closed.

    Returns
    -------
    The same map, its arrays mapped from the file. Writing to one changes the memory, never the
    file.

    Raises
    ------
    OSError
        If there is no room.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {name: getattr(saliency, name) for name in MOVED}
    mapped: dict[str, Any] = {}
    with tempfile.TemporaryFile(dir=folder) as file:
        starts = {}
        for name, values in arrays.items():
            if values is not None and values.size:
                starts[name] = file.tell()
                file.write(np.ascontiguousarray(values).tobytes())
        file.flush()
        for name, start in starts.items():
            values = arrays[name]
            mapped[name] = np.asarray(np.memmap(file, values.dtype, "c", start, values.shape))
    return replace(saliency, **mapped)


def _bytes(saliency: Saliency) -> int:
    arrays = (getattr(saliency, name) for name in MOVED)
    return sum(values.nbytes for values in arrays if values is not None)
