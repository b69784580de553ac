"""A network on a grid of its own: the case on voxels of its size, and results back from them.

A network that came with a tool's own preparation sees what that makes
(:mod:`napari_ies.network.preparation`); maps come back from there in the same way.

Images are resampled linearly, without smoothing, as `nibabel.processing.resample_to_output` does
with order 1, and normalised afterwards, as in training. Logits, maps and standard errors come back
linearly. That a standard error is interpolated makes it an upper bound: the standard deviation of
a weighted mean is at most the weighted mean of the standard deviations, by the triangle inequality.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
from nibabel.affines import apply_affine, from_matvec

from napari_ies.errors import SaliencyError, SegmentationError
from napari_ies.free_memory import lacking
from napari_ies.geometry.box import Box
from napari_ies.geometry.grid import Grid, size_words
from napari_ies.geometry.orientation import Reorientation
from napari_ies.geometry.resampling import onto
from napari_ies.network.model import check_channels
from napari_ies.network.profile import DEFAULT_SPACING
from napari_ies.patient.case import Case

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_ies.network.model import SegmentationModel

SAME_SIZE = 0.01
"""Voxel sizes that differ by no more than this, relatively, are the network's own."""

MOST_VOXELS = 2**29
"""More voxels than this are a slip in the voxel size, and fit into no memory."""


def runs_resampled(model: SegmentationModel, case: Case) -> bool:
    """Whether a network runs on another grid than the case's, since its profile wants that."""
    profile = model.profile
    if model.preparation is not None:
        return True
    if not profile.resample or profile.spacing is None:
        return False
    ratios = np.divide(case.spacing, stored_spacing(model, case))
    return bool(np.abs(ratios - 1).max() > SAME_SIZE)


def network_turn(model: SegmentationModel, case: Case) -> Reorientation:
    """Return how a case's stored axes are turned to those the network was trained on."""
    if model.preparation is not None:
        return model.preparation.turn(case)
    if model.profile.orientation is None:
        return Reorientation.identity(case.shape)
    return Reorientation.between(case.affine, case.shape, tuple(model.profile.orientation))


def network_case(model: SegmentationModel, case: Case) -> Case:
    """Return a case on the grid that a network runs on.

    Returns
    -------
    The case itself where the voxels have the network's size or the profile does not ask for it.
    Otherwise the same sequences on voxels of that size, along the same axes and about the same
    centre, that cover the same field of view; kept with the network as long as the case lives. A
    voxel less than half of which, by interpolation, shows the patient is background, with the
    background's very value.

    Raises
    ------
    SegmentationError
        If the network's voxels are so small that no memory holds them.
    """
    if not runs_resampled(model, case):
        return case
    kept = model.derive("cases on the network's grid", WeakKeyDictionary[Case, list[Case]])
    origin = case.normalised_as
    if model.preparation is not None:
        if case not in kept:
            check_channels(model, case.sequences)
            statistics = None if origin is None else network_case(model, origin)
            kept[case] = [model.preparation.network_case(case, statistics)]
        return kept[case][0]
    grid = _network_grid(model, case)
    made = kept.setdefault(case, [])
    for known in made:
        if known.grid.same_as(grid):
            return known
    statistics = None if origin is None else network_case(model, origin)
    made.append(_moved(case, grid, statistics))
    return made[-1]


def to_stored(
    model: SegmentationModel, values: NDArray[np.float32], seen: Case, case: Case
) -> NDArray[np.float32]:
    """Bring logits (C, X', Y', Z') on a network's grid to the stored grid.

    Linearly, so that a change of logits may be given too, or as the network's own preparation does.
    """
    if model.preparation is not None:
        return model.preparation.to_stored(values, seen, case)
    if seen is case or seen.grid.same_as(case.grid):
        return values
    return np.stack([onto(channel, seen.grid, case.grid).data for channel in values])


def map_to_stored(
    values: NDArray[np.float32], box: Box, network: Grid, stored: Grid, stored_box: Box
) -> NDArray[np.float32]:
    """Bring a map that is 0 outside a box of a network's grid to a box of the stored grid.

    Parameters
    ----------
    values, box
        float32 (C, x', y', z') on a box of `network`.
    network, stored
        The two grids.
    stored_box
        Part of `stored` that is wanted, within :func:`touched_box` or not.

    Returns
    -------
    float32 (C, x, y, z) on `stored_box`: linearly interpolated, as the whole map would be.
    """
    # A plane of zeros around it, where there is one, so that the map ends as it does.
    wider = box.grow(1).clip(network.shape)
    padded = box.lay(values, wider)
    source, target = network.part(wider), stored.part(stored_box)
    return np.stack([onto(channel, source, target).data for channel in padded])


