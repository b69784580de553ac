"""A reading at another threshold or reference: what is carried over to it, and what waits."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_ies.printable import counted, joined
from napari_ies.segmentation.subject import Lesion
from napari_ies.viewer.state.reading import Reading, lesion_places, model_key, scores_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_ies.segmentation.segmentation import Segmentation
    from napari_ies.viewer.state.state import State

    TakenReference = tuple[NDArray[np.bool_], Path | NDArray[np.bool_], tuple[str, ...]]

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


def another_network(state: State) -> str:
    """Return the name of the loaded network where another one made the reading, or nothing."""
    reading, loaded = state.reading, state.model
    if reading is None or loaded is None:
        return ""
    return "" if model_key(reading.model) == model_key(loaded.model) else loaded.model.profile.name


def only_threshold_differs(state: State) -> bool:
    """Whether form and loaded network ask for the reading on screen at another threshold."""
    reading, loaded = state.reading, state.model
    if reading is None or loaded is None or reading.fixed or at_form(state) is None:
        return False
    own, model = reading.model, loaded.model
    return model_key(own) == model_key(model) and own.profile == model.profile


def carried_over(before: Reading, threshold: float, smallest: int) -> Reading:
    """Return a reading at another threshold, with all that was said of what is the same.

    Raises
    ------
    SegmentationError
        See :func:`~napari_ies.segmentation.threshold_change.at_threshold`.
    """
    from napari_ies.segmentation.change import change_of
    from napari_ies.segmentation.threshold_change import at_threshold  # SciPy comes with it

    reference = before.reference_mask
    found = at_threshold(
        before.segmentation,
        before.case,
        threshold=threshold,
        smallest=smallest,
        reference=reference,
        used=before.used,
        former=before.former,
    )
    after = _after(before, found, reference, before.reference, before.told_of_reference)
    after.change = change_of(before.segmentation, found, before.former)
    after.came_of = {
        **before.came_of,
        **dict.fromkeys(after.change.new, ()),
        **after.change.changed,
    }
    return after


def with_reference(before: Reading, taken: Callable[[], TakenReference] | None) -> Reading:
    """Return a reading that is matched with another reference, and keeps all that was said.

    Parameters
    ----------
    before
        What was segmented.
    taken
        Gives mask, reference and notes, see
        :func:`~napari_ies.viewer.volumes.layer_mask.reference_mask`; None for no reference.

    Raises
    ------
    CaseError
        If the reference is none for these images.
    """
    from napari_ies.segmentation.threshold_change import matched_anew  # SciPy comes with it

    mask, reference, told = (None, None, ()) if taken is None else taken()
    segmentation, old = before.segmentation, before.told_of_reference
    kept = tuple(note for note in segmentation.notes if note not in old)
    found = matched_anew(
        replace(segmentation, notes=(*kept, *told)),
        before.case,
        mask,
        used=before.used,
        former=before.former,
    )
    return _after(before, found, mask, reference, told)


def _after(
    before: Reading,
    found: Segmentation,
    mask: NDArray[np.bool_] | None,
    reference: Path | NDArray[np.bool_] | None,
    told: tuple[str, ...],
) -> Reading:
    places = lesion_places(found.labels, before.case.spacing)
    gone = {n: before.footprint_of(n) for n in before.places if n not in places}
    former = {**before.former, **{n: (one.box, one.values) for n, one in gone.items()}}
    after = Reading(
        before.model,
        before.case,
        found,
        before.frame,
        places,
        resampled=before.resampled,
        regions=before.regions,
        reference=reference,
        scores=scores_of(found, mask),
        layers=before.layers,
        lineage=before.lineage,
        used=max(before.used, *before.places, 0),
        former={n: one for n, one in former.items() if n not in places},
        change=before.change,
        came_of=before.came_of,
        told_of_reference=told,
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
    return (
        f"{what} would go, of lesions that changed ({joined(lesions)}), and come back when the "
        "lesions do."
    )
