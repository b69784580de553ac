"""Comparing: the tab "Compare", and the second view beside the image."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow

from napari_ies.viewer.canvas.canvases import around
from napari_ies.viewer.canvas.layers.second_view import SecondView
from napari_ies.viewer.canvas.window_close import WindowClose
from napari_ies.viewer.comparing.compare_view import CompareView
from napari_ies.viewer.feature import Feature, Place, Placed
from napari_ies.viewer.state.answers import distinct_titles
from napari_ies.viewer.work.job import Job
from napari_ies.viewer.work.qt_clock import Soon
from napari_ies.viewer.work.tasks import once

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_ies.progress import Progress
    from napari_ies.saliency.reading_off.comparison import Comparison
    from napari_ies.saliency.saliency import Saliency
    from napari_ies.viewer.feature import Services
    from napari_ies.viewer.state.answers import Answer, Key
    from napari_ies.viewer.state.reading import Reading
    from napari_ies.viewer.volumes.frame import Point

OTHER_SCALE = (
    "Different aggregations have different scales: without Same limits each map shows in full."
)
SAME_UNIT_ONLY = "The two maps have different units, so one limit for both would mean nothing."


class Comparing(Feature):
    """Compares the map on screen with another one that was kept."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._a: Answer | None = None
        self._b: Answer | None = None
        self._comparison: Comparison | None = None
        self._second: SecondView | None = None
        self._window: WindowClose | None = None
        self._dock: QDockWidget | None = None
        self._panel_width = 0
        # Later than the dock is added: only then do the docks have widths.
        self.view = CompareView()
        self._soon = Soon(self._share_width, self.view)
        self._afterwards = Soon(self._give_width_back, self.view)
        self._busy = False
        self.view.chosen.connect(self._on_chosen)
        self.view.opened.connect(self._compare)
        self.view.side_by_side_toggled.connect(self._on_side_by_side)
        self.view.beside_changed.connect(self._show_second)
        state = self.state
        state.answer_shown.connect(self._on_shown)
        state.answer_kept.connect(self._offer)
        state.reading_changed.connect(self._on_reading)
        self.scene.room_taken.connect(self._on_room_taken)
        self._offer()
        about = "Two maps: how far they agree, and where they differ."
        self.views = (Placed(Place.TAB, [self.view], "Compare", about),)

    def attach(self) -> None:
        """Follow how the map on screen looks."""
        changed = self.scene.overlays.changed
        changed.disconnect(self._follow)
        changed.connect(self._follow)

    def release(self) -> None:
        """Close the second view and leave the viewer as it was."""
        self.scene.overlays.changed.disconnect(self._follow)
        self._go_back()

    def _on_reading(self, _: Reading | None) -> None:
        self._go_back()
        self._set_pair(None, None)

    def _on_room_taken(self, part: object) -> None:
        if part is not self and self._second is not None:
            self._go_back()
            self.tell.say("The second view was closed: there is no room beside three planes.")

    def _on_shown(self, answer: Answer) -> None:
        if self._busy or not answer.finished or self._same(answer, self._a):
            return
        self._set_pair(answer, self._partner(answer))

    def _on_chosen(self, first: Key | None, second: Key | None) -> None:
        a, b = (None if key is None else self.state.answers.get(key) for key in (first, second))
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
        elif self._second is None and self.state.reading is not None:
            with self.tell.announce("Opening the second view…"):
                self._open_second()

    def _on_comparison(self, a: Answer, b: Answer, comparison: Comparison) -> None:
        if self._same(a, self._a) and self._same(b, self._b):
            self._comparison = comparison
            scales = a.request.aggregation != b.request.aggregation
            self.view.set_comparison(comparison, OTHER_SCALE if scales else "")
            self.tell.say(f"Compared {a.title} with {b.title}.")
            self._show_second()

    def _same(self, one: Answer | None, other: Answer | None) -> bool:
        return one is other or (one is not None and other is not None and one.key == other.key)

    def _partner(self, answer: Answer) -> Answer | None:
        """Return what an answer is compared with unless a person chooses: what came before."""
        present = self._b
        before = None if self._a is None else self._a.subject
        if present is not None and present.subject == answer.subject != before:
            return present
        kept = [other for other in self.state.answers if not self._same(other, answer)]
        about = [other for other in kept if other.subject == answer.subject]
        return next(reversed(about or kept), None)

    def _set_pair(self, a: Answer | None, b: Answer | None) -> None:
        self._a, self._b, self._comparison = a, b, None
        self._offer()
        if b is None:
            self._go_back()
        self._compare()
        self._show_second()

    def _offer(self, _: Answer | None = None) -> None:
        """Show every kept map in the two combo boxes."""
        kept = list(self.state.answers)
        titles = [(a.key, title) for a, title in zip(kept, distinct_titles(kept), strict=True)]
        a, b = (None if answer is None else answer.key for answer in (self._a, self._b))
        self.view.set_maps(titles, a, b)
        if b is None:
            self.view.set_comparison(None, "Two finished maps are needed for a comparison.")

    def _compare(self) -> None:
        a, b = self._a, self._b
        if a is None or b is None or not self.view.isVisible() or self._comparison is not None:
            return
        self.view.set_comparison(None, "Comparing…")
        work = partial(compare_maps, a.saliency, b.saliency)
        done = partial(self._on_comparison, a, b)
        self.work.run(Job("compare", "Comparing", work, done, key=(a.key, b.key)))

    def _open_second(self) -> None:
        self.scene.room_taken.emit(self)
        images = [layer for layer in self.scene.images() if layer.visible]
        self._second = SecondView(self.viewer, images)
        dock = self.viewer.window.add_dock_widget(
            self._second, name="Second view", area="right", add_vertical_stretch=False
        )
        self._second.closed.connect(self._go_back)
        self._place(getattr(dock, "__wrapped__", dock))
        self._show_second()

    def _place(self, dock: QDockWidget) -> None:
        """Put the second view between the image and the panel."""
        window, panel = dock.parent(), around(self.view, QDockWidget)
        if not isinstance(window, QMainWindow):
            return
        self._window, self._dock = WindowClose(window, self._go_back), dock
        self._panel_width = 0 if panel is None else panel.width()
        _keep_docked(dock)
        dock.topLevelChanged.connect(self._on_loose)
        if panel is not None and window.dockWidgetArea(panel) == window.dockWidgetArea(dock):
            window.splitDockWidget(dock, panel, Qt.Orientation.Horizontal)
        self._soon.ask()

    def _give_width_back(self) -> None:
        """Let the image, not the panel, have the room of the second view that was closed."""
        panel = around(self.view, QDockWidget)
        if panel is None or self._window is not None or not self._panel_width:
            return
        window = panel.parent()
        if isinstance(window, QMainWindow):
            window.resizeDocks([panel], [self._panel_width], Qt.Orientation.Horizontal)

    def _share_width(self) -> None:
        """Make the second view as wide as the image, once the window has laid it out."""
        if self._window is None or self._dock is None:
            return
        window = self._window.window
        both = window.centralWidget().width() + self._dock.width()
        window.resizeDocks([self._dock], [both // 2], Qt.Orientation.Horizontal)

    def _show_second(self) -> None:
        """Show B, or A − B, beside A."""
        a, b, reading = self._a, self._b, self.state.reading
        same_unit = a is not None and b is not None and a.saliency.unit == b.saliency.unit
        difference = None if self._comparison is None else self._comparison.difference
        self.view.allow_beside(
            difference="" if difference is not None else "There is no difference of these two.",
            same_limits="" if same_unit else SAME_UNIT_ONLY,
        )
        if self._second is None or a is None or b is None or reading is None:
            return
        second, frame = self._second, reading.frame
        apart = a.subject != b.subject
        second.set_offset(self._offset(a, b, reading) if apart else (0.0, 0.0, 0.0))
        second.outlines.select(*reading.displayed(b.subject), frame)
        if self.view.shows_difference and self._comparison is not None:
            title = f"A − B: {a.title} − {b.title}"
            saliency = difference_map(a.saliency, self._comparison)
            second.overlays.show(saliency, frame, title, max(a.limit, b.limit), signed=True)
        else:
            title = f"B: {b.title}"
            second.overlays.show(b.saliency, frame, title, b.limit)
        second.set_title(title)
        self._follow()

    def _follow(self) -> None:
        """Give the second view the look of the first: colours, limits, sequences on show."""
        if self._second is None or self._a is None or self._b is None or self._busy:
            return
        self._busy = True
        try:
            here, there = self.scene.overlays, self._second.overlays
            there.set_look(here.look)
            same = self.view.same_limits.isEnabled() and self.view.same_limits.isChecked()
            limit = here.limit or 1.0
            if here.look.limits != "fixed":
                limit = max(limit, self._b.limit)
            for overlays in (here, there):
                overlays.set_common_limit(limit if same else None)
            there.set_visible_sequences(here.visible_sequences())
        finally:
            self._busy = False

    def _offset(self, a: Answer, b: Answer, reading: Reading) -> Point:
        places = [reading.place_of(one.subject) for one in (a, b)]
        here, there = (
            np.zeros(3) if place is None else np.array(reading.frame.to_world(place.centre))
            for place in places
        )
        return self.scene.in_world((there - here).tolist())

    def _on_loose(self, loose: bool) -> None:
        """Close a second view that became a window of its own all the same."""
        if loose and self._second is not None:
            self.tell.say("The second view was closed: it cannot be a window of its own.")
            QTimer.singleShot(0, self._go_back)

    def _go_back(self) -> None:
        """Close the second view; everything else is as it was before."""
        second, self._second = self._second, None
        self.view.set_side_by_side(False)
        if second is None:
            return
        if self._window is not None:
            self._window.release()
        self._soon.stop()
        self._window = self._dock = None
        self.scene.overlays.set_common_limit(None)
        second.release()
        if second.parent() is not None:
            self.viewer.window.remove_dock_widget(second)
        second.deleteLater()
        self._afterwards.ask()


def _keep_docked(dock: QDockWidget) -> None:
    """Let a dock be moved and closed, but not be pulled loose: its canvas would lose its images.

    See :mod:`napari_ies.viewer.canvas.own_context`.
    """
    dock.setFeatures(dock.features() & ~QDockWidget.DockWidgetFeature.DockWidgetFloatable)
    float_button = getattr(dock.titleBarWidget(), "float_button", None)
    if float_button is not None:
        float_button.hide()


def compare_maps(a: Saliency, b: Saliency) -> Iterator[Progress[Comparison]]:
    """Compare two maps; a task for the worker thread."""
    from napari_ies.saliency.reading_off.comparison import compare

    return once("Comparing", lambda: compare(a, b))


def difference_map(a: Saliency, comparison: Comparison) -> Saliency:
    """Return the difference A − B, which there must be, as maps that can be shown like others."""
    difference = comparison.difference
    assert difference is not None  # noqa: S101 - A − B cannot be chosen otherwise
    footprint = a.box.lay(a.footprint, comparison.box)
    return replace(
        a,
        sequences=comparison.sequences,
        box=comparison.box,
        cropped=difference,
        cropped_standard_error=None,
        footprint=footprint,
    )
