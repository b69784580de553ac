"""The cotangents of many rows, each on a box of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from napari_ies.geometry.box import Box, Triple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray


def ints(values: Sequence[int]) -> NDArray[np.int64]:
    """Return indices or sizes as an array to compute with, int64 (3,)."""
    return np.asarray(values, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes of one size, one for each row.

    Parameters
    ----------
    base
        int64 (R, 3): where each row's box starts; it may reach beyond the domain.
    size
        Of every box.
    """

    base: NDArray[np.int64]
    size: Triple

    def part(self, rows: slice) -> Boxes:
        """Return the boxes of some of the rows."""
        return Boxes(self.base[rows], self.size)


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
    landing
        For rows that are moved by index: puts them on canvases of one box that holds them all.
    """

    values: torch.Tensor
    base: NDArray[np.int64]
    landing: Callable[[torch.Tensor], torch.Tensor] | None = None

    @property
    def size(self) -> NDArray[np.int64]:
        """Size of the boxes, int64 (3,)."""
        return ints(self.values.shape[2:])

    def box(self, number: int) -> Box:
        """Return the box of one of the rows."""
        return Box(self.base[number], self.base[number] + self.size)


@dataclass(frozen=True)
class Kept:
    """A layer's output, or its slopes, on a box: values (1, C, x, y, z) and the box."""

    values: torch.Tensor
    box: Box
    _padded: dict[tuple[Triple, Triple], torch.Tensor] = field(default_factory=dict)

    def part(self, box: Box) -> torch.Tensor:
        """Return the values on a box within this one."""
        return self.values[(..., *box.within(self.box))]

    def padded(self, low: Triple, high: Triple) -> torch.Tensor:
        """Return the values with margins of zeros and the channels last, (X, Y, Z, C); kept."""
        key = low, high
        if key not in self._padded:
            margins = [n for pair in zip(reversed(low), reversed(high), strict=True) for n in pair]
            values = functional.pad(self.values, margins) if any(margins) else self.values
            self._padded[key] = packed(values)[0].permute(1, 2, 3, 0)
        return self._padded[key]


def packed(values: torch.Tensor) -> torch.Tensor:
    """Lay a volume out channels last: the layout in which 3-d convolutions run fastest."""
    return values.contiguous(memory_format=torch.channels_last_3d)


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
