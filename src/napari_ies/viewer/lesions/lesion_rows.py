"""The rows of the lesion table: a standard Qt model of lesions, regions, maps and notes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal

from napari_ies.printable import joined, printable
from napari_ies.segmentation.subject import Lesion, Region
from napari_ies.viewer.lesions.lesion_columns import (
    COLUMNS,
    ERROR,
    EXPLAINED,
    LABEL,
    MATCH,
    NOTE,
    PEAK,
    PLACE,
    VERDICT,
    WAS,
    Column,
    PeakKind,
    peak_column,
    place_words,
)
from napari_ies.viewer.lesions.match_legend import match_mark
from napari_ies.viewer.panel.plain_text import LONGEST_TIP, tool_tip

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Mapping

    import pandas as pd
    from qtpy.QtCore import QObject

    from napari_ies.segmentation.subject import Subject

CHOICE = "▾"
"""Before the title of a column whose content is chosen in its header."""
HORIZONTAL = Qt.Orientation.Horizontal
DISPLAY = Qt.ItemDataRole.DisplayRole


@dataclass(eq=False)
class Row:
    """A lesion or a region."""

    subject: Subject
    """Its label or name."""
    values: dict[str, Any]
    """By the names of the columns; what is missing is shown empty."""
    tooltips: dict[str, str] = field(default_factory=dict)
    """Of single cells, in place of their column's."""
    peaks: dict[Hashable, tuple[Mapping[str, float], str]] = field(default_factory=dict)
    """By kind of map, the peaks by sequence and their tool tip."""


