"""Measuring: numbers and profile of the map on screen, in a thread beside the explaining one.

The explaining job is neither waited for nor disturbed. What is read off is tables and a picture
of the profile: all that takes time. The newest map wins: one that comes while
another is measured waits, and replaces the one that waited before it. Running maps are measured
about once a second.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from napari_ies.viewer.panel.plot import draw
from napari_ies.viewer.readout.plot import profile_figure
from napari_ies.viewer.state.event import Event
from napari_ies.viewer.work.lane import Errand
from napari_ies.viewer.work.qt_clock import Soon

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from napari_ies.saliency.reading_off.surroundings import Surroundings
    from napari_ies.saliency.saliency import Saliency
    from napari_ies.viewer.panel.plot import Sheet
    from napari_ies.viewer.state.answers import Answer
    from napari_ies.viewer.work.lane import Lane

logger = logging.getLogger("napari_ies")

PAUSE_SECONDS = 1.0
"""Running maps are measured no more often than this."""


@dataclass(frozen=True, eq=False)
class Numbers:
    """What was read off a map."""

    answer: Answer
    """The map."""
    measures: pd.DataFrame
    """See :func:`napari_ies.saliency.reading_off.measures.measure`."""
    profile: pd.DataFrame
    """See :func:`napari_ies.saliency.reading_off.distance_profile.profile`."""
    sheet: Sheet
    """What the profile was drawn on."""
    picture: NDArray[np.uint8]
    """The profile as drawn on it, uint8 (rows, columns, RGBA)."""


class Measuring:
    """Measures the newest map asked about, in the thread of a lane."""

    def __init__(self, lane: Lane) -> None:
        self.measured: Event[[Numbers]] = Event()
        """What was read off a map; never of one that was forgotten or replaced by another."""
        self._wanted: tuple[Answer, Sheet] | None = None
        self._waiting = False
        self._busy = False
        self._started = 0.0
        self._known: tuple[Saliency, Surroundings] | None = None
        self._last: Numbers | None = None
        self._pause = Soon(self._start)
        self._lane = lane

    @property
    def busy(self) -> bool:
        """Whether a map is being measured or waits for it."""
        return self._busy or self._waiting

    def ask(self, answer: Answer, sheet: Sheet) -> None:
        """Measure a map, running or finished, and draw its profile, as soon as possible."""
        self._wanted, self._waiting = (answer, sheet), True
        if self._busy:
            return
        passed = time.monotonic() - self._started
        if answer.finished or passed >= PAUSE_SECONDS:
            self._start()
        elif not self._pause.waiting:
            self._pause.ask(int(1000 * (PAUSE_SECONDS - passed)))

    def forget(self) -> None:
        """Drop what was asked; what is being measured is not told."""
        self._wanted, self._waiting, self._last = None, False, None
        self._pause.stop()

    def _start(self) -> None:
        if self._busy or not self._waiting or self._wanted is None:
            return
        self._pause.stop()
        self._waiting, self._busy, self._started = False, True, time.monotonic()
        work = partial(self._numbers, *self._wanted)
        self._lane.add(Errand(work, self._on_measured, self._on_failed))

    def _numbers(self, answer: Answer, sheet: Sheet) -> Numbers:
        """Measure and draw; runs in a thread, one at a time."""
        from napari_ies.saliency.reading_off.distance_profile import profile
        from napari_ies.saliency.reading_off.measures import measure

        saliency = answer.saliency
        if self._last is not None and self._last.answer is answer:
            measures, profiled = self._last.measures, self._last.profile
        else:
            around = self._surroundings(saliency)
            measures, profiled = measure(saliency, around), profile(saliency, around)
        figure = profile_figure(profiled, saliency.sequences, saliency.unit, sheet)
        return Numbers(answer, measures, profiled, sheet, draw(figure))

    def _surroundings(self, saliency: Saliency) -> Surroundings:
        """Return the surroundings, found once for all running maps of a footprint."""
        if self._known is None or not _same_footprint(self._known[0], saliency):
            from napari_ies.saliency.reading_off.surroundings import surroundings

            self._known = saliency, surroundings(saliency)
        return self._known[1]

    def _on_measured(self, found: Numbers) -> None:
        self._busy = False
        if self._wanted is not None and self._wanted[0].key == found.answer.key:
            self._last = found
            self.measured.emit(found)
        self._go_on()

    def _on_failed(self, error: Exception) -> None:
        self._busy = False
        logger.error("The map could not be measured", exc_info=error)
        self._go_on()

    def _go_on(self) -> None:
        if self._waiting and self._wanted is not None:
            self.ask(*self._wanted)


def _same_footprint(one: Saliency, other: Saliency) -> bool:
    return (
        one.box == other.box
        and one.grid.same_as(other.grid)
        and np.array_equal(one.footprint, other.footprint)
    )
