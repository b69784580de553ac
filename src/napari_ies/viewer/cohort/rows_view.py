"""RowsView: the rows of a listing on the screen, which mouse and keyboard move through and open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from napari_ies.viewer.panel.availability import describe
from napari_ies.viewer.panel.controls import select_alone

if TYPE_CHECKING:
    from qtpy.QtCore import QModelIndex
    from qtpy.QtGui import QKeyEvent

    from napari_ies.viewer.cohort.rows import ListedRows

MOVES = {
    Qt.Key.Key_Up,
    Qt.Key.Key_Down,
    Qt.Key.Key_Left,
    Qt.Key.Key_Right,
    Qt.Key.Key_PageUp,
    Qt.Key.Key_PageDown,
    Qt.Key.Key_Home,
    Qt.Key.Key_End,
}
"""Keys that move through the rows; all others belong to the viewer."""
ENTER = {Qt.Key.Key_Return, Qt.Key.Key_Enter}


class RowsView(QTableView):
    """The rows; keys that do nothing here go on to the viewer.

    Parameters
    ----------
    rows
        What is shown.
    name, tooltip
        Of the table.
    """

    opened = Signal(int)
    """A row was double-clicked, or Enter was pressed on it: its number among all."""

    def __init__(self, rows: ListedRows, name: str, tooltip: str) -> None:
        super().__init__()
        describe(self, tooltip, name)
        self._rows = rows
        self._current: int | None = None
        self.setModel(rows)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTabKeyNavigation(False)  # the Tab key leaves the table
        self.setWordWrap(False)
        self._style()
        self.doubleClicked.connect(lambda index: self._open(index.row()))
        self.selectionModel().currentRowChanged.connect(self._on_current)
        rows.modelReset.connect(self._on_reset)

    def fit_columns(self) -> None:
        """Give each column its width."""
        if self._rows.listing is not None:
            for number, column in enumerate(self._rows.listing.columns):
                self.setColumnWidth(number, column.width)

    def sort_by_nothing(self) -> None:
        """Show no column as the one that rows are sorted by: they are as they came."""
        self.horizontalHeader().setSortIndicator(-1, Qt.SortOrder.AscendingOrder)

    def select_number(self, number: int | None) -> None:
        """Select a row by its number among all and bring it into sight, if it is listed."""
        listing = self._rows.listing
        place = None if number is None or listing is None else listing.place_of(number)
        if place is None:
            self.clearSelection()
            return
        select_alone(self, place, max(self.currentIndex().column(), 0))

    @property
    def selected_number(self) -> int | None:
        """Number of the selected row among all, or None."""
        chosen = self.selectionModel().selectedRows()
        listing = self._rows.listing
        return int(listing.listed[chosen[0].row()]) if chosen and listing is not None else None

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Move or open; every other key is the viewer's."""
        if event.key() in ENTER:
            number = self.selected_number
            if number is not None:
                self.opened.emit(number)
        elif event.key() in MOVES:
            super().keyPressEvent(event)
        else:
            event.ignore()

    def _open(self, place: int) -> None:
        if self._rows.listing is not None:
            self.opened.emit(int(self._rows.listing.listed[place]))

    def _on_current(self, current: QModelIndex) -> None:
        if current.isValid() and self._rows.listing is not None:
            self._current = int(self._rows.listing.listed[current.row()])

    def _on_reset(self) -> None:
        """Keep the row that was selected, wherever it is listed now; else offer the first."""
        kept, listing = self._current, self._rows.listing
        self.select_number(kept)
        if kept is not None and listing is not None and self.selected_number is None:
            self.select_number(int(listing.listed[0]) if len(listing) else None)
            self._current = kept  # selected again once it is listed again

    def _style(self) -> None:
        # napari's theme pads headers so widely that titles would not fit.
        self.setStyleSheet("QHeaderView::section { padding: 1px 3px; font-weight: normal; }")
        marks = self.verticalHeader()
        marks.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        marks.setDefaultSectionSize(22)
        marks.setFixedWidth(22)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        header = self.horizontalHeader()
        header.setSectionsMovable(True)
        header.setStretchLastSection(True)
        header.setSortIndicatorShown(True)
        header.setMinimumSectionSize(24)
        self.sort_by_nothing()
        self.setSortingEnabled(True)
