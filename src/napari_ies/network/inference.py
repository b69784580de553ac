"""The network over a whole volume: logits, blended, to the probability of the explained class."""

from __future__ import annotations

import copy
import logging
import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_ies.errors import CheckpointError, SegmentationError
from napari_ies.free_memory import is_out_of_memory, not_enough_memory
from napari_ies.network.device import device_label, exact_float32
from napari_ies.network.finite import all_finite, where_not_finite
from napari_ies.network.model import SegmentationModel, check_channels, network_output
from napari_ies.network.network_grid import network_case, network_turn, to_stored
from napari_ies.network.windows import Tiling, tiling
from napari_ies.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import nn

    from napari_ies.network.profile import Profile
    from napari_ies.patient.case import Case

logger = logging.getLogger("napari_ies")

GPU_BATCH = 4
"""Windows in one pass on a GPU; halved when memory runs out."""

SMALLER = "choose the forward sliding-window, or give the profile a smaller window"
"""What takes less memory."""


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
        If the output has another size than the input, or the network's layers refuse the input.
    """
    output = network_output(network, batch)
    if isinstance(output, (list, tuple)):
        output = output[0]
    if output.shape[2:] != batch.shape[2:]:
        raise CheckpointError(
            f"The network turns {tuple(batch.shape[2:])} voxels into {tuple(output.shape[2:])}; "
            "expected an output of the input's size."
        )
    logits: torch.Tensor = output
    return logits


def logit_map(
    model: SegmentationModel, case: Case, forward: str = "sliding-window"
) -> Iterator[Progress[NDArray[np.float32]]]:
    """Compute the blended logits of all classes.

    Windows that are constant in every sequence, such as the background around a brain-extracted
    head, are computed once and reused: equal windows give equal outputs.

    Parameters
    ----------
    model, case
        The network and the patient.
    forward
        ``"sliding-window"`` or ``"whole-volume"``, see :func:`napari_ies.network.windows.tiling`.

    Yields
    ------
    A report per batch of windows, with a note when GPU memory ran out; the last one holds the
    logits, float32 (classes, X, Y, Z) on the stored grid, brought there linearly where the network
    ran at its own voxel size (:func:`napari_ies.network.network_grid.network_case`).

    Raises
    ------
    SegmentationError
        If the network cannot run on the volume.
    """
    seen = network_case(model, case)
    image = network_input(model, seen)
    turn = network_turn(model, seen)
    tiles = tiling(model.profile, turn.displayed_shape, forward)
    blend = torch.zeros((len(model.profile.classes), *turn.displayed_shape))
    total = len(tiles.windows)
    for done, note in _blend_windows(model, image, tiles, blend):
        yield Progress("Segmenting", done, total + 1, "windows", note=note)
    blend /= tiles.total.to(blend)
    _check_sum(blend)
    logits = to_stored(turn.invert(blend.numpy()), seen.grid, case.grid)
    yield Progress("Segmenting", total + 1, total + 1, "windows", logits)


def probability_of(
    model: SegmentationModel, case: Case, logits: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the probability of the explained class.

    Parameters
    ----------
    model, case
        The network and the patient.
    logits
        (classes, X, Y, Z), from :func:`logit_map`.

    Returns
    -------
    float32 (X, Y, Z): the softmax over the classes, or the sigmoid of the explained class's logit
    where the profile's `activation` says so or there is a single output channel.
    """
    turn = network_turn(model, case)
    values = torch.from_numpy(np.ascontiguousarray(turn.apply(logits)))
    probability = class_probability(model.profile, values)
    return np.ascontiguousarray(turn.invert(probability.numpy()))


def class_probability(profile: Profile, logits: torch.Tensor) -> torch.Tensor:
    """Return the probability of the explained class, (x, y, z), of logits (classes, x, y, z)."""
    if len(logits) == 1:
        return logits[0].sigmoid()
    if profile.activation == "sigmoid":
        return logits[profile.explained_class].sigmoid()
    return logits.softmax(dim=0)[profile.explained_class]


