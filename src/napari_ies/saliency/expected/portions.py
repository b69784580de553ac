"""A target's work in portions, and their order: known before anything of it is computed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from napari_ies.geometry.box import Box
from napari_ies.saliency.engines.chunks import rows_within

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_ies.saliency.footprint import Piece
    from napari_ies.saliency.problem import Problem, Target

ROWS_TOGETHER = 2048
"""Samples with more rows than this together keep a GPU busy longer than the host takes for them."""
BLENDED_BYTES = 256 * 2**20
"""More memory than this for rows that several windows predict saves no time."""


class Portions:
    """How one target's work is cut.

    Parameters
    ----------
    problem
        What the gradients depend on.
    number
        The target's number.
    target
        What is explained.

    Attributes
    ----------
    pieces
        The parts of the footprint that one window predicts.
    box
        The part of the grid outside which the map is 0.
    groups
        The pieces that are summed, with the footprint's voxels that they hold.
    maps
        How many maps come of it: of each of the network's members too, if there are several.
    steps
        Steps of work of a noise sample, for progress.
    """

    def __init__(self, problem: Problem, number: int, target: Target) -> None:
        self.number, self.target, self._problem = number, target, problem
        self.maps = 1 + problem.engine.members
        self.pieces = found = target.pieces(problem)
        self.box = Box.hull([problem.tiles.visible(piece.seen) for piece in found])
        self.groups: list[tuple[tuple[Piece, ...], NDArray[np.int64]]]
        if target.aggregation == "max":
            self.groups = list(_groups(found, len(target.voxels)))
            self.steps = len(target.voxels)
        else:
            # The window that counts most comes first: it is what is seen first.
            ranked = sorted(found, key=lambda piece: -float(piece.weight.sum()))
            self.groups = [((piece,), piece.rows) for piece in ranked]
            self.steps = len(found)

    def area(self, holders: Sequence[Piece]) -> Box:
        """Return the part of the grid that the sums of pieces' rows lie in."""
        return Box.hull([self._problem.tiles.visible(piece.seen) for piece in holders])

    def sums_rows(self, holders: Sequence[Piece]) -> bool:
        """Whether rows come in parts: of several windows, or of several passes in each."""
        return len(holders) > 1 or self._problem.engine.passes > 1

    def rows_summed(self, holders: Sequence[Piece]) -> int:
        """Return how many rows are summed over their pieces at once."""
        image = self._problem.image
        row_bytes = self.maps * len(image) * self.area(holders).size * image.element_size()
        return rows_within(self.row_memory, row_bytes, max(BLENDED_BYTES // row_bytes, 1))

    @property
    def row_memory(self) -> int:
        """Bytes for a chunk of rows; as much again is for their sums over windows."""
        return self._problem.memory // 4


def in_order(
    problem: Problem, targets: Sequence[Portions]
) -> list[tuple[int, tuple[Piece, ...], NDArray[np.int64]]]:
    """Order the work of a noise sample so that a forward is needed again as rarely as can be.

    Returns
    -------
    Place of the target in `targets`, the pieces whose rows are summed, and the voxels they hold.
    """
    work, order = [], dict[object, int]()
    for place, one in enumerate(targets):
        for holders, rows in one.groups:
            for piece in holders:
                order.setdefault(problem.engine.key(piece), len(order))
            work.append((place, holders, rows))
    return sorted(work, key=lambda portion: [order[problem.engine.key(p)] for p in portion[1]])


def samples_together(problem: Problem, targets: Sequence[Portions], n_samples: int) -> int:
    """Return how many noise samples run at once after the first one, which runs alone.

    As many as the memory holds, in batches that are as equal as can be: a small last one would
    take nearly as long as a whole one. Rows of a maximum fill the device alone, but a GPU would
    wait for the noise and the forward of each sample where the rows are few.
    """
    extremes = [one for one in targets if one.target.aggregation == "max"]
    if extremes and (problem.immediate or not problem.engine.rows_of_each_sample):
        return 1
    most = problem.samples_together
    if most is None:
        found = [piece for one in targets for piece in one.pieces]
        most = problem.engine.samples_together(found, problem.device, problem.memory // 4)
        if extremes:
            rows = sum(one.steps for one in extremes)
            image = problem.image
            # A canvas of each sample, and two extremes.
            voxels = 3 * len(image) * sum(one.box.size for one in targets)
            held = problem.memory // 8 // (voxels * image.element_size())
            most = max(min(most, ROWS_TOGETHER // rows, held), 1)
    rest = max(n_samples - 1, 1)
    return math.ceil(rest / math.ceil(rest / most))


def _groups(
    found: tuple[Piece, ...], n_voxels: int
) -> Iterator[tuple[tuple[Piece, ...], NDArray[np.int64]]]:
    """Group the footprint's voxels by the pieces that hold them."""
    held = np.zeros((n_voxels, len(found)), dtype=bool)
    for number, piece in enumerate(found):
        held[piece.rows, number] = True
    # As one value a row: a whole brain has a million voxels in dozens of pieces.
    packed = np.packbits(held, axis=1)
    patterns = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, first, group = np.unique(patterns, return_index=True, return_inverse=True)
    for number, voxel in enumerate(first):
        holders = tuple(piece for piece, holds in zip(found, held[voxel], strict=True) if holds)
        yield holders, np.flatnonzero(group == number)
