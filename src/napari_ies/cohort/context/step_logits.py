"""The logits of a lesion at each step, on the network's grid and back on the stored one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from nibabel.affines import apply_affine

from napari_ies.cohort.context.reached import reached
from napari_ies.cohort.context.window_steps import Forwards, WindowSteps
from napari_ies.geometry.box import Box
from napari_ies.geometry.resampling import onto
from napari_ies.network.inference import network_input
from napari_ies.network.network_grid import network_case, network_turn
from napari_ies.network.windows import tiling
from napari_ies.patient.normalisation import scaling
from napari_ies.progress import Progress
from napari_ies.saliency.footprint import pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

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


def step_logits(
    model: SegmentationModel, case: Case, masking: Masking, forward: str
) -> Generator[Progress[Any], None, tuple[NDArray[np.float64], tuple[str, ...]]]:
    """Compute the logits of a lesion's voxels at each step.

    Parameters
    ----------
    model, case, masking
        The network, the images as they are, and what is kept of them when.
    forward
        ``"sliding-window"`` or ``"whole-volume"``.

    Yields
    ------
    A report per batch of windows.

    Returns
    -------
    logits, notes
        float64 (steps, classes, V), the lesion's voxels in the same order at each step, and what a
        reader must know.
    """
    seen = network_case(model, case)
    if seen is case:
        return (yield from _stored(model, case, masking, forward))
    return (yield from _resampled(model, case, seen, masking, forward))


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
) -> Generator[Progress[Any], None, tuple[NDArray[np.float64], tuple[str, ...]]]:
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
    found = pieces(voxels, tiles)
    windows = [
        WindowSteps(tiles.crop(image, one.window), tiles.crop(order, one.window), background)
        for one in found
    ]
    total, done = sum(len(one.levels) for one in windows), 0
    logits = np.zeros((masking.count, len(model.profile.classes), len(voxels)))
    passes, notes = Forwards(model), list[str]()
    for piece, window in zip(found, windows, strict=True):
        outputs = np.empty((len(window.levels), logits.shape[1], len(piece.rows)))
        for batch, picked, note in passes.run(len(window.levels), window.make, piece.local):
            outputs[batch] = picked.numpy()
            notes += [note] if note else []
            done += batch.stop - batch.start
            yield Progress("Running the network", done, total + 1, "windows", note=note)
        part = outputs[window.level_of(masking.count)] * piece.weight.numpy()
        logits[:, :, piece.rows] += part
    return logits, tuple(notes)


def _resampled(
    model: SegmentationModel, case: Case, seen: Case, masking: Masking, forward: str
) -> Generator[Progress[Any], None, tuple[NDArray[np.float64], tuple[str, ...]]]:
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
    found, passes, notes = pieces(voxels, tiles), Forwards(model), list[str]()
    marked = masking.mask.values
    logits = np.empty((masking.count, len(model.profile.classes), np.count_nonzero(marked)))
    before: list[tuple[torch.Tensor, torch.Tensor] | None] = [None] * len(found)
    total = masking.count * len(found) + 1
    for step in range(masking.count):
        masked = masked_case(case, masking.changed, masking.order <= step)
        image = network_input(model, network_case(model, masked))
        blend = np.zeros((logits.shape[1], len(voxels)))
        for number, piece in enumerate(found):
            crop, known = tiles.crop(image, piece.window), before[number]
            if known is None or not torch.equal(known[0], crop):
                for _, picked, note in passes.run(1, _only(crop), piece.local):
                    known = crop, picked[0]
                    notes += [note] if note else []
            assert known is not None  # noqa: S101 - one window was run
            before[number] = known
            blend[:, piece.rows] += known[1].numpy() * piece.weight.numpy()
            yield Progress("Running the network", step * len(found) + number + 1, total, "windows")
        whole = blend.reshape(-1, *turned.shape).astype(np.float32)
        part = replace(turn, shape=wide.shape).invert(whole)
        for channel, values in enumerate(part):
            moved = onto(np.ascontiguousarray(values), seen.grid.part(wide), case.grid.part(inner))
            logits[step, channel] = moved.data[marked]
    return logits, tuple(notes)


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