def changed_logits(
    model: SegmentationModel,
    before: Case,
    after: Case,
    logits: NDArray[np.float32],
    forward: str = "sliding-window",
) -> Iterator[Progress[NDArray[np.float32]]]:
    """Compute the logits of a case from those of another one that differs in some voxels.

    A window's output depends on that window's voxels alone, so only windows that hold a changed
    voxel are run: on both cases, because the blend is ``y[v] = Σ_w b_w[v] f(x_w)[v]`` and the
    part of the other windows in it is known only as the rest,
    ``y'[v] = y[v] + Σ_{w changed} b_w[v] (f(x'_w)[v] - f(x_w)[v])``. That equals a run of all
    windows up to the rounding of float32, and wherever no change reaches, nothing changes at all.
    At the network's own voxel size the change of the logits is computed there and brought back.

    Parameters
    ----------
    model
        The network.
    before, after
        The two cases, on one grid. Voxels count as changed where the network's input differs:
        `after` must be normalised by the statistics of `before`, see
        :attr:`napari_ies.patient.case.Case.normalised_as`, or every voxel does.
    logits
        (classes, X, Y, Z) of `before`, from :func:`logit_map` with the same `forward`.
    forward
        ``"sliding-window"`` or ``"whole-volume"``.

    Yields
    ------
    A report per batch of windows; the last one holds the logits of `after`, as `logits`.

    Raises
    ------
    SegmentationError
        If the network cannot run on the volume.
    """
    seen = network_case(model, before)
    old, new = network_input(model, seen), network_input(model, network_case(model, after))
    turn = network_turn(model, seen)
    every = tiling(model.profile, turn.displayed_shape, forward)
    changed = (old != new).any(dim=0)
    windows = tuple(w for w in every.windows if changed[every.visible(w)].any())
    some = Tiling(every.shape, windows, every.blended)
    resampled = seen is not before
    if resampled:
        # On the network's grid the logits are not known: the change alone is brought back.
        result = torch.zeros((len(logits), *turn.displayed_shape))
    else:
        result = torch.from_numpy(np.array(turn.apply(logits), order="C"))
    # Where every window changes there is no rest to keep.
    images = (new,) if len(windows) == len(every.windows) else (new, old)
    steps, blends = len(images) * len(windows) + 1, []
    for number, image in enumerate(images if windows else ()):
        blends.append(torch.zeros_like(result))
        for done, note in _blend_windows(model, image, some, blends[-1]):
            count = number * len(windows) + done
            yield Progress("Re-running", count, steps, "windows", note=note)
    if len(blends) == 1:
        result = blends[0] / every.total.to(result)
    elif blends:
        result += blends[0].sub_(blends[1]).div_(every.total.to(result))
    _check_sum(result)
    changed_to = to_stored(turn.invert(result.numpy()), seen.grid, before.grid)
    if resampled and len(blends) != 1:
        changed_to = logits + changed_to
    yield Progress("Re-running", steps, steps, "windows", changed_to)


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
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if device.type == "cpu":
                said = not_enough_memory("run the network on this volume", SMALLER)
                raise SegmentationError(said) from error
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
            if not all_finite(logits):
                raise SegmentationError(
                    "The network's logits are not finite numbers (NaN or infinity) "
                    f"{where_not_finite(network, image, tiles, window)}; check the checkpoint, and "
                    "the normalisation in its profile."
                )
            part = tiles.visible(window)
            importance = tiles.importance(window).to(logits)
            blend[(..., *part)].addcmul_(logits[(..., *part.within(window))], importance)
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


def _check_sum(logits: torch.Tensor) -> None:
    if not all_finite(logits):
        raise SegmentationError(
            "The logits of overlapping windows are too large for float32 together; check the "
            "checkpoint, and the normalisation in its profile."
        )
