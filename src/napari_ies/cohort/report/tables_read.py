"""What a cohort's own tables say of its cases and lesions; no map is opened."""

from __future__ import annotations

import csv
import io
import os
from array import array
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import pandas as pd
from pydantic import ValidationError

from napari_ies.cohort.discovery.what_lies_there import what_lies
from napari_ies.cohort.record import FOLDER, CaseRecord, records_folder
from napari_ies.cohort.report.content import (
    SHOWN,
    UNCERTAINTIES,
    Report,
    report_of_progressively,
)
from napari_ies.cohort.report.suspicion import COMPARED
from napari_ies.cohort.statistics.rows import MAP, NO_MATCH, WHO, lesion_rows
from napari_ies.cohort.tables import CASES, LESIONS
from napari_ies.errors import ResultsError
from napari_ies.progress import Progress, to_its_end
from napari_ies.regular_files import open_regular, read_json
from napari_ies.results.storage.tables import MISSING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

TEXTS = ("subject", "visit", "match", "method", "aggregation", "sequence")
_MEASURES = dict.fromkeys([*SHOWN, *COMPARED, "peak_positive_error"])
NUMBERS = ("volume_mm3", "mean_probability", "max_probability", *_MEASURES)
OPTIONAL = tuple(name for name in UNCERTAINTIES if name not in NUMBERS)
"""Numbers that earlier versions, or networks without members, have no column for."""
_TOGETHER = 500
"""Rows between two reports of progress."""
UNFINISHED = (
    "The run into this folder has not come to its end; these are the cases that are done so far."
)
UNREADABLE = "{count} of the records of cases cannot be read, the first is {first}; run it again."


def cohort_folder(path: Path) -> Path:
    """Return the folder of results that a path means: itself, or the one around its tables.

    Raises
    ------
    ResultsError
        If it is none, in one sentence: what lies there, and what is expected.
    """
    path = path.expanduser()
    around = [path.parent] if path.name == FOLDER else []
    for folder in (path, *around):
        if (folder / FOLDER / CASES).is_file() or records_folder(folder).is_dir():
            return folder
    if next(path.glob("sub-*/**/*_measures.tsv"), None) is not None:
        return path  # of explain
    raise ResultsError(
        f"There are no results of a cohort in {path} ({what_lies(path)}); choose the folder that "
        f"napari-ies cohort wrote, which holds {FOLDER}/{CASES}."
    )


def read_cohort_progressively(path: Path) -> Iterator[Progress[tuple[Path, Report]]]:
    """Read which cases and lesions a folder of results holds, the suspicious first.

    The cohort's two tables are read; the records of its cases where a run has not come to its end,
    and the tables of the maps where ``explain`` wrote them.

    Yields
    ------
    A report after some lines each; the last one holds the folder of results, and the report on it.

    Raises
    ------
    ResultsError
        If it is no folder of results, or a table is not as it was written.
    """
    folder = cohort_folder(path)
    notes: tuple[str, ...] = ()
    cases: pd.DataFrame | None = None
    if (folder / FOLDER / CASES).is_file():
        with _refusing(folder / FOLDER / CASES):
            cases, rows = read_cases(folder / FOLDER / CASES), None
        with _refusing(folder / FOLDER / LESIONS):
            for step in _rows(folder / FOLDER / LESIONS):
                yield step.with_result(None)
                rows = step.result
    elif records_folder(folder).is_dir():
        rows = None
        for told in _from_records(folder):
            yield told.with_result(None)
            if told.result is not None:
                cases, rows, notes = told.result
    else:
        yield Progress("Reading the maps' tables", 0, 0, "")
        rows = lesion_rows(folder)
    assert rows is not None  # noqa: S101 - the last report has them
    for report in report_of_progressively(rows, cases, most=len(rows)):
        found = report.result
        whole = None if found is None else (folder, _with_notes(found, notes))
        yield report.with_result(whole)


