"""Rows moved between boxes of their own, by one of two ways that give the same numbers.

*In slices*: in place, for each run of rows whose boxes lie alike. All rows of a mean lie alike; and
on the CPU an operation costs next to nothing, while gathering copies what it reads.
*By index*: all rows at once, in a fixed number of operations however many they are and wherever
they lie. A graphics card would otherwise wait for Python, row by row. In a volume with its channels
last a box is known by the place of its first voxel in memory, so all boxes of a size are one view
of the volume, and a row is an entry of that view: one number a row and move, sent once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import torch

from napari_ies.geometry.box import Box, Triple
from napari_ies.saliency.engines.patches import Boxes, ints, packed, triple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_ies.saliency.engines.patches import Kept, Patch

Landed = tuple[slice, torch.Tensor, Box]
"""Rows of a chunk, their values (r, C, x, y, z) on a part of a box, and that part."""


@dataclass(frozen=True, eq=False)
class Move:
    """How boxes of one size, one for each row, lie in a target.

    Parameters
    ----------
    start
        int64 (R, 3): first voxel of each row's box, in the target's indices; it may lie outside.
    size
        Of the boxes.
    target
        Size of the target.
    low, high
        By index: how far boxes reach beyond the target, which has these margins then.
    at
        By index: int64 (R,) on the device, the number of each box among those of its size.
    """

    start: NDArray[np.int64]
    size: Triple
    target: Triple
    low: Triple = (0, 0, 0)
    high: Triple = (0, 0, 0)
    at: torch.Tensor | None = None

    own_targets = True
    """Whether each row has a target of its own."""

    @property
    def volume(self) -> Triple:
        """Size of the target with its margins."""
        return triple(ints(self.low) + self.target + self.high)

    def with_margins(self) -> Self:
        """Return the move with the margins that its rows need, which those of a part keep."""
        low = np.maximum(-self.start.min(axis=0), 0)
        high = np.maximum(self.start.max(axis=0) + self.size - self.target, 0)
        return replace(self, low=triple(low), high=triple(high))

    def numbers(self) -> NDArray[np.int64]:
        """Return what `at` holds, on the CPU."""
        _, y, z = self.volume
        first = (self.start + self.low) @ ints((y * z, z, 1))
        return first + self._stride * np.arange(len(first))

    @property
    def _stride(self) -> int:
        """How many numbers lie between the same boxes of two rows."""
        x, y, z = self.volume
        return x * y * z if self.own_targets else 0

    def by_index(self, at: torch.Tensor, like: torch.Tensor) -> Self:
        """Return the move by index, from its numbers on the device; for values like these."""
        return replace(self, at=at)

    def part(self, rows: slice) -> Self:
        """Return the move of some of the rows."""
        at = None if self.at is None else self.at[rows]
        if at is not None and self.own_targets:
            at = at - self._stride * rows.start
        return replace(self, start=self.start[rows], at=at)

    def runs(self) -> Iterator[tuple[slice, Box, Box]]:
        """Yield rows that lie alike, and what they share with the target: there, and in the box."""
        for rows, box in self.alike():
            shared = box.meet(Box.whole(self.target))
            if shared is not None:
                yield rows, shared, shared.within(box)

    def alike(self) -> Iterator[tuple[slice, Box]]:
        """Yield runs of rows that lie alike, and their box."""
        changes = (self.start[1:] != self.start[:-1]).any(axis=1)
        first = 0
        for end in (*(np.flatnonzero(changes) + 1).tolist(), len(self.start)):
            yield slice(first, end), Box(self.start[first], self.start[first] + self.size)
            first = end


class Scaling(Move):
    """Multiplies rows by what a target holds where they lie; 0 outside it."""

    own_targets = False

    def scale(self, values: torch.Tensor, factors: Kept) -> None:
        """Multiply rows (R, C, x, y, z) in place by factors (1 or R, C, X, Y, Z)."""
        if self.at is not None:
            padded = factors.padded(self.low, self.high)
            channels_last(values).mul_(picked_boxes(padded, self.size, self.at))
            return
        for rows, there, here in self.runs():
            part = factors.values if len(factors.values) == 1 else factors.values[rows]
            values[(rows, slice(None), *here)].mul_(part[(..., *there)])


class Adding(Move):
    """Adds rows to larger ones that hold them whole."""

    def add(self, total: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Return rows (R, C, X, Y, Z), overwritten, with rows (R, C, x, y, z) added."""
        if self.at is not None:
            total = packed(total)
            boxes_of(channels_last(total), self.size).index_add_(0, self.at, channels_last(values))
            return total
        for rows, there, here in self.runs():
            total[(rows, slice(None), *there)] += values[(rows, slice(None), *here)]
        return total


