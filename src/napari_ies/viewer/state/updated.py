"""A reading at another threshold: what is carried over to it, and what is left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ies.printable import counted, joined
from napari_ies.segmentation.subject import Lesion
from napari_ies.viewer.state.reading import Reading, scores_of

if TYPE_CHECKING:
    from napari_ies.viewer.state.state import State

ALIKE = 0.006
"""A form shows two digits of a threshold."""


def at_form(state: State) -> tuple[float, int] | None:
    """Return the form's threshold and smallest lesion where they are not those of the reading."""
    reading, threshold = state.reading, state.threshold
    if reading is None or threshold is None:
        return None
    own = reading.segmentation
    smallest = state.smallest or own.smallest or reading.model.profile.smallest_lesion
    if abs(threshold - own.threshold) < ALIKE and smallest == (own.smallest or smallest):
        return None
    return threshold, smallest


def carried_over(before: Reading, threshold: float, smallest: int) -> Reading:
    """Return a reading at another threshold, with all that was said of what stays the same.

    Raises
    ------
    SegmentationError
        See :func:`~napari_ies.segmentation.threshold_change.at_threshold`.
    """
    from napari_ies.segmentation.threshold_change import at_threshold  # SciPy comes with it

    reference, case = before.reference_mask, before.case
    found = at_threshold(
        before.segmentation,
        case,
        threshold=threshold,
        smallest=smallest,
        reference=reference,
        used=before.used,
    )
    after = Reading.of(
        before.model,
        case,
        found,
        before.frame,
        resampled=before.resampled,
        regions=before.regions,
        reference=before.reference,
        scores=scores_of(found, reference),
        layers=before.layers,
        lineage=before.lineage,
        used=max(before.used, *before.places, 0),
    )
    after.take_said_of(before)
    return after


def left_behind(before: Reading, after: Reading) -> str:
    """Say which notes and verdicts are not carried over, or nothing."""
    notes = [one for one in before.notes if one not in after.notes]
    verdicts = [one for one in before.verdicts if one not in after.verdicts]
    if not notes and not verdicts:
        return ""
    kinds = ((notes, "note"), (verdicts, "verdict"))
    what = joined(counted(len(those), word) for those, word in kinds if those)
    lesions = sorted({int(one) for one in (*notes, *verdicts) if isinstance(one, Lesion)})
    return f"{what} would go, of lesions that changed ({joined(lesions)})."
