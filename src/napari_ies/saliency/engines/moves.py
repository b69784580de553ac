"""Rows moved between boxes of their own, by one of two ways that give the same numbers.

*In slices*: in place, for each run of rows whose boxes lie alike. All rows of a mean lie alike; and
on the CPU an operation costs next to nothing, while gathering copies what it reads.
*By index*: all rows at once, in a fixed number of operations however many there are and wherever
they lie, from tables that are made on the device when the rows are planned. A graphics card would
otherwise wait for Python, row by row.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import torch

from napari_ies.geometry.box import Box, Triple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_ies.saliency.engines.patches import Patch

Tables = tuple[torch.Tensor, ...]


@dataclass(frozen=True, eq=False)
class Move(ABC):
    """How boxes of one size, one for each row, lie in a target.

    Parameters
    ----------
    start
        int64 (R, 3): first voxel of each row's box, in the target's indices; it may lie outside.
    size
        Of the boxes.
    target
        Size of the target.
    tables
        What the way by index reads, on the device: the rows' numbers from 0, and what has an
        entry for each row. None: in slices.
    """

    start: NDArray[np.int64]
    size: Triple
    target: Triple
    tables: Tables = ()

    def part(self, rows: slice) -> Self:
        """Return the move of some of the rows."""
        start, tables = self.start[rows], self.tables
        if tables:
            tables = (tables[0][: len(start)], *(table[rows] for table in tables[1:]))
        return replace(self, start=start, tables=tables)

    def by_index(self, start: torch.Tensor, like: torch.Tensor, origin: Triple = (0, 0, 0)) -> Self:
        """Return the same move by index.

        Parameters
        ----------
        start
            int64 (R, 3) on the device: `start`, from another origin.
        like
            Gives the values' data type.
        origin
            Where the target starts, seen from there.
        """
        numbers = torch.arange(len(start), device=start.device).view(-1, 1, 1, 1)
        return replace(self, tables=(numbers, *self._made(start, like, origin)))

    @abstractmethod
    def _made(self, start: torch.Tensor, like: torch.Tensor, origin: Triple) -> Tables: ...

    def runs(self) -> Iterator[tuple[slice, Box, Box]]:
        """Yield rows that lie alike, and what they share with the target: there, and in the box."""
        changes = (self.start[1:] != self.start[:-1]).any(axis=1)
        first = 0
        for end in (*(np.flatnonzero(changes) + 1).tolist(), len(self.start)):
            box = Box(self.start[first], self.start[first] + self.size)
            shared = box.meet(Box.whole(self.target))
            if shared is not None:
                yield slice(first, end), shared, shared.within(box)
            first = end


class Scaling(Move):
    """Multiplies rows by what a target holds where they lie."""

    def _made(self, start: torch.Tensor, like: torch.Tensor, origin: Triple) -> Tables:
        return _places(start, origin, self.size, self.target)

    def scale(self, values: torch.Tensor, factors: torch.Tensor) -> None:
        """Multiply rows (R, C, x, y, z) in place by factors (1 or R, C, X, Y, Z).

        Where they lie outside the target rows are 0, and stay so.
        """
        if self.tables:
            _rows_last(values).mul_(factors[0].permute(1, 2, 3, 0)[self.tables[1:]])
            return
        for rows, there, here in self.runs():
            part = factors if len(factors) == 1 else factors[rows]
            values[(rows, slice(None), *here)].mul_(part[(..., *there)])


class Adding(Move):
    """Adds rows to larger ones that hold them whole."""

    def _made(self, start: torch.Tensor, like: torch.Tensor, origin: Triple) -> Tables:
        return _places(start, origin, self.size, self.target)

    def add(self, total: torch.Tensor, values: torch.Tensor) -> None:
        """Add rows (R, C, x, y, z) to rows (R, C, X, Y, Z) in place."""
        if self.tables:
            # No voxel is met twice: this is exact, without the sorting that accumulating takes.
            last = _rows_last(total)
            last.index_put_(self.tables, last[self.tables] + _rows_last(values))
            return
        for rows, there, here in self.runs():
            total[(rows, slice(None), *there)] += values[(rows, slice(None), *here)]


class Placing(Move):
    """Places rows on canvases of their own; what would lie outside is cut off."""

    def _made(self, start: torch.Tensor, like: torch.Tensor, origin: Triple) -> Tables:
        tables, inside = [], []
        for axis, (first, extent) in enumerate(zip(origin, self.target, strict=True)):
            voxels = torch.arange(first, first + extent, device=start.device)
            wanted = voxels - start[:, axis, None]
            nearest = wanted.clamp(0, self.size[axis] - 1)
            tables.append(_along(axis, nearest))
            inside.append(_along(axis, (wanted == nearest).to(like.dtype)))
        return *tables, (inside[0] * inside[1] * inside[2])[..., None]

    def canvases(self, values: torch.Tensor) -> torch.Tensor:
        """Return rows (R, C, x, y, z) on canvases (R, C, X, Y, Z)."""
        if self.tables:
            *places, inside = self.tables
            return _rows_last(values)[tuple(places)].mul_(inside).permute(0, 4, 1, 2, 3)
        canvases = values.new_zeros((*values.shape[:2], *self.target))
        for rows, there, here in self.runs():
            canvases[(rows, slice(None), *there)] = values[(rows, slice(None), *here)]
        return canvases


class Cutting(Move):
    """Sets to zero what rows hold outside a target."""

    def _made(self, start: torch.Tensor, like: torch.Tensor, origin: Triple) -> Tables:
        inside = []
        for axis, (first, extent) in enumerate(zip(origin, self.target, strict=True)):
            voxels = start[:, axis, None] + torch.arange(self.size[axis], device=start.device)
            known = (voxels >= first) & (voxels < first + extent)
            inside.append(_along(axis, known.to(like.dtype))[..., None])
        return tuple(inside)

    def cut(self, values: torch.Tensor) -> None:
        """Cut rows (R, C, x, y, z) in place."""
        if self.tables:
            _, x, y, z = self.tables
            _rows_last(values).mul_(x * y * z)
            return
        for axis, extent in enumerate(self.target):
            index = self.start[:, axis, None] + np.arange(self.size[axis])
            inside = (index >= 0) & (index < extent)
            if not inside.all():
                shape = [len(inside), 1, 1, 1, 1]
                shape[2 + axis] = inside.shape[1]
                values.mul_(torch.from_numpy(inside).to(values.device).view(shape))


def landed(patch: Patch, box: Box) -> Iterator[tuple[slice, torch.Tensor, Box]]:
    """Yield a patch's rows on the part of a box that they reach; what lies outside is dropped.

    By index all rows come at once, with zeros around them.

    Parameters
    ----------
    patch
        The rows.
    box
        In the patch's indices.

    Yields
    ------
    Which rows, their values (r, C, x, y, z), and where these lie in the box.
    """
    if patch.start is None:
        for rows, there, here in Placing(patch.base - box.start, patch.shape, box.shape).runs():
            yield rows, patch.values[(rows, slice(None), *here)], there
        return
    hull = Box(patch.base.min(axis=0), patch.base.max(axis=0) + patch.size).meet(box)
    if hull is not None:
        move = Placing(patch.base - hull.start, patch.shape, hull.shape)
        placed = move.by_index(patch.start, patch.values, hull.start).canvases(patch.values)
        yield slice(0, len(placed)), placed, hull.within(box)


def _places(start: torch.Tensor, origin: Triple, size: Triple, target: Triple) -> Tables:
    """Return where the boxes' voxels lie in the target along each axis, the nearest if outside."""
    places = []
    for axis, (first, extent) in enumerate(zip(origin, target, strict=True)):
        voxels = torch.arange(-first, size[axis] - first, device=start.device)
        places.append(_along(axis, (start[:, axis, None] + voxels).clamp(0, extent - 1)))
    return tuple(places)


def _along(axis: int, table: torch.Tensor) -> torch.Tensor:
    """Return a table (R, n) as one that runs along an axis, (R, n, 1, 1) for the first."""
    shape = [len(table), 1, 1, 1]
    shape[1 + axis] = table.shape[1]
    return table.view(shape)


def _rows_last(values: torch.Tensor) -> torch.Tensor:
    """Return rows (R, C, x, y, z) with the channels last, (R, x, y, z, C): the same memory."""
    return values.permute(0, 2, 3, 4, 1)
