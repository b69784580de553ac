"""The rows of the lesion table on the screen: moving, choosing, copying, writing notes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QItemSelectionModel, QModelIndex, QPoint, Qt, Signal
from qtpy.QtGui import QFont, QFontMetrics, QGuiApplication, QKeySequence
from qtpy.QtWidgets import (
    QAbstractItemDelegate,
    QAbstractItemView,
    QHeaderView,
    QMenu,
    QTableView,
    QWidget,
)

from napari_ies.viewer.lesions.lesion_columns import LABEL, NOTE, PEAK, VERDICT
from napari_ies.viewer.lesions.lesion_rows import CHOICE, DISPLAY, HORIZONTAL
from napari_ies.viewer.panel.controls import select_alone
from napari_ies.viewer.panel.plain_text import shown_name
from napari_ies.viewer.work.qt_clock import Soon

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from qtpy.QtGui import QKeyEvent, QMouseEvent, QResizeEvent

    from napari_ies.viewer.lesions.lesion_order import SortedRows
    from napari_ies.viewer.lesions.lesion_rows import Row

MOVES = {
    Qt.Key.Key_Up,
    Qt.Key.Key_Down,
    Qt.Key.Key_PageUp,
    Qt.Key.Key_PageDown,
    Qt.Key.Key_Home,
    Qt.Key.Key_End,
}
"""Keys that move through the rows; all others belong to the viewer."""

ENTER = {Qt.Key.Key_Return, Qt.Key.Key_Enter}

HEADER, ROW, LEAST_ROWS = 32, 22, 4
"""Heights of the header, of two lines, and of a row, in pixels, and how many rows are in sight."""

CELL_PADDING = 10
"""Pixels of a cell beside its text."""
WIDEST_NAME = 90
"""Width in pixels up to which the name of a region is shown in full."""

HEADER_FONT, HEADER_PADDING = 11, 6
"""Height of the letters of a header, and what they have at their sides together, in pixels."""

CHOICE_WIDTH = 16
"""Pixels in which a press on ``▾`` counts."""

WITH_MORE = Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.ControlModifier
"""With these, rows are added to the selection, to be copied; none is chosen."""


class LesionHeader(QHeaderView):
    """Titles that sort at a click; where ``▾`` stands before one, its content is chosen."""

    chosen_in = Signal(int)
    """The ``▾`` of this column was pressed."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(HORIZONTAL, parent)
        self.setSectionsClickable(True)

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Offer the choice of a column, or do what headers do."""
        at = event.pos()
        section = self.logicalIndexAt(at)
        title = str(self.model().headerData(section, HORIZONTAL, DISPLAY) or "")
        into = at.x() - self.sectionViewportPosition(section)
        grip = self.style().pixelMetric(self.style().PixelMetric.PM_HeaderGripMargin)
        if (
            event.button() == Qt.MouseButton.LeftButton
            and title.startswith(CHOICE)
            and grip <= into <= grip + CHOICE_WIDTH
        ):
            self.chosen_in.emit(section)
            return
        super().mousePressEvent(event)


class LesionRowsView(QTableView):
    """The rows; keys that do nothing here go on to the viewer."""

    moved = Signal()
    """The arrow keys came to another row."""
    picked = Signal(int)
    """A row was clicked, or Enter was pressed on it."""
    noting = Signal(int)
    """The note of this row is about to be written."""
    noted = Signal()
    """The note's cell was closed again."""

    def __init__(self, order: SortedRows) -> None:
        super().__init__()
        self.setObjectName("lesions")
        self.setAccessibleName("lesions")
        self.setToolTip("The lesions the network marked: choose a row to explain it.")
        self._order = order
        self._rows = order.rows
        # A click on a note waits whether it becomes a double click, which only edits.
        self._click = Soon(self._on_single_click, self)
        header = LesionHeader(self)
        header.chosen_in.connect(self._on_choice)
        self.setHorizontalHeader(header)
        self.setModel(order)
        self.setSortingEnabled(True)
        self.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.DoubleClicked)
        self._style()
        self.clicked.connect(self._on_clicked)
        order.columnsInserted.connect(self._on_columns)
        self._rows.dataChanged.connect(self._on_data)

    def selected_row(self) -> int | None:
        """Return the current row if it is selected, or None."""
        rows = self._selected_rows()
        current = self.currentIndex().row()
        return current if current in rows else next(iter(rows), None)

    def select_row(self, row: int | None) -> None:
        """Select a row alone and bring it into sight, or none."""
        if row is None:
            self.setCurrentIndex(QModelIndex())
            self.clearSelection()
            return
        select_alone(self, row, self._shown_column())

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Keep the selected row in sight, as when a taller tab takes room from the table."""
        super().resizeEvent(event)
        if self.currentIndex().isValid():
            self.scrollTo(self.currentIndex())

    def edit_note(self) -> None:
        """Begin to write the note of the selected row."""
        row, column = self.selected_row(), self._rows.column_of(NOTE)
        if row is None or column is None:
            return
        index = self._order.index(row, column)
        self.setColumnHidden(column, False)
        self.scrollTo(index)
        self.noting.emit(row)
        self.edit(index)

    def fit_columns(self) -> None:
        """Give each column its width, and hide at first what is hidden at first."""
        for number, column in enumerate(self._rows.columns):
            width = self._width(number)
            if not column.name.startswith((PEAK, NOTE)):
                width = max(width, self.sizeHintForColumn(number))
            self.setColumnWidth(number, width)
            self.setColumnHidden(number, column.hidden)
        self._fit_peaks(range(len(self._rows.columns)), self._rows.rows)

    def fit_names(self) -> None:
        """Give the names of regions room, as long as that leaves some for what is said of them."""
        number = self._rows.column_of(LABEL) or 0
        wanted = min(self.sizeHintForColumn(number), WIDEST_NAME)
        if wanted > self.columnWidth(number):
            self.setColumnWidth(number, wanted)

    def copied(self) -> str:
        """Return the selected rows as tab-separated values with a header, as they are shown."""
        header = self.horizontalHeader()
        shown = [header.logicalIndex(visual) for visual in range(header.count())]
        columns = [column for column in shown if not self.isColumnHidden(column)]
        rows = self._selected_rows()
        titles = [str(self._rows.columns[column].title) for column in columns]
        cells = [[self._plain(row, column) for column in columns] for row in rows]
        return "\n".join("\t".join(line) for line in (titles, *cells)) + "\n"

    def event(self, event: QEvent) -> bool:
        """Claim the keys for copying before any shortcut of the window takes them."""
        if event.type() == QEvent.Type.ShortcutOverride and event.matches(
            QKeySequence.StandardKey.Copy
        ):
            event.accept()
            return True
        return bool(super().event(event))

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Move, choose, copy or note; every other key is the viewer's."""
        if self.state() == QAbstractItemView.State.EditingState:
            # Left over by the field that a note is written in, such as its last Enter.
            event.accept()
        elif event.matches(QKeySequence.StandardKey.Copy):
            QGuiApplication.clipboard().setText(self.copied())
        elif event.key() == Qt.Key.Key_F2:
            self.edit_note()
        elif event.key() in ENTER:
            row = self.selected_row()
            if row is not None:
                self.picked.emit(row)
        elif event.key() in MOVES or event.matches(QKeySequence.StandardKey.SelectAll):
            before = self.selected_row()
            super().keyPressEvent(event)
            if not (event.modifiers() & WITH_MORE) and self.selected_row() != before:
                self.moved.emit()
        else:
            event.ignore()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Edit a note without choosing its row."""
        self._click.stop()
        index = self.indexAt(event.pos())
        if self._is_note(index):
            self.noting.emit(index.row())
        super().mouseDoubleClickEvent(event)

    def closeEditor(self, editor: QWidget, hint: Any) -> None:  # noqa: N802
        """Close a note's cell; the next one is not opened, and the keys come back here."""
        super().closeEditor(editor, QAbstractItemDelegate.EndEditHint.NoHint)
        self.setFocus()
        self.noted.emit()

    def _selected_rows(self) -> list[int]:
        return sorted({index.row() for index in self.selectionModel().selectedIndexes()})

    def _on_columns(self, _: QModelIndex, first: int, last: int) -> None:
        """Let the selection reach over new columns; the current cell may be being written in."""
        for column in range(first, last + 1):
            self.setColumnWidth(column, self._width(column))
        whole = QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows
        for row in self._selected_rows():
            self.selectionModel().select(self._order.index(row, 0), whole)

    def _on_data(self, first: QModelIndex, last: QModelIndex) -> None:
        rows = self._rows.rows[first.row() : last.row() + 1]
        self._fit_peaks(range(first.column(), last.column() + 1), rows)

    def _fit_peaks(self, numbers: Iterable[int], rows: Sequence[Row]) -> None:
        """Give columns of peaks room for all digits: a number cut short is another number."""
        for number in numbers:
            column = self._rows.columns[number]
            if column.name.startswith(PEAK):
                texts = (self._rows.text(row, column) for row in rows)
                wanted = max(map(self.fontMetrics().horizontalAdvance, texts), default=0)
                if wanted + CELL_PADDING > self.columnWidth(number):
                    self.setColumnWidth(number, int(wanted) + CELL_PADDING)

    def _width(self, number: int) -> int:
        """Return a column's own width, or that of a header in which something is chosen."""
        column, font = self._rows.columns[number], QFont(self.font())
        if not column.name.startswith(PEAK):
            return column.width
        font.setPixelSize(HEADER_FONT)
        title = str(self._rows.headerData(number, HORIZONTAL))
        text = QFontMetrics(font).size(0, title).width()
        return max(column.width, int(text) + HEADER_PADDING)

    def _on_clicked(self, index: QModelIndex) -> None:
        if QGuiApplication.keyboardModifiers() & WITH_MORE:
            return
        if self._is_note(index):
            self._click.ask(QGuiApplication.styleHints().mouseDoubleClickInterval())
        else:
            self.picked.emit(index.row())

    def _on_single_click(self) -> None:
        row = self.selected_row()
        if row is not None and self.state() != QAbstractItemView.State.EditingState:
            self.picked.emit(row)

    def _is_note(self, index: QModelIndex) -> bool:
        return bool(index.isValid() and index.column() == self._rows.column_of(NOTE))

    def _shown_column(self) -> int:
        count = len(self._rows.columns)
        return next((c for c in range(count) if not self.isColumnHidden(c)), 0)

    def _plain(self, row: int, column: int) -> str:
        """Return a cell for other programs: numbers in full, without separators."""
        index = self._order.index(row, column)
        value = index.data(Qt.ItemDataRole.UserRole)
        if self._rows.columns[column].name == VERDICT:
            return value or ""
        if isinstance(value, int | float):
            return f"{value:.6g}" if isinstance(value, float) else str(value)
        return str(index.data() or "")

    def _style(self) -> None:
        # napari's theme pads headers so widely that two columns would not fit a laptop's panel.
        # A sort arrow lies above the title: beside it, it would lie over a short one.
        self.setStyleSheet(
            "QHeaderView::section { padding: 1px 2px; font-weight: normal;"
            f" font-size: {HEADER_FONT}px; }}"
            "QHeaderView::up-arrow, QHeaderView::down-arrow"
            " { subcontrol-position: top center; width: 11px; height: 7px; }"
        )
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setSectionsMovable(True)
        header.setStretchLastSection(True)
        header.setDefaultSectionSize(64)
        header.setFixedHeight(HEADER)
        below = self.horizontalScrollBar().sizeHint().height()
        self.setMinimumHeight(HEADER + LEAST_ROWS * ROW + below + 2 * self.frameWidth())
        header.setMinimumSectionSize(24)
        header.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        header.customContextMenuRequested.connect(self._on_header_menu)

    def _on_choice(self, section: int) -> None:
        at = self.horizontalHeader().sectionViewportPosition(section)
        below = QPoint(at, self.horizontalHeader().height())
        self.kind_menu().popup(self.horizontalHeader().mapToGlobal(below))

    def kind_menu(self) -> QMenu:
        """Return the menu that chooses which maps the columns of peaks are of."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.setObjectName("kind_menu")
        for kind, said in self._rows.kinds.items():
            action = menu.addAction(f"Peaks of {shown_name(said.title)} maps")
            action.setCheckable(True)
            action.setChecked(kind == self._rows.kind)
            action.triggered.connect(lambda _, kind=kind: self._rows.choose_kind(kind))
        return menu

    def _on_header_menu(self, at: QPoint) -> None:
        self.column_menu().popup(self.horizontalHeader().mapToGlobal(at))

    def column_menu(self) -> QMenu:
        """Return the menu that shows and hides columns."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for number, column in enumerate(self._rows.columns[1:], start=1):
            action = menu.addAction(column.title)
            action.setToolTip(column.tooltip)
            action.setCheckable(True)
            action.setChecked(not self.isColumnHidden(number))
            action.toggled.connect(lambda on, n=number: self.setColumnHidden(n, not on))
        return menu
