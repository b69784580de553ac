"""A run over many cases: what is left to do is done, and whatever stops it, the next one goes on.

A case's record says by hashes what it was made from and what was written, and is written last: a
case without one that fits is done again, but for maps that are there whole and still right.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from napari_ies.cohort.jobs.folder_lock import RUN, locked
from napari_ies.cohort.one_case import working_on
from napari_ies.cohort.record import (
    FOLDER,
    NETWORK,
    CaseRecord,
    hashes,
    is_done,
    read_record,
    remove_outdated,
    renewed,
    replaced_maps,
    write_record,
    written,
)
from napari_ies.cohort.tables import write_tables
from napari_ies.errors import CohortError, ResultsError
from napari_ies.results import prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from napari_ies.cohort.cases import CohortCase
    from napari_ies.cohort.settings import CohortSettings
    from napari_ies.network.model import SegmentationModel
    from napari_ies.progress import Progress

logger = logging.getLogger("napari_ies")

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
    *,
    alone: bool = True,
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
    alone
        Whether it is a run of its own; else one of several jobs that have their own cases each, and
        whoever puts them together writes the tables.

    Yields
    ------
    A report after each step of work and at the end of each case.

    Raises
    ------
    CohortError
        If another run writes to the folder or works on a case, or the graphics card fails.
    ResultsError
        If the disk refuses: nothing that comes after could be written either.
    """
    check_place(folder)
    with locked(folder, cases, alone=alone):
        for number, case in enumerate(cases, start=1):
            begun = CohortReport(case, number, len(cases))
            yield from working_through(model, begun, settings, folder, sentence_of)
        if alone:
            write_tables(folder, cases)


def check_place(folder: Path) -> None:
    """Make the folder of results, and make sure that files can be written there.

    Raises
    ------
    ResultsError
        If they cannot.
    """
    prepare(folder, [f"{FOLDER}/{RUN}"], overwrite=True)


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
        places=_places(case, model),
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
            "files": renewed(
                earlier, folder, written(folder, result.files), settings.scripts_folder
            ),
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
        if ends_all(error):
            raise
        sentence = sentence_of(error)
        update = _failure(case, sentence)
        end = replace(report, outcome="failed", sentence=sentence)
    write_record(folder, case, begun.model_copy(update=update))
    yield end


def _places(case: CohortCase, model: SegmentationModel) -> dict[str, str]:
    """Return where a case's files and the network's lie, by what they are."""
    network = {} if model.path is None else {NETWORK: model.path}
    return {what: str(path.absolute()) for what, path in {**case.files, **network}.items()}


def given_up(report: CohortReport, folder: Path, sentence: str) -> CohortReport:
    """Record that a report's case was given up by others, and why; return its last report."""
    case = report.case
    record = read_record(folder, case) or CaseRecord(
        state="running", inputs={}, segmentation="", key=""
    )
    write_record(folder, case, record.model_copy(update=_failure(case, sentence)))
    return replace(report, outcome="failed", sentence=sentence)


def _failure(case: CohortCase, sentence: str) -> dict[str, Any]:
    """Return what the record of a case says that could not be done."""
    row = {"subject": case.subject, "visit": case.visit, "status": "failed", "problem": sentence}
    return {"state": "failed", "row": row}


def ends_all(error: Exception) -> bool:
    """Whether no other case could be done after this error: the disk or the graphics card."""
    if isinstance(error, ResultsError) and isinstance(error.__cause__, OSError):
        return True
    if isinstance(error, RuntimeError) and "CUDA error" in str(error):
        raise CohortError(
            f"The graphics card failed ({str(error).splitlines()[0]}); give the same command "
            "again, and the run goes on where it was."
        ) from error
    return False
