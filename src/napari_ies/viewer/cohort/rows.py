"""ListedRows: a listing as a Qt model, which looks at the rows in sight and at no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt

from napari_ies.printable import printable
from napari_ies.viewer.panel.plain_text import LONGEST_TIP, tool_tip

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtCore import QObject

    from napari_ies.viewer.state.listed.listing import Listing

HORIZONTAL = Qt.Orientation.Horizontal
DISPLAY, TOOLTIP = Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole


class ListedRows(QAbstractTableModel):
    """The rows of a listing, in its order.

    No proxy sorts and filters them: it would ask Python for every row, several times, and the
    window would stand still for seconds with a cohort of thousands of patients.

    Parameters
    ----------
    mark
        Says in a sign how a row, given by its number among all, stands out.
    """

    def __init__(
        self, mark: Callable[[int], str] = lambda _: "", parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.listing: Listing[Any] | None = None
        self._mark = mark

    def show(self, listing: Listing[Any]) -> None:
        """Show a listing, and what becomes of it."""
        if self.listing is not None:
            self.listing.changed.disconnect(self._on_changed)
        self.beginResetModel()
        self.listing = listing
        self.endResetModel()
        listing.changed.connect(self._on_changed)

    def marks_changed(self) -> None:
        """Show the marks anew."""
        self.headerDataChanged.emit(Qt.Orientation.Vertical, 0, max(self.rowCount() - 1, 0))

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column: what a click on its header asks for."""
        if self.listing is not None and 0 <= column < len(self.listing.columns):
            self.listing.sort_by(column, order == Qt.SortOrder.DescendingOrder)

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        """Return the number of rows listed."""
        if self.listing is None or (parent is not None and parent.isValid()):
            return 0
        return len(self.listing)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        """Return the number of columns."""
        if self.listing is None or (parent is not None and parent.isValid()):
            return 0
        return len(self.listing.columns)

    def data(self, index: QModelIndex, role: int = DISPLAY) -> Any:
        """Return the text of a cell, its tooltip or its alignment."""
        if self.listing is None or not index.isValid():
            return None
        column = self.listing.columns[index.column()]
        if role == DISPLAY:
            return printable(column.text(self.listing.row(index.row())), LONGEST_TIP)
        if role == TOOLTIP:
            about = column.about and column.about(self.listing.row(index.row()))
            return tool_tip(about or column.tooltip)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignLeft if column.is_text else Qt.AlignmentFlag.AlignRight
            return side | Qt.AlignmentFlag.AlignVCenter
        return None

    def headerData(  # noqa: N802
        self, section: int, orientation: Qt.Orientation, role: int = DISPLAY
    ) -> Any:
        """Return a column's title or tooltip, or a row's mark."""
        if self.listing is None:
            return None
        if orientation != HORIZONTAL:
            known = role == DISPLAY and section < len(self.listing)
            return self._mark(int(self.listing.listed[section])) if known else None
        column = self.listing.columns[section]
        return {DISPLAY: column.title, TOOLTIP: column.tooltip}.get(Qt.ItemDataRole(role))

    def _on_changed(self) -> None:
        self.beginResetModel()
        self.endResetModel()
