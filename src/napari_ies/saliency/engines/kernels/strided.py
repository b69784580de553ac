"""What a kernel needs to know of a convolution: its weights by phases of the stride."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

if TYPE_CHECKING:
    from napari_ies.geometry.box import Triple

Base = Sequence[torch.Tensor]
"""Where rows start along each axis: three of int64 (R,), on the device."""
NARROWEST = 16
"""A matrix product on the card has at least so many rows, columns and terms."""


@dataclass(frozen=True, eq=False)
class Strided:
    """A convolution without groups and dilation whose cotangents are taken back.

    Parameters
    ----------
    weight
        As `torch.nn.Conv3d` has it: (I, O, kx, ky, kz), where a cotangent has I channels and what
        it becomes has O.
    stride, padding
        As there.
    """

    weight: torch.Tensor
    stride: Triple
    padding: Triple

    @property
    def channels(self) -> tuple[int, int]:
        """Channels of a cotangent before and behind."""
        return self.weight.shape[0], self.weight.shape[1]

    @property
    def kernel(self) -> Triple:
        """Size of the kernel."""
        x, y, z = self.weight.shape[2:]
        return x, y, z

    @cached_property
    def taps(self) -> Triple:
        """How many voxels along each axis reach one place, at most."""
        x, y, z = (-(-k // s) for k, s in zip(self.kernel, self.stride, strict=True))
        return x, y, z

    @cached_property
    def name(self) -> str:
        """Say which convolution it is, for the log and the provenance."""
        before, behind = self.channels
        kernel, stride = ("×".join(map(str, sizes)) for sizes in (self.kernel, self.stride))
        return f"{before}→{behind} channels, kernel {kernel}, stride {stride}"

    def size(self, size: Triple) -> Triple:
        """Return the size of what a cotangent of a size becomes."""
        x, y, z = ((n - 1) * s + k for n, s, k in zip(size, self.stride, self.kernel, strict=True))
        return x, y, z

    def by_taps(self, dtype: torch.dtype) -> torch.Tensor:
        """Return the weights (kx, ky, kz, O, I), the channels filled up with zeros.

        Tensor cores read both factors along the axis that is summed.
        """
        weight = self.weight.permute(2, 3, 4, 1, 0).to(dtype)
        before, behind = self.channels
        return functional.pad(
            weight, (0, filled(before) - before, 0, filled(behind) - behind)
        ).contiguous()

    def by_phases(self, dtype: torch.dtype) -> torch.Tensor:
        """Return the weights of all phases of the stride side by side, zeros where one has none.

        With stride s, the place ``s n + p`` gets from the voxel ``n - t`` the weight at
        ``s t + p``, for each tap t and phase p: (tx, ty, tz, sx sy sz O, I), the last two filled
        up with zeros.
        """
        (a, b, c), (i, j, k), (before, behind) = self.taps, self.stride, self.channels
        missing = [t * s - n for t, s, n in zip(self.taps, self.stride, self.kernel, strict=True)]
        weight = functional.pad(self.weight, (0, missing[2], 0, missing[1], 0, missing[0]))
        weight = weight.reshape(before, behind, a, i, b, j, c, k)
        weight = weight.permute(2, 4, 6, 3, 5, 7, 1, 0).reshape(a, b, c, -1, before).to(dtype)
        width = weight.shape[3]
        return functional.pad(
            weight, (0, filled(before) - before, 0, power_of_two(width) - width)
        ).contiguous()

    @property
    def phases(self) -> int:
        """Number of phases of the stride."""
        return math.prod(self.stride)


@dataclass(frozen=True, eq=False)
class Places:
    """Where boxes of one size, one for each row, lie in a volume.

    Parameters
    ----------
    at
        int64 (R,) on the device: the number of each box's first voxel, row after row.
    volume
        Size of the volume with its margins.
    low
        Its margins before the first voxel, which are not in memory.
    own
        Whether each row has a volume of its own, which numbers go on in.
    """

    at: torch.Tensor
    volume: Triple
    low: Triple = (0, 0, 0)
    own: bool = False

    def numbers(self) -> tuple[int, ...]:
        """Return what a kernel needs to find the boxes."""
        _, y, z = self.volume
        return math.prod(self.volume) if self.own else 0, y, z, *self.low


@dataclass(frozen=True, eq=False)
class Behind:
    """What happens to rows behind a convolution, in one pass with it: each part if it is there.

    Other cotangents of the same voxels are added, and the sum is multiplied by the slopes of the
    activation there.

    Parameters
    ----------
    added, added_places
        (R, O, x, y, z), and where they lie in the rows' boxes, which hold them whole.
    slopes, slopes_places
        (1, O, x, y, z) of all rows, and where the rows' boxes lie in them; rows are zero outside.
    """

    added: torch.Tensor | None = None
    added_places: Places | None = None
    slopes: torch.Tensor | None = None
    slopes_places: Places | None = None


@dataclass(frozen=True, eq=False)
class Canvases:
    """The running maximum and minimum, (C, x, y, z) each, and where they lie in the domain.

    Parameters
    ----------
    highest, lowest
        Of one shape and with one layout in memory; they are worked on in place.
    start
        Where they start, in the indices of the domain.
    domain
        Size of the domain: what lies outside it stays as it is.
    """

    highest: torch.Tensor
    lowest: torch.Tensor
    start: Triple
    domain: Triple

    @property
    def bounds(self) -> tuple[Triple, Triple]:
        """First voxel of the domain that lies on the canvases, and the one behind the last."""
        low = np.maximum(self.start, 0)
        high = np.minimum(np.add(self.start, self.highest.shape[1:]), self.domain)
        x, y, z = (int(n) for n in low)
        a, b, c = (int(n) for n in high)
        return (x, y, z), (a, b, c)


@dataclass(frozen=True)
class Tile:
    """What one program computes at once.

    Parameters
    ----------
    places, channels
        Its size; a power of two and a multiple of 16 each.
    terms
        Of the sum over channels at once.
    warps, stages
        Threads by 32, and loads under way.
    """

    places: int = 64
    channels: int = 32
    terms: int = 32
    warps: int = 4
    stages: int = 3


@dataclass(frozen=True)
class Brick:
    """What one program owns.

    Parameters
    ----------
    size
        Voxels along each axis, powers of two, 16 together at the least; of a strided convolution
        so many of its output, each with all phases of the stride.
    terms
        Of the sum over channels at once.
    warps, stages
        Threads by 32, and loads under way.
    """

    size: Triple = (4, 4, 4)
    terms: int = 32
    warps: int = 4
    stages: int = 1


def filled(channels: int) -> int:
    """Return how many channels a product has with so many: a multiple of 16."""
    return -(-channels // NARROWEST) * NARROWEST


def power_of_two(count: int) -> int:
    """Return the next power of two, 16 at the least."""
    return max(1 << (count - 1).bit_length(), NARROWEST)
