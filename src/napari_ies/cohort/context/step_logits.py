"""The logits of a lesion at each step, on the network's grid and back on the stored one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from nibabel.affines import apply_affine

from napari_ies.cohort.context.reached import reached
from napari_ies.cohort.context.window_steps import Forwards, WindowSteps
from napari_ies.geometry.box import Box
from napari_ies.geometry.resampling import onto
from napari_ies.network.inference import network_input
from napari_ies.network.members import check_one_logit
from napari_ies.network.network_grid import network_case, network_turn
from napari_ies.network.windows import tiling
from napari_ies.patient.normalisation import scaling
from napari_ies.progress import Progress
from napari_ies.saliency.footprint import pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from napari_ies.cohort.context.growth import Growth
    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case
    from napari_ies.saliency.footprint import BoxedMask


@dataclass(frozen=True, eq=False)
class Masking:
    """Which voxels of a case are kept at each step.

    Parameters
    ----------
    mask
        The lesion.
    changed
        The sequences that become background where nothing is kept, by name.
    order
        int16 (X, Y, Z): the step that is the first to keep each voxel.
    count
        The steps: from 0, the lesion alone, to the last, the images as they are.
    """

    mask: BoxedMask
    changed: tuple[str, ...]
    order: NDArray[np.int16]
    count: int

    @classmethod
    def of(cls, case: Case, mask: BoxedMask, changed: tuple[str, ...], growth: Growth) -> Masking:
        """Grow a lesion of a case."""
        box, part = reached(growth, mask, case.spacing)
        order = np.full(case.shape, growth.steps + 1, dtype=np.int16)
        order[box] = part
        return cls(mask, changed, order, growth.steps + 2)


@dataclass(frozen=True, eq=False)
class StepLogits:
    """The logits of a lesion's voxels at some steps.

    Parameters
    ----------
    steps
        Which.
    logits
        float64 (n, classes, V), the lesion's voxels in the same order at each step.
    """

    steps: range
    logits: NDArray[np.float64]


def step_logits(
    model: SegmentationModel, case: Case, masking: Masking, forward: str
) -> Iterator[Progress[StepLogits]]:
    """Compute the logits of a lesion's voxels at each step.

    Parameters
    ----------
    model, case, masking
        The network, the images as they are, and what is kept of them when.
    forward
        ``"sliding-window"`` or ``"whole-volume"``.

    Yields
    ------
    A report per batch of windows; with it the steps that became known, each once: the last one,
    the images as they are, first, and then from the lesion alone on.
    """
    check_one_logit(model.network)
    seen = network_case(model, case)
    if seen is case:
        return _stored(model, case, masking, forward)
    return _resampled(model, case, seen, masking, forward)


def masked_case(case: Case, sequences: tuple[str, ...], kept: NDArray[np.bool_]) -> Case:
    """Return a case with the background's value wherever a mask does not keep some sequences.

    It is normalised by the statistics of the original, and its notes say what it is.
    """
    data = case.data.copy()
    for channel, name in enumerate(case.sequences):
        if name in sequences:
            background = case.backgrounds[channel]
            data[channel][~kept] = 0.0 if background is None else background.value
    note = f"{' and '.join(sequences)} set to background outside a region: not the patient's image."
    return replace(
        case,
        data=data,
        notes=(*case.notes, note),
        normalised_as=case if case.normalised_as is None else case.normalised_as,
    )


def _stored(
    model: SegmentationModel, case: Case, masking: Masking, forward: str
) -> Iterator[Progress[StepLogits]]:
    """Compute the logits where the network runs on the stored voxels."""
    turn, image = network_turn(model, case), network_input(model, case)
    tiles = tiling(model.profile, turn.displayed_shape, forward)
    order = torch.from_numpy(np.ascontiguousarray(turn.apply(masking.order)))
    voxels = np.argwhere(turn.apply(np.asarray(masking.mask)))
    background = torch.tensor(
        [
            _normalised_background(model, case, channel) if name in masking.changed else np.nan
            for channel, name in enumerate(case.sequences)
        ],
        dtype=torch.float32,
    )
    found, passes = pieces(voxels, tiles), Forwards(model)
    windows = [
        WindowSteps(tiles.crop(image, one.window), tiles.crop(order, one.window), background)
        for one in found
    ]
    total, done = sum(len(one.levels) for one in windows), 0
    classes = len(model.profile.classes)
    outputs = [
        np.full((len(window.levels), classes, len(piece.rows)), np.nan, dtype=np.float32)
        for piece, window in zip(found, windows, strict=True)
    ]
    for steps in _in_turn(masking.count, passes):
        logits = np.zeros((len(steps), classes, len(voxels)))
        for piece, window, known in zip(found, windows, outputs, strict=True):
            levels = window.level_of(steps)
            new = np.unique(levels[np.isnan(known[levels, 0, 0])])
            make = partial(_at, window, new)
            for batch, picked, note in passes.run(len(new), make, piece.local):
                known[new[batch]] = picked.numpy()
                done += batch.stop - batch.start
                yield Progress("Running the network", done, total + 1, "windows", note=note)
            logits[:, :, piece.rows] += known[levels] * piece.weight.numpy()
        known_now = StepLogits(steps, logits)
        yield Progress("Running the network", done, total + 1, "windows", known_now)


def _in_turn(count: int, passes: Forwards) -> Iterator[range]:
    """Give the steps in the order in which they are run: as many as fit into one pass at a time."""
    yield range(count - 1, count)
    first = 0
    while first < count - 1:
        steps = range(first, min(first + passes.size, count - 1))
        yield steps
        first = steps.stop


def _at(
    window: WindowSteps, levels: NDArray[np.int64], batch: slice, device: torch.device
) -> torch.Tensor:
    return window.make(levels[batch], device)


def _resampled(
    model: SegmentationModel, case: Case, seen: Case, masking: Masking, forward: str
) -> Iterator[Progress[StepLogits]]:
    """Compute the logits where the network runs on voxels of its own size.

    The changed images are brought there as the images are, and the logits come back linearly.
    """
    turn, inner = network_turn(model, seen), masking.mask.box
    tiles = tiling(model.profile, turn.displayed_shape, forward)
    corners = np.array(np.meshgrid(*zip(inner.start, np.subtract(inner.stop, 1), strict=True)))
    there = apply_affine(seen.grid.to_voxels(case.grid), corners.reshape(3, -1).T)
    wide = Box(np.floor(there.min(axis=0)), np.ceil(there.max(axis=0)) + 1).clip(seen.shape)
    turned = turn.box_to_displayed(wide)
    voxels = np.argwhere(np.ones(turned.shape, dtype=bool)) + turned.start
    found, passes = pieces(voxels, tiles), Forwards(model)
    marked, classes = masking.mask.values, len(model.profile.classes)
    # Of each window, as it is and as it was at the step before.
    known: list[list[tuple[torch.Tensor, torch.Tensor]]] = [[] for _ in found]
    total, done = masking.count * len(found) + 1, 0
    for step in (masking.count - 1, *range(masking.count - 1)):
        masked = masked_case(case, masking.changed, masking.order <= step)
        image = network_input(model, network_case(model, masked))
        blend = np.zeros((classes, len(voxels)))
        for piece, earlier in zip(found, known, strict=True):
            crop, note = tiles.crop(image, piece.window), ""
            output = next((one for input_, one in earlier if torch.equal(input_, crop)), None)
            if output is None:
                ((_, picked, note),) = passes.run(1, _only(crop), piece.local)
                output = picked[0]
                earlier[1:] = [(crop, output)]
            blend[:, piece.rows] += output.numpy() * piece.weight.numpy()
            done += 1
            yield Progress("Running the network", done, total, "windows", note=note)
        whole = blend.reshape(-1, *turned.shape).astype(np.float32)
        part = replace(turn, shape=wide.shape).invert(whole)
        logits = np.empty((1, classes, np.count_nonzero(marked)))
        for channel, values in enumerate(part):
            moved = onto(np.ascontiguousarray(values), seen.grid.part(wide), case.grid.part(inner))
            logits[0, channel] = moved.data[marked]
        known_now = StepLogits(range(step, step + 1), logits)
        yield Progress("Running the network", done, total, "windows", known_now)


def _only(crop: torch.Tensor) -> Callable[[slice, torch.device], torch.Tensor]:
    return lambda _, device: crop[None].to(device)


def _normalised_background(model: SegmentationModel, case: Case, channel: int) -> float:
    """Return what the background of a sequence is for the network."""
    method = model.profile.normalisation
    if method == "zscore-nonzero":
        return 0.0  # whatever the background is
    origin = case if case.normalised_as is None else case.normalised_as
    background = case.backgrounds[channel]
    value = np.full((1, 1, 1), 0.0 if background is None else background.value, np.float32)
    change = scaling(origin.data[channel], method, origin.inside[channel])
    return float(change.apply(value, value != value)[0, 0, 0])
