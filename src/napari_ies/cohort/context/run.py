"""The contexts of many cases: what is left to do is done, here or by several workers.

Each case's table says by hashes what it was computed from, and grows by a lesion at a time: a run
that was stopped goes on where it was. Two runs into one folder refuse each other.
"""

from __future__ import annotations

import json
import logging
import platform
import time
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.checkpoints import checkpoint_sha256
from napari_ies.cohort.cluster import network_of_worker
from napari_ies.cohort.context.files import CaseContexts, provenance, table_path
from napari_ies.cohort.context.one_case import computing, finding
from napari_ies.cohort.context.perilesional import perilesional_progressively
from napari_ies.cohort.context.table import context_rows
from napari_ies.cohort.expected import Expected
from napari_ies.cohort.jobs.folder_lock import locked
from napari_ies.cohort.one_case import opened
from napari_ies.cohort.run import check_place, ends_all
from napari_ies.errors import CohortError, NapariIESError
from napari_ies.patient.identity import Identity
from napari_ies.results import told_apart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from napari_ies.cohort.cases import CohortCase
    from napari_ies.cohort.cluster import NetworkSource
    from napari_ies.cohort.context.one_case import ContextSettings
    from napari_ies.cohort.run import CohortReport
    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case

logger = logging.getLogger("napari_ies")

_TRIED = 5
"""Cases that may serve as the sample: one that cannot be read, or has no lesions, tells nothing."""
_TIMED_S = 10.0
"""Of the sample's lesion, as long is computed as this, or a first few windows."""
_WINDOWS = 3


