"""The lesions at another threshold or reference, numbered as before where they are the same."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_ies.errors import SegmentationError
from napari_ies.geometry.components import instances
from napari_ies.segmentation.change import change_of, found_labels
from napari_ies.segmentation.lesions import (
    lesion_boxes,
    lesion_table,
    match_reference,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_ies.geometry.box import Box
    from napari_ies.patient.case import Case
    from napari_ies.segmentation.segmentation import Segmentation

    Former = tuple[Box, NDArray[np.bool_]]
    """The smallest box that holds a lesion, and which voxels of that box are the lesion's."""

BEFORE = "The threshold was "
"""How the note begins of which there is one, however often the threshold was changed."""


def at_threshold(
    segmentation: Segmentation,
    case: Case,
    *,
    threshold: float,
    smallest: int,
    reference: NDArray[np.bool_] | None = None,
    used: int = 0,
    former: Mapping[int, Former] | None = None,
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
    former
        The lesions of earlier thresholds that are not there now, by the numbers that they had.

    Returns
    -------
    The segmentation in which every lesion that is the same voxel by voxel as one that there is or
    was has the number of that; all others have numbers that none had before, so a number never
    means other voxels.

    Raises
    ------
    SegmentationError
        If the lesions do not come from the threshold, or the reference that they were matched
        with is not given.
    """
    matched = "match" in segmentation.lesions
    if matched and reference is None:
        raise SegmentationError(
            "The reference that these lesions were matched with is not there; choose it again and "
            "press Segment."
        )
    known = segmentation.smallest or smallest
    above = instances(segmentation.marked_at(segmentation.threshold), known) > 0
    if (above != (found_labels(segmentation) > 0)).any():
        raise SegmentationError(
            "These lesions are not all that lies above their threshold (they were given as a file, "
            "or corrected by hand), so another threshold cannot be applied to them; press Segment "
            "to find lesions anew."
        )
    used = max(used, int(segmentation.labels.max(initial=0)), *(former or ()))
    labels = instances(segmentation.marked_at(threshold), smallest)
    kept = tuple(note for note in segmentation.notes if not note.startswith(BEFORE))
    asked = replace(segmentation, threshold=threshold, smallest=smallest)
    mask = reference if matched else None
    found = _numbered_as_before(asked, labels, case, mask, used, former)
    note = (
        f"{BEFORE}{segmentation.threshold:g} before: lesions that are the same voxel by voxel as "
        "at an earlier threshold have their numbers of then, and others have new ones"
    )
    change = change_of(segmentation, found, former or ())
    note += f": {change.renumbered}." if change.renumbered else "."
    if change.gone:
        note += f" Gone: {change.named_gone}."
    return replace(found, notes=(*kept, note))


def matched_anew(
    segmentation: Segmentation,
    case: Case,
    reference: NDArray[np.bool_] | None,
    *,
    used: int = 0,
    former: Mapping[int, Former] | None = None,
) -> Segmentation:
    """Match the lesions that were found with another reference, or with none.

    Parameters
    ----------
    segmentation, case
        What was found, in whom.
    reference
        bool (X, Y, Z); None for none.
    used, former
        See :func:`at_threshold`.

    Returns
    -------
    The segmentation in which every lesion that was found has the number that it had; those of the
    reference that were missed have numbers that none had before, unless they are the same voxel
    by voxel as one that there is or was.
    """
    used = max(used, int(segmentation.labels.max(initial=0)), *(former or ()))
    return _numbered_as_before(
        segmentation, found_labels(segmentation), case, reference, used, former
    )


def _numbered_as_before(
    before: Segmentation,
    labels: NDArray[np.int32],
    case: Case,
    reference: NDArray[np.bool_] | None,
    used: int,
    former: Mapping[int, Former] | None,
) -> Segmentation:
    """Return a segmentation with other labels, matched, and numbered as it and those before."""
    match = None
    if reference is not None:
        labels, match = match_reference(labels, reference)
    numbers = _numbers(labels, before.labels, former or {}, used + 1)
    lookup = np.zeros(max(numbers, default=0) + 1, dtype=np.int32)
    lookup[list(numbers)] = list(numbers.values())
    labels = lookup[labels]
    if match is not None:
        match = {numbers[label]: kind for label, kind in match.items() if label in numbers}
    table = lesion_table(labels, before.probability, case, match)
    return replace(before, labels=labels, lesions=table)


def _numbers(
    labels: NDArray[np.int32],
    before: NDArray[np.int32],
    former: Mapping[int, Former],
    free: int,
) -> dict[int, int]:
    """Return the number of each lesion: that which it has or had, or one of the free ones."""
    known, counts = np.unique(before, return_counts=True)
    sizes = dict(zip(known.tolist(), counts.tolist(), strict=True))
    numbers = {}
    for label, box in lesion_boxes(labels).items():
        own = labels[box] == label
        there = before[box][own]
        number = int(there[0])
        if not (number and sizes[number] == len(there) and (there == number).all()):
            was = (n for n, (b, mask) in former.items() if b == box and np.array_equal(mask, own))
            number = next(was, 0)
        if not number:
            number, free = free, free + 1
        numbers[label] = number
    return numbers
