"""Tables on disk, as BIDS has them: tab-separated, the index first, ``n/a`` where a value lacks."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

import pandas as pd

from napari_ies.errors import ResultsError
from napari_ies.regular_files import LARGEST_TEXT, read_regular, sha256_of
from napari_ies.results.names import sidecar_name
from napari_ies.results.storage.json_files import CHANGED

if TYPE_CHECKING:
    from pathlib import Path

    from napari_ies.results.storage.writing import Writer

MISSING = "n/a"
"""What stands in a table where there is no value."""
MOST_CELLS = 5_000_000
"""A table has a row for each lesion or distance, and some twenty columns."""


def table_writer(table: pd.DataFrame) -> Writer:
    """Return what writes a table to a path; its index, which has a name, is the first column."""

    def writer(path: Path) -> None:
        table.to_csv(path, sep="\t", na_rep=MISSING, lineterminator="\n")

    return writer


def read_table(path: Path, sha256: str = "") -> pd.DataFrame:
    """Read a table; every number is the one that was written.

    Parameters
    ----------
    path
        The table.
    sha256
        Of the file, as its sidecar records it; empty for results of before that was written.

    Raises
    ------
    ResultsError
        If it is not the file whose SHA-256 was recorded.
    OSError, ValueError
        If there is no such file, or it is no table.
    """
    raw = read_regular(path, LARGEST_TEXT)
    if sha256 and sha256_of(raw) != sha256:
        raise ResultsError(CHANGED.format(path=path, sidecar=sidecar_name(path.name)))
    # A table in memory takes tens of bytes for each separator of the file.
    if raw.count(b"\t") + raw.count(b"\n") > MOST_CELLS:
        raise ValueError("it has more cells than any table of napari-ies")
    text = StringIO(raw.decode("utf-8-sig"))
    # As text first: how exactly pandas reads floats hangs on its version, Python's float does not.
    table = pd.read_csv(text, sep="\t", dtype=str, keep_default_na=False, na_values=[MISSING])
    # Nothing tells what a column without rows holds; as text it would add up to "" and not to 0.
    if not len(table):
        return table.astype(object)
    columns = {name: _numbers(column) for name, column in table.items()}
    return pd.DataFrame(columns, index=table.index)


def _numbers(column: pd.Series) -> pd.Series:
    """Return a column of texts as integers or floats if all of them are, or as it is."""
    whole = not column.isna().any()
    try:
        if whole and all(text.lstrip("-").isdecimal() for text in column):
            return column.map(int).astype("int64")
        return pd.Series([float(text) for text in column], index=column.index, name=column.name)
    except (ValueError, OverflowError):
        return column