def running(
    model: SegmentationModel,
    begun: Sequence[CohortReport],
    settings: ContextSettings,
    folder: Path,
    sentence_of: Callable[[BaseException], str] = str,
) -> Iterator[CohortReport]:
    """Work through cases, one after another.

    Parameters
    ----------
    model
        The network.
    begun
        A report for each case.
    settings, folder
        What is done, and the folder of results; made if it is not there.
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
    with locked(folder, [report.case for report in begun]):
        for report in begun:
            yield from working_through(model, report, settings, folder, sentence_of)


def running_on(
    client: Any,
    source: NetworkSource,
    begun: Sequence[CohortReport],
    settings: ContextSettings,
    folder: Path,
    sentence_of: Callable[[BaseException], str] = str,
) -> Iterator[CohortReport]:
    """Work through cases on a cluster, whose workers see the files under the same paths.

    Parameters
    ----------
    client
        Of the cluster.
    source
        The network.
    begun, settings, folder, sentence_of
        See :func:`running`.

    Yields
    ------
    A report at the end of each case, in the order in which they end.
    """
    from distributed import CancelledError, KilledWorker, as_completed

    check_place(folder)
    folder = folder.absolute()
    source = replace(source, checkpoint=source.checkpoint.expanduser().absolute())
    what = (source, checkpoint_sha256(source.checkpoint), settings, folder, sentence_of)
    with locked(folder, [report.case for report in begun]):
        asked = {client.submit(_work, report, *what, pure=False): report for report in begun}
        try:
            for future in as_completed(list(asked)):
                try:
                    yield future.result()
                except KilledWorker:
                    yield replace(asked[future], outcome="failed", sentence=_LOST)
        except CancelledError as error:
            raise CohortError(
                "The cluster's scheduler was lost; start it, give the same command again, and the "
                "run goes on where it was."
            ) from error
        finally:
            client.cancel(list(asked))


_LOST = (
    "Several workers were lost while they worked on it, as when memory runs out; give the same "
    "command again with fewer workers."
)


def _work(
    report: CohortReport,
    source: NetworkSource,
    sha256: str,
    settings: ContextSettings,
    folder: Path,
    sentence_of: Callable[[BaseException], str],
) -> CohortReport:
    """Do one case in a worker; return its last report."""
    model = network_of_worker(source)
    if model.sha256 != sha256:
        raise CohortError(
            f"A worker on {platform.node()} has another {source.checkpoint.name} than this "
            "command; it must be the same for all."
        )
    for step in working_through(model, report, settings, folder, sentence_of):
        report = step
    return report


def working_through(
    model: SegmentationModel,
    report: CohortReport,
    settings: ContextSettings,
    folder: Path,
    sentence_of: Callable[[BaseException], str],
) -> Iterator[CohortReport]:
    """Do what is left to do of a report's case; see :func:`running`.

    Yields
    ------
    The report as the work goes on; the last one has an outcome.
    """
    planned = report.case
    logger.info("%s (%s) begins", planned.name, planned.place)
    worked, store = False, None
    try:
        if planned.trouble:
            raise CohortError(planned.trouble)
        case = _known(folder, opened(model, planned))
        steps = computing(model, case, folder, settings.of(planned))
        while store is None:
            try:
                _, step = next(steps)
            except StopIteration as end:
                store = end.value
            else:
                worked = True
                yield replace(report, step=step.with_result(None))
    except Exception as error:
        if ends_all(error):
            raise
        yield replace(report, outcome="failed", sentence=sentence_of(error))
        return
    lesions = int(store.rows["lesion"].nunique())
    yield replace(report, outcome="done" if worked else "there already", lesions=lesions)


def _known(folder: Path, case: Case) -> Case:
    """Return a case as its results are named; refuse one whose names others have."""
    named, note = told_apart(folder, case)
    if note:
        whose = Identity(case.subject, case.visit).text
        raise CohortError(
            f"{folder} holds results of other images as {whose}; choose another "
            "folder, or move them away."
        )
    return named


def left_to_do(
    model: SegmentationModel, cases: Sequence[CohortCase], settings: ContextSettings, folder: Path
) -> list[CohortCase]:
    """Return the cases that a run would work on, and not find done already."""

    def done(planned: CohortCase) -> bool:
        request = settings.request(model)
        if planned.trouble or not table_path(folder, planned.identity, model, request).exists():
            return False
        try:
            case = _known(folder, opened(model, planned))
            store = CaseContexts(folder, model, case, request)
            return store.is_finished(settings.of(planned).record)
        except (NapariIESError, OSError):
            return False

    return [planned for planned in cases if not done(planned)]


def sampled(
    model: SegmentationModel, cases: Sequence[CohortCase], settings: ContextSettings
) -> Expected | None:
    """Do a part of one case's work, time it and weigh its table; None where none could be done.

    Nothing is kept. The case is the first of the first few that has such lesions.
    """
    for planned in islice((one for one in cases if not one.trouble), _TRIED):
        try:
            expected = _sampled(model, planned, settings.of(planned))
        except NapariIESError:
            continue
        if expected is not None:
            return expected
    return None


def _sampled(
    model: SegmentationModel, planned: CohortCase, settings: ContextSettings
) -> Expected | None:
    started = time.perf_counter()
    case = opened(model, planned)
    steps = finding(model, case, settings)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            wanted, match = end.value
            break
    seconds = time.perf_counter() - started
    if not wanted:
        return None
    # The one of median volume.
    size = {one: np.count_nonzero(np.asarray(one.footprint)) for one in wanted}
    target = sorted(wanted, key=size.__getitem__)[len(wanted) // 2]
    request = replace(settings.request(model), sequences=settings.backgrounds[0])
    known, first, done, total, began = None, 0, 0, 1, time.perf_counter()
    for report in perilesional_progressively(model, case, target.footprint, request):
        known = report.result or known
        done, total = max(done, report.done), max(total, report.total)
        if done and not first:
            first, began = done, time.perf_counter()  # the first pass makes ready
        enough = done >= _WINDOWS and time.perf_counter() - began > _TIMED_S
        if enough and known is not None and len(known.distance_mm):
            break
    assert known is not None  # noqa: S101 - the last report has it
    curves = len(wanted) * len(settings.backgrounds)
    seconds += curves * total * (time.perf_counter() - began) / max(done - first, 1)
    rows = context_rows(known, target.name, match.get(target.name), case.grid.voxel_mm3)
    row = len(rows.to_csv(sep="\t")) / len(rows)
    beside = len(json.dumps(provenance(model, case, request), indent=2))
    disk = beside + curves * (settings.growth.steps + 1) * row
    return Expected(planned, len(wanted), seconds, int(disk))
