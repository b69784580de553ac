"""The table of a curve's values: a standard Qt model, a row per step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from napari_ies.viewer.context.words import HEADINGS, rows
from napari_ies.viewer.panel.availability import describe
from napari_ies.viewer.panel.controls import select_alone

if TYPE_CHECKING:
    from napari_ies.cohort.context.perilesional import Context

_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class ValuesModel(QAbstractTableModel):
    """The values of one curve."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: list[tuple[str, ...]] = []

    def set_curve(self, context: Context) -> None:
        """Show the values of another curve, or of the same one further on."""
        new, before = rows(context), len(self._rows)
        if before and new[:before] == self._rows:
            if len(new) > before:
                self.beginInsertRows(QModelIndex(), before, len(new) - 1)
                self._rows = new
                self.endInsertRows()
            return
        self.beginResetModel()
        self._rows = new
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        """Return the number of rows: one more than there are steps."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        """Return the number of columns."""
        return 0 if parent is not None and parent.isValid() else len(HEADINGS)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the text of a cell, or its alignment."""
        if role == Qt.ItemDataRole.DisplayRole:
            return self._rows[index.row()][index.column()]
        return _RIGHT if role == Qt.ItemDataRole.TextAlignmentRole else None

    def headerData(  # noqa: N802
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        """Return what a column is, and its tooltip."""
        if orientation == Qt.Orientation.Vertical:
            return None
        title = list(HEADINGS)[section]
        texts = {Qt.ItemDataRole.DisplayRole: title, Qt.ItemDataRole.ToolTipRole: HEADINGS[title]}
        return texts.get(role)


class ValuesTable(QTableView):
    """Shows the values; the row that the keyboard or the mouse goes to is marked in the plot."""

    step_changed = Signal(int)
    """The number of the step of the row gone to; -1 for the images as they are."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.values = ValuesModel(self)
        self.setModel(self.values)
        about = "The values of the curve; the arrow keys go from step to step and mark it above."
        describe(self, about, "context_values")
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTabKeyNavigation(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(20)
        self.setStyleSheet("QHeaderView::section { padding: 1px 4px; }")
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.setFixedHeight(148)
        self.selectionModel().currentRowChanged.connect(self._on_row)

    @property
    def step(self) -> int:
        """The number of the step of the chosen row; -1 for the images as they are, or for none."""
        return max(int(self.currentIndex().row()) - 1, -1)

    def go_to(self, step: int) -> None:
        """Go to the row of a step."""
        select_alone(self, step + 1)

    def _on_row(self, _now: QModelIndex, _before: QModelIndex) -> None:
        self.step_changed.emit(self.step)
