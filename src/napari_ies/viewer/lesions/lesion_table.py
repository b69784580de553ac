"""The table of lesions and regions: shows them and says what a person chose or wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QWidget

from napari_ies.viewer.lesions.chosen_lesion import ChosenLesion
from napari_ies.viewer.lesions.lesion_columns import EXPLAINED, MATCH, NOTE, VERDICT
from napari_ies.viewer.lesions.lesion_filter import LesionFilter
from napari_ies.viewer.lesions.lesion_order import SortedRows
from napari_ies.viewer.lesions.lesion_rows import LesionRows
from napari_ies.viewer.lesions.lesion_rows_view import LesionRowsView
from napari_ies.viewer.lesions.match_legend import MatchLegend
from napari_ies.viewer.panel.controls import column, words
from napari_ies.viewer.work.qt_clock import Soon

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Mapping

    import pandas as pd

    from napari_ies.segmentation.subject import Subject
    from napari_ies.viewer.lesions.lesion_columns import PeakKind

PAUSE_MS = 250
"""After this pause the lesion that the arrow keys came to is chosen, in milliseconds."""
FOUND_LINES = 2
"""Of the words on what was found, and of what lies over them."""


class LesionTable(QWidget):
    """What was found, a filter line, the rows of lesions and regions, and the one that is chosen.

    A view: it shows what it is given, and says what a person chose or wrote.

    Parameters
    ----------
    over_found
        What comes and goes over the words on what was found, so that the rows hold still.
    """

    chosen = Signal(object)
    """The lesion or region that a person chose: at once with the mouse, after a short pause with
    the arrow keys."""
    note_changed = Signal(object, str)
    """The lesion or region, and what a person wrote about it."""

    def __init__(self, parent: QWidget | None = None, over_found: QWidget | None = None) -> None:
        super().__init__(parent)
        self.found = words("found", "What the network found and missed.", selectable=True)
        self.found.hide()
        self.legend = MatchLegend()
        self.filter = LesionFilter()
        self._rows = LesionRows(self)
        self._order = SortedRows(self._rows, self)
        self.view = LesionRowsView(self._order)
        self.chosen_lesion = ChosenLesion()
        place = QGridLayout()
        for one in (self.found, over_found):
            if one is not None:
                place.addWidget(one, 0, 0)
        column(
            self,
            *(place, self.legend, self.filter, (self.view, 1), self.chosen_lesion),
            spacing=3,
        )
        self._pause = Soon(self._on_pause, self)
        self._chosen: Subject | None = None
        self.filter.changed.connect(self._on_filter)
        self._rows.noted.connect(self.note_changed)
        self.view.moved.connect(self._pause_for)
        self.view.picked.connect(self._on_picked)
        self.view.noting.connect(self._on_note_opened)
        self.view.noted.connect(self._on_note_closed)
        for changed in ("rowsInserted", "rowsRemoved", "modelReset", "layoutChanged"):
            getattr(self._order, changed).connect(self._count)
        self._order.rowsRemoved.connect(self._on_removed)
        self._count()

    def set_lesions(self, lesions: pd.DataFrame | None, found: str = "") -> None:
        """Show other lesions, or none; regions, maps and notes of those before go.

        Parameters
        ----------
        lesions
            A row per lesion.
        found
            What was found and missed, in words.
        """
        self._pause.stop()
        self._chosen = None
        self._rows.set_lesions(lesions)
        self.found.setText(found)
        self.found.setVisible(bool(found))
        # The room of a second line is claimed: a splitter does not ask how it wraps, and what
        # lies over it has two.
        self.found.setFixedHeight(FOUND_LINES * self.found.fontMetrics().lineSpacing() + 2)
        matches = None if lesions is None else lesions.get(MATCH)
        self.legend.set_counts(None if matches is None else matches.value_counts().to_dict())
        self.filter.set_matched(matches is not None)
        self.view.fit_columns()

    def set_region(self, name: str, values: Mapping[str, Any]) -> None:
        """Show a region below the lesions, with the values of a row of the lesion table."""
        self._rows.set_region(name, values)
        self.view.fit_names()
        if name == self._chosen:
            self._show_chosen()

    def set_explained(self, subject: Subject, text: str, tooltip: str = "") -> None:
        """Say what was explained of a lesion or region."""
        self._rows.set_value(subject, EXPLAINED, text, tooltip)

    def set_kinds(self, kinds: Mapping[Any, PeakKind]) -> None:
        """Take the kinds of maps that there are; values are compared within one."""
        self._rows.set_kinds(kinds)

    def set_peaks(
        self, subject: Subject, kind: Hashable, peaks: Mapping[str, float], tooltip: str
    ) -> None:
        """Take the peak of each sequence's map, in place of those of one of the same kind.

        Parameters
        ----------
        subject
            The lesion or region.
        kind
            What maps have in common that can be compared; one of those of :meth:`set_kinds`.
        peaks
            By sequence, the signed value of largest magnitude.
        tooltip
            What map it was, and the unit.
        """
        self._rows.set_peaks(subject, kind, peaks, tooltip)

    def forget_peaks(self, subject: Subject, but: Collection[Hashable]) -> None:
        """Drop the peaks of maps that are not there any more, of all kinds but these."""
        self._rows.forget_peaks(subject, but)

    def set_error(self, subject: Subject, probability: float | None, words: str) -> None:
        """Show how probably a lesion is a false positive, or nothing, and in words why."""
        self._rows.set_error(subject, probability, words)

    def set_former(self, subject: Subject, numbers: tuple[int, ...]) -> None:
        """Say which lesions one was at the threshold before it changed; none: it is new."""
        self._rows.set_former(subject, numbers)

    def set_note(self, subject: Subject, text: str) -> None:
        """Show a note without saying that a person wrote it."""
        self._rows.set_value(subject, NOTE, text)

    def set_verdict(self, subject: Subject, verdict: str | None) -> None:
        """Show a verdict without saying that a person gave it."""
        self._rows.set_value(subject, VERDICT, verdict)

    @property
    def pointed_at(self) -> Subject | None:
        """The lesion or region that a person means: the one chosen, or about to be, by the keys."""
        row = self.view.selected_row() if self._pause.waiting else None
        return self._chosen if row is None else self._order.subject_at(row)

    def notes(self) -> dict[Subject, str]:
        """Return what was noted, by lesion or region."""
        return {row.subject: row.values[NOTE] for row in self._rows.rows if row.values.get(NOTE)}

    def subjects(self) -> list[Subject]:
        """Return the lesions and regions that are listed, in order."""
        return self._order.subjects()

    def select(self, subject: Subject | None) -> None:
        """Select a row without saying that a person did."""
        self._pause.stop()
        self._chosen = subject
        self._show_chosen()

    def step(self, by: int) -> bool:
        """Go to the next lesion listed (1) or the one before (-1), as the arrow keys do.

        Returns
        -------
        Whether there is one.
        """
        count = self._order.rowCount()
        if not count:
            return False
        current = self.view.selected_row()
        start = current if current is not None else -1 if by > 0 else count
        row = min(max(start + by, 0), count - 1)
        if row != current:
            self.view.select_row(row)
            self._pause_for()
        return bool(row != current)

    def _show_chosen(self) -> None:
        shown = self.subjects()
        at = shown.index(self._chosen) if self._chosen in shown else None
        self.view.select_row(at)

    def _pause_for(self) -> None:
        self._pause.ask(PAUSE_MS)

    def _on_pause(self) -> None:
        row = self.view.selected_row()
        if row is not None:
            self._choose(row)

    def _on_picked(self, row: int) -> None:
        self._pause.stop()
        self._choose(row)

    def _choose(self, row: int) -> None:
        self._chosen = self._order.subject_at(row)
        self.chosen.emit(self._chosen)

    def _on_note_opened(self, row: int) -> None:
        self._pause.stop()
        # What is being written would be lost if its row went, as when its lesion is explained.
        self._order.keep(self._order.subject_at(row))

    def _on_note_closed(self) -> None:
        self._order.keep(None)
        self._show_chosen()

    def _on_removed(self) -> None:
        """Select no other row in place of one that is listed no more; Qt would."""
        if not self._pause.waiting:
            self._show_chosen()

    def _on_filter(self) -> None:
        wanted = self.filter
        self._order.ask_for(
            wanted.text.text(),
            wanted.chosen_matches,
            wanted.chosen_verdicts,
            wanted.unexplained.isChecked(),
            wanted.smallest.value(),
        )
        self._pause.stop()
        # Qt would leave another row selected in place of one that is not listed any more.
        self._show_chosen()
        self._count()

    def _count(self) -> None:
        self.filter.set_count(self._order.rowCount(), self._rows.rowCount())
