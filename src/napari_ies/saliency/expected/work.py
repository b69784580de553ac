"""Work: how much there is to compute for maps, counted before any of it is done."""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

from napari_ies.geometry.box import Box
from napari_ies.saliency.expected.portions import Portions, in_order
from napari_ies.saliency.footprint import Piece, pieces

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_ies.saliency.problem import Problem


@dataclass(frozen=True)
class Work:
    """What is computed for maps, all noise samples together.

    Parameters
    ----------
    forwards, forward_voxels
        Noisy windows, or parts of them, that run through the network, and their voxels.
    gradients, gradient_voxels
        Gradients of many voxels' logits at once, and the voxels of the windows or parts of them.
    rows
        Gradients of single voxels' logits.
    noise_voxels
        Voxels whose noise is drawn, of all sequences.
    map_voxels
        Voxels of maps that a noise sample is added to, of all sequences.
    passes
        Windows whose layer Grad-CAM++ looks at.
    """

    forwards: int = 0
    forward_voxels: int = 0
    gradients: int = 0
    gradient_voxels: int = 0
    rows: int = 0
    noise_voxels: int = 0
    map_voxels: int = 0
    passes: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def times(self, count: int) -> Work:
        """Return so many times this."""
        return Work(*(count * value for value in astuple(self)))

    @property
    def steps(self) -> int:
        """How often the network runs, forwards or backwards."""
        return self.forwards + self.gradients + self.rows + self.passes


def work_of_sample(problem: Problem, targets: Sequence[Portions]) -> Work:
    """Count what a noise sample takes for targets that are explained together."""
    ready = _Ready(problem)
    gradients = gradient_voxels = rows = 0
    for place, holders, held in in_order(problem, targets):
        one = targets[place]
        if one.target.aggregation != "max":
            ready.ask(holders)
            gradients += 1
            gradient_voxels += holders[0].seen.size
            continue
        rows += len(holders) * len(held)
        together = one.rows_summed(holders) if one.sums_rows(holders) else len(held)
        ready.ask(holders, math.ceil(len(held) / together))
    channels = len(problem.image)
    return Work(
        forwards=ready.forwards,
        forward_voxels=ready.voxels,
        gradients=gradients,
        gradient_voxels=gradient_voxels,
        rows=rows,
        noise_voxels=channels * Box.hull([one.box for one in targets]).size,
        map_voxels=channels * sum(one.maps * one.box.size for one in targets),
    )


def work_of_gradcam(problem: Problem, voxels: NDArray[np.int64]) -> Work:
    """Count what the Grad-CAM++ of a footprint takes."""
    return Work(passes=len(pieces(voxels, problem.tiles)))


class _Ready:
    """Counts the forwards that run, as :class:`~napari_ies.saliency.forwards.Forwards` keeps them.

    The engine says how many are kept, and which pieces share one.
    """

    def __init__(self, problem: Problem) -> None:
        self._engine, self._memory = problem.engine, problem.memory
        self._kept: dict[object, None] = {}
        self.forwards = self.voxels = 0

    def ask(self, holders: Sequence[Piece], times: int = 1) -> None:
        """Ask for the forwards of pieces, one after another, so many times."""
        for _ in range(min(times, 2)):
            before = self.forwards, self.voxels
            for piece in holders:
                self._ask(piece)
        if times > 2:  # as the second time: then it was the same ones that were kept
            self.forwards += (times - 2) * (self.forwards - before[0])
            self.voxels += (times - 2) * (self.voxels - before[1])

    def _ask(self, piece: Piece) -> None:
        key = self._engine.key(piece)
        known = key in self._kept
        self._kept.pop(key, None)
        kept = self._engine.forwards_kept(piece.window.shape, self._memory)
        while len(self._kept) >= kept:
            self._kept.pop(next(iter(self._kept)))
        self._kept[key] = None
        if not known:
            self.forwards += 1
            self.voxels += piece.seen.size