class Placing(Move):
    """Places rows on canvases of their own; what would lie outside is cut off."""

    def canvases(self, values: torch.Tensor) -> torch.Tensor:
        """Return rows (R, C, x, y, z) on canvases (R, C, X, Y, Z)."""
        rows, channels = values.shape[:2]
        if self.at is not None:
            canvases = values.new_zeros((rows, *self.volume, channels))
            boxes_of(canvases, self.size).index_put_((self.at,), channels_last(values))
            inner = Box.whole(self.target).shift(self.low)
            return canvases.permute(0, 4, 1, 2, 3)[(..., *inner)]
        canvases = values.new_zeros((rows, channels, *self.target))
        for run, there, here in self.runs():
            canvases[(run, slice(None), *there)] = values[(run, slice(None), *here)]
        return canvases


@dataclass(frozen=True, eq=False)
class Cutting(Move):
    """Sets to zero what rows hold outside a domain.

    Parameters
    ----------
    domain
        By index: what of the target, the hull of all boxes then, lies in the domain.
    inside
        By index: 1 there and 0 around it, (X, Y, Z, 1).
    """

    domain: Box | None = None
    inside: torch.Tensor | None = None

    own_targets = False

    def with_margins(self) -> Self:  # noqa: D102 - as above
        hull = Box(self.start.min(axis=0), self.start.max(axis=0) + self.size)
        shared = hull.meet(Box.whole(self.target)) or Box(hull.start, hull.start)
        return replace(
            self,
            start=self.start - hull.start,
            target=hull.shape,
            domain=shared.within(hull),
        )

    def by_index(self, at: torch.Tensor, like: torch.Tensor) -> Self:  # noqa: D102 - as above
        inside = torch.zeros((*self.target, 1), dtype=like.dtype, device=like.device)
        assert self.domain is not None  # noqa: S101 - `with_margins` comes first
        inside[self.domain] = 1
        return replace(self, at=at, inside=inside)

    def cut(self, values: torch.Tensor) -> torch.Tensor:
        """Cut rows (R, C, x, y, z) in place."""
        if self.at is not None and self.inside is not None:
            channels_last(values).mul_(picked_boxes(self.inside, self.size, self.at))
            return values
        for rows, box in self.alike():
            for axis, (side, extent) in enumerate(zip(box, self.target, strict=True), start=2):
                before, length = max(-side.start, 0), side.stop - side.start
                inside = max(min(extent - side.start, length), 0)
                if before:
                    values[rows].narrow(axis, 0, min(before, length)).zero_()
                if inside < length:
                    values[rows].narrow(axis, inside, length - inside).zero_()
        return values


