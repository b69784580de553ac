"""A model and a case give a probability map and its lesions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_ies.admissible import whole_number
from napari_ies.errors import SegmentationError
from napari_ies.free_memory import within_memory
from napari_ies.network.assumptions import agreements_progressively, notes_on
from napari_ies.network.device import device_label
from napari_ies.network.forward_memory import check_memory
from napari_ies.network.inference import SMALLER, predict
from napari_ies.network.network_grid import network_case, network_turn
from napari_ies.network.profile import Profile
from napari_ies.network.windows import tiling
from napari_ies.parameters import parameters_of
from napari_ies.patient.mask_values import MOST_LABELS
from napari_ies.progress import Progress, to_its_end
from napari_ies.segmentation.lesions import find_lesions, lesion_table, match_reference

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from napari_ies.network.guesses.agreement import Agreement
    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What a network marked in a case.

    Parameters
    ----------
    probability
        float32 (X, Y, Z): probability of the explained class.
    labels
        int32 (X, Y, Z): 0 background, otherwise the lesion's label; with a reference, the
        instances that no prediction touches (FN) follow the predicted ones.
    lesions
        A row per lesion, see :func:`napari_ies.segmentation.lesions.lesion_table`.
    threshold
        Probability from which a voxel counts as lesion.
    forward
        ``"sliding-window"`` or ``"whole-volume"``.
    device
        Where it was computed, in words.
    notes
        What a reader must know, such as a change of device: plain sentences.
    smallest
        Smallest number of voxels of an instance, or None where it is not known.
    logits
        float32 (classes, X, Y, Z): the blended logits, or None where they were not kept. With
        them a :mod:`napari_ies.counterfactual.counterfactual` re-runs only the windows that it
        changes.
    agreements
        What testing the guesses about the network showed; of one read back from disk, nothing.
    """

    probability: NDArray[np.float32]
    labels: NDArray[np.int32]
    lesions: pd.DataFrame
    threshold: float
    forward: str
    device: str
    notes: tuple[str, ...] = ()
    smallest: int | None = None
    logits: NDArray[np.float32] | None = None
    agreements: tuple[Agreement, ...] = ()

    def __post_init__(self) -> None:
        low, high = int(self.labels.min(initial=0)), int(self.labels.max(initial=0))
        if low < 0 or high > MOST_LABELS:
            raise SegmentationError(
                f"The labels of the lesions reach from {low} to {high}; expected 1 to "
                f"{MOST_LABELS:,}, so raise the threshold, or check the file that they come from."
            )


def segment_progressively(
    model: SegmentationModel,
    case: Case,
    *,
    threshold: float | None = None,
    smallest: int | None = None,
    reference: NDArray[np.bool_] | None = None,
    forward: str = "sliding-window",
    keep_logits: bool = False,
    lesions: NDArray[np.int32] | None = None,
    said: tuple[str, ...] = (),
) -> Iterator[Progress[Segmentation]]:
    """Segment a case window by window.

    Parameters
    ----------
    model
        The network and its profile.
    case
        The patient; it must hold the profile's number of sequences, in its order.
    threshold
        Probability above which a voxel counts as lesion; None for the profile's.
    smallest
        Smallest number of voxels of an instance; None for the profile's.
    reference
        Reference mask, bool (X, Y, Z): adds TP, FP and FN to the table and the FN instances to
        the labels.
    forward
        ``"sliding-window"`` (Gaussian blend of the profile's windows) or ``"whole-volume"``.
    keep_logits
        Whether the result holds its logits; they take 4 bytes per voxel and class.
    lesions
        Lesions from elsewhere, int32 labels (X, Y, Z), such as those of
        :func:`napari_ies.patient.masks.read_lesions`: taken as they are, whatever threshold and
        smallest lesion say, with the network's probability in them.
    said
        What must be said about reference and lesions: plain sentences for the notes.

    Yields
    ------
    A report per window; the last one holds the :class:`Segmentation`.

    Raises
    ------
    CheckpointError
        If the number of sequences does not fit the network.
    SegmentationError
        If the settings are not possible.
    """
    threshold = model.profile.threshold if threshold is None else threshold
    smallest = model.profile.smallest_lesion if smallest is None else smallest
    threshold = parameters_of(Profile)["threshold"].taken(threshold, SegmentationError)
    smallest = whole_number(
        smallest,
        "The smallest lesion is {} voxels",
        (1, max(math.prod(case.shape), model.profile.smallest_lesion)),
        SegmentationError,
        "all that the images have",
    )
    if reference is not None and reference.shape != case.shape:
        raise SegmentationError(
            f"The reference mask has the size {reference.shape}, the images {case.shape}; "
            "resample the mask onto the images' grid."
        )
    if lesions is not None and lesions.shape != case.shape:
        raise SegmentationError(
            f"The lesions from elsewhere have the size {lesions.shape}, the images {case.shape}; "
            "bring them onto the images' grid."
        )
    with within_memory(SegmentationError, "segment this volume", SMALLER):
        seen = network_case(model, case)
        shape = network_turn(model, seen).displayed_shape
        check_memory(model, tiling(model.profile, shape, forward), SMALLER)
        tested: tuple[Agreement, ...] = ()
        for testing in agreements_progressively(model, case):
            tested = testing.result or ()
            yield testing.with_result(None)
        notes: list[str] = list(said)
        for report in predict(model, case, forward, keep_logits=keep_logits):
            if report.note:
                notes.append(report.note)
            if report.result is None:
                yield report.with_result(None)
                continue
            probability = report.result.probability
            labels, match = lesions, None
            if labels is None:
                labels = find_lesions(probability, threshold, smallest)
            if reference is not None:
                labels, match = match_reference(labels, reference)
            result = Segmentation(
                probability=probability,
                labels=labels,
                lesions=lesion_table(labels, probability, case, match),
                threshold=threshold,
                forward=forward,
                device=device_label(model.device),
                notes=(*notes_on(model, case), *notes),
                smallest=smallest,
                logits=report.result.logits,
                agreements=tested,
            )
            yield report.with_result(result)


segment = to_its_end("segment", segment_progressively)
