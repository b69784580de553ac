"""Tables on disk, as BIDS has them: tab-separated, the index first, ``n/a`` where a value lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MISSING = "n/a"
"""What stands in a table where there is no value."""


def table_writer(table: pd.DataFrame) -> Callable[[Path], None]:
    """Return what writes a table to a path; its index, which has a name, is the first column."""

    def writer(path: Path) -> None:
        table.to_csv(path, sep="\t", na_rep=MISSING, lineterminator="\n")

    return writer


def read_table(path: Path) -> pd.DataFrame:
    """Read a table; every number is the one that was written.

    Raises
    ------
    OSError, ValueError
        If there is no such file, or it is no table.
    """
    # As text first: how exactly pandas reads floats hangs on its version, Python's float does not.
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, na_values=[MISSING])
    return table.apply(_numbers) if len(table) else table


def _numbers(column: pd.Series) -> pd.Series:
    """Return a column of texts as integers or floats if all of them are, or as it is."""
    whole = not column.isna().any()
    try:
        if whole and all(text.lstrip("-").isdecimal() for text in column):
            return column.map(int).astype("int64")
        return pd.Series([float(text) for text in column], index=column.index, name=column.name)
    except (ValueError, OverflowError):
        return column
