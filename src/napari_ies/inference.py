"""The network over a whole volume: logits, blended, to the probability of the explained class."""

from __future__ import annotations

import copy
import logging
import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_ies.checkpoints.device import device_label, exact_float32
from napari_ies.checkpoints.model import check_channels
from napari_ies.errors import CheckpointError, SegmentationError
from napari_ies.orientation import Reorientation
from napari_ies.progress import Progress
from napari_ies.windows import Tiling, tiling

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import nn

    from napari_ies.case import Case
    from napari_ies.checkpoints.model import SegmentationModel

logger = logging.getLogger("napari_ies")

GPU_BATCH = 4
"""Windows in one pass on a GPU; halved when memory runs out."""


def network_turn(model: SegmentationModel, case: Case) -> Reorientation:
    """Return how a case's stored axes are turned to those the network was trained on."""
    if model.profile.orientation is None:
        return Reorientation.identity(case.shape)
    return Reorientation.between(case.affine, case.shape, tuple(model.profile.orientation))


def network_input(model: SegmentationModel, case: Case) -> torch.Tensor:
    """Return a case as the network sees it, before it is cut into windows.

    Parameters
    ----------
    model
        Gives the normalisation.
    case
        Its sequences in the profile's order.

    Returns
    -------
    float32 (C, X', Y', Z') on the CPU, with the axes of :func:`network_turn`; it may share memory
    with the case, so it is not to be written to.

    Raises
    ------
    CheckpointError
        If the number of sequences is not the network's.
    """
    check_channels(model, case.sequences)
    values = case.normalised(model.profile.normalisation)
    turned = np.ascontiguousarray(network_turn(model, case).apply(values))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(turned)


def network_logits(network: nn.Module, batch: torch.Tensor) -> torch.Tensor:
    """Return a network's logits for a batch of windows.

    Parameters
    ----------
    network
        May return a tensor, or a sequence whose first element is the full-resolution output.
    batch
        (N, C, x, y, z).

    Returns
    -------
    (N, classes, x, y, z)

    Raises
    ------
    CheckpointError
        If the output has another size than the input.
    """
    output = network(batch)
    if isinstance(output, (list, tuple)):
        output = output[0]
    if output.shape[2:] != batch.shape[2:]:
        raise CheckpointError(
            f"The network turns {tuple(batch.shape[2:])} voxels into {tuple(output.shape[2:])}; "
            "expected an output of the input's size."
        )
    logits: torch.Tensor = output
    return logits


def probability_map(
    model: SegmentationModel, case: Case, forward: str = "sliding-window"
) -> Iterator[Progress[NDArray[np.float32]]]:
    """Compute the probability of the explained class.

    Windows that are constant in every sequence, such as the background around a brain-extracted
    head, are computed once and reused: equal windows give equal outputs.

    Parameters
    ----------
    model, case
        The network and the patient.
    forward
        ``"sliding-window"`` or ``"whole-volume"``, see :func:`napari_ies.windows.tiling`.

    Yields
    ------
    A report per batch of windows, with a note when GPU memory ran out; the last one holds the
    probability, float32 (X, Y, Z): the softmax over the classes, or the sigmoid for a network
    with a single output channel.

    Raises
    ------
    SegmentationError
        If the network cannot run on the volume.
    """
    image = network_input(model, case)
    shape = network_turn(model, case).displayed_shape
    tiles = tiling(model.profile, shape, forward)
    blend = torch.zeros((len(model.profile.classes), *shape))
    total = len(tiles.windows)
    for done, note in _blend_windows(model, image, tiles, blend):
        yield Progress("Segmenting", done, total + 1, "windows", note=note)
    blend /= tiles.total.to(blend)
    if len(blend) == 1:
        probability = blend[0].sigmoid_()
    else:
        probability = blend.softmax(dim=0)[model.profile.explained_class]
    result = np.ascontiguousarray(network_turn(model, case).invert(probability.numpy()))
    yield Progress("Segmenting", total + 1, total + 1, "windows", result)


def _blend_windows(
    model: SegmentationModel, image: torch.Tensor, tiles: Tiling, blend: torch.Tensor
) -> Iterator[tuple[int, str]]:
    """Add each window's logits times its importance; yield how many are done, and a note."""
    network, device = model.network, model.device
    batch_size = 1 if device.type == "cpu" else GPU_BATCH
    constants: dict[tuple[float, ...], torch.Tensor] = {}
    waiting = list(tiles.windows)
    while waiting:
        batch, note = waiting[:batch_size], ""
        try:
            outputs = _window_logits(
                network, device, [tiles.crop(image, w) for w in batch], constants
            )
        except torch.OutOfMemoryError:
            if device.type == "cpu":
                raise _out_of_memory() from None
            torch.cuda.empty_cache()
            if batch_size > 1:
                batch_size //= 2
            else:
                note = f"{device_label(device)} ran out of memory; the rest is computed on the CPU."
                logger.warning(note)
                network, device = _on_cpu(network, device), torch.device("cpu")
                yield len(tiles.windows) - len(waiting), note
            continue
        for window, logits in zip(batch, outputs, strict=True):
            part = tiles.visible(window)
            local = window.inside(part)
            importance = tiles.importance(window).to(logits)
            blend[(slice(None), *part)].addcmul_(logits[(slice(None), *local)], importance)
        del waiting[:batch_size]
        yield len(tiles.windows) - len(waiting), note


def _window_logits(
    network: nn.Module,
    device: torch.device,
    crops: list[torch.Tensor],
    constants: dict[tuple[float, ...], torch.Tensor],
) -> list[torch.Tensor]:
    """Return each crop's logits on the CPU; crops that are constant throughout are shared."""
    keys = [_constant(crop) for crop in crops]
    fresh = [i for i, key in enumerate(keys) if key is None or key not in constants]
    outputs: dict[int, torch.Tensor] = {}
    if fresh:
        with torch.inference_mode(), exact_float32():
            batch = torch.stack([crops[i] for i in fresh]).to(device)
            outputs = dict(zip(fresh, network_logits(network, batch).float().cpu(), strict=True))
    for i, key in enumerate(keys):
        if key is not None:
            outputs[i] = constants.setdefault(key, outputs.get(i, torch.empty(0)))
    return [outputs[i] for i in range(len(crops))]


def _constant(crop: torch.Tensor) -> tuple[float, ...] | None:
    """Return the value of each sequence if all of them are constant on the crop, else None."""
    low, high = crop.aminmax(dim=-1)
    first = crop[:, 0, 0, 0]
    constant = (low.flatten(1) == first[:, None]).all() and (
        high.flatten(1) == first[:, None]
    ).all()
    return tuple(first.tolist()) if constant else None


def _on_cpu(network: nn.Module, device: torch.device) -> nn.Module:
    """Return a copy of a network on the CPU; the network itself stays where it is."""
    twin = copy.deepcopy(network.to("cpu"))
    network.to(device)
    return twin


def _out_of_memory() -> SegmentationError:
    return SegmentationError(
        "There is not enough memory for this volume; close other programs or give the profile a "
        "smaller window."
    )
