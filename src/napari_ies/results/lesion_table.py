"""The table of lesions, read back: every cell is checked before anything is shown of it.

Spreadsheets change such tables in passing: they leave cells empty, write decimal commas or other
separators, sort and add rows.
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.errors import ResultsError
from napari_ies.results.storage.tables import read_table
from napari_ies.segmentation.lesions import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

NOT_ALWAYS = ("hemisphere", "midline_mm", "match")
"""Columns that earlier versions, or segmentations without a reference, do not have."""
MAY_LACK = ("midline_mm",)
"""Columns whose numbers may be missing."""


class _Unlike(ValueError):  # noqa: N818 - a clause, told by the error that follows
    """Table and image have other lesions."""


def read_lesion_table(path: Path, labels: NDArray[np.int32], sha256: str = "") -> pd.DataFrame:
    """Read the table of lesions of an image of labels.

    Parameters
    ----------
    path
        The table; it may have further columns, which are kept as they are.
    labels
        int32 (X, Y, Z): each label has one row.
    sha256
        SHA-256 that the file must have, or empty where it may have been changed since.

    Raises
    ------
    ResultsError
        If it is missing or no table, or a cell, a column or a row is not what it must be.
    """
    try:
        table = read_table(path, sha256)
    except FileNotFoundError as error:
        raise ResultsError(
            f"{path} is missing; the files of one result belong together, so copy them all."
        ) from error
    # pandas raises what its parser happens to meet; these are all that it is known for.
    except (OSError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise ResultsError(
            f"{path} cannot be read as the table of lesions; copy or compute it again."
        ) from error
    try:
        return _checked(table, labels)
    except _Unlike as error:
        raise ResultsError(
            f"{path.name} and the image of labels beside it do not agree any more: {error}; where "
            "the image was corrected by hand, correct the table too, or undo what was changed in "
            f"{path.parent}."
        ) from error
    except ValueError as error:
        raise ResultsError(
            f"{path} is no table of these lesions any more: {error}; undo what another program "
            "changed in it, or segment again."
        ) from error


def _checked(table: pd.DataFrame, labels: NDArray[np.int32]) -> pd.DataFrame:
    # Version 0.1 wrote the column "label" and no names.
    key = next((name for name in ("index", "label") if name in table), None)
    if key is None:
        raise ValueError(
            "no column is named index (columns are separated by tabs, not commas or semicolons)"
        )
    missing = [name for name in COLUMNS if name not in table and name not in NOT_ALWAYS]
    if missing:
        raise ValueError(f"the column {missing[0]} is missing")
    _check_labels(table[key].tolist(), labels)
    table = table.drop(columns="name", errors="ignore").set_index(key).rename_axis("label")
    for name in MAY_LACK:
        # A spreadsheet leaves a cell empty where the program writes n/a.
        if name in table and (empty := table[name].isin([""])).any():
            with suppress(ValueError):
                table[name] = table[name].mask(empty).astype(float)
    for name, described in COLUMNS.items():
        if name in table:
            for label, value in table[name].items():
                _check_cell(name, described, value, f"{name} of lesion {label}")
    return table


def _check_labels(listed: list[Any], labels: NDArray[np.int32]) -> None:
    for label in listed:
        if not _is_number(label) or label != int(label) or label < 1:
            raise ValueError(f"{_shown(label)} is no label of a lesion")
    if len(set(listed)) < len(listed):
        raise ValueError("a lesion has two rows")
    if int(labels.min(initial=0)) < 0 or int(labels.max(initial=0)) > labels.size:
        raise ValueError("the image of labels holds values that are none")
    present = set(np.flatnonzero(np.bincount(labels.ravel())).tolist()) - {0}
    for label in sorted(set(listed) - present)[:1]:
        raise _Unlike(f"the table has lesion {label}, which the image does not")
    for label in sorted(present - set(listed))[:1]:
        raise _Unlike(f"lesion {label} of the image has no row in the table")


def _check_cell(name: str, described: Mapping[str, object], value: Any, where: str) -> None:
    levels = described.get("Levels")
    if isinstance(levels, dict):
        if value not in levels:
            raise ValueError(f"{where} is {_shown(value)}, expected one of {', '.join(levels)}")
        return
    if isinstance(value, float) and math.isnan(value):
        if name not in MAY_LACK:
            raise ValueError(f"{where} is empty")
        return
    if not _is_number(value):
        raise ValueError(f"{where} is {_shown(value)}, expected a number such as 0.5")
    if name == "voxels" and (value != int(value) or value < 1):
        raise ValueError(f"{where} is {_shown(value)}, expected a whole number of at least 1")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer) and math.isfinite(value)


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return f"'{value[:60]}'" if value else "empty"
    return "empty" if isinstance(value, float) and math.isnan(value) else str(value)[:60]
