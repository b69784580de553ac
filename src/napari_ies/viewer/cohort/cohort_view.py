"""CohortView: the lists of lesions and of cases, below the viewer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Signal
from qtpy.QtWidgets import QLabel, QLineEdit, QTabWidget, QWidget

from napari_ies.printable import counted
from napari_ies.viewer.cohort.cohort_filter import CohortFilter
from napari_ies.viewer.cohort.rows import ListedRows
from napari_ies.viewer.cohort.rows_view import RowsView
from napari_ies.viewer.panel.availability import describe
from napari_ies.viewer.panel.controls import button, column, row
from napari_ies.viewer.panel.notice import Notice
from napari_ies.viewer.panel.plain_text import shown_name
from napari_ies.viewer.panel.sentence_list import SentenceList

if TYPE_CHECKING:
    from napari_ies.viewer.state.listed.cohort import Cohort

CURRENT, SEEN = "▶", "✓"
"""Marks of a lesion that is on screen, and of one that was."""


class CohortView(QWidget):
    """A view: it shows a cohort, and says what a person wants to see of it."""

    lesion_opened = Signal(int)
    """A lesion is to be opened: its number among all."""
    stepped = Signal(int)
    """The lesion listed next (1) or before (-1) is to be opened."""
    other_wanted = Signal()
    """Another cohort is to be chosen."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("cohort")
        self._cohort: Cohort | None = None
        self.notice = Notice("cohort_notice")
        self.notes = SentenceList("cohort_notes", "What must be known of these results.")
        self.filter = CohortFilter()
        self._lesions = ListedRows(self._mark, self)
        self._cases = ListedRows(parent=self)
        about = "Double click or Enter opens a lesion with its maps; ▶ is on screen, ✓ was."
        self.lesions = RowsView(self._lesions, "cohort_lesions", about)
        about = "Double click or Enter lists the lesions of a case."
        self.cases = RowsView(self._cases, "cohort_cases", about)
        self.case_text = QLineEdit()
        self.case_text.setPlaceholderText("Filter, such as failed")
        self.case_text.setClearButtonEnabled(True)
        about = "List only cases with all of these words in any of their columns."
        describe(self.case_text, about, "cohort_case_filter")
        self.tabs = QTabWidget()
        self.tabs.setObjectName("cohort_tabs")
        self._lay_out()
        self.filter.changed.connect(self._on_filter)
        self.case_text.textChanged.connect(self._on_case_filter)
        self.lesions.opened.connect(self.lesion_opened)
        self.cases.opened.connect(self._on_case)

    def show_cohort(self, cohort: Cohort) -> None:
        """Show a cohort that was read, the suspicious lesions first."""
        if self._cohort is not None:
            self._cohort.moved.disconnect(self._on_moved)
        self._cohort = cohort
        cohort.moved.connect(self._on_moved)
        self.notice.hide()
        for model, view, listing in (
            (self._lesions, self.lesions, cohort.lesions),
            (self._cases, self.cases, cohort.cases),
        ):
            view.sort_by_nothing()
            model.show(listing)
            view.fit_columns()
        explained = [case.name for case in cohort.cases.rows if case.lesions]
        self.filter.offer(explained, cohort.has_reference)
        self.case_text.clear()
        self.lesions.select_number(int(cohort.lesions.listed[0]) if len(cohort.lesions) else None)
        self._say(cohort)
        self.tabs.setCurrentIndex(0)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return a size with room for some rows."""
        return QSize(900, 230)

    def _lay_out(self) -> None:
        lesions, cases = QWidget(), QWidget()
        column(lesions, self.filter, (self.lesions, 1), spacing=3, margins=(2, 3, 2, 2))
        column(cases, self.case_text, (self.cases, 1), spacing=3, margins=(2, 3, 2, 2))
        self.tabs.addTab(lesions, "Lesions")
        self.tabs.addTab(cases, "Cases")
        self._summary = QLabel()
        describe(self._summary, "The folder of results.", "cohort_summary")
        about = "Open the lesion listed before the one on screen (Shift+U)."
        before = button("◀", "cohort_previous", about, lambda: self.stepped.emit(-1))
        about = "Open the lesion listed after the one on screen (U)."
        after = button("▶", "cohort_next", about, lambda: self.stepped.emit(1))
        about = "Choose another folder of results."
        other = button("Open cohort…", "open_cohort", about, self.other_wanted)
        corner = QWidget()
        line = row(self._summary, before, after, other)
        line.setContentsMargins(4, 0, 2, 0)
        line.setSpacing(4)
        corner.setLayout(line)
        self.tabs.setCornerWidget(corner)
        column(self, self.notice, (self.tabs, 1), self.notes, spacing=2, margins=(2, 2, 2, 2))

    def _say(self, cohort: Cohort) -> None:
        lesions, cases = len(cohort.lesions.rows), len(cohort.cases.rows)
        failed = f", {cohort.failed:,} failed" if cohort.failed else ""
        self.tabs.setTabText(0, f"Lesions ({lesions:,})")
        self.tabs.setTabText(1, f"Cases ({cases:,}{failed})")
        self._summary.setText(shown_name(cohort.folder.name))
        describe(self._summary, f"The results in {cohort.folder}.")
        title = counted(len(cohort.notes), "note") + " on these results"
        self.notes.set_sentences(title, cohort.notes, keep_height=False)
        self.notes.setVisible(bool(cohort.notes))

    def _mark(self, number: int) -> str:
        if self._cohort is None:
            return ""
        if number == self._cohort.current:
            return CURRENT
        return SEEN if number in self._cohort.seen else ""

    def _on_moved(self) -> None:
        if self._cohort is not None:
            self._lesions.marks_changed()
            self.lesions.select_number(self._cohort.current)

    def _on_filter(self) -> None:
        if self._cohort is not None:
            self._cohort.ask_for(self.filter.wanted)
            self.filter.set_count(len(self._cohort.lesions), len(self._cohort.lesions.rows))

    def _on_case_filter(self, text: str) -> None:
        if self._cohort is not None:
            self._cohort.cases.ask_for(text)

    def _on_case(self, number: int) -> None:
        """List the lesions of a case, if it has any."""
        if self._cohort is not None and self._cohort.cases.rows[number].lesions:
            self.filter.choose_case(self._cohort.cases.rows[number].name)
            self.tabs.setCurrentIndex(0)
            self.lesions.setFocus()
            listed = self._cohort.lesions.listed
            self.lesions.select_number(int(listed[0]) if len(listed) else None)
