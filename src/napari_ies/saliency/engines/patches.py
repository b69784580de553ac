"""The cotangents of many rows, each on a box of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_ies.geometry.box import Box, Triple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def ints(values: Sequence[int]) -> NDArray[np.int64]:
    """Return indices or sizes as an array to compute with, int64 (3,)."""
    return np.asarray(values, dtype=np.int64)


@dataclass(frozen=True)
class Patch:
    """Cotangents of many rows, each zero outside a box of its own.

    Parameters
    ----------
    values
        (R, C, x, y, z).
    base
        int64 (R, 3): where each row's box starts; it may reach beyond the domain, where the
        values are zero.
    """

    values: torch.Tensor
    base: NDArray[np.int64]

    @property
    def size(self) -> NDArray[np.int64]:
        """Size of the boxes, int64 (3,)."""
        return ints(self.values.shape[2:])

    def box(self, number: int) -> Box:
        """Return the box of one of the rows."""
        return Box(self.base[number], self.base[number] + self.size)

    def row(self, number: int) -> Patch:
        """Return one of the rows as a patch of its own."""
        return Patch(self.values[number : number + 1], self.base[number : number + 1])


@dataclass(frozen=True)
class Kept:
    """A layer's output, or its slopes, on a box: values (1, C, x, y, z) and the box."""

    values: torch.Tensor
    box: Box

    def part(self, box: Box) -> torch.Tensor:
        """Return the values on a box within this one."""
        return self.values[(..., *box.within(self.box))]


def packed(values: torch.Tensor) -> torch.Tensor:
    """Lay a volume out channels last: the layout in which 3-d convolutions run fastest."""
    return values.contiguous(memory_format=torch.channels_last_3d)


def add_patches(one: Patch, other: Patch) -> Patch:
    """Add two patches of the same rows."""
    base = np.minimum(one.base, other.base)
    size = np.maximum(
        (one.base - base).max(axis=0) + one.size, (other.base - base).max(axis=0) + other.size
    )
    big, small = (one, other) if one.values.numel() >= other.values.numel() else (other, one)
    fits = (big.size == size).all() and (big.base == base).all()
    total = big.values if fits else place(big, base, triple(size))
    for row, shift in enumerate(small.base - base):
        total[(row, slice(None), *Box(shift, shift + small.size))] += small.values[row]
    return Patch(total, base)


def zero_outside(patch: Patch, domain: Triple) -> Patch:
    """Set what lies outside a layer's domain to zero, in place."""
    for axis, extent in enumerate(domain):
        index = patch.base[:, axis, None] + np.arange(patch.values.shape[2 + axis])
        inside = (index >= 0) & (index < extent)
        if not inside.all():
            shape = [len(inside), 1, 1, 1, 1]
            shape[2 + axis] = inside.shape[1]
            patch.values.mul_(torch.from_numpy(inside).to(patch.values.device).view(shape))
    return patch


def place(patch: Patch, start: NDArray[np.int64], size: Triple) -> torch.Tensor:
    """Return a patch in boxes that start elsewhere; what would lie outside them is cut off."""
    rows, channels = patch.values.shape[:2]
    canvas = patch.values.new_zeros((rows, channels, *size))
    for row, shift in enumerate(patch.base - start):
        low = np.maximum(shift, 0)
        high = np.minimum(shift + patch.size, size)
        target, source = Box(low, high), Box(low - shift, high - shift)
        canvas[(row, slice(None), *target)] = patch.values[(row, slice(None), *source)]
    return canvas


def triple(values: NDArray[np.int64]) -> Triple:
    """Return indices or sizes as plain numbers."""
    x, y, z = (int(value) for value in values)
    return x, y, z


def add_to(canvas: torch.Tensor, patch: Patch, origin: Triple) -> None:
    """Add a patch of one row to a canvas (C, x, y, z); what lies outside it is dropped.

    The origin is where the canvas starts, in the patch's indices.
    """
    whole = Box.whole(canvas.shape[1:]).shift(origin)
    part = patch.box(0).meet(whole)
    if part is not None:
        canvas[(..., *part.within(whole))] += patch.values[0][(..., *part.within(patch.box(0)))]
