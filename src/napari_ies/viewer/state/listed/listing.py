"""Listing: many rows in the order of a column, and only those that a person asked for.

A hundred thousand rows are sorted and searched within milliseconds: what that needs of each row is
made once, in a worker, and no row is looked at again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from napari_ies.viewer.state.event import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

T = TypeVar("T")


@dataclass(frozen=True)
class ListColumn(Generic[T]):
    """What one column of a listing says of a row."""

    title: str
    """Of the header."""
    tooltip: str
    """Of the header, too."""
    width: int
    """In pixels."""
    value: Callable[[T], Any]
    """What a row is sorted by: a number or a text; None, NaN or an empty text where there is
    nothing."""
    text: Callable[[T], str]
    """A row's text."""
    is_text: bool = False
    """Whether it is text, which is aligned left."""
    about: Callable[[T], str] | None = None
    """The tooltip of a cell, in place of the column's."""


class Listing(Generic[T]):
    """Rows in some order, filtered.

    Parameters
    ----------
    rows
        All of them.
    columns
        What is said of each.
    """

    def __init__(self, rows: Sequence[T], columns: Sequence[ListColumn[T]]) -> None:
        self.rows, self.columns = rows, tuple(columns)
        self.changed: Event[[]] = Event()
        """Other rows are listed, or in another order."""
        self._ranks = [_ranks([column.value(row) for row in rows]) for column in self.columns]
        self._texts = [
            "\n".join(column.text(row) for column in self.columns).lower() for row in rows
        ]
        self._sorted = self._kept = np.arange(len(rows))
        self._words: tuple[str, ...] = ()
        self._mask: NDArray[np.bool_] | None = None
        self.listed: NDArray[np.intp] = self._sorted
        """Numbers of the rows that are listed, in order."""

    def __len__(self) -> int:
        return len(self.listed)

    def row(self, place: int) -> T:
        """Return the row at a place of the list."""
        return self.rows[int(self.listed[place])]

    def place_of(self, number: int) -> int | None:
        """Return where a row is listed, by its number among all; None if it is not."""
        found = np.flatnonzero(self.listed == number)
        return int(found[0]) if len(found) else None

    def sort_by(self, column: int, descending: bool = False) -> None:
        """List in the order of a column; rows without a value come last either way."""
        ranks, missing = self._ranks[column]
        keys = np.where(missing, len(self.rows), -ranks if descending else ranks)
        self._sorted = np.argsort(keys, kind="stable")
        self._list()

    def ask_for(self, text: str = "", mask: NDArray[np.bool_] | None = None) -> None:
        """List only some rows.

        Parameters
        ----------
        text
            Each of its words must be found in one of a row's cells, in upper or lower case.
        mask
            bool (rows,): which of all rows come into question; None for all.
        """
        self._words, self._mask = tuple(text.lower().split()), mask
        self._list()

    def _list(self) -> None:
        kept = np.ones(len(self.rows), dtype=bool) if self._mask is None else self._mask.copy()
        for word in self._words:
            kept &= np.fromiter((word in text for text in self._texts), bool, len(self._texts))
        self.listed = self._sorted[kept[self._sorted]]
        self.changed.emit()


def _ranks(values: Sequence[Any]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the rank of each value, the same for equal ones, and which are missing."""
    missing = np.array([_is_missing(value) for value in values], dtype=bool)
    known = [value for value in values if not _is_missing(value)]
    ranks = np.zeros(len(values), dtype=np.int64)
    order = {value: rank for rank, value in enumerate(sorted(set(known), key=_in_order))}
    ranks[~missing] = [order[value] for value in known]
    return ranks, missing


def _in_order(value: Any) -> Any:
    return (value.lower(), value) if isinstance(value, str) else value


def _is_missing(value: Any) -> bool:
    return value is None or value == "" or value != value
