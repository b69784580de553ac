"""explain: from a model, a case and a footprint to a Saliency."""

from __future__ import annotations

import dataclasses
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from napari_ies.errors import SaliencyError
from napari_ies.inference import network_input, network_turn
from napari_ies.progress import Progress, finish
from napari_ies.saliency.certification import choose_engine
from napari_ies.saliency.chunks import is_out_of_memory
from napari_ies.saliency.footprint import footprint_mask, footprint_voxels
from napari_ies.saliency.gradcam import default_layer, gradcam
from napari_ies.saliency.memory import PeakMemory, memory_limit
from napari_ies.saliency.problem import Estimate, Problem, Target
from napari_ies.saliency.provenance import provenance
from napari_ies.saliency.request import SaliencyRequest
from napari_ies.saliency.saliency import Saliency
from napari_ies.saliency.smoothgrad import smoothgrad
from napari_ies.windows import tiling

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from napari_ies.case import Case
    from napari_ies.checkpoints.model import SegmentationModel
    from napari_ies.orientation import Reorientation
    from napari_ies.windows import Box

logger = logging.getLogger("napari_ies")

Key = TypeVar("Key")


def explain(
    model: SegmentationModel,
    case: Case,
    footprint: ArrayLike,
    *,
    method: str = "smoothgrad",
    aggregation: str = "mean",
    n_samples: int = 50,
    noise: float = 0.05,
    seed: int = 0,
    forward: str = "sliding-window",
    class_index: int | None = None,
    layer: str | None = None,
    tolerance: float | None = None,
    precision: str = "float32",
    jacobian: str = "auto",
    memory_gib: float | None = None,
) -> Saliency:
    """Explain a footprint; see :func:`explain_progressively`, which this runs to its end."""
    return finish(
        explain_progressively(
            model,
            case,
            footprint,
            method=method,
            aggregation=aggregation,
            n_samples=n_samples,
            noise=noise,
            seed=seed,
            forward=forward,
            class_index=class_index,
            layer=layer,
            tolerance=tolerance,
            precision=precision,
            jacobian=jacobian,
            memory_gib=memory_gib,
        )
    )


def explain_progressively(
    model: SegmentationModel,
    case: Case,
    footprint: ArrayLike,
    *,
    method: str = "smoothgrad",
    aggregation: str = "mean",
    n_samples: int = 50,
    noise: float = 0.05,
    seed: int = 0,
    forward: str = "sliding-window",
    class_index: int | None = None,
    layer: str | None = None,
    tolerance: float | None = None,
    precision: str = "float32",
    jacobian: str = "auto",
    memory_gib: float | None = None,
) -> Iterator[Progress[Saliency]]:
    """Explain why a network marked a footprint, step by step.

    Parameters
    ----------
    model
        The network and its profile.
    case
        The patient; its sequences in the profile's order.
    footprint
        Mask (X, Y, Z) of the voxels to explain, on the case's grid: a lesion, or any region.
    method, aggregation, n_samples, noise, seed, forward, class_index, layer, tolerance, precision
        See :class:`~napari_ies.saliency.request.SaliencyRequest`.
    jacobian
        How SmoothGrad's gradients are computed, which changes the time and not the map: see
        :func:`~napari_ies.saliency.certification.choose_engine`.
    memory_gib
        Memory in GiB that may be taken beyond the network and one forward, which changes the time
        and not the map: see :func:`~napari_ies.saliency.memory.memory_limit`.

    Yields
    ------
    A report after each step of work. After each noise sample its result is the running
    :class:`~napari_ies.saliency.saliency.Saliency`; the last one is the finished map.

    Raises
    ------
    SaliencyError
        If the footprint, a setting, the class or the layer is not possible.
    CheckpointError
        If the case does not fit the network.
    """
    request = SaliencyRequest(
        method=method,
        aggregation=aggregation,
        n_samples=n_samples,
        noise=noise,
        seed=seed,
        forward=forward,
        class_index=class_index,
        layer=layer,
        tolerance=tolerance,
        precision=precision,
    )
    yield from explain_request(
        model, case, footprint, request, jacobian=jacobian, memory_gib=memory_gib
    )


def explain_request(
    model: SegmentationModel,
    case: Case,
    footprint: ArrayLike,
    request: SaliencyRequest,
    *,
    jacobian: str = "auto",
    memory_gib: float | None = None,
) -> Iterator[Progress[Saliency]]:
    """Explain a footprint as a request says; see :func:`explain_progressively`."""
    with _within_memory():
        explained = _Explanations(model, case, request, jacobian, memory_gib)
        for _, report in explained.run([(footprint, request.aggregation)]):
            yield report


def explain_together(
    model: SegmentationModel,
    case: Case,
    footprints: Mapping[Key, ArrayLike],
    request: SaliencyRequest,
    *,
    aggregations: Sequence[str] = (),
    jacobian: str = "auto",
    memory_gib: float | None = None,
) -> Iterator[tuple[tuple[Key, str], Progress[Saliency]]]:
    """Explain several footprints by SmoothGrad, in several aggregations, from shared forwards.

    Parameters
    ----------
    model, case
        The network and the patient.
    footprints
        Masks (X, Y, Z) on the case's grid, by any key, such as the lesion's label.
    request
        Settings; its method must be ``"smoothgrad"``.
    aggregations
        Aggregations to compute; by default the request's.
    jacobian
        See :func:`~napari_ies.saliency.certification.choose_engine`.
    memory_gib
        See :func:`explain_progressively`. As many footprints are computed together as half of it
        holds maps of, one at the least, so that memory does not grow with their number. An engine
        whose forwards belong to one footprint alone (windowed) takes one footprint at a time, in
        all its aggregations.

    Yields
    ------
    A key with its aggregation, and a report on it as :func:`explain_progressively` gives; each
    one's last report is finished and holds its map, the same as if it were explained alone.

    Raises
    ------
    SaliencyError
        If a footprint or a setting is not possible.
    """
    if request.method != "smoothgrad":
        raise SaliencyError(
            f"Only smoothgrad explains lesions together, not {request.method}; explain each alone."
        )
    ways = aggregations or (request.aggregation,)
    keys = list(footprints)
    with _within_memory():
        explained = _Explanations(model, case, request, jacobian, memory_gib)
        together = explained.footprints_together(len(ways))
        for start in range(0, len(keys), together):
            batch = [(key, way) for key in keys[start : start + together] for way in ways]
            for number, report in explained.run([(footprints[key], way) for key, way in batch]):
                yield batch[number], report


