"""The cohort's two tables: one of cases, one of lesions and sequences.

They are put together from the records of the cases, one after another, so that their size costs no
memory; the same records give the same bytes.
"""

from __future__ import annotations

import csv
import math
from typing import TYPE_CHECKING, Any

from napari_ies.cohort.record import FOLDER, read_record
from napari_ies.results import prepare
from napari_ies.results.storage.tables import MISSING
from napari_ies.results.storage.writing import json_writer, write
from napari_ies.saliency.reading_off.measures import describe_measures
from napari_ies.segmentation.lesions import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from napari_ies.cohort.cases import CohortCase
    from napari_ies.cohort.record import CaseRecord

CASES, LESIONS = "cases.tsv", "lesions.tsv"

_WHO: dict[str, dict[str, Any]] = {
    "subject": {"Description": "Label of the patient"},
    "visit": {"Description": "Label of the visit"},
}
CASE_COLUMNS: dict[str, dict[str, Any]] = {
    **_WHO,
    "status": {
        "Description": "What came of the case",
        "Levels": {
            "done": "its lesions were explained",
            "no lesions": "the network marks none, and none was missed",
            "failed": "the column problem says why",
            "not done": "the run did not come to it",
        },
    },
    "problem": {"Description": "Why it failed, in one sentence"},
    "lesions": {"Description": "Number of lesions, missed ones (FN) too"},
    "explained": {"Description": "Number of lesions that were chosen and explained"},
    "TP": {"Description": "Lesions that the network marks and that overlap the reference"},
    "FP": {"Description": "Lesions that the network marks and the reference does not"},
    "FN": {"Description": "Lesions of the reference that no marked one touches"},
    "marked_mm3": {"Description": "Volume of the lesions that the network marks", "Units": "mm^3"},
    "reference_mm3": {"Description": "Volume of the reference", "Units": "mm^3"},
    "dice": {"Description": "Dice of the marked lesions and the reference, by voxels"},
    "normalised_dice": {
        "Description": "The same with false positive voxels weighed as if lesions took a "
        "thousandth of the volume (nDSC, arXiv:2302.05432)"
    },
    "lesion_f1": {"Description": "2 TP / (2 TP + FP + FN), by lesions"},
    "lesion_sensitivity": {
        "Description": "Share of the reference's lesions that a marked one touches"
    },
    "lesion_precision": {"Description": "TP / (TP + FP), by lesions"},
    "notes": {"Description": "What must be said of the result"},
}
LESION_COLUMNS: dict[str, dict[str, Any]] = {
    **_WHO,
    "lesion": {"Description": "Label of the lesion in the image of labels"},
    **COLUMNS,
    "method": {"Description": "Method of the map"},
    "aggregation": {"Description": "With SmoothGrad, how the lesion's voxels become one map"},
    "sequence": {"Description": "Sequence of the map; all with Grad-CAM++"},
}
"""Those before the measures."""
_UNIT = "logit per standard deviation (SmoothGrad), logit × activation (Grad-CAM++)"


def write_tables(folder: Path, cases: Sequence[CohortCase]) -> list[Path]:
    """Write the tables of cases and of lesions and sequences, a JSON beside each; return the paths.

    Raises
    ------
    ResultsError
        If the disk refuses.
    """

    def records() -> Iterator[tuple[CohortCase, CaseRecord | None]]:
        return ((case, read_record(folder, case)) for case in cases)

    def case_rows() -> Iterator[Mapping[str, Any]]:
        for case, record in records():
            if record is None or record.state == "running":
                yield {"subject": case.subject, "visit": case.visit, "status": "not done"}
            else:
                yield record.row

    def lesion_rows() -> Iterator[Mapping[str, Any]]:
        return (row for _, record in records() if record for row in record.lesions)

    described = {**LESION_COLUMNS, **describe_measures(_UNIT)}
    present = {name for row in lesion_rows() for name in row}
    columns = [name for name in described if name in present or name in LESION_COLUMNS]
    files = {
        CASES: _writer([*CASE_COLUMNS], case_rows),
        LESIONS: _writer(columns, lesion_rows),
        "cases.json": json_writer(CASE_COLUMNS),
        "lesions.json": json_writer({name: described[name] for name in columns}),
    }
    return write(prepare(folder / FOLDER, files, overwrite=True), files)


def _writer(
    columns: Sequence[str], rows: Callable[[], Iterable[Mapping[str, Any]]]
) -> Callable[[Path], None]:
    def put(path: Path) -> None:
        with path.open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, delimiter="\t", lineterminator="\n")
            table.writerow(columns)
            for row in rows():
                table.writerow([_cell(row.get(name)) for name in columns])

    return put


def _cell(value: Any) -> str:
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    return repr(value) if isinstance(value, float) else str(value)
