"""Perilesional context: does the network still find a lesion when it sees less around it?

Outside the lesion, grown step by step, sequences become background, and the network runs on what is
left: the experiment of the paper (Spagnolo et al., *Scientific Reports* 2026,
doi:10.1038/s41598-026-36560-9; ``contextual_info_nets_csv.py`` of github.com/federicospagnolo/IES).
Only the lesion's own voxels are read off, so only the windows that hold one of them run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_ies.cohort.context.growth import Growth
from napari_ies.cohort.context.step_logits import Masking, step_logits
from napari_ies.errors import SegmentationError
from napari_ies.free_memory import within_memory
from napari_ies.network.inference import SMALLER, class_probability
from napari_ies.parameters import parameters_of
from napari_ies.progress import Progress, to_its_end
from napari_ies.saliency.footprint import boxed_footprint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case

_BY_TOOL = (
    "Voxels of the lesion count as marked where {} is the most probable class, as the network's "
    "own tool decides at the threshold {:g}."
)
ALL = ()
"""All sequences become background."""


@dataclass(frozen=True)
class ContextRequest:
    """What is to be found out about a lesion.

    Parameters
    ----------
    sequences
        The sequences that become background outside; the others stay whole. :data:`ALL` for all.
    growth
        The steps.
    threshold
        Probability above which a voxel is marked.
    forward
        ``"sliding-window"`` or ``"whole-volume"``.
    """

    sequences: tuple[str, ...] = ALL
    growth: Growth = field(default_factory=Growth)
    threshold: float = 0.5
    forward: str = "sliding-window"

    def __post_init__(self) -> None:
        from napari_ies.network.profile import Profile

        known = parameters_of(Profile)["threshold"].taken(self.threshold, SegmentationError)
        object.__setattr__(self, "threshold", known)

    @property
    def title(self) -> str:
        """What becomes background, such as ``"FLAIR"``, ``"FLAIR+T1"`` or ``"all"``."""
        return "+".join(self.sequences) or "all"


@dataclass(frozen=True, eq=False)
class Context:
    """What the network makes of a lesion at each step, or at the first steps while it is computed.

    Parameters
    ----------
    request
        What was asked.
    distance_mm
        float64 (K + 1,): how far around the lesion each step reaches, see
        :meth:`~napari_ies.cohort.context.growth.Growth.distances`; step 0 is the lesion alone.
    kept_voxels
        int64 (K + 1,): voxels that are kept at each step, those of the lesion included.
    mean_probability
        float64 (K + 1,): mean of the probability over the lesion's voxels.
    voxels_above
        int64 (K + 1,): how many of them are marked, which is above the threshold unless `by_tool`.
    voxels
        How many the lesion has.
    whole_probability, whole_above
        The same two of the images as they are.
    notes
        What a reader must know, such as a change of device.
    by_tool
        Whether a voxel counts as marked where its class is the most probable, as the network's own
        tool decides at that threshold, in place of a probability above it.
    """

    request: ContextRequest
    distance_mm: NDArray[np.float64]
    kept_voxels: NDArray[np.int64]
    mean_probability: NDArray[np.float64]
    voxels_above: NDArray[np.int64]
    voxels: int
    whole_probability: float
    whole_above: int
    notes: tuple[str, ...] = ()
    by_tool: bool = False

    @property
    def detected(self) -> NDArray[np.bool_]:
        """Whether any voxel of the lesion is marked at each step, as the paper counts it."""
        return self.voxels_above > 0

    @property
    def finished(self) -> bool:
        """Whether every step is known; else there are fewer than ``K + 1`` of them."""
        return len(self.distance_mm) > self.request.growth.steps

    @property
    def needed_mm(self) -> float:
        """From which distance on the lesion is detected at every step; NaN if not at the last."""
        missed = np.flatnonzero(~self.detected)
        first = 0 if not missed.size else int(missed[-1]) + 1
        return float(self.distance_mm[first]) if first < len(self.distance_mm) else float("nan")


def perilesional_progressively(
    model: SegmentationModel, case: Case, lesion: ArrayLike, request: ContextRequest
) -> Iterator[Progress[Context]]:
    """Find out how much of its surroundings the network needs to find a lesion.

    Parameters
    ----------
    model, case
        The network and the patient.
    lesion
        Mask (X, Y, Z) on the case's grid.
    request
        What becomes background, the steps, the threshold.

    Yields
    ------
    A report per batch of steps of a window, with the :class:`Context` as far as it is known where
    steps became known; the last one holds all of it. It equals a segmentation of each changed case
    up to the rounding of float32: outside the grown lesion the chosen sequences have the value of
    their background, and all is normalised by the statistics of the images as they are. Equal
    inputs of a window run once.

    Raises
    ------
    CaseError
        If the lesion is no mask on the case's grid, or a sequence is not there.
    SegmentationError
        If the network cannot run on the volume.
    """
    mask = boxed_footprint(lesion, case.shape)
    yield Progress("Growing the lesion", 0, 0, "")
    with within_memory(SegmentationError, "run the network on the changed images", SMALLER):
        changed = case.select(request.sequences or case.sequences).sequences
        masking = Masking.of(case, mask, changed, request.growth)
        counts = np.bincount(masking.order.ravel(), minlength=masking.count)
        kept, distance = counts.cumsum(), request.growth.distances(case.spacing)
        means = np.empty(masking.count)
        above = np.empty(masking.count, dtype=np.int64)
        notes: list[str] = []
        by_tool, index = False, model.profile.explained_class
        for report in step_logits(model, case, masking, request.forward):
            notes += [report.note] if report.note else []
            known = report.result
            if known is None:
                yield report.with_result(None)
                continue
            by_class = torch.from_numpy(known.logits).movedim(1, 0)
            probability = class_probability(model.profile, by_class).numpy()
            decided = _decided(model, by_class.numpy(), request.threshold)
            if decided is not None and not by_tool:
                by_tool = True
                notes.append(_BY_TOOL.format(model.profile.classes[index], request.threshold))
            of = slice(known.steps.start, known.steps.stop)
            means[of] = probability.mean(axis=1)
            marked = probability > request.threshold if decided is None else decided
            above[of] = np.count_nonzero(marked, axis=1)
            # The last of the steps, the images as they are, comes first.
            until = 0 if of.stop == masking.count else of.stop
            result = Context(
                request=request,
                distance_mm=distance[:until],
                kept_voxels=kept[:until],
                mean_probability=means[:until].copy(),
                voxels_above=above[:until].copy(),
                voxels=int(np.count_nonzero(mask.values)),
                whole_probability=float(means[-1]),
                whole_above=int(above[-1]),
                notes=tuple(notes),
                by_tool=by_tool,
            )
            yield report.with_result(result)
        yield Progress("Running the network", 1, 1, "windows", result)


def _decided(
    model: SegmentationModel, logits: NDArray[np.float64], threshold: float
) -> NDArray[np.bool_] | None:
    """Return what the network's own tool marks, bool (steps, V), where it decides; else None."""
    tool = model.preparation
    decision = None if tool is None else tool.marked(logits, model.profile.explained_class)
    if decision is None or not math.isclose(threshold, decision[0]):
        return None
    return decision[1]


perilesional = to_its_end("perilesional", perilesional_progressively)
