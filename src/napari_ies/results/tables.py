"""Tables on disk, as BIDS has them: tab-separated, the index first, ``n/a`` where a value lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pandas as pd


def table_writer(table: pd.DataFrame) -> Callable[[Path], None]:
    """Return what writes a table to a path; its index, which has a name, is the first column."""

    def writer(path: Path) -> None:
        table.to_csv(path, sep="\t", na_rep="n/a", lineterminator="\n")

    return writer
