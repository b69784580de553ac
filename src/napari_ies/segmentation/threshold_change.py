"""The lesions at another threshold, numbered as before where they stay the same."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_ies.errors import SegmentationError
from napari_ies.segmentation.lesions import (
    find_lesions,
    lesion_boxes,
    lesion_table,
    match_reference,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_ies.patient.case import Case
    from napari_ies.segmentation.segmentation import Segmentation


def at_threshold(
    segmentation: Segmentation,
    case: Case,
    *,
    threshold: float,
    smallest: int,
    reference: NDArray[np.bool_] | None = None,
    used: int = 0,
) -> Segmentation:
    """Find the lesions at another threshold in the probability that is known.

    Parameters
    ----------
    segmentation, case
        What was found, in whom.
    threshold
        A voxel belongs to a lesion if its probability is above this.
    smallest
        Smallest number of voxels of a lesion.
    reference
        bool (X, Y, Z): what it was matched with.
    used
        The highest number that a lesion of this patient had at thresholds before.

    Returns
    -------
    The segmentation in which every lesion that is the same voxel by voxel has the number that it
    had; all others have numbers that none had before, so a number never means other voxels.

    Raises
    ------
    SegmentationError
        If the lesions do not come from the threshold, or the reference that they were matched
        with is not given.
    """
    before, matched = segmentation.labels, "match" in segmentation.lesions
    if matched and reference is None:
        raise SegmentationError(
            "The reference that these lesions were matched with is not there; choose it again and "
            "press Segment."
        )
    missed = segmentation.lesions.index[segmentation.lesions["match"] == "FN"] if matched else ()
    marked = (before > 0) & ~np.isin(before, missed)
    known = segmentation.smallest or smallest
    above = find_lesions(segmentation.probability, segmentation.threshold, known) > 0
    if (above != marked).any():
        raise SegmentationError(
            "These lesions are not all that lies above their threshold (they were given as a file, "
            "or corrected by hand), so another threshold cannot be applied to them; press Segment "
            "to find lesions anew."
        )
    labels, match = find_lesions(segmentation.probability, threshold, smallest), None
    if matched and reference is not None:
        labels, match = match_reference(labels, reference)
    used = max(used, int(before.max(initial=0)))
    numbers = _numbers(labels, before, used + 1)
    lookup = np.zeros(max(numbers, default=0) + 1, dtype=np.int32)
    lookup[list(numbers)] = list(numbers.values())
    labels = lookup[labels]
    if match is not None:
        match = {numbers[label]: kind for label, kind in match.items() if label in numbers}
    return replace(
        segmentation,
        labels=labels,
        lesions=lesion_table(labels, segmentation.probability, case, match),
        threshold=threshold,
        smallest=smallest,
        notes=(
            *segmentation.notes,
            f"The threshold was {segmentation.threshold:g} before: lesions that stayed the same "
            f"voxel by voxel kept their numbers, and the others are numbered from {used + 1} on.",
        ),
    )


def _numbers(labels: NDArray[np.int32], before: NDArray[np.int32], free: int) -> dict[int, int]:
    """Return the number of each lesion: its former one, or one of the free ones."""
    known, counts = np.unique(before, return_counts=True)
    sizes = dict(zip(known.tolist(), counts.tolist(), strict=True))
    numbers = {}
    for label, box in lesion_boxes(labels).items():
        former = before[box][labels[box] == label]
        number = int(former[0])
        if number and sizes[number] == len(former) and (former == number).all():
            numbers[label] = number
        else:
            numbers[label], free = free, free + 1
    return numbers