class _Explanations:
    """The explanations of one case by one request, whatever the footprints."""

    def __init__(
        self,
        model: SegmentationModel,
        case: Case,
        request: SaliencyRequest,
        jacobian: str,
        memory_gib: float | None,
    ) -> None:
        self._turn = network_turn(model, case)
        self._case = case
        self._request = _completed(request, model)
        self._peak = PeakMemory(model.device)
        self._problem = Problem(
            network=model.network,
            engine=choose_engine(model, jacobian, request.precision),
            device=model.device,
            image=network_input(model, case),
            tiles=tiling(model.profile, self._turn.displayed_shape, request.forward),
            class_index=_class_index(self._request),
            turn=self._turn,
            precision=request.precision,
            memory=memory_limit(model.device, memory_gib),
        )
        self._provenance = provenance(model, case, request.precision)
        if self._provenance["precision"] != request.precision:
            logger.info("TF32 is there on CUDA only: computing in float32.")

    def footprints_together(self, aggregations: int) -> int:
        """Return how many footprints are explained at once, each in so many aggregations."""
        if not self._problem.engine.shares_forwards:
            return 1
        # A footprint's map, its squares, its canvas and two extremes: five times the case at most.
        each = 5 * 4 * self._case.data.size * aggregations
        return max(self._problem.memory // 2 // each, 1)

    def run(
        self, wanted: Sequence[tuple[ArrayLike, str]]
    ) -> Iterator[tuple[int, Progress[Saliency]]]:
        """Explain footprints, each in its aggregation; yield the number of each and a report."""
        targets = [
            Target(self._voxels(footprint), aggregation) for footprint, aggregation in wanted
        ]
        if self._request.method == "smoothgrad":
            self._provenance["jacobian"] = self._problem.engine.name
            sequences, unit = self._case.sequences, "gradients"
            estimates = smoothgrad(self._problem, targets, self._request)
        else:
            sequences, unit = ("all",), "windows"
            layer = self._request.layer or ""
            estimates = gradcam(self._problem, targets[0].voxels, layer)
        for estimate in estimates:
            target = targets[estimate.target]
            result = None
            if estimate.mean is not None:
                result = self._saliency(estimate, target, sequences)
            report = Progress("Explaining", estimate.done, estimate.total, unit, result)
            yield estimate.target, report

    def _voxels(self, footprint: ArrayLike) -> NDArray[np.int64]:
        return footprint_voxels(self._turn.apply(footprint_mask(footprint, self._case.shape)))

    def _saliency(self, estimate: Estimate, target: Target, sequences: tuple[str, ...]) -> Saliency:
        error, turn = estimate.standard_error, self._turn
        footprint = _footprint_on(estimate.box, target.voxels)
        return Saliency(
            request=dataclasses.replace(self._request, aggregation=target.aggregation),
            sequences=sequences,
            shape=self._case.shape,
            affine=self._case.affine,
            box=turn.box_to_stored(estimate.box),
            cropped=_stored(estimate.mean, turn),
            cropped_standard_error=None if error is None else _stored(error, turn),
            footprint=np.ascontiguousarray(turn.invert(footprint)),
            n_used=estimate.n_used,
            provenance={
                **self._provenance,
                "peak_memory_gib": self._peak.gib,
                "peak_memory_of": self._peak.of,
            },
        )


@contextmanager
def _within_memory() -> Iterator[None]:
    """Turn an out-of-memory error into a sentence: generators of a thread swallow RuntimeError."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise SaliencyError(
            "There is not enough memory to explain this region; close other programs, choose the "
            "forward sliding-window, or compute on the CPU."
        ) from error


def _completed(request: SaliencyRequest, model: SegmentationModel) -> SaliencyRequest:
    """Fill in what the request leaves to the profile and to the network."""
    classes = model.profile.classes
    index = model.profile.explained_class if request.class_index is None else request.class_index
    if not 0 <= index < len(classes):
        raise SaliencyError(
            f"There is no class {index}; the network has the classes 0 to {len(classes) - 1} "
            f"({', '.join(classes)})."
        )
    layer = request.layer
    if request.method == "gradcam++" and layer is None:
        layer = default_layer(model)
    return dataclasses.replace(request, class_index=index, layer=layer)


def _class_index(request: SaliencyRequest) -> int:
    assert request.class_index is not None  # noqa: S101 - _completed has set it
    return request.class_index


def _stored(tensor: torch.Tensor | None, turn: Reorientation) -> NDArray[np.float32]:
    """Return maps on the network's axes as an array on the stored ones."""
    assert tensor is not None  # noqa: S101 - only complete estimates come here
    values = tensor.detach().to("cpu", torch.float32).numpy()
    return np.ascontiguousarray(turn.invert(values))


def _footprint_on(box: Box, voxels: NDArray[np.int64]) -> NDArray[np.bool_]:
    mask = np.zeros([axis.stop - axis.start for axis in box], dtype=bool)
    mask[tuple((voxels - [axis.start for axis in box]).T)] = True
    return mask
