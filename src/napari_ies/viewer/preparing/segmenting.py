"""Segmenting: the chosen layers become a reading. Runs in the worker thread and knows no Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_ies.progress import Progress
from napari_ies.viewer.preparing.assembling import NOBODY_TYPED, Whose, assemble_case
from napari_ies.viewer.state.reading import Reading, scores_of
from napari_ies.viewer.volumes.layer_mask import layer_lesions, reference_mask

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_ies.network.model import SegmentationModel
    from napari_ies.viewer.volumes.sources import Source


@dataclass(frozen=True, eq=False)
class SegmentationSettings:
    """What the forms ask for.

    Parameters
    ----------
    threshold
        Probability above which a voxel counts as lesion.
    smallest
        Smallest number of voxels of a lesion.
    reference
        An expert's mask, or None.
    lesions
        The lesions to take instead of those that the network marks, or None.
    whose
        Labels of patient and visit that were typed.
    doubts
        What speaks against the images, in plain sentences: said of the result, and kept with it.
    """

    threshold: float
    smallest: int
    reference: Source | None = None
    lesions: Source | None = None
    whose: Whose = NOBODY_TYPED
    doubts: tuple[str, ...] = ()


def segment_sources(
    model: SegmentationModel,
    sources: Mapping[str, Source],
    settings: SegmentationSettings,
) -> Iterator[Progress[Reading]]:
    """Make a case of layers and segment it."""
    from napari_ies.segmentation.segmentation import segment_progressively

    yield Progress("Reading the images", 0, 0, "")
    case = assemble_case(sources, settings.whose)
    first = next(iter(sources.values()))
    mask: NDArray[np.bool_] | None = None
    lesions: NDArray[np.int32] | None = None
    reference: Path | NDArray[np.bool_] | None = None
    # The case says the same of names, and what was done; the rest of each sentence differs.
    known = {note.partition("; ")[0] for note in case.notes}
    told: tuple[str, ...] = ()
    notes = tuple(one for one in settings.doubts if one.partition("; ")[0] not in known)
    if settings.reference is not None:
        mask, reference, told = reference_mask(settings.reference, case, first.frame)
        notes = (*notes, *told)
    if settings.lesions is not None:
        lesions, said = layer_lesions(settings.lesions, case, first.frame)
        notes = (*notes, *said)
    reports = segment_progressively(
        model,
        case,
        threshold=settings.threshold,
        smallest=settings.smallest,
        reference=mask,
        lesions=lesions,
        said=notes,
        keep_logits=True,
    )
    try:
        for report in reports:
            reading = None
            if report.result is not None:
                reading = Reading.of(
                    model,
                    case,
                    report.result,
                    first.frame,
                    resampled=tuple(
                        name
                        for name, source in sources.items()
                        if not source.grid.same_as(first.grid)
                    ),
                    reference=reference,
                    scores=scores_of(report.result, mask),
                    told_of_reference=told,
                    fixed=lesions is not None,
                )
            yield report.with_result(reading)
    finally:
        close = getattr(reports, "close", None)
        if close is not None:
            close()
