"""The explanations of one case by one request: what they share, and their way to a Saliency."""

from __future__ import annotations

import copy
import dataclasses
import logging
from itertools import islice
from typing import TYPE_CHECKING
from weakref import ref

import numpy as np
import torch

from napari_ies.errors import SaliencyError
from napari_ies.geometry.box import Box
from napari_ies.network.device import runs_ahead
from napari_ies.network.inference import network_input_there
from napari_ies.network.network_grid import (
    footprint_on,
    map_to_stored,
    network_case,
    network_turn,
    touched_box,
)
from napari_ies.network.windows import tiling
from napari_ies.progress import Progress
from napari_ies.saliency.engines.certification import choose_engine
from napari_ies.saliency.engines.kernels.choice import EXTREMES
from napari_ies.saliency.engines.memory import PeakMemory, memory_limit
from napari_ies.saliency.footprint import BoxedMask, boxed_footprint
from napari_ies.saliency.gradcam import check_gradients, default_layer, gradcam, layer_named
from napari_ies.saliency.noise import DEFINITIONS
from napari_ies.saliency.problem import Estimate, Problem, Target
from napari_ies.saliency.provenance import provenance
from napari_ies.saliency.request import NOISE_VERSION
from napari_ies.saliency.saliency import NetworkMaps, Saliency
from napari_ies.saliency.smoothgrad import smoothgrad

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import ArrayLike, NDArray

    from napari_ies.geometry.orientation import Reorientation
    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case
    from napari_ies.saliency.request import SaliencyRequest

logger = logging.getLogger("napari_ies")

SHARED_BY = ("forward", "class_index", "precision")
"""What a request says of what gradients depend on."""
FIRST_STEPS = 2
"""Steps of a map after which what was new to a GPU is known to it."""


