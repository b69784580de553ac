"""SmoothGrad of footprints: the mean over noise samples of their aggregated gradients.

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
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import nn

    from napari_ies.orientation import Reorientation
    from napari_ies.saliency.jacobian import Engine, Linearisation
    from napari_ies.saliency.request import SaliencyRequest
    from napari_ies.windows import Box, Tiling, Triple, Window

BLENDED_BYTES = 256 * 2**20
"""Memory for rows that several windows predict, while they are summed over them."""


@dataclass(frozen=True, eq=False)
class Problem:
    """All that the gradients of a case depend on, whatever the footprint.

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
    class_index: int
    turn: Reorientation


@dataclass(frozen=True, eq=False)
class Target:
    """A footprint and how its gradients are aggregated.

    Parameters
    ----------
    voxels
        int64 (V, 3), in scan order.
    aggregation
        ``"mean"``, ``"sum"`` or ``"max"``.
    """

    voxels: NDArray[np.int64]
    aggregation: str


@dataclass(frozen=True, eq=False)
class Estimate:
    """What is known of a map after some of its work.

    Parameters
    ----------
    done, total
        Steps of work, for progress.
    n_used
        Noise samples that are in the map.
    box
        Part of the grid.
    mean, standard_error
        (C, x, y, z) on `box`; None while there is nothing new to show.
    target
        Number of the target it is about.
    """

    done: int
    total: int
    n_used: int
    box: Box
    mean: torch.Tensor | None = None
    standard_error: torch.Tensor | None = None
    target: int = 0


def smoothgrad(
    problem: Problem, targets: Sequence[Target], request: SaliencyRequest
) -> Iterator[Estimate]:
    """Compute the SmoothGrad of footprints, sample by sample.

    One noisy forward serves all targets that it covers.

    Parameters
    ----------
    problem
        What the gradients depend on.
    targets
        What is explained; each one's result is the same as if it were alone.
    request
        Number of samples, noise, seed and tolerance; the targets' aggregations count.

    Yields
    ------
    An estimate after every step of work (a piece's gradient or a chunk of rows), and after each
    sample one for each target, with its running map. A single target's first sample is shown
    as it grows: the windows so far of a mean, the rows so far of a max.
    """
    running = [_Running(problem, number, target) for number, target in enumerate(targets)]
    first = problem.image[0]
    sigma = request.noise * (float(first.max()) - float(first.min()))
    done = 0
    total = request.n_samples * sum(one.steps for one in running)
    for sample in range(request.n_samples):
        active = [one for one in running if not one.converged(request.tolerance)]
        if not active:
            break
        box = enclosing([one.box for one in active])
        noisy = _noisy(problem, box, request.seed, sample, sigma)
        forwards = _Forwards(problem, box, noisy)
        for task in _tasks(problem, active):
            for steps, preview in task.work(forwards):
                done += steps
                shown = preview if sample == 0 and active == running[:1] else None
                yield Estimate(done, total, sample, task.one.box, shown, target=task.one.number)
        for one in active:
            one.close_sample()
            yield one.estimate(done, total)
    for one in running if done < total else ():
        yield one.estimate(total, total)


@dataclass(frozen=True, eq=False)
class _Task:
    """Work on the rows of one target that the same pieces hold."""

    one: _Running
    holders: tuple[Piece, ...]
    rows: NDArray[np.int64]

    def work(self, forwards: _Forwards) -> Iterator[tuple[int, torch.Tensor | None]]:
        """Do it; yield how many steps, and now and then a map to show."""
        if self.one.target.aggregation != "max":
            yield self.one.combine(self.holders[0], forwards)
        elif len(self.holders) == 1:
            yield from self.one.reduce(self.holders[0], forwards, self.rows)
        else:
            yield from self.one.reduce_blended(self.holders, forwards, self.rows)


class _Forwards:
    """The forwards of one noise sample, of which as many are kept as the engine says."""

    def __init__(self, problem: Problem, box: Box, noisy: torch.Tensor) -> None:
        self._problem, self._box, self._noisy = problem, box, noisy
        self._ready: dict[object, Linearisation] = {}

    def of(self, piece: Piece) -> Linearisation:
        """Return a piece's forward."""
        engine = self._problem.engine
        key = engine.key(piece)
        found = self._ready.pop(key, None)
        while len(self._ready) >= engine.kept_forwards:
            self._ready.pop(next(iter(self._ready)))  # before the next one takes memory
        if found is None:
            found = _linearised(self._problem, piece, self._box, self._noisy)
        self._ready[key] = found
        return found


def _tasks(problem: Problem, active: list[_Running]) -> list[_Task]:
    """Order the work so that a forward is needed again as rarely as can be."""
    tasks, order = [], dict[object, int]()
    for one in active:
        for holders, rows in one.groups:
            for piece in holders:
                order.setdefault(problem.engine.key(piece), len(order))
            tasks.append(_Task(one, holders, rows))
    return sorted(tasks, key=lambda task: [order[problem.engine.key(p)] for p in task.holders])


