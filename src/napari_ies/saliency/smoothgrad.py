"""SmoothGrad of one footprint: the mean over noise samples of its aggregated gradients.

Source: Smilkov et al., *SmoothGrad* (2017), arXiv:1706.03825; restricted to an instance and
aggregated over its voxels as in Spagnolo et al., *Scientific Reports* (2026),
doi:10.1038/s41598-026-36560-9.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_ies.saliency.footprint import Piece, pieces
from napari_ies.saliency.jacobian import add_to, overlap
from napari_ies.saliency.noise import standard_noise
from napari_ies.saliency.reduction import RunningExtremes, RunningMoments
from napari_ies.windows import enclosing, relative

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import nn

    from napari_ies.orientation import Reorientation
    from napari_ies.saliency.jacobian import Engine, Linearisation
    from napari_ies.saliency.request import SaliencyRequest
    from napari_ies.windows import Box, Tiling, Triple, Window


@dataclass(frozen=True, eq=False)
class Problem:
    """A footprint to be explained, with all that its gradients depend on.

    Parameters
    ----------
    network
        In evaluation mode, its weights not requiring gradients.
    engine
        Computes the network's gradients.
    device
        Where the network is.
    image
        (C, X, Y, Z) on the CPU: the normalised input without noise.
    tiles
        The windows of the forward.
    voxels
        int64 (V, 3): the footprint.
    class_index
        Output channel whose logit is explained.
    turn
        How the axes here differ from those of the stored grid, on which the noise is drawn.
    """

    network: nn.Module
    engine: Engine
    device: torch.device
    image: torch.Tensor
    tiles: Tiling
    voxels: NDArray[np.int64]
    class_index: int
    turn: Reorientation


@dataclass(frozen=True, eq=False)
class Estimate:
    """What is known of a map after some of its work.

    Parameters
    ----------
    done, total
        Steps of work, for progress.
    n_used
        Noise samples that are in the map.
    mean, standard_error
        (C, x, y, z) on `box`; None while no new sample is complete.
    box
        Part of the grid.
    """

    done: int
    total: int
    n_used: int
    box: Box
    mean: torch.Tensor | None = None
    standard_error: torch.Tensor | None = None


def smoothgrad(problem: Problem, request: SaliencyRequest) -> Iterator[Estimate]:
    """Compute a footprint's SmoothGrad, sample by sample.

    Parameters
    ----------
    problem
        What is explained.
    request
        Aggregation, number of samples, noise and seed.

    Yields
    ------
    An estimate after every step of work (a piece's gradient or a chunk of rows). The one that
    completes a sample carries the running map; in the first sample of the max aggregation some
    carry the map of the rows so far, whose magnitudes only grow.
    """
    found = pieces(problem.voxels, problem.tiles, problem.engine.reach)
    box = enclosing([problem.tiles.visible(piece.seen) for piece in found])
    first = problem.image[0]
    sigma = request.noise * (float(first.max()) - float(first.min()))
    moments: RunningMoments | None = None
    per_sample = len(problem.voxels) if request.aggregation == "max" else len(found)
    done, total = 0, per_sample * request.n_samples
    for sample in range(request.n_samples):
        noisy = _noisy(problem, box, request.seed, sample, sigma)
        canvas = torch.zeros_like(noisy)
        if request.aggregation == "max":
            steps = _extremes(problem, found, box, noisy, canvas)
        else:
            scale = 1 / len(problem.voxels) if request.aggregation == "mean" else 1.0
            steps = _combined(problem, found, box, noisy, scale, canvas)
        for finished, preview in steps:
            done += finished
            shown = preview if sample == 0 else None
            yield Estimate(done, total, sample, box, shown)
        moments = moments or RunningMoments(canvas)
        moments.add(canvas)
        yield Estimate(done, total, moments.count, box, moments.mean(), moments.standard_error())


def _noisy(problem: Problem, box: Box, seed: int, sample: int, sigma: float) -> torch.Tensor:
    """Return the noisy input on a box, (C, x, y, z), on the network's device."""
    image = problem.image[(slice(None), *box)]
    if sigma == 0:
        return image.to(problem.device)
    stored = standard_noise(seed, sample, len(image), problem.turn.box_to_stored(box))
    noise = torch.from_numpy(np.ascontiguousarray(problem.turn.apply(stored)))
    return (image + sigma * noise.to(image.dtype)).to(problem.device)


def _linearised(problem: Problem, piece: Piece, box: Box, noisy: torch.Tensor) -> Linearisation:
    image = problem.tiles.crop(noisy, piece.seen, box)
    return problem.engine.linearise(image, piece.span, piece.window.size, problem.class_index)


def _origin(box: Box, window: Window) -> Triple:
    """Return where a box of the grid starts, in a window's indices."""
    x, y, z = (part.start - start for part, start in zip(box, window.start, strict=True))
    return x, y, z


def _combined(
    problem: Problem,
    found: tuple[Piece, ...],
    box: Box,
    noisy: torch.Tensor,
    scale: float,
    canvas: torch.Tensor,
) -> Iterator[tuple[int, None]]:
    """Add the gradient of the footprint's summed logits, times `scale`, to the canvas."""
    for piece in found:
        linearised = _linearised(problem, piece, box, noisy)
        gradient = linearised.combined(piece.local, piece.weight * scale)
        add_to(canvas, gradient, _origin(box, piece.window))
        yield 1, None


def _extremes(
    problem: Problem,
    found: tuple[Piece, ...],
    box: Box,
    noisy: torch.Tensor,
    canvas: torch.Tensor,
) -> Iterator[tuple[int, torch.Tensor | None]]:
    """Put the signed gradient of largest magnitude over single voxels on the canvas.

    Voxels are taken in groups that the same pieces hold, so that no more forwards are held
    ready than one voxel needs. After 1, 2, 4, … chunks the map so far is handed out.
    """
    extremes = RunningExtremes(canvas.shape, canvas)
    ready: dict[Piece, Linearisation] = {}
    chunks, next_preview = 0, 1
    for holders, rows in _groups(found, len(problem.voxels)):
        ready = {p: ready.get(p) or _linearised(problem, p, box, noisy) for p in holders}
        if len(holders) == 1:
            steps = _single(holders[0], ready[holders[0]], rows, box, extremes)
        else:
            steps = _blended(problem.tiles, ready, rows, box, extremes, canvas)
        for count in steps:
            chunks += 1
            if chunks == next_preview:
                next_preview *= 2
                yield count, extremes.result()
            else:
                yield count, None
    canvas.copy_(extremes.result())


def _single(
    piece: Piece,
    linearised: Linearisation,
    rows: NDArray[np.int64],
    box: Box,
    extremes: RunningExtremes,
) -> Iterator[int]:
    """Reduce rows that one window alone predicts."""
    entry = np.searchsorted(piece.rows, rows)
    local, weight = piece.local[entry], piece.weight[torch.from_numpy(entry)]
    origin, shape = _origin(box, piece.window), torch.Size(a.stop - a.start for a in box)
    for part, patch in linearised.rows(local, weight):
        whole = (patch.base == patch.base[0]).all()
        for row in range(1 if whole else len(patch.values)):
            target, source = overlap(patch.base[row], patch.size, origin, shape)
            if target is None:
                continue
            taken = patch.values if whole else patch.values[row : row + 1]
            extremes.add(taken[(slice(None), slice(None), *source)], (slice(None), *target))
        yield part.stop - part.start


def _blended(
    tiles: Tiling,
    ready: dict[Piece, Linearisation],
    rows: NDArray[np.int64],
    box: Box,
    extremes: RunningExtremes,
    canvas: torch.Tensor,
) -> Iterator[int]:
    """Reduce rows that several windows predict: each is summed over them first."""
    area = enclosing([tiles.visible(piece.seen) for piece in ready])
    at = (slice(None), *relative(area, box))
    row = torch.zeros_like(canvas[at])
    for index in rows:
        row.zero_()
        for piece, linearised in ready.items():
            entry = np.flatnonzero(piece.rows == index)
            patch = linearised.combined(piece.local[entry], piece.weight[torch.from_numpy(entry)])
            add_to(row, patch, _origin(area, piece.window))
        extremes.add(row[None], at)
        yield 1


def _groups(
    found: tuple[Piece, ...], n_voxels: int
) -> Iterator[tuple[tuple[Piece, ...], NDArray[np.int64]]]:
    """Group the footprint's voxels by the pieces that hold them."""
    held = np.zeros((n_voxels, len(found)), dtype=bool)
    for number, piece in enumerate(found):
        held[piece.rows, number] = True
    patterns, group = np.unique(held, axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        holders = tuple(piece for piece, holds in zip(found, pattern, strict=True) if holds)
        yield holders, np.flatnonzero(group.ravel() == number)
