"""The order of the lesion table, and which of its rows a person asked for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QModelIndex, QSortFilterProxyModel, Qt

from napari_ies.viewer.lesions.lesion_columns import EXPLAINED, MATCH, PLACE, VERDICT

if TYPE_CHECKING:
    from qtpy.QtCore import QObject

    from napari_ies.segmentation.subject import Subject
    from napari_ies.viewer.lesions.lesion_rows import LesionRows, Row


class SortedRows(QSortFilterProxyModel):
    """The rows in the order of a column, and only those that a person asked for.

    Regions stay below the lesions, and what has no value below what has one, whichever way the
    column is sorted.
    """

    def __init__(self, rows: LesionRows, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.rows = rows
        self._kept: Subject | None = None
        self._words: list[str] = []
        self._matches: frozenset[str] = frozenset()
        self._verdicts: frozenset[str] = frozenset()
        self._unexplained = False
        self._smallest = 0.0
        self.setSourceModel(rows)

    def ask_for(
        self,
        text: str = "",
        matches: frozenset[str] = frozenset(),
        verdicts: frozenset[str] = frozenset(),
        unexplained: bool = False,
        smallest: float = 0.0,
    ) -> None:
        """Show only some rows.

        Parameters
        ----------
        text
            Each of its words must be found in one of a row's cells, in upper or lower case.
        matches
            ``"TP"``, ``"FP"``, ``"FN"``: one of these; empty for any.
        verdicts
            ``"agree"``, ``"reject"``, ``"unsure"``, or an empty text for what was not judged: one
            of these; empty for any.
        unexplained
            Only what has no map yet.
        smallest
            Smallest volume in mm³.
        """
        self._words = text.lower().split()
        self._matches, self._verdicts = matches, verdicts
        self._unexplained, self._smallest = unexplained, smallest
        self.invalidateFilter()

    def keep(self, subject: Subject | None) -> None:
        """List a lesion or region whatever is asked for, until another one or None is kept."""
        self._kept = subject
        self.invalidateFilter()

    def subject_at(self, row: int) -> Subject:
        """Return the lesion or region of a row as sorted."""
        subject: Subject = self.rows.rows[self.mapToSource(self.index(row, 0)).row()].subject
        return subject

    def subjects(self) -> list[Subject]:
        """Return what is shown, in order."""
        return [self.subject_at(row) for row in range(self.rowCount())]

    def filterAcceptsRow(self, number: int, parent: QModelIndex) -> bool:  # noqa: N802
        """Return whether a row was asked for."""
        row = self.rows.rows[number]
        if self._kept is not None and row.subject == self._kept:
            return True
        if self._matches and row.values.get(MATCH) not in self._matches:
            return False
        if self._verdicts and (row.values.get(VERDICT) or "") not in self._verdicts:
            return False
        if self._unexplained and row.values.get(EXPLAINED):
            return False
        if (row.values.get("volume_mm3") or 0.0) < self._smallest:
            return False
        return all(any(word in text for text in self._texts(row)) for word in self._words)

    def lessThan(self, one: QModelIndex, other: QModelIndex) -> bool:  # noqa: N802
        """Return whether one row comes before another where small comes first."""
        first, second = (self._rank(index) for index in (one, other))
        if first[0] == second[0]:
            return bool(first[1] < second[1])
        # What belongs below does so in both directions, and Qt turns this answer around.
        return bool((first[0] < second[0]) == (self.sortOrder() == Qt.SortOrder.AscendingOrder))

    def _rank(self, index: QModelIndex) -> tuple[tuple[bool, bool], Any]:
        row, column = self.rows.rows[index.row()], self.rows.columns[index.column()]
        value = row.values.get(column.name)
        if column.name == PLACE and value is not None:
            side, distance = value
            value = -distance if side == "left" else distance
        if isinstance(value, float) and math.isnan(value):
            value = None
        region, missing = isinstance(row.subject, str), value in (None, "")
        if missing:
            value = 0
        elif isinstance(value, str):
            value = value.lower()
        return (region, missing), value

    def _texts(self, row: Row) -> list[str]:
        texts = [self.rows.text(row, column) for column in self.rows.columns]
        place = row.values.get(PLACE)
        side = "" if place is None else place[0]
        verdict = row.values.get(VERDICT) or ""
        return [text.lower() for text in (*texts, side, verdict) if text]
