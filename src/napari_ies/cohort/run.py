"""A run over many cases: what is left to do is done, and whatever stops it, the next one goes on.

A case's record says by hashes what it was made from and what was written, and is written last: a
case without one that fits is done again, but for maps that are there whole and still right. Two
runs into one folder refuse each other.
"""

from __future__ import annotations

import json
import logging
import os
import platform
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from filelock import FileLock, Timeout

from napari_ies.cohort.one_case import working_on
from napari_ies.cohort.record import (
    FOLDER,
    CaseRecord,
    hashes,
    is_done,
    read_record,
    records_folder,
    remove_outdated,
    replaced_maps,
    write_record,
    written,
)
from napari_ies.cohort.tables import write_tables
from napari_ies.errors import CohortError, ResultsError
from napari_ies.regular_files import read_json
from napari_ies.results import prepare
from napari_ies.results.storage.writing import disk_errors, json_writer, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from napari_ies.cohort.cases import CohortCase
    from napari_ies.cohort.settings import CohortSettings
    from napari_ies.network.model import SegmentationModel
    from napari_ies.progress import Progress

logger = logging.getLogger("napari_ies")

_LOCK, _RUN = "lock", "run.json"
LOG = "log.txt"
"""In the cohort's folder: what was said of each case."""


@dataclass(frozen=True)
class CohortReport:
    """Where a run stands."""

    case: CohortCase
    number: int
    """Of the case, from 1."""
    total: int
    step: Progress[Any] | None = None
    """Where the work on the case stands; None once it has come to an end."""
    outcome: Literal["", "done", "there already", "failed"] = ""
    """What came of the case; empty while it is worked on."""
    sentence: str = ""
    """Why it failed."""
    lesions: int = 0
    """How many lesions were explained."""
    replaced: str = ""
    """What gave way to other noise, see :func:`~napari_ies.cohort.record.replaced_maps`."""


def running(
    model: SegmentationModel,
    cases: Sequence[CohortCase],
    settings: CohortSettings,
    folder: Path,
    sentence_of: Callable[[BaseException], str] = str,
) -> Iterator[CohortReport]:
    """Work through cases, and write their results, records and tables.

    Parameters
    ----------
    model
        The network.
    cases, settings
        What is done with which.
    folder
        For the results; made if it is not there.
    sentence_of
        Says what went wrong with a case.

    Yields
    ------
    A report after each step of work and at the end of each case.

    Raises
    ------
    CohortError
        If another run writes to the folder, or the graphics card fails.
    ResultsError
        If the disk refuses: nothing that comes after could be written either.
    """
    check_place(folder)
    with locked(folder):
        for number, case in enumerate(cases, start=1):
            begun = CohortReport(case, number, len(cases))
            yield from working_through(model, begun, settings, folder, sentence_of)
        write_tables(folder, cases)


def check_place(folder: Path) -> None:
    """Make the folder of results, and make sure that files can be written there.

    Raises
    ------
    ResultsError
        If they cannot.
    """
    prepare(folder, [f"{FOLDER}/{_RUN}"], overwrite=True)


def working_through(
    model: SegmentationModel,
    report: CohortReport,
    settings: CohortSettings,
    folder: Path,
    sentence_of: Callable[[BaseException], str],
) -> Iterator[CohortReport]:
    """Do what is left to do of a report's case, and record it; see :func:`running`.

    Yields
    ------
    The report as the work goes on; the last one has an outcome.
    """
    case = report.case
    earlier, inputs = read_record(folder, case), hashes(case.files)
    segmentation, key = settings.segmentation_key(model), settings.key(model)
    if earlier is not None and is_done(earlier, folder, inputs, key):
        lesions = int(earlier.row.get("explained", 0))
        yield replace(report, outcome="there already", lesions=lesions)
        return
    logger.info("%s (%s) begins", case.name, case.place)
    remove_outdated(earlier, folder, inputs, segmentation)
    begun = CaseRecord(
        state="running",
        inputs=inputs,
        segmentation=segmentation,
        key=key,
        noise_version=settings.noise_version,
        files={} if earlier is None else earlier.files,
    )
    write_record(folder, case, begun)
    try:
        result = None
        for step in working_on(model, case, settings, folder, earlier):
            result = step.result
            yield replace(report, step=step.with_result(None))
        assert result is not None  # noqa: S101 - the last report has it
        update = {
            "state": "done",
            "files": written(folder, result.files),
            "row": dict(result.row),
            "lesions": result.lesions,
        }
        end = replace(
            report,
            outcome="done",
            lesions=int(result.row["explained"]),
            replaced=replaced_maps(earlier, settings.noise_version),
        )
    except Exception as error:
        if _ends_all(error):
            raise
        sentence = sentence_of(error)
        row = {"subject": case.subject, "visit": case.visit, "status": "failed"}
        update = {"state": "failed", "row": row | {"problem": sentence}}
        end = replace(report, outcome="failed", sentence=sentence)
    write_record(folder, case, begun.model_copy(update=update))
    yield end


def _ends_all(error: Exception) -> bool:
    """Whether no other case could be done after this error: the disk or the graphics card."""
    if isinstance(error, ResultsError) and isinstance(error.__cause__, OSError):
        return True
    if isinstance(error, RuntimeError) and "CUDA error" in str(error):
        raise CohortError(
            f"The graphics card failed ({str(error).splitlines()[0]}); give the same command "
            "again, and the run goes on where it was."
        ) from error
    return False


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder of results.

    Raises
    ------
    CohortError
        If there is one.
    """
    place = folder / FOLDER
    with disk_errors(place):
        place.mkdir(parents=True, exist_ok=True)
        lock = FileLock(place / _LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise CohortError(
                f"Another run writes to {folder}{_who(place)}; wait for it, or choose another "
                "folder."
            ) from error
    try:
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        who = {"Host": platform.node(), "Process": os.getpid(), "Started": now}
        write(place, {_RUN: json_writer(who)})
        records_folder(folder).mkdir(parents=True, exist_ok=True)
        yield
    finally:
        lock.release()


def _who(place: Path) -> str:
    """Say in a clause whose run it is, as far as it told."""
    try:
        said = read_json(place / _RUN)
        return f" (process {said['Process']} on {said['Host']}, since {said['Started']})"
    except (OSError, ValueError, LookupError, TypeError, json.JSONDecodeError):
        return ""