class _Running:
    """What is kept of one target: its map so far, and the sample under way."""

    def __init__(self, problem: Problem, number: int, target: Target) -> None:
        self.number, self.target, self._tiles = number, target, problem.tiles
        found = pieces(target.voxels, problem.tiles, problem.engine.reach)
        self.box = enclosing([problem.tiles.visible(piece.seen) for piece in found])
        if target.aggregation == "max":
            self.groups = list(_groups(found, len(target.voxels)))
            self.steps = len(target.voxels)
        else:
            # The window that counts most comes first: it is what is seen first.
            ranked = sorted(found, key=lambda piece: -float(piece.weight.sum()))
            self.groups = [((piece,), piece.rows) for piece in ranked]
            self.steps = len(found)
        size = [axis.stop - axis.start for axis in self.box]
        like = torch.zeros((), dtype=problem.image.dtype, device=problem.device)
        self._canvas = like.new_zeros((len(problem.image), *size))
        self._moments = RunningMoments(self._canvas)
        self._extremes: RunningExtremes | None = None
        self._chunks, self._next_preview = 0, 1

    def combine(self, piece: Piece, forwards: _Forwards) -> tuple[int, torch.Tensor | None]:
        """Add the gradient of a piece's summed or mean logits."""
        scale = 1 / len(self.target.voxels) if self.target.aggregation == "mean" else 1.0
        gradient = forwards.of(piece).combined(piece.local, piece.weight * scale)
        add_to(self._canvas, gradient, _origin(self.box, piece.window))
        return 1, None if self._moments.count or self.steps == 1 else self._canvas.clone()

    def reduce(
        self, piece: Piece, forwards: _Forwards, rows: NDArray[np.int64]
    ) -> Iterator[tuple[int, torch.Tensor | None]]:
        """Take in the gradients of voxels that one piece alone holds."""
        entry = np.searchsorted(piece.rows, rows)
        local, weight = piece.local[entry], piece.weight[torch.from_numpy(entry)]
        origin, shape = _origin(self.box, piece.window), self._canvas.shape[1:]
        for part, patch in forwards.of(piece).rows(local, weight):
            together = (patch.base == patch.base[0]).all()
            for row in range(1 if together else len(patch.values)):
                target, source = overlap(patch.base[row], patch.size, origin, shape)
                if target is not None:
                    taken = patch.values if together else patch.values[row : row + 1]
                    at = (slice(None), *target)
                    self._reduction().add(taken[(slice(None), slice(None), *source)], at)
            yield part.stop - part.start, self._preview()

    def reduce_blended(
        self, found: tuple[Piece, ...], forwards: _Forwards, rows: NDArray[np.int64]
    ) -> Iterator[tuple[int, torch.Tensor | None]]:
        """Take in the gradients of voxels that several pieces hold: summed over them first."""
        area = enclosing([self._tiles.visible(piece.seen) for piece in found])
        at = (slice(None), *relative(area, self.box))
        size = self._canvas[at].shape
        together = max(BLENDED_BYTES // (size.numel() * self._canvas.element_size()), 1)
        for start in range(0, len(rows), together):
            chunk = rows[start : start + together]
            sums = self._canvas.new_zeros((len(chunk), *size))
            for piece in found:
                entry = np.searchsorted(piece.rows, chunk)
                weight = piece.weight[torch.from_numpy(entry)]
                origin = _origin(area, piece.window)
                for part, patch in forwards.of(piece).rows(piece.local[entry], weight):
                    for row, number in enumerate(range(part.start, part.stop)):
                        add_to(sums[number], patch.row(row), origin)
                    yield 0, None
            self._reduction().add(sums, at)
            yield len(chunk), self._preview()

    def close_sample(self) -> None:
        """Take the sample under way into the map."""
        if self._extremes is not None:
            self._canvas.copy_(self._extremes.result())
            self._extremes = None
        self._moments.add(self._canvas)
        self._canvas.zero_()

    def converged(self, tolerance: float | None) -> bool:
        """Whether the standard error of the map, relative to the map, is within the tolerance."""
        error = self._moments.standard_error()
        if tolerance is None or error is None:
            return False
        return bool(error.norm() <= tolerance * self._moments.mean().norm())

    def estimate(self, done: int, total: int) -> Estimate:
        """Return the map so far."""
        moments = self._moments
        return Estimate(
            done,
            total,
            moments.count,
            self.box,
            moments.mean(),
            moments.standard_error(),
            self.number,
        )

    def _reduction(self) -> RunningExtremes:
        if self._extremes is None:
            self._extremes = RunningExtremes(self._canvas.shape, self._canvas)
        return self._extremes

    def _preview(self) -> torch.Tensor | None:
        """Return the rows' map after 1, 2, 4, … chunks of the first sample."""
        if self._moments.count:
            return None
        self._chunks += 1
        if self._chunks < self._next_preview:
            return None
        self._next_preview *= 2
        return self._reduction().result()


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
