"""Cases as a table names them: a row for each case, a column for each sequence."""

from __future__ import annotations

import csv
import logging
from io import StringIO
from typing import TYPE_CHECKING

from napari_ies.cohort.cases import CohortCase, distinct
from napari_ies.cohort.discovery.what_lies_there import is_there, none_found
from napari_ies.errors import CohortError
from napari_ies.patient.identity import identify
from napari_ies.patient.images.volume import expanded
from napari_ies.patient.sequence_names import guess_sequences
from napari_ies.printable import joined
from napari_ies.regular_files import read_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

logger = logging.getLogger("napari_ies")

COLUMNS = {
    "subject": ("subject", "participant_id", "patient", "sub"),
    "visit": ("visit", "session_id", "session", "ses"),
    "reference": ("reference", "target", "mask"),
    "lesions": ("lesions", "labels"),
}
"""What the columns may be called that are no sequence."""
_EMPTY = ("", "n/a")


def find_cases(file: Path, sequences: Sequence[str]) -> list[CohortCase]:
    """Find the cases of a table of tab-separated values.

    Paths are relative to the table's folder. A row that lacks an image is a case with a trouble.

    Raises
    ------
    CohortError
        If it is no such table, has no row, no image that it names is there, or two rows name the
        same case.
    """
    if not file.exists():
        raise none_found(str(file), file.parent)
    try:
        rows = list(csv.reader(StringIO(read_text(file).lstrip("\ufeff")), delimiter="\t"))
    except (OSError, ValueError, csv.Error) as error:
        raise CohortError(
            f"{file} cannot be read as a table of cases ({error}); give tab-separated text in "
            "UTF-8."
        ) from error
    head, *rows = [row for row in rows if any(cell.strip() for cell in row)] or [[]]
    head = [name.strip() for name in head]
    while head and not head[-1]:  # spreadsheets write empty columns behind the last one
        head.pop()
    repeated = sorted({name for name in head if head.count(name) > 1})
    if repeated:
        raise CohortError(f"{file.name} has more than one column {joined(repeated)}; rename one.")
    special = {
        kind: next((name for name in head if name.casefold() in known), "")
        for kind, known in COLUMNS.items()
    }
    rest = {name: name for name in head if name not in special.values()}
    columns = guess_sequences(sequences, rest)
    missing = [sequence for sequence in sequences if sequence not in columns]
    if missing:
        raise CohortError(
            f"{file.name} has no column for {joined(missing)}: its columns are "
            f"{', '.join(head) or 'none'}, separated by tabs; name one after each input of the "
            "network."
        )
    unused = [name for name in rest if name not in columns.values()]
    if unused:
        logger.warning("The columns %s of %s are not used.", joined(unused), file.name)
    if not rows:
        raise CohortError(f"{file.name} has no row besides its first; add a row for each case.")
    cases = []
    for number, row in enumerate(rows, start=1):
        beyond = [cell for cell in row[len(head) :] if cell.strip()]
        if beyond:
            raise CohortError(
                f"Row {number} of {file.name} has {len(head) + len(beyond)} cells under "
                f"{len(head)} columns; look for a tab too many."
            )
        cells = dict(zip(head, (cell.strip() for cell in row), strict=False))
        cases.append(_case(file.parent, number, cells, columns, special, sequences))
    cases = distinct(cases)
    named = [path for case in cases for path in case.images.values()]
    if named and not any(map(is_there, named)):
        raise none_found(f"{named[0]} and the other images of {file.name}", named[0].parent)
    return cases


def _case(
    folder: Path,
    number: int,
    cells: Mapping[str, str],
    columns: Mapping[str, str],
    special: Mapping[str, str],
    sequences: Sequence[str],
) -> CohortCase:
    def cell(column: str) -> str:
        text = cells.get(column, "")
        return "" if text in _EMPTY else text

    def path(column: str) -> Path | None:
        text = cell(column)
        return folder / expanded(text) if text else None

    found = {sequence: path(columns[sequence]) for sequence in sequences}
    images = {sequence: one for sequence, one in found.items() if one is not None}
    lacks = [sequence for sequence in sequences if sequence not in images]
    trouble = f"Row {number} of the table names no image for {joined(lacks)}." if lacks else ""
    if len({*images.values()}) < len(images):
        trouble = f"Row {number} of the table names one image for several sequences."
    subject, visit = cell(special["subject"]), cell(special["visit"])
    identity = identify(images.values(), subject=subject or None, visit=visit or None)
    return CohortCase(
        subject=identity.subject if images or subject else f"row{number}",
        visit=identity.visit,
        images=images,
        reference=path(special["reference"]),
        lesions=path(special["lesions"]),
        place=f"row {number}",
        trouble=trouble,
    )
