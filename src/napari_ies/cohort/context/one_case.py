"""The contexts of one case's lesions: which are asked for, and what is not stored yet computed."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from napari_ies.cohort.context.files import CaseContexts
from napari_ies.cohort.context.lesions import contexts_of, papers_lesions
from napari_ies.cohort.context.perilesional import ContextRequest
from napari_ies.cohort.row import targets
from napari_ies.patient.identity import Identity
from napari_ies.patient.masks import read_mask
from napari_ies.regular_files import file_sha256
from napari_ies.segmentation.segmentation import segment_progressively

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from napari_ies.cohort.cases import CohortCase
    from napari_ies.cohort.context.growth import Growth
    from napari_ies.cohort.row.targets import Target
    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case
    from napari_ies.progress import Progress

logger = logging.getLogger("napari_ies")


@dataclass(frozen=True)
class ContextSettings:
    """What is asked of each case and network."""

    growth: Growth
    sequences: tuple[str, ...]
    """Sequences that become background, each for a curve of its own; ``"all"`` for all."""
    threshold: float | None
    """None for the network's own."""
    forward: Literal["sliding-window", "whole-volume"]
    lesions: tuple[int, ...] = ()
    everything: bool = False
    """Whether every lesion is taken,"""
    papers: bool = False
    """and of them only those that the paper's script takes."""
    masks: tuple[Path, ...] = ()
    labels: Path | None = None
    of_others: bool = False
    reference: Path | None = None
    overwrite: bool = False
    """Whether a table of other settings or inputs is replaced."""

    @property
    def backgrounds(self) -> list[tuple[str, ...]]:
        """The sequences that become background, for each curve."""
        return [() if name == "all" else (name,) for name in self.sequences]

    @property
    def record(self) -> dict[str, Any]:
        """What decides, with network and images, what is computed of a case."""
        files = {"Reference": self.reference, "Labels": self.labels}
        return {
            "Lesions": "paper" if self.papers else "all" if self.everything else self.lesions,
            "Masks": [file_sha256(file.expanduser()) for file in self.masks],
            "Backgrounds": self.sequences,
            **{
                kind: None if file is None else file_sha256(file.expanduser())
                for kind, file in files.items()
            },
        }

    def request(self, model: SegmentationModel) -> ContextRequest:
        """Return what is asked of each lesion, but for the sequences."""
        threshold = model.profile.threshold if self.threshold is None else self.threshold
        return ContextRequest((), self.growth, threshold, self.forward)

    def of(self, planned: CohortCase) -> ContextSettings:
        """Return them with a case's own reference and lesions."""
        return replace(self, reference=planned.reference, labels=planned.lesions)


def computing(
    model: SegmentationModel, case: Case, folder: Path, settings: ContextSettings
) -> Generator[tuple[str, Progress[Any]], None, CaseContexts]:
    """Compute the contexts of a case's lesions that are not stored yet, and store them.

    Parameters
    ----------
    model, case
        The network and the patient.
    folder
        The folder of results.
    settings
        What is asked.

    Yields
    ------
    What is done, and a report of it; nothing at all where everything is there already.

    Returns
    -------
    What is stored.

    Raises
    ------
    NapariIESError
        If it cannot be done, in one sentence.
    """
    request = settings.request(model)
    for names in settings.backgrounds:
        case.select(names or case.sequences)
    store = CaseContexts(folder, model, case, request, overwrite=settings.overwrite)
    record = settings.record
    if store.is_finished(record):
        logger.info(f"{Identity(case.subject, case.visit).text}: there already")
        return store
    wanted, match = yield from finding(model, case, settings)
    for target in wanted:
        if all(store.known(target, "+".join(names) or "all") for names in settings.backgrounds):
            logger.info(f"{target.step}: there already")
    reports = contexts_of(model, case, wanted, request, settings.backgrounds, store, match)
    for (target, asked), report in reports:
        yield f"{target.step}, {asked.title}", report
    store.finish(record)
    return store


def finding(
    model: SegmentationModel, case: Case, settings: ContextSettings
) -> Generator[tuple[str, Progress[Any]], None, tuple[list[Target], dict[str, str]]]:
    """Find the lesions that are asked for, and their matches with the reference by their names.

    Yields
    ------
    As :func:`computing`, where the case has to be segmented.
    """
    wanted = [targets.region_target(file, case) for file in settings.masks]
    match: dict[str, str] = {}
    if not (settings.lesions or settings.everything):
        return wanted, match
    if settings.labels is not None:
        found = targets.labels_from(settings.labels, case, model, of_others=settings.of_others)
    else:
        reference = settings.reference
        known = None if reference is None else read_mask(reference, case, lesions=True)
        said = () if known is None else known.notes
        for note in said:
            logger.info(note)
        segmentation = None
        for report in segment_progressively(
            model,
            case,
            threshold=settings.request(model).threshold,
            reference=None if known is None else known.values,
            forward=settings.forward,
            said=said,
        ):
            segmentation = report.result
            yield "Segmentation", report
        assert segmentation is not None  # noqa: S101 - the last report has it
        found = targets.found_with(segmentation, known)
        if "match" in segmentation.lesions:
            match = {str(n): str(m) for n, m in segmentation.lesions["match"].items()}
    if not found.labels.any() and not settings.lesions:
        return wanted, match
    lesions = targets.lesion_targets(found, settings.lesions, settings.everything)
    if settings.papers:
        lesions = papers_lesions(lesions, match)
        logger.info(f"{len(lesions)} lesions are true positives of 91 to 119 voxels")
    return [*lesions, *wanted], match
