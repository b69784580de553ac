"""A model and a case give a probability map and its lesions."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_ies.admissible import whole_number
from napari_ies.errors import SegmentationError
from napari_ies.free_memory import within_memory
from napari_ies.geometry.components import instances
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
from napari_ies.segmentation.lesions import lesion_table, match_reference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_ies.network.guesses.agreement import Agreement
    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case


@dataclass(frozen=True, eq=False)
class Decision:
    """What the tool that a network came from marks by a rule of its own.

    Parameters
    ----------
    threshold
        The threshold that stands for this rule; at any other one the probability counts.
    marked
        bool (X, Y, Z), or None where it is not known any more.
    """

    threshold: float
    marked: NDArray[np.bool_] | None = None


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
    decision
        What the network's tool marks by its own rule, which counts at that rule's threshold; None
        where a threshold says it all.
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
    decision: Decision | None = None

    def marked_at(self, threshold: float) -> NDArray[np.bool_]:
        """Return which voxels are marked at a threshold, bool (X, Y, Z), of any number.

        Raises
        ------
        SegmentationError
            If the network's tool decides there, and what it marked is not known any more.
        """
        decision = self.decision
        if decision is None or not math.isclose(threshold, decision.threshold):
            return self.probability > threshold
        if decision.marked is None:
            raise SegmentationError(
                f"At the threshold {decision.threshold:g} the network's own tool decides, and what "
                "it marked is not stored with this segmentation; press Segment to find it anew."
            )
        return decision.marked

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
        prepared = model.preparation
        for report in predict(
            model, case, forward, keep_logits=keep_logits or prepared is not None
        ):
            if report.note:
                notes.append(report.note)
            if report.result is None:
                yield report.with_result(None)
                continue
            probability = report.result.probability
            logits, decision = report.result.logits, None
            if prepared is not None and logits is not None and lesions is None:
                of_tool = prepared.marked(logits, model.profile.explained_class)
                decision = None if of_tool is None else Decision(*of_tool)
            match = None
            result = Segmentation(
                probability=probability,
                labels=np.zeros(case.shape, np.int32) if lesions is None else lesions,
                lesions=pd.DataFrame(),
                threshold=threshold,
                forward=forward,
                device=device_label(model.device),
                smallest=smallest,
                logits=logits if keep_logits else None,
                agreements=tested,
                decision=decision,
            )
            labels = result.labels
            if lesions is None:
                labels = instances(result.marked_at(threshold), smallest)
                if decision is not None:
                    notes.append(decided_words(decision, threshold, model.profile))
            if reference is not None:
                labels, match = match_reference(labels, reference)
            result = replace(
                result,
                labels=labels,
                lesions=lesion_table(labels, probability, case, match),
                notes=(*notes_on(model, case), *notes),
            )
            yield report.with_result(result)


segment = to_its_end("segment", segment_progressively)


def decided_words(decision: Decision, threshold: float, profile: Profile) -> str:
    """Say whether the network's own tool or a threshold decided."""
    name = profile.classes[profile.explained_class]
    if math.isclose(threshold, decision.threshold):
        return (
            f"Marked is where {name} is the most probable of {len(profile.classes)} classes, as "
            f"the network's own tool decides; at any other threshold than {threshold:g} it is "
            "where its probability is above that."
        )
    return (
        f"Marked is where the probability of {name} is above {threshold:g}; the network's own tool "
        f"marks where it is the most probable of {len(profile.classes)} classes, as the threshold "
        f"{decision.threshold:g} does here."
    )