@dataclass(frozen=True, eq=False)
class Cropping(Move):
    """Takes out of each row's box what lies in a domain, in slices: smaller boxes of one size.

    Parameters
    ----------
    first
        int64 (R, 3): the first voxel that is kept, in a box's indices.
    kept
        Size of the smaller boxes: what most of a row's box lies in the domain. The others reach
        beyond it, and are cut.
    """

    first: NDArray[np.int64] = field(kw_only=True)
    kept: Triple = field(kw_only=True)

    @classmethod
    def of(cls, cutting: Cutting) -> Cropping:
        """Return what crops where another move cuts."""
        start, size = cutting.start, ints(cutting.size)
        first = np.maximum(-start, 0)
        inside = np.minimum(ints(cutting.target) - start, size) - first
        kept = np.maximum(inside.max(axis=0), 1)
        return cls(
            start,
            cutting.size,
            cutting.target,
            first=np.minimum(first, size - kept),
            kept=triple(kept),
        )

    @property
    def boxes(self) -> Boxes:
        """The smaller boxes."""
        return Boxes(self.start + self.first, self.kept)

    @property
    def margins(self) -> NDArray[np.int64]:
        """How many voxels no row keeps, at both ends of each axis alike, int64 (3,)."""
        behind = ints(self.size) - self.kept - self.first
        least: NDArray[np.int64] = np.minimum(self.first.min(axis=0), behind.min(axis=0))
        return least

    def part(self, rows: slice) -> Self:  # noqa: D102 - as above
        return replace(super().part(rows), first=self.first[rows])

    def cut(self, values: torch.Tensor) -> torch.Tensor:
        """Crop rows (R, C, x, y, z), all of their boxes or what is left without margins."""
        left = (ints(self.size) - values.shape[2:]) // 2
        lie = Cutting(self.first - left, self.kept, triple(ints(values.shape[2:])))
        runs = [values[(rows, slice(None), *box)] for rows, box in lie.alike()]
        cropped = runs[0] if len(runs) == 1 else torch.cat(runs)
        return Cutting(self.boxes.base, self.kept, self.target).cut(cropped)


def landed(patch: Patch, box: Box) -> Iterator[Landed]:
    """Yield a patch's rows on the part of a box that they reach; what lies outside is dropped.

    By index all rows come at once, with zeros around them.

    Parameters
    ----------
    patch
        The rows.
    box
        In the patch's indices.
    """
    if patch.landing is None:
        move = Placing(patch.base - box.start, triple(patch.size), box.shape)
        for rows, there, here in move.runs():
            yield rows, patch.values[(rows, slice(None), *here)], there
        return
    hull = Box(patch.base.min(axis=0), patch.base.max(axis=0) + patch.size)
    shared = hull.meet(box)
    if shared is not None:
        placed = patch.landing(patch.values)
        yield slice(0, len(placed)), placed[(..., *shared.within(hull))], shared.within(box)


def boxes_of(volumes: torch.Tensor, size: Triple) -> torch.Tensor:
    """Return all boxes of a size that lie in volumes, as a view.

    Parameters
    ----------
    volumes
        (..., X, Y, Z, C), contiguous.
    size
        (x, y, z)

    Returns
    -------
    (P, x, y, z, C): by the number of their first voxel. Those that would reach beyond a face
    go on at the other one.
    """
    *_, y, z, channels = volumes.shape
    last = ((size[0] - 1) * y + size[1] - 1) * z + size[2] - 1
    return volumes.as_strided(
        (volumes.numel() // channels - last, *size, channels),
        (channels, y * z * channels, z * channels, channels, 1),
    )


def picked_boxes(volume: torch.Tensor, size: Triple, at: torch.Tensor) -> torch.Tensor:
    """Return boxes of a volume (X, Y, Z, C), (R, x, y, z, C), by their numbers, int64 (R,)."""
    boxes = boxes_of(volume, size)
    # Not `index_select`: for CUDA a view of so many entries, though they overlap, is too large to
    # be counted with 32 bits, and with 64 it is several times slower.
    return boxes.gather(0, at.view(-1, 1, 1, 1, 1).expand(-1, *boxes.shape[1:]))


def channels_last(values: torch.Tensor) -> torch.Tensor:
    """Return rows (R, C, x, y, z) with their channels last, (R, x, y, z, C): the same memory."""
    return values.permute(0, 2, 3, 4, 1)
