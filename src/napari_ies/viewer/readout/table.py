"""The table of the readout: a standard Qt model, a column per sequence, a row per number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QSize, Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from napari_ies.viewer.readout.words import ROWS, cell_text, cell_tooltip, rows_of

if TYPE_CHECKING:
    from napari_ies.viewer.readout.measuring import Numbers
    from napari_ies.viewer.readout.words import Row

_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter


class MeasuresModel(QAbstractTableModel):
    """The measures of one map."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._numbers: Numbers | None = None
        self.power = 0

    def set_numbers(self, numbers: Numbers | None, power: int = 0) -> None:
        """Show the numbers of another map, or of the same one further on, or none.

        Parameters
        ----------
        numbers
            The numbers.
        power
            They are written in units of ten to this power.
        """
        before = self._sequences(), self._rows()
        self._numbers, self.power = numbers, power
        if (self._sequences(), self._rows()) != before:
            self.beginResetModel()
            self.endResetModel()
        elif numbers is not None:
            last = self.index(self.rowCount() - 1, self.columnCount() - 1)
            self.dataChanged.emit(self.index(0, 0), last)

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        """Return the number of rows."""
        return 0 if parent is not None and parent.isValid() else len(self._rows())

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        """Return the number of sequences."""
        return 0 if parent is not None and parent.isValid() else len(self._sequences())

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the text of a cell, its value (UserRole), tooltip or alignment."""
        if self._numbers is None:
            return None
        row, name = self._rows()[index.row()], self._sequences()[index.column()]
        values = self._numbers.measures.iloc[index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return cell_text(row, values, self.power)
        if role == Qt.ItemDataRole.UserRole:
            return float(values[row.key])
        if role == Qt.ItemDataRole.ToolTipRole:
            return cell_tooltip(row, name, values, self._numbers.answer)
        return _RIGHT if role == Qt.ItemDataRole.TextAlignmentRole else None

    def headerData(  # noqa: N802
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        """Return a sequence or what a row is, their tooltips and alignment."""
        if orientation == Qt.Orientation.Vertical:
            row = self._rows()[section]
            title, meaning, side = row.title, row.meaning, _LEFT
        else:
            title, side = self._sequences()[section], _RIGHT
            meaning = f"The map of {'all sequences together' if title == 'all' else title}."
        texts = {
            Qt.ItemDataRole.DisplayRole: title,
            Qt.ItemDataRole.ToolTipRole: meaning,
            Qt.ItemDataRole.TextAlignmentRole: side,
        }
        return texts.get(role)

    def _rows(self) -> tuple[Row, ...]:
        return ROWS if self._numbers is None else rows_of(self._numbers.measures)

    def _sequences(self) -> tuple[str, ...]:
        return () if self._numbers is None else self._numbers.answer.saliency.sequences


class MeasuresTable(QTableView):
    """Shows the measures; as high as its rows, so that none is scrolled out of sight."""

    def __init__(self, model: MeasuresModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("measures")
        self.setToolTip("The numbers of the map on screen, one column per sequence.")
        self.setModel(model)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setStyleSheet("QHeaderView::section { padding: 1px 4px; }")
        self.verticalHeader().setDefaultSectionSize(20)
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.horizontalHeader().setMinimumSectionSize(88)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return the height of all rows."""
        rows = self.verticalHeader().length() + self.horizontalHeader().sizeHint().height()
        bar = self.horizontalScrollBar()
        below = bar.sizeHint().height() if bar.isVisible() else 0
        return QSize(super().sizeHint().width(), rows + below + 2 * self.frameWidth() + 2)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Return a narrow panel's width and the height of all rows."""
        return QSize(200, self.sizeHint().height())
