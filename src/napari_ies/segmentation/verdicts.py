"""Verdicts: what a person says of a lesion, and the columns of a table that hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import pandas as pd

Verdict = Literal["agree", "reject", "unsure"]
"""Whether a person agrees that it is a lesion, says that it is none, or cannot tell."""

COLUMNS: dict[str, dict[str, object]] = {
    "verdict": {
        "Description": "What a person who looked at it says; n/a where nobody did",
        "Levels": {
            "agree": "it is a lesion",
            "reject": "it is none",
            "unsure": "it cannot be told",
        },
    },
    "note": {"Description": "What a person wrote about it; n/a for nothing"},
}
"""What the columns are, as BIDS describes columns."""


def with_verdicts(
    lesions: pd.DataFrame, verdicts: Mapping[Any, str], notes: Mapping[Any, str]
) -> pd.DataFrame:
    """Return a table of lesions with a column for the verdicts, and one for the notes.

    Each is there only if it holds anything; what is said of regions is left out.

    Parameters
    ----------
    lesions
        See :func:`~napari_ies.segmentation.lesions.lesion_table`.
    verdicts, notes
        By label.
    """
    table = lesions.drop(columns=[*COLUMNS], errors="ignore")
    for name, said in (("verdict", verdicts), ("note", notes)):
        column = [said.get(int(label)) or None for label in table.index]
        if any(column):
            table[name] = column
    return table
