"""Comparing: the tab "Compare", and the second view beside the image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from napari_ies.viewer.comparing.compare_view import CompareView
from napari_ies.viewer.comparing.side_by_side import Difference, Pair, SideBySide
from napari_ies.viewer.feature import Feature, Place, Placed
from napari_ies.viewer.state.answers import distinct_titles
from napari_ies.viewer.work.job import Job
from napari_ies.viewer.work.tasks import once

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_ies.progress import Progress
    from napari_ies.saliency.reading_off.comparison import Comparison
    from napari_ies.saliency.saliency import Saliency
    from napari_ies.viewer.feature import Services
    from napari_ies.viewer.state.answers import Answer, Key
    from napari_ies.viewer.state.reading import Reading

MOST_UNFINISHED = 4
"""How many maps that were stopped are remembered, to be compared with others."""
OTHER_SCALE = (
    "Different aggregations have different scales: without Same limits each map shows in full."
)
SAME_MAP = "A and B would be the same map: choose another one for B."
STILL_RUNNING = "A is still being computed: its numbers are compared when it is finished."
TOO_FEW = "Two maps are needed for a comparison: explain with two settings, or two lesions."
SAME_UNIT_ONLY = "The two maps have different units, so one limit for both would mean nothing."


class Comparing(Feature):
    """Compares the map on screen with another one, finished or not."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._a: Answer | None = None
        self._b: Answer | None = None
        self._unfinished: dict[Key, Answer] = {}
        self._compared: Compared | None = None
        self._busy = False
        self.view = CompareView()
        self.side_by_side = SideBySide(self.viewer, self.scene, self.view.say_limits)
        self.view.chosen.connect(self._on_chosen)
        self.view.opened.connect(self._compare)
        self.view.side_by_side_toggled.connect(self._on_side_by_side)
        self.view.beside_changed.connect(self._show_second)
        state = self.state
        state.answer_shown.connect(self._on_shown)
        state.answer_kept.connect(self._on_kept)
        state.reading_changed.connect(self._on_reading)
        self.work.cancelled.connect(self._on_stopped)
        self.work.failed.connect(self._on_stopped)
        self.scene.room_taken.connect(self._on_room_taken)
        self._offer()
        about = "Two maps: how far they agree, and where they differ."
        self.views = (Placed(Place.TAB, [self.view], "Compare", about),)

    def attach(self) -> None:
        """Follow how the map on screen looks."""
        for watched in (self.scene.overlays, self.scene.anatomy):
            watched.changed.disconnect(self._follow)
            watched.changed.connect(self._follow)

    def release(self) -> None:
        """Close the second view and leave the viewer as it was."""
        for watched in (self.scene.overlays, self.scene.anatomy):
            watched.changed.disconnect(self._follow)
        self._go_back()

    @property
    def maps(self) -> list[Answer]:
        """All maps that can be compared: those that were stopped or are running come last."""
        return [*self.state.answers, *self._unfinished.values()]

    def _on_reading(self, _: Reading | None) -> None:
        self._go_back()
        self._unfinished.clear()
        self._set_pair(None, None)

    def _on_room_taken(self, part: object) -> None:
        if part is not self and self.side_by_side.second is not None:
            self._go_back()
            self.tell.say("The second view was closed: there is no room beside three planes.")

    def _on_kept(self, answer: Answer) -> None:
        self._unfinished.pop(answer.key, None)
        self._offer()

    def _on_shown(self, answer: Answer) -> None:
        if not answer.finished:
            self._unfinished.pop(answer.key, None)
            self._unfinished[answer.key] = answer
            for key in list(self._unfinished)[:-MOST_UNFINISHED]:
                del self._unfinished[key]
        if self._busy or answer is self._a:
            return
        same = self._same(answer, self._a)
        self._set_pair(answer, self._b if same else self._partner(answer))

    def _on_stopped(self, _: str) -> None:
        if self._a is not None and not self._a.finished:
            self._set_pair(self._a, self._b)

    def _on_chosen(self, first: Key | None, second: Key | None) -> None:
        before = None if self._a is None else self._a.key
        if first == second:
            # The one that is B now, chosen for A: the two change places.
            second = before
        if first == second:
            self.tell.hint(SAME_MAP)
            self._offer()
            return
        a, b = self._find(first), self._find(second)
        if a is not None and not self._same(a, self.state.shown):
            self.explaining.stop()
            self._busy = True
            if a.subject != self.state.selected:
                self.state.select(a.subject)
            self.state.show(a)
            self._busy = False
        self._set_pair(a, b)

    def _on_side_by_side(self, on: bool) -> None:
        if not on or self._a is None or self._b is None:
            self._go_back()
        elif self.side_by_side.second is None and self.state.reading is not None:
            with self.tell.announce("Opening the second view…"):
                self.scene.room_taken.emit(self)
                second = self.side_by_side.open(self.view, self._go_back)
                if second is not None:
                    # Its map is another one than that on screen: no value of it is told.
                    self.link.follow(second, tuple)
                self._show_second()

    def _on_compared(self, a: Answer, b: Answer, compared: Compared) -> None:
        if a is self._a and b is self._b:
            self._compared, comparison = compared, compared.comparison
            scales = a.request.aggregation != b.request.aggregation
            self.view.set_comparison(comparison, OTHER_SCALE if scales else "")
            self.tell.say(f"Compared {a.title} with {b.title}.")
            self._show_second()

    def _same(self, one: Answer | None, other: Answer | None) -> bool:
        return one is other or (one is not None and other is not None and one.key == other.key)

    def _find(self, key: Key | None) -> Answer | None:
        return next((answer for answer in self.maps if answer.key == key), None)

    def _partner(self, answer: Answer) -> Answer | None:
        """Return what an answer is compared with unless a person chooses: what came before."""
        others = [other for other in self.maps if not self._same(other, answer)]
        present = None if self._b is None else next(
            (other for other in others if self._same(other, self._b)), None
        )  # fmt: skip
        before = None if self._a is None else self._a.subject
        if present is not None and present.subject == answer.subject != before:
            return present
        about = [other for other in others if other.subject == answer.subject]
        return next(reversed(about or others), None)

    def _set_pair(self, a: Answer | None, b: Answer | None) -> None:
        self._a, self._b, self._compared = a, b, None
        self._offer()
        if b is None:
            self._go_back()
        self._compare()
        self._show_second()

    def _is_running(self, answer: Answer) -> bool:
        shown = self._same(answer, self.state.shown)
        return not answer.finished and shown and self.explaining.running

    def _offer(self) -> None:
        """Show every map in the two combo boxes."""
        maps = self.maps
        titles = [
            (one.key, title if one.finished else f"{title} (not finished)")
            for one, title in zip(maps, distinct_titles(maps), strict=True)
        ]
        a, b = (None if answer is None else answer.key for answer in (self._a, self._b))
        self.view.set_maps(titles, a, b)
        if b is None:
            self.view.set_comparison(None, TOO_FEW)

    def _compare(self) -> None:
        a, b = self._a, self._b
        if a is None or b is None or not self.view.isVisible() or self._compared is not None:
            return
        if self._is_running(a):
            self.view.set_comparison(None, STILL_RUNNING)
            return
        self.view.set_comparison(None, "Comparing…")
        work = partial(compare_maps, a.saliency, b.saliency)
        done = partial(self._on_compared, a, b)
        self.work.run(Job("compare", "Comparing", work, done, key=(id(a), id(b))))

    def _show_second(self) -> None:
        """Show B, or A − B, beside A."""
        a, b, reading = self._a, self._b, self.state.reading
        same_unit = a is not None and b is not None and a.saliency.unit == b.saliency.unit
        difference = None if self._compared is None else self._compared.difference
        self.view.allow_beside(
            difference="" if difference is not None else "There is no difference of these two.",
            same_limits="" if same_unit else SAME_UNIT_ONLY,
        )
        if a is None or b is None or reading is None:
            return
        same_limits = self.view.same_limits.isEnabled() and self.view.same_limits.isChecked()
        pair = Pair(a, b, difference if self.view.shows_difference else None, same_limits)
        self.side_by_side.show(pair, reading, self.state.answers.power(b))

    def _follow(self) -> None:
        self.side_by_side.follow()

    def _go_back(self) -> None:
        """Close the second view; everything else is as it was before."""
        self.view.set_side_by_side(False)
        self.side_by_side.close()


@dataclass(frozen=True, eq=False)
class Compared:
    """What two maps have in common, and their difference, if there is such a thing."""

    comparison: Comparison
    difference: Difference | None


def compare_maps(a: Saliency, b: Saliency) -> Iterator[Progress[Compared]]:
    """Compare two maps; a task for the worker thread."""
    from napari_ies.saliency.reading_off.comparison import compare

    def work() -> Compared:
        comparison = compare(a, b)
        return Compared(comparison, Difference.of(a, comparison))

    return once("Comparing", work)
