"""Which lesions of a case the context is asked of, and their contexts one after the other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_ies.cohort.context.growth import PAPER_VOXELS
from napari_ies.cohort.context.perilesional import perilesional_progressively

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from napari_ies.cohort.context.files import CaseContexts
    from napari_ies.cohort.context.perilesional import Context, ContextRequest
    from napari_ies.cohort.row.targets import Target
    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case
    from napari_ies.progress import Progress


def papers_lesions(targets: Sequence[Target], match: Mapping[str, str]) -> list[Target]:
    """Return the lesions that the paper's script takes: TP of 91 to 119 voxels.

    Parameters
    ----------
    targets
        Lesions.
    match
        ``"TP"``, ``"FP"`` or ``"FN"`` by their names; empty without a reference, and then size
        alone counts.
    """
    smallest, largest = PAPER_VOXELS
    return [
        target
        for target in targets
        if match.get(target.name, "TP") == "TP"
        and smallest <= np.count_nonzero(np.asarray(target.footprint)) <= largest
    ]


def contexts_of(
    model: SegmentationModel,
    case: Case,
    targets: Sequence[Target],
    request: ContextRequest,
    backgrounds: Sequence[tuple[str, ...]],
    store: CaseContexts,
    match: Mapping[str, str],
) -> Iterator[tuple[tuple[Target, ContextRequest], Progress[Context]]]:
    """Compute the contexts of lesions that are not stored yet, and store each when it is done.

    Parameters
    ----------
    model, case, targets, request
        The network, the patient, the lesions, and what is asked of each.
    backgrounds
        For each context of a lesion, the sequences that become background.
    store
        Where they are kept; what is there is not computed again.
    match
        As for :func:`papers_lesions`.

    Yields
    ------
    The lesion with its request, and a report; the last one of each holds its context.
    """
    for target in targets:
        for sequences in backgrounds:
            asked = replace(request, sequences=sequences)
            if store.known(target, asked.title):
                continue
            for report in perilesional_progressively(model, case, target.footprint, asked):
                if report.finished and report.result is not None:
                    store.add(target, report.result, match.get(target.name))
                yield (target, asked), report