class CaseExplanations:
    """The explanations of one case by one request, whatever the footprints.

    Parameters
    ----------
    model, case
        The network and the patient.
    request
        Settings; each footprint comes with an aggregation of its own.
    jacobian, memory_gib
        See :func:`~napari_ies.saliency.explanation.explain_progressively`.

    Attributes
    ----------
    problem
        What the gradients depend on.
    request
        The settings, completed by the profile's and the network's.
    """

    def __init__(
        self,
        model: SegmentationModel,
        case: Case,
        request: SaliencyRequest,
        jacobian: str,
        memory_gib: float | None,
    ) -> None:
        self.request = completed(request, model)
        self._model, self._jacobian, self._memory_gib = model, jacobian, memory_gib
        self._counted: tuple[ref[BoxedMask], Target] | None = None
        self._seen = network_case(model, case)
        self._turn = network_turn(model, self._seen)
        self._case = case
        self._peak = PeakMemory(model.device)
        self.problem = Problem(
            network=model.network,
            engine=choose_engine(model, jacobian, request.precision),
            device=model.device,
            image=network_input_there(model, self._seen),
            tiles=tiling(model.profile, self._turn.displayed_shape, request.forward),
            class_index=self.request.class_index or 0,
            turn=self._turn,
            precision=request.precision,
            memory=memory_limit(model.device, memory_gib),
        )
        self._chosen: Mapping[str, str] = {}
        self._provenance: dict[str, object] = provenance(model, case, request.precision)
        if self._provenance["precision"] != request.precision:
            logger.info("TF32 is there on CUDA only: computing in float32.")

    def serves(self, model: SegmentationModel, case: Case, request: SaliencyRequest) -> bool:
        """Whether this holds what another request of a network about a case depends on.

        What the patient and the visit are called, the method, and seed, number and size of noise
        do not matter.
        """
        own, other = self.request, completed(request, model)
        return (
            model.network is self._model.network
            and (model.device, model.profile) == (self._model.device, self._model.profile)
            and all(
                getattr(case, one.name) is getattr(self._case, one.name)
                for one in dataclasses.fields(case)
                if one.init and one.name not in ("subject", "visit")
            )
            and all(getattr(own, name) == getattr(other, name) for name in SHARED_BY)
        )

    def asked(self, request: SaliencyRequest) -> CaseExplanations:
        """Return the explanations by another request that this one serves: nothing is made anew.

        The memory that may be taken is that of now.
        """
        if request.is_smoothgrad:
            _ = self.problem.intensity_range  # found once: what is known of the image is copied
        twin = copy.copy(self)
        memory = memory_limit(self._model.device, self._memory_gib)
        twin.problem = self.problem.changed(memory=memory)
        twin.request = completed(request, self._model)
        twin._provenance, twin._peak = dict(self._provenance), PeakMemory(self._model.device)
        return twin

    def target(self, footprint: ArrayLike, aggregation: str) -> Target:
        """Return what is explained for a footprint; the last one is known when it is explained."""
        mask = boxed_footprint(footprint, self._case.shape)
        target = self._target(mask, aggregation)
        self._counted = ref(mask), target
        return target

    def prepare(self, footprint: ArrayLike) -> Iterator[None]:
        """Do, step by step, what the first footprint would wait for and no later one.

        On a GPU the first steps of a map load the network's kernels and have memory reserved.
        """
        if runs_ahead(self.problem.device):
            once = self.asked(dataclasses.replace(self.request, n_samples=1))
            reports = once.run([(footprint, self.request.aggregation)])
            for _ in islice(reports, FIRST_STEPS):
                yield

    def footprints_together(self, aggregations: int) -> int:
        """Return how many footprints are explained at once, each in so many aggregations."""
        if not (self.request.is_smoothgrad and self.problem.engine.shares_forwards):
            return 1
        # A footprint's map, its squares, its canvas and two extremes: five times the case at most.
        each = 5 * 4 * self._case.data.size * aggregations
        return max(self.problem.memory // 2 // each, 1)

    def run(
        self, wanted: Iterable[tuple[ArrayLike, str]]
    ) -> Iterator[tuple[int, Progress[Saliency]]]:
        """Explain footprints, each in its aggregation; yield the number of each and a report.

        They are taken one after the other, and no mask of the whole grid is kept.
        """
        masks, targets = [], []
        for footprint, aggregation in wanted:
            masks.append(boxed_footprint(footprint, self._case.shape))
            targets.append(self._target(masks[-1], aggregation))
            del footprint
        if self.request.is_smoothgrad:
            problem = self.problem.settled()
            self._provenance["jacobian"] = problem.engine.name
            self._provenance["noise"] = DEFINITIONS[self.request.noise_version]
            self._chosen = problem.engine.kernels
            unit = "gradients"
        else:
            problem, unit = self.problem, "windows"

        estimates = (
            smoothgrad(problem, targets, self.request)
            if self.request.is_smoothgrad
            else gradcam(problem, targets[0].voxels, self.request.layer or "")
        )
        for estimate in estimates:
            target = targets[estimate.target]
            result = None
            if estimate.mean is not None:
                result = self._saliency(estimate, target.aggregation, masks[estimate.target])
            report = Progress("Explaining", estimate.done, estimate.total, unit, result)
            yield estimate.target, report

    def _target(self, mask: BoxedMask, aggregation: str) -> Target:
        counted, target = self._counted or (None, None)
        if target and counted and counted() is mask and target.aggregation == aggregation:
            return target
        if self._seen is not self._case:
            grids = self._case.grid, self._seen.grid
            mask = BoxedMask.of(footprint_on(np.asarray(mask), *grids))
        first = self._turn.box_to_displayed(mask.box).start
        return Target(np.argwhere(self._turn.apply(mask.values)) + first, aggregation)

    def _saliency(self, estimate: Estimate, aggregation: str, mask: BoxedMask) -> Saliency:
        error, turn = estimate.standard_error, self._turn
        box = turn.box_to_stored(estimate.box)
        mean = _stored(estimate.mean, turn)
        deviation, there = None if error is None else _stored(error, turn), None
        own_maps = [_stored(one, turn) for one in estimate.members]
        if self._seen is not self._case:
            grids = self._seen.grid, self._case.grid
            there = NetworkMaps(self._seen.shape, self._seen.affine, box, mean, deviation)
            own, box = box, Box.hull([touched_box(box, *grids), mask.box])
            mean = map_to_stored(mean, own, *grids, box)
            deviation = None if deviation is None else map_to_stored(deviation, own, *grids, box)
            own_maps = [map_to_stored(one, own, *grids, box) for one in own_maps]
        return Saliency(
            request=dataclasses.replace(self.request, aggregation=aggregation),
            sequences=self.request.maps_of(self._case.sequences),
            shape=self._case.shape,
            affine=self._case.affine,
            box=box,
            cropped=mean,
            cropped_standard_error=deviation,
            footprint=mask.within(box),
            n_used=estimate.n_used,
            provenance={
                **self._provenance,
                **self._kernels(aggregation),
                "peak_memory_gib": self._peak.gib,
                "peak_memory_of": self._peak.of,
            },
            in_network=there,
            cropped_spread=np.std(own_maps, axis=0, ddof=1) if own_maps else None,
        )

    def _kernels(self, aggregation: str) -> dict[str, object]:
        """Return which kernels an aggregation has use for, if any were chosen."""
        used = {
            what: way
            for what, way in self._chosen.items()
            if aggregation == "max" or what != EXTREMES
        }
        return {"kernels": used} if used else {}


def completed(request: SaliencyRequest, model: SegmentationModel) -> SaliencyRequest:
    """Fill in what the request leaves to the profile and to the network.

    Raises
    ------
    SaliencyError
        If no map of this network can be made by it, whatever the case and the footprint.
    """
    check_gradients(model.network)
    classes = model.profile.classes
    index = model.profile.explained_class if request.class_index is None else request.class_index
    if not 0 <= index < len(classes):
        raise SaliencyError(
            f"There is no class {index}; the network has the classes 0 to {len(classes) - 1} "
            f"({', '.join(classes)})."
        )
    layer = request.layer
    if not request.is_smoothgrad:
        if layer is None:
            layer = default_layer(model)
        layer_named(model.network, layer)
    # A map without noise is the same by any definition of it.
    noise = request.noise_version if request.is_smoothgrad else NOISE_VERSION
    return dataclasses.replace(request, class_index=index, layer=layer, noise_version=noise)


def _stored(tensor: torch.Tensor | None, turn: Reorientation) -> NDArray[np.float32]:
    """Return maps on the network's axes as an array on the stored ones."""
    assert tensor is not None  # noqa: S101 - only complete estimates come here
    values = tensor.detach().to("cpu", torch.float32).numpy()
    return np.ascontiguousarray(turn.invert(values))