class LesionRows(QAbstractTableModel):
    """Rows of :func:`napari_ies.segmentation.lesions.lesion_table`, with what was explained and
    noted.
    """

    noted = Signal(object, str)
    """The lesion or region, and what a person wrote about it."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.columns = [column for column in COLUMNS if column.name != MATCH]
        self.rows: list[Row] = []
        self.kinds: dict[Hashable, PeakKind] = {}
        """The kinds of maps that there are."""
        self.kind: Hashable = None
        """The kind that the columns of peaks hold."""

    def set_lesions(self, lesions: pd.DataFrame | None) -> None:
        """Show other lesions, or none; regions, maps and notes of those before go."""
        self.beginResetModel()
        records = [] if lesions is None else lesions.reset_index().to_dict("records")
        matched = lesions is not None and MATCH in lesions.columns
        self.columns = [column for column in COLUMNS if matched or column.name != MATCH]
        self.kinds, self.kind = {}, None
        self.rows = [
            _row(Lesion(record[LABEL]), {str(name): value for name, value in record.items()})
            for record in records
        ]
        self.endResetModel()

    def set_region(self, name: str, values: Mapping[str, Any]) -> None:
        """Show a region below the lesions, or show its new values."""
        row, number = _row(Region(name), values), self.row_of(Region(name))
        if number is not None:
            known = self.rows[number]
            kept = {k: v for k, v in known.values.items() if k not in row.values}
            self.rows[number] = replace(self.rows[number], values={**kept, **row.values})
            # Not the note, which is the last: it would be taken from under a person's fingers.
            last = len(self.columns) - 2
            self.dataChanged.emit(self.index(number, 0), self.index(number, last))
            return
        self.beginInsertRows(QModelIndex(), len(self.rows), len(self.rows))
        self.rows.append(row)
        self.endInsertRows()

    def set_value(self, subject: Subject, name: str, value: Any, tooltip: str = "") -> None:
        """Change one value of a lesion or region that is in the table."""
        number = self.row_of(subject)
        if number is None:
            return
        row = self.rows[number]
        row.values[name] = value
        if tooltip:
            row.tooltips[name] = tooltip
        else:
            row.tooltips.pop(name, None)
        column = self.column_of(name)
        if column is not None:
            self.dataChanged.emit(self.index(number, column), self.index(number, column))

    def set_peaks(
        self, subject: Subject, kind: Hashable, peaks: Mapping[str, float], tooltip: str
    ) -> None:
        """Keep the peaks of a map by sequence, in place of those of one of the same kind.

        They are shown if the columns hold that kind of maps.
        """
        number = self.row_of(subject)
        if number is None:
            return
        self.rows[number].peaks[kind] = peaks, tooltip
        if kind == self.kind:
            for sequence in peaks:
                self._have_column(peak_column(sequence, self.kinds[kind]))
            self._show_peaks(self.rows[number])

    def forget_peaks(self, subject: Subject, but: Collection[Hashable]) -> None:
        """Drop the peaks of maps that are not there any more, of all kinds but these."""
        number = self.row_of(subject)
        if number is not None:
            row = self.rows[number]
            row.peaks = {kind: peaks for kind, peaks in row.peaks.items() if kind in but}
            self._show_peaks(row)

    def set_kinds(self, kinds: Mapping[Any, PeakKind]) -> None:
        """Take the kinds of maps that there are; the first one is shown until one is chosen."""
        self.kinds = dict(kinds)
        if self.kind in self.kinds:
            self._name_peaks()
        else:
            self.choose_kind(next(iter(self.kinds), None))

    def choose_kind(self, kind: Hashable) -> None:
        """Have the columns of peaks hold another kind of maps, and nothing of any other."""
        self.kind = kind
        held = [row.peaks[kind][0] for row in self.rows if kind in row.peaks]
        names = [PEAK + sequence for peaks in held for sequence in peaks]
        for number in reversed(range(len(self.columns))):
            name = self.columns[number].name
            if name.startswith(PEAK) and name not in names:
                self.beginRemoveColumns(QModelIndex(), number, number)
                del self.columns[number]
                self.endRemoveColumns()
        for name in dict.fromkeys(names):
            self._have_column(peak_column(name.removeprefix(PEAK), self.kinds[kind]))
        self._name_peaks()
        for row in self.rows:
            self._show_peaks(row)

    def set_error(self, subject: Subject, probability: float | None, words: str) -> None:
        """Show how probably a lesion is a false positive, or nothing, and in words why."""
        if words:
            self._have_column(ERROR)
        self.set_value(subject, ERROR.name, probability, words)

    def set_former(self, subject: Subject, numbers: tuple[int, ...]) -> None:
        """Say which lesions one was at the threshold before it changed; none: it is new."""
        self._have_column(WAS, NOTE)
        were = joined(numbers) if numbers else ""
        about = (
            f"It was {were} before the threshold changed it."
            if were
            else ("New: no lesion was there at the threshold before it came.")
        )
        self.set_value(subject, WAS.name, numbers, about)
        self.set_value(subject, LABEL, subject, about)

    def row_of(self, subject: Subject) -> int | None:
        """Return the row of a lesion or region, or None."""
        return next((i for i, row in enumerate(self.rows) if row.subject == subject), None)

    def column_of(self, name: str) -> int | None:
        """Return the number of a column, or None if it is not there."""
        return next((i for i, column in enumerate(self.columns) if column.name == name), None)

    def text(self, row: Row, column: Column) -> str:
        """Return a cell's text."""
        value = row.values.get(column.name)
        return "" if value is None else column.text(value)

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        """Return the number of lesions and regions."""
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        """Return the number of columns."""
        return 0 if parent is not None and parent.isValid() else len(self.columns)

    def data(self, index: QModelIndex, role: int = DISPLAY) -> Any:
        """Return the text of a cell, its value (UserRole), tooltip or alignment."""
        if not index.isValid():
            return None
        row, column = self.rows[index.row()], self.columns[index.column()]
        if role == DISPLAY:
            return printable(self.text(row, column), LONGEST_TIP)
        if role == Qt.ItemDataRole.EditRole:
            return self.text(row, column)
        if role == Qt.ItemDataRole.UserRole:
            return row.values.get(column.name)
        if role == Qt.ItemDataRole.DecorationRole and column.name == MATCH:
            return match_mark(str(row.values.get(MATCH, "")))
        if role == Qt.ItemDataRole.ToolTipRole:
            return tool_tip(_tooltip(row, column))
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignLeft if column.left else Qt.AlignmentFlag.AlignRight
            return side | Qt.AlignmentFlag.AlignVCenter
        return None

    def flags(self, index: QModelIndex) -> Any:
        """Return what can be done with a cell: notes can be written."""
        flags = super().flags(index)
        if index.isValid() and self.columns[index.column()].name == NOTE:
            flags |= Qt.ItemFlag.ItemIsEditable
        return flags

    def setData(  # noqa: N802
        self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole
    ) -> bool:
        """Take a note as a person wrote it, in one line."""
        if role != Qt.ItemDataRole.EditRole or self.columns[index.column()].name != NOTE:
            return False
        row, text = self.rows[index.row()], " ".join(str(value).split())
        if text != (row.values.get(NOTE) or ""):
            self.set_value(row.subject, NOTE, text)
            self.noted.emit(row.subject, text)
        return True

    def headerData(  # noqa: N802
        self, section: int, orientation: Qt.Orientation, role: int = DISPLAY
    ) -> Any:
        """Return the title of a column or its tooltip."""
        if orientation != HORIZONTAL or not 0 <= section < len(self.columns):
            return None
        column = self.columns[section]
        if role == Qt.ItemDataRole.TextAlignmentRole and column.name.startswith(PEAK):
            return Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        said = column.header or column.title
        title = f"{CHOICE} {said}" if column.name.startswith(PEAK) else said
        texts = {DISPLAY: title, Qt.ItemDataRole.ToolTipRole: tool_tip(column.tooltip)}
        return texts.get(Qt.ItemDataRole(role))

    def _name_peaks(self) -> None:
        """Say in the headers which kind of maps they hold."""
        for number, column in enumerate(self.columns):
            if column.name.startswith(PEAK):
                sequence = column.name.removeprefix(PEAK)
                self.columns[number] = peak_column(sequence, self.kinds[self.kind])
                self.headerDataChanged.emit(HORIZONTAL, number, number)
                last = self.index(len(self.rows) - 1, number)
                self.dataChanged.emit(self.index(0, number), last)

    def _show_peaks(self, row: Row) -> None:
        peaks, tooltip = row.peaks.get(self.kind, ({}, ""))
        for name in [column.name for column in self.columns if column.name.startswith(PEAK)]:
            self.set_value(row.subject, name, peaks.get(name.removeprefix(PEAK)), tooltip)

    def _have_column(self, column: Column, before: str = EXPLAINED) -> None:
        """Add a column before the maps or another one, in sight, if it is not there yet."""
        at = self.column_of(before)
        if at is None or self.column_of(column.name) is not None:
            return
        self.beginInsertColumns(QModelIndex(), at, at)
        self.columns.insert(at, column)
        self.endInsertColumns()


def _row(subject: Subject, record: Mapping[str, Any]) -> Row:
    # What somebody wrote in a table on disk is no word of the person who reads here.
    own = {name: value for name, value in record.items() if name not in (VERDICT, NOTE)}
    values = {**own, LABEL: subject}
    if "hemisphere" in values:
        values[PLACE] = (values["hemisphere"], values["midline_mm"])
    return Row(subject, values)


def _tooltip(row: Row, column: Column) -> str:
    value = row.values.get(column.name)
    if column.name == PLACE and value is not None:
        return place_words(value)
    own = row.tooltips.get(column.name, "")
    if column.name == VERDICT and value:
        own = f"Your verdict: {value}."
    if column.name == NOTE and value:
        own = str(value)
    return own or column.tooltip
