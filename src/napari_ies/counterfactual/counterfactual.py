"""Counterfactual: would the network still mark it, were one sequence different here?

A region of one sequence is changed, the windows that hold a changed voxel are run again, and the
probability and the lesions are compared with those before. The normalisation stays that of the
original images: computed anew, its mean and deviation would move with the change and with them
every voxel of the volume, near the region or not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_ies.counterfactual.healthy_fill import healthy_fill
from napari_ies.counterfactual.lesion_changes import LesionChange, change_sentences, lesion_changes
from napari_ies.errors import CaseError, SegmentationError
from napari_ies.free_memory import within_memory
from napari_ies.geometry.components import instances
from napari_ies.network.inference import SMALLER, changed_logits, logit_map, probability_of
from napari_ies.patient.background import Background
from napari_ies.progress import Progress, to_its_end
from napari_ies.saliency.footprint import boxed_footprint
from napari_ies.segmentation.lesions import find_lesions, lesion_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    from napari_ies.counterfactual.edit import Edit
    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case
    from napari_ies.segmentation.segmentation import Segmentation


@dataclass(frozen=True, eq=False)
class Counterfactual:
    """What the network marks after a change, beside what it marked before.

    Parameters
    ----------
    edit
        The change.
    changed
        bool (X, Y, Z): the voxels that changed.
    case
        The changed case, normalised by the statistics of the original.
    before
        The original segmentation, with its logits.
    probability
        float32 (X, Y, Z): the probability after the change.
    labels
        int32 (X, Y, Z): the lesions after the change, numbered anew.
    lesions
        Their table, see :func:`napari_ies.segmentation.lesions.lesion_table`.
    changes
        What became of each lesion, and new ones: see
        :func:`napari_ies.counterfactual.lesion_changes.lesion_changes`.
    """

    edit: Edit
    changed: NDArray[np.bool_]
    case: Case
    before: Segmentation
    probability: NDArray[np.float32]
    labels: NDArray[np.int32]
    lesions: pd.DataFrame
    changes: tuple[LesionChange, ...]

    @property
    def difference(self) -> NDArray[np.float32]:
        """The probability after minus that before, float32 (X, Y, Z), in [-1, 1]."""
        return self.probability - self.before.probability

    @property
    def sentences(self) -> tuple[str, ...]:
        """What changed, lesion by lesion, in plain sentences; one that says so if nothing did."""
        inside = [
            float(probability[self.changed].mean(dtype=np.float64))
            for probability in (self.before.probability, self.probability)
        ]
        region = (
            f"In the changed region: mean probability {inside[0]:.2f} → {inside[1]:.2f}; "
            f"{np.count_nonzero(self.changed)} voxels of {self.edit.title}."
        )
        return (*change_sentences(self.changes), region)


def what_if_progressively(
    model: SegmentationModel,
    case: Case,
    segmentation: Segmentation,
    region: ArrayLike,
    edit: Edit,
) -> Iterator[Progress[Counterfactual]]:
    """Change one sequence in a region and run the network on what that changes.

    Parameters
    ----------
    model, case
        The network and the patient, as they were segmented.
    segmentation
        What the network marked. Where it did not keep its logits, all windows are run once to
        have them: the result's `before` holds them for the next time.
    region
        Mask (X, Y, Z) on the case's grid.
    edit
        The change.

    Yields
    ------
    A report per batch of windows; the last one holds the :class:`Counterfactual`. It equals a
    segmentation of the whole changed case up to the rounding of float32, and where no change
    reaches, the probability is the very same: see
    :func:`napari_ies.network.inference.changed_logits`.

    Raises
    ------
    CaseError
        If the region or the sequence is not possible.
    SegmentationError
        If the network cannot run on the volume.
    """
    yield Progress("Changing the image", 0, 0, "")
    with within_memory(SegmentationError, "run the network on the changed images", SMALLER):
        changed, after = edit_case(case, region, edit, segmentation)
        if segmentation.logits is None:
            for report in logit_map(model, case, segmentation.forward):
                if report.result is None:
                    yield report.with_result(None)
                else:
                    segmentation = replace(segmentation, logits=report.result)
        assert segmentation.logits is not None  # noqa: S101 - for the type checker
        for report in changed_logits(model, case, after, segmentation.logits, segmentation.forward):
            if report.result is None:
                yield report.with_result(None)
                continue
            probability = probability_of(model, after, report.result)
            smallest = segmentation.smallest or model.profile.smallest_lesion
            labels = find_lesions(probability, segmentation.threshold, smallest)
            tool, index = model.preparation, model.profile.explained_class
            decided = None if tool is None else tool.marked(report.result, index)
            if decided and math.isclose(segmentation.threshold, decided[0]):
                labels = instances(decided[1], smallest)
            result = Counterfactual(
                edit=edit,
                changed=changed,
                case=after,
                before=segmentation,
                probability=probability,
                labels=labels,
                lesions=lesion_table(labels, probability, after),
                changes=lesion_changes(segmentation, labels, probability, case.grid.voxel_mm3),
            )
            yield report.with_result(result)


what_if = to_its_end("what_if", what_if_progressively)


def edit_case(
    case: Case, region: ArrayLike, edit: Edit, segmentation: Segmentation
) -> tuple[NDArray[np.bool_], Case]:
    """Change one sequence in a region.

    Parameters
    ----------
    case
        The patient.
    region
        Mask (X, Y, Z) on the case's grid. Voxels that are background in the sequence are not
        changed.
    edit
        The change.
    segmentation
        Its lesions do not count as healthy tissue.

    Returns
    -------
    changed, case
        bool (X, Y, Z), and a copy of the case with these voxels of the sequence changed and all
        else as it was, normalised by the statistics of the original; its notes say so.

    Raises
    ------
    CaseError
        If the region or the sequence is not possible.
    """
    if edit.sequence not in case.sequences:
        raise CaseError(
            f"The case has no sequence {edit.sequence}; it holds {', '.join(case.sequences)}."
        )
    channel = case.sequences.index(edit.sequence)
    inside, background = case.inside[channel], case.backgrounds[channel]
    mask = np.asarray(boxed_footprint(region, case.shape, CaseError))
    changed = _within(mask, edit.margin_mm, case.spacing) & inside
    if not changed.any():
        raise CaseError(
            f"The region lies outside the brain: {edit.sequence} is background in all of it; "
            "choose or paint a place in the brain."
        )
    values = _changed_values(case, edit, changed, segmentation)
    # The background's own value means background to the normalisation; a changed voxel is none.
    values = (background or Background(0.0)).kept_apart(values)
    data = case.data.copy()
    data[channel][changed] = values
    count = int(np.count_nonzero(changed))
    note = f"Counterfactual: {edit.title}, in {count} voxels; this is not the patient's image."
    after = replace(
        case,
        data=data,
        paths=tuple(None if i == channel else path for i, path in enumerate(case.paths)),
        sha256=tuple("" if i == channel else digest for i, digest in enumerate(case.sha256)),
        notes=(*case.notes, note),
        normalised_as=case if case.normalised_as is None else case.normalised_as,
    )
    return changed, after


def _changed_values(
    case: Case, edit: Edit, changed: NDArray[np.bool_], segmentation: Segmentation
) -> NDArray[np.float32]:
    if edit.kind == "fill":
        return healthy_fill(
            case, edit.sequence, changed, segmentation.probability, segmentation.labels
        )
    channel = case.sequences.index(edit.sequence)
    volume = case.data[channel]
    values = volume[changed].astype(np.float64)
    if edit.unit == "percent":
        step = np.abs(values) * edit.amount / 100
    else:
        step = np.full(
            values.shape, edit.amount * volume[case.inside[channel]].std(dtype=np.float64)
        )
    return np.asarray(values + (step if edit.kind == "brighten" else -step), dtype=np.float32)


def _within(
    mask: NDArray[np.bool_], margin_mm: float, spacing: tuple[float, float, float]
) -> NDArray[np.bool_]:
    """Return the mask with all voxels whose centres lie within a distance of one of its own."""
    if margin_mm == 0:
        return mask
    from scipy.ndimage import distance_transform_edt

    return np.asarray(distance_transform_edt(~mask, sampling=spacing) <= margin_mm)
