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
from napari_ies.saliency.jacobian import WindowGradients
from napari_ies.saliency.noise import standard_noise
from napari_ies.saliency.reduction import RunningExtremes, RunningMoments
from napari_ies.windows import enclosing, relative

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import nn

    from napari_ies.orientation import Reorientation
    from napari_ies.saliency.request import SaliencyRequest
    from napari_ies.windows import Box, Tiling


@dataclass(frozen=True, eq=False)
class Problem:
    """A footprint to be explained, with all that its gradients depend on.

    Parameters
    ----------
    network
        In evaluation mode, its weights not requiring gradients.
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
    An estimate after every step of work (a window's gradient or row); the one that completes a
    sample carries the running map.
    """
    found = pieces(problem.voxels, problem.tiles)
    box = enclosing([problem.tiles.visible(piece.window) for piece in found])
    first = problem.image[0]
    sigma = request.noise * float(first.max() - first.min())
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
        for finished in steps:
            done += finished
            yield Estimate(done, total, sample, box)
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
    return (image + sigma * noise).to(problem.device)


def _gradients(problem: Problem, piece: Piece, box: Box, noisy: torch.Tensor) -> WindowGradients:
    window = problem.tiles.crop(noisy, piece.window, box)
    return WindowGradients(problem.network, window, problem.class_index)


def _combined(
    problem: Problem,
    found: tuple[Piece, ...],
    box: Box,
    noisy: torch.Tensor,
    scale: float,
    canvas: torch.Tensor,
) -> Iterator[int]:
    """Add the gradient of the footprint's summed logits, times `scale`, to the canvas."""
    for piece in found:
        gradients = _gradients(problem, piece, box, noisy)
        gradient = gradients.combined(piece.local, piece.weight * scale)
        paste(problem.tiles, piece, gradient, canvas, box)
        yield 1


def _extremes(
    problem: Problem,
    found: tuple[Piece, ...],
    box: Box,
    noisy: torch.Tensor,
    canvas: torch.Tensor,
) -> Iterator[int]:
    """Put the signed gradient of largest magnitude over single voxels on the canvas.

    Voxels are taken in groups that the same windows hold, so that no more windows are held
    ready than one voxel needs.
    """
    extremes = RunningExtremes(canvas.shape, canvas)
    ready: dict[Piece, WindowGradients] = {}
    for holders, rows in _groups(found, len(problem.voxels)):
        ready = {p: ready.get(p) or _gradients(problem, p, box, noisy) for p in holders}
        part = enclosing([problem.tiles.visible(piece.window) for piece in holders])
        at = (slice(None), *relative(part, box))
        row = torch.zeros_like(canvas[at])
        for index in rows:
            row.zero_()
            for piece, gradients in ready.items():
                entry = piece.rows == index
                gradient = gradients.combined(piece.local[entry], piece.weight[entry])
                paste(problem.tiles, piece, gradient, row, part)
            extremes.add(row[None], at)
            yield 1
    canvas.copy_(extremes.result())


def _groups(
    found: tuple[Piece, ...], n_voxels: int
) -> Iterator[tuple[tuple[Piece, ...], NDArray[np.int64]]]:
    """Group the footprint's voxels by the windows that hold them."""
    held = np.zeros((n_voxels, len(found)), dtype=bool)
    for number, piece in enumerate(found):
        held[piece.rows.numpy(), number] = True
    patterns, group = np.unique(held, axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        holders = tuple(piece for piece, holds in zip(found, pattern, strict=True) if holds)
        yield holders, np.flatnonzero(group.ravel() == number)


def paste(
    tiles: Tiling, piece: Piece, gradient: torch.Tensor, canvas: torch.Tensor, box: Box
) -> None:
    """Add a window's gradient to the canvas that covers a box of the grid."""
    part = tiles.visible(piece.window)
    canvas[(slice(None), *relative(part, box))] += gradient[
        (slice(None), *piece.window.inside(part))
    ]
