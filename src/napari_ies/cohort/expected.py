"""What a run would do, take and write, from one case that is done as a sample."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ies.cohort.one_case import opened, segmenting
from napari_ies.cohort.record import hashes, is_done, read_record
from napari_ies.cohort.row.explaining import explain_targets
from napari_ies.cohort.row.targets import Found, lesion_targets
from napari_ies.errors import NapariIESError
from napari_ies.patient.masks import read_mask
from napari_ies.progress import finish
from napari_ies.results import save_segmentation
from napari_ies.saliency.expected.expected_time import expected_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_ies.cohort.cases import CohortCase
    from napari_ies.cohort.row.targets import Target
    from napari_ies.cohort.settings import CohortSettings
    from napari_ies.network.model import SegmentationModel
    from napari_ies.segmentation.segmentation import Segmentation

_TRIED = 5
"""Cases that may serve as the sample: one that cannot be read, or has no lesions, tells nothing."""
_SAMPLES = 2
"""Noise samples of the map whose files are weighed: with fewer there is no standard error."""


@dataclass(frozen=True)
class Expected:
    """What a case takes, by a sample of one."""

    case: CohortCase
    lesions: int
    """Of the sample that would be explained."""
    seconds: float
    disk_bytes: int


def left_to_do(
    model: SegmentationModel,
    cases: Sequence[CohortCase],
    settings: CohortSettings,
    folder: Path,
) -> list[CohortCase]:
    """Return the cases that a run would work on, and not find done already."""
    key = settings.key(model)

    def done(case: CohortCase) -> bool:
        record = read_record(folder, case)
        return record is not None and is_done(record, folder, hashes(case.files), key)

    return [case for case in cases if not done(case)]


def sampled(
    model: SegmentationModel, cases: Sequence[CohortCase], settings: CohortSettings
) -> Expected | None:
    """Do a part of one case's work, time it and weigh its files; None where none could be done.

    Nothing is kept. The case is the first of the first few that has lesions to explain.
    """
    for case in islice((one for one in cases if not one.trouble), _TRIED):
        try:
            expected = _sampled(model, case, settings)
        except NapariIESError:
            continue
        if expected is not None:
            return expected
    return None


def _sampled(
    model: SegmentationModel, planned: CohortCase, settings: CohortSettings
) -> Expected | None:
    started = time.perf_counter()
    case = opened(model, planned)
    known = None
    if planned.reference is not None:
        known = read_mask(planned.reference, case, lesions=True)
    segmentation = finish(segmenting(model, case, planned, known, settings))
    seconds = time.perf_counter() - started
    chosen = settings.selection.chosen(segmentation.lesions)
    if not chosen:
        return None
    targets = lesion_targets(Found(segmentation.labels), chosen, everything=False)
    for base, ways in settings.groups:
        footprints = [target.footprint for target in targets]
        expected = expected_time(
            *(model, case, footprints, base),
            aggregations=ways,
            memory_gib=settings.memory_gib,
            few_steps=1,
        )
        seconds += expected.seconds or 0
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        save_segmentation(place, segmentation, case=case, model=model)
        once = _bytes(place)
        typical = _typical(segmentation, targets)
        for base, ways in settings.groups:
            few = replace(base, n_samples=min(base.n_samples, _SAMPLES))
            for _ in explain_targets(model, case, [typical], few, place, True, aggregations=ways):
                pass
        each = _bytes(place) - once
    return Expected(planned, len(targets), seconds, once + each * len(targets))


def _typical(segmentation: Segmentation, targets: Sequence[Target]) -> Target:
    """Return the lesion of median volume."""
    voxels = segmentation.lesions["voxels"]
    return sorted(targets, key=lambda target: voxels[int(target.name)])[len(targets) // 2]


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
