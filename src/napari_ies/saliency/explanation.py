"""explain: from a model, a case and a footprint to a Saliency."""

from __future__ import annotations

import dataclasses
import platform
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_ies.checkpoints.device import device_label
from napari_ies.errors import SaliencyError
from napari_ies.inference import network_input, network_turn
from napari_ies.progress import Progress, finish
from napari_ies.saliency.footprint import footprint_mask, footprint_voxels
from napari_ies.saliency.gradcam import default_layer, gradcam
from napari_ies.saliency.jacobian import choose_engine, is_out_of_memory
from napari_ies.saliency.request import SaliencyRequest
from napari_ies.saliency.saliency import Saliency
from napari_ies.saliency.smoothgrad import Estimate, Problem, smoothgrad
from napari_ies.windows import tiling

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import ArrayLike, NDArray

    from napari_ies.case import Case
    from napari_ies.checkpoints.model import SegmentationModel
    from napari_ies.orientation import Reorientation
    from napari_ies.windows import Box


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
    jacobian: str = "auto",
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
            jacobian=jacobian,
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
    jacobian: str = "auto",
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
    method, aggregation, n_samples, noise, seed, forward, class_index, layer
        See :class:`~napari_ies.saliency.request.SaliencyRequest`.
    jacobian
        How SmoothGrad's gradients are computed, which changes the time and not the map: see
        :func:`~napari_ies.saliency.jacobian.choose_engine`.

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
    )
    yield from explain_request(model, case, footprint, request, jacobian=jacobian)


def explain_request(
    model: SegmentationModel,
    case: Case,
    footprint: ArrayLike,
    request: SaliencyRequest,
    *,
    jacobian: str = "auto",
) -> Iterator[Progress[Saliency]]:
    """Explain a footprint as a request says; see :func:`explain_progressively`."""
    turn = network_turn(model, case)
    voxels = footprint_voxels(turn.apply(footprint_mask(footprint, case.shape)))
    request = _completed(request, model)
    engine = choose_engine(model, jacobian)
    problem = Problem(
        network=model.network,
        engine=engine,
        device=model.device,
        image=network_input(model, case),
        tiles=tiling(model.profile, turn.displayed_shape, request.forward),
        voxels=voxels,
        class_index=_class_index(request),
        turn=turn,
    )
    provenance = _provenance(model, case)
    if request.method == "smoothgrad":
        provenance["jacobian"] = engine.name
    if request.method == "smoothgrad":
        sequences, unit = case.sequences, "noise samples"
        estimates = smoothgrad(problem, request)
    else:
        sequences, unit = ("all",), "windows"
        estimates = gradcam(problem, request.layer or "")
    for estimate in _within_memory(estimates):
        result = None
        if estimate.mean is not None:
            result = _saliency(estimate, request, sequences, case, problem, provenance)
        yield Progress("Explaining", estimate.done, estimate.total, unit, result)


def _within_memory(estimates: Iterator[Estimate]) -> Iterator[Estimate]:
    """Turn an out-of-memory error into a sentence: generators of a thread swallow RuntimeError."""
    try:
        yield from estimates
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


def _saliency(
    estimate: Estimate,
    request: SaliencyRequest,
    sequences: tuple[str, ...],
    case: Case,
    problem: Problem,
    provenance: Mapping[str, object],
) -> Saliency:
    error, turn = estimate.standard_error, problem.turn
    return Saliency(
        request=request,
        sequences=sequences,
        shape=case.shape,
        affine=case.affine,
        box=turn.box_to_stored(estimate.box),
        cropped=_stored(estimate.mean, turn),
        cropped_standard_error=None if error is None else _stored(error, turn),
        footprint=np.ascontiguousarray(turn.invert(_footprint_on(estimate.box, problem.voxels))),
        n_used=estimate.n_used,
        provenance=provenance,
    )


def _stored(tensor: torch.Tensor | None, turn: Reorientation) -> NDArray[np.float32]:
    """Return maps on the network's axes as an array on the stored ones."""
    assert tensor is not None  # noqa: S101 - only complete estimates come here
    values = tensor.detach().to("cpu", torch.float32).numpy()
    return np.ascontiguousarray(turn.invert(values))


def _footprint_on(box: Box, voxels: NDArray[np.int64]) -> NDArray[np.bool_]:
    mask = np.zeros([axis.stop - axis.start for axis in box], dtype=bool)
    mask[tuple((voxels - [axis.start for axis in box]).T)] = True
    return mask


def _provenance(model: SegmentationModel, case: Case) -> dict[str, object]:
    """Say what a map was made from, in plain values that JSON holds."""
    profile = model.profile
    return {
        "device": device_label(model.device),
        "precision": "float32",
        "checkpoint": {
            "name": profile.name if model.path is None else model.path.name,
            "sha256": model.sha256,
            "architecture": profile.architecture,
            "class": list(profile.classes),
        },
        "images": [
            {"sequence": name, "file": "" if path is None else path.name, "sha256": digest}
            for name, path, digest in zip(case.sequences, case.paths, case.sha256, strict=True)
        ],
        "notes": list(case.notes),
        "versions": {
            "napari-ies": version("napari-ies"),
            "torch": str(torch.__version__),
            "monai": version("monai"),
            "python": platform.python_version(),
        },
    }