def touched_box(box: Box, network: Grid, stored: Grid) -> Box:
    """Return the part of the stored grid that a box of a network's grid has a weight in."""
    there = np.linalg.inv(network.affine) @ stored.affine
    scale, shift = np.diag(there)[:3], there[:3, 3]
    # Voxel i lies at scale · i + shift there, and a voxel reaches as far as its neighbours.
    low = np.floor((np.array(box.start) - 1 - shift) / scale)
    high = np.ceil((np.array(box.stop) - shift) / scale) + 1
    return Box(low, high).clip(stored.shape)


def footprint_on(mask: NDArray[np.bool_], stored: Grid, network: Grid) -> NDArray[np.bool_]:
    """Bring a footprint to a network's grid.

    Parameters
    ----------
    mask
        bool (X, Y, Z) on `stored`, not empty.
    stored, network
        The two grids.

    Returns
    -------
    bool (X', Y', Z'): where the linearly interpolated mask is at least 0.5; the voxels nearest to
    those of the mask where it is so nowhere. Never empty.

    Raises
    ------
    SaliencyError
        If no voxel of the mask lies on the network's grid, which may be a part of the images.
    """
    moved = np.asarray(onto(mask.astype(np.float32), stored, network).data >= 0.5)
    if moved.any():
        return moved
    exact = apply_affine(np.linalg.inv(network.affine) @ stored.affine, np.argwhere(mask))
    there = np.clip(np.rint(exact).astype(int), 0, np.array(network.shape) - 1)
    if np.abs(exact - there).max(axis=1).min() > 1:
        raise SaliencyError(
            "The region lies outside of what the network sees of the images, where they are 0: "
            "choose one inside."
        )
    moved[tuple(there.T)] = True
    return moved


def resampling_notes(model: SegmentationModel, case: Case) -> tuple[str, ...]:
    """Say that the network ran on voxels of its own size, if it did."""
    if model.preparation is not None:
        return model.preparation.notes(case)
    if not runs_resampled(model, case):
        return ()
    own = size_words(stored_spacing(model, case))
    return (
        f"The network ran at {own} mm: the images, which have {size_words(case.spacing)} mm, were "
        "resampled linearly to it, without smoothing, and probabilities and maps came back "
        "linearly.",
    )


def map_notes(model: SegmentationModel, case: Case) -> tuple[str, ...]:
    """Say what that means for a saliency map."""
    if not runs_resampled(model, case):
        return ()
    return (
        "The map holds, at each stored voxel, the interpolated gradient by a voxel of the "
        "network's grid. The noise was drawn for the voxels of that grid, and standard errors are "
        "interpolated, which is an upper bound.",
    )


def _moved(case: Case, grid: Grid, statistics: Case | None) -> Case:
    data = np.empty((len(case.data), *grid.shape), dtype=np.float32)
    sequences = zip(case.data, case.inside, case.backgrounds, strict=True)
    for channel, (volume, patient, background) in enumerate(sequences):
        fill = 0.0 if background is None else background.value
        moved = onto(volume, case.grid, grid, fill=fill).data
        share = onto(patient.astype(np.float32), case.grid, grid).data
        data[channel] = np.where(share >= 0.5, moved, np.float32(fill))
    return replace(case, data=data, affine=grid.affine, normalised_as=statistics)


def _network_grid(model: SegmentationModel, case: Case) -> Grid:
    """Return voxels of the network's size about the centre of the case that cover all of it."""
    spacing = np.array(stored_spacing(model, case))
    ratio = spacing / case.spacing
    # A hundredth of a voxel less than needed is covered all the same: centres lie inside.
    edges = np.maximum(np.ceil(np.array(case.shape) / ratio - 0.01), 1)
    sizes = [int(edge) for edge in edges]
    # The volumes themselves, normalised and their logits; each takes 4 bytes per voxel.
    volumes = 2 * len(case.sequences) + len(model.profile.classes)
    number = math.prod(sizes)
    lack = lacking(4 * volumes * number)
    if number > MOST_VOXELS or lack:
        why = "too many for any memory" if number > MOST_VOXELS else f"which {lack}"
        raise SegmentationError(
            f"At voxels of {size_words(spacing)} mm the images would have "
            f"{' × '.join(map(str, sizes))} voxels, {why}; state the voxel size that the network "
            "was trained on in mm."
        )
    shape = np.array(sizes)
    first = (np.array(case.shape) - 1 - ratio * (shape - 1)) / 2
    return Grid.of(tuple(shape), case.affine @ from_matvec(np.diag(ratio), first))


def stored_spacing(model: SegmentationModel, case: Case) -> tuple[float, float, float]:
    """Return the network's voxel size along the stored axes, in mm."""
    spacing = model.profile.spacing or DEFAULT_SPACING
    x, y, z = (spacing[int(axis)] for axis in np.argsort(network_turn(model, case).axes))
    return x, y, z
