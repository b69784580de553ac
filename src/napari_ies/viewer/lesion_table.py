"""The table of lesions: a standard Qt model, sortable; the view says what a person chose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QSortFilterProxyModel, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

LABEL = "label"
EXPLAINED = "explained"

_COLUMNS: dict[str, tuple[str, Callable[[Any], str], str]] = {
    LABEL: ("#", str, "Number of the lesion; the same in the image and in every file."),
    "volume_mm3": ("mm³", lambda v: f"{v:,.0f}", "Volume in cubic millimetres."),
    "voxels": ("Voxels", lambda v: f"{v:,d}", "Number of voxels of the images' own grid."),
    "mean_probability": (
        "p mean",
        lambda v: f"{v:.2f}",
        "Mean probability over the lesion's voxels, by the network, from 0 to 1.",
    ),
    "max_probability": (
        "p max",
        lambda v: f"{v:.2f}",
        "Highest probability in the lesion, by the network, from 0 to 1.",
    ),
    "match": (
        "Match",
        str,
        "TP: overlaps the reference; FP: the network's alone; FN: in the reference alone.",
    ),
    EXPLAINED: ("Explained", str, "The maps computed so far; a click shows the latest at once."),
}

_WIDTHS = {
    LABEL: 38,
    "volume_mm3": 56,
    "voxels": 54,
    "mean_probability": 58,
    "max_probability": 50,
    "match": 50,
}
"""In pixels: a laptop's panel shows every column."""


class LesionTableModel(QAbstractTableModel):
    """Rows of :func:`napari_ies.lesions.lesion_table`, and what was explained of each."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._columns: list[str] = [name for name in _COLUMNS if name != "match"]
        self._rows: list[dict[str, Any]] = []

    def set_lesions(self, lesions: pd.DataFrame | None) -> None:
        """Show other lesions, or none."""
        self.beginResetModel()
        records = [] if lesions is None else lesions.reset_index().to_dict("records")
        self._rows = [{**{str(k): v for k, v in r.items()}, EXPLAINED: ""} for r in records]
        matched = lesions is not None and "match" in lesions.columns
        self._columns = [name for name in _COLUMNS if matched or name != "match"]
        self.endResetModel()

    def set_explained(self, label: int, text: str) -> None:
        """Say what was explained of a lesion."""
        row = self.row_of(label)
        if row is None:
            return
        self._rows[row][EXPLAINED] = text
        index = self.index(row, self._columns.index(EXPLAINED))
        self.dataChanged.emit(index, index)

    def row_of(self, label: int) -> int | None:
        """Return the row of a lesion, or None."""
        return next((i for i, row in enumerate(self._rows) if row[LABEL] == label), None)

    def label_at(self, row: int) -> int:
        """Return the lesion of a row."""
        return int(self._rows[row][LABEL])

    def width_of(self, column: int) -> int:
        """Return the width of a column in pixels."""
        return _WIDTHS[self._columns[column]]

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        """Return the number of lesions."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        """Return the number of columns."""
        return 0 if parent is not None and parent.isValid() else len(self._columns)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the text of a cell, its sort value (UserRole), tooltip or alignment."""
        name = self._columns[index.column()]
        value = self._rows[index.row()][name]
        if role == Qt.ItemDataRole.DisplayRole:
            return _COLUMNS[name][1](value)
        if role == Qt.ItemDataRole.UserRole:
            return value
        if role == Qt.ItemDataRole.ToolTipRole:
            return _COLUMNS[name][2]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            left = name in (EXPLAINED, "match")
            side = Qt.AlignmentFlag.AlignLeft if left else Qt.AlignmentFlag.AlignRight
            return side | Qt.AlignmentFlag.AlignVCenter
        return None

    def headerData(  # noqa: N802
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        """Return the title of a column or its tooltip."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        title, _, tooltip = _COLUMNS[self._columns[section]]
        return {Qt.ItemDataRole.DisplayRole: title, Qt.ItemDataRole.ToolTipRole: tooltip}.get(role)


class LesionTable(QTableView):
    """Shows the lesions; says which one a person chose."""

    chosen = Signal(int)
    """Label of the lesion that a person chose with the mouse or the keyboard."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("lesions")
        self.setToolTip("The lesions the network marked: choose a row to explain it.")
        self._model = LesionTableModel(self)
        self._sorted = QSortFilterProxyModel(self)
        self._sorted.setSourceModel(self._model)
        self._sorted.setSortRole(Qt.ItemDataRole.UserRole)
        self.setModel(self._sorted)
        self.setSortingEnabled(True)
        self.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        # napari's theme pads headers so widely that two columns would not fit a laptop's panel.
        self.setStyleSheet("QHeaderView::section { padding: 1px 3px; }")
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(22)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setStretchLastSection(True)
        header.setDefaultSectionSize(_WIDTHS["match"])
        header.setMinimumSectionSize(24)
        self.setMinimumHeight(120)
        self._silent = False
        self.selectionModel().currentRowChanged.connect(self._on_row)
        self.clicked.connect(self._on_row)

    def set_lesions(self, lesions: pd.DataFrame | None) -> None:
        """Show other lesions, or none."""
        self._silent = True
        self._model.set_lesions(lesions)
        self._silent = False
        for column in range(self._model.columnCount() - 1):
            width = max(self._model.width_of(column), self.sizeHintForColumn(column))
            self.setColumnWidth(column, width)
        # The last one is stretched, and must not ask for more than is left.
        self.setColumnWidth(self._model.columnCount() - 1, _WIDTHS["match"])

    def set_explained(self, label: int, text: str) -> None:
        """Say what was explained of a lesion."""
        self._model.set_explained(label, text)

    def select(self, label: int | None) -> None:
        """Select a lesion's row without saying that a person did."""
        self._silent = True
        row = None if label is None else self._model.row_of(label)
        if row is None:
            self.clearSelection()
        else:
            index = self._sorted.mapFromSource(self._model.index(row, 0))
            self.selectRow(index.row())
            self.setCurrentIndex(index)
            self.scrollTo(index)
        self._silent = False

    def _on_row(self, index: QModelIndex, _: QModelIndex | None = None) -> None:
        if index.isValid() and not self._silent:
            self.chosen.emit(self._model.label_at(self._sorted.mapToSource(index).row()))