read_cohort = to_its_end("read_cohort", read_cohort_progressively)


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Say in one sentence that a table cannot be read."""
    try:
        yield
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or error
        raise ResultsError(
            f"{path} cannot be read as a table of napari-ies cohort ({said}); run it again."
        ) from error


def _with_notes(report: Report, notes: tuple[str, ...]) -> Report:
    return Report(report.cases, report.lesions, (*notes, *report.notes))


def read_cases(path: Path) -> pd.DataFrame:
    """Read the table of cases; labels of patients and visits stay texts, such as ``"007"``.

    Raises
    ------
    OSError, ValueError
        If there is no such file, or it is no table of cases.
    """
    rows = []
    with open_regular(path) as raw:
        for row in _lines(raw, ("subject",)):
            values = {name: _value(text) for name, text in row.items() if name}
            rows.append(values | {name: _text(row.get(name)) for name in ("subject", "visit")})
    return pd.DataFrame(rows, columns=None if rows else ["subject", "visit"])


def _rows(path: Path) -> Iterator[Progress[pd.DataFrame]]:
    """Read the table of lesions line by line: nothing here holds the other threads up for long."""
    columns = _Columns()
    with open_regular(path) as raw:
        size = os.fstat(raw.fileno()).st_size
        for number, row in enumerate(_lines(raw, (*WHO, *MAP, *NUMBERS))):
            columns.add(row)
            if number % _TOGETHER == 0:
                done = round(100 * raw.tell() / size)
                yield Progress("Reading the table of lesions", min(done, 99), 100, "%")
    yield Progress("Reading the table of lesions", 100, 100, "%", columns.table())


def _lines(raw: BinaryIO, needed: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """Yield the rows of a table.

    Raises
    ------
    ValueError
        If a row has no value in a column that is needed.
    """
    text = io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
    try:
        for row in csv.DictReader(text, delimiter="\t"):
            lacking = [name for name in needed if row.get(name) is None]
            if lacking:
                raise ValueError(f"a row has nothing in the column {lacking[0]}")
            yield row
    except csv.Error as error:
        raise ValueError(str(error)) from error
    finally:
        text.detach()


def _text(text: str | None) -> str:
    return "" if text is None or text == MISSING else text


def _value(text: str | None) -> str | float | None:
    """Return what a cell of the table of cases holds; whole numbers and words as they are."""
    if text is None or text == MISSING:
        return None
    if "." not in text and "e-" not in text:
        return text
    try:
        return float(text)
    except ValueError:
        return text


def _from_records(
    folder: Path,
) -> Iterator[Progress[tuple[pd.DataFrame, pd.DataFrame, tuple[str, ...]]]]:
    """Read the records of cases, where no run has come to its end and put them into tables."""
    columns, cases, broken = _Columns(), [], []
    paths = sorted(records_folder(folder).glob("*.json"))
    for number, path in enumerate(paths):
        yield Progress("Reading the records of cases", number, len(paths), "cases")
        try:
            record = CaseRecord.model_validate(read_json(path))
        except (OSError, ValueError, ValidationError, RecursionError):
            broken.append(path)
            continue
        if record.state != "running":
            cases.append(record.row)
            for row in record.lesions:
                columns.add(row)
    unread = [UNREADABLE.format(count=len(broken), first=broken[0])] if broken else []
    notes = (UNFINISHED, *unread)
    table = pd.DataFrame(cases, columns=["subject", "visit"] if not cases else None)
    done = len(paths)
    yield Progress("Reading the records", done, done, "cases", (table, columns.table(), notes))


class _Columns:
    """Rows of the table of lesions on their way into a table, one at a time."""

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {name: [] for name in TEXTS}
        self._numbers = {name: array("d") for name in (*NUMBERS, *OPTIONAL)}
        self._lesions = array("q")

    def add(self, row: Mapping[str, Any]) -> None:
        """Add a row as it was written, or as a record holds it.

        Raises
        ------
        ValueError
            If it has text where a number belongs.
        """
        self._lesions.append(int(row["lesion"]))
        for name, texts in self._texts.items():
            text = row.get(name)
            missing = NO_MATCH if name in ("match", "aggregation") else ""
            texts.append(missing if text in (None, "", MISSING) else str(text))
        for name, numbers in self._numbers.items():
            value = row.get(name)
            numbers.append(float("nan") if value in (None, "", MISSING) else float(value))

    def table(self) -> pd.DataFrame:
        """Return all rows."""
        columns: dict[str, Any] = {"lesion": np.array(self._lesions, dtype=np.int64)}
        columns |= {name: np.array(of, dtype=object) for name, of in self._texts.items()}
        columns |= {name: np.array(of) for name, of in self._numbers.items()}
        return pd.DataFrame(columns).assign(file="")
