"""Layers that know which part of a volume they need: the calculus behind exact local gradients.

Every layer here computes on *boxes*: a forward gives the output on a box from the input on the
box it demands, and a pull takes the cotangents of many rows, each a small tensor at a place of
its own, back through the layer. Indices are always those of the whole domain, so strides need no
alignment, and what lies outside a layer's domain is zero, as its padding says.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

NARROW = 4
"""Up to so many channels a strided transposed convolution is computed phase by phase."""

Triple = tuple[int, int, int]
Span = tuple[Triple, Triple]
"""First index and index behind the last one, per axis."""


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

    def row(self, number: int) -> Patch:
        """Return one of the rows as a patch of its own."""
        return Patch(self.values[number : number + 1], self.base[number : number + 1])


@dataclass(frozen=True)
class Kept:
    """A layer's output, or its slopes, on a box: values (1, C, x, y, z) and the box."""

    values: torch.Tensor
    span: Span

    def part(self, span: Span) -> torch.Tensor:
        """Return the values on a box within this one."""
        index = tuple(
            slice(low - start, high - start)
            for low, high, start in zip(*span, self.span[0], strict=True)
        )
        return self.values[(slice(None), slice(None), *index)]


def union(spans: list[Span]) -> Span:
    """Return the smallest box that holds these boxes."""
    low = np.min([span[0] for span in spans], axis=0)
    high = np.max([span[1] for span in spans], axis=0)
    return _triple(low), _triple(high)


def clip(low: NDArray[np.int64], high: NDArray[np.int64], domain: Triple) -> Span:
    """Return the part of a box within a domain; it holds at least one voxel."""
    low = np.clip(low, 0, ints(domain) - 1)
    high = np.clip(high, low + 1, domain)
    return _triple(low), _triple(high)


def add_patches(one: Patch, other: Patch) -> Patch:
    """Add two patches of the same rows."""
    base = np.minimum(one.base, other.base)
    size = np.maximum(
        (one.base - base).max(axis=0) + one.size, (other.base - base).max(axis=0) + other.size
    )
    big, small = (one, other) if one.values.numel() >= other.values.numel() else (other, one)
    total = embed(big, base, _triple(size))
    for row, shift in enumerate(small.base - base):
        total[(row, slice(None), *_box(shift, small.size))] += small.values[row]
    return Patch(total, base)


def embed(patch: Patch, base: NDArray[np.int64], size: Triple) -> torch.Tensor:
    """Return a patch's values in boxes of another place and a larger size, zero elsewhere."""
    if tuple(patch.values.shape[2:]) == size and (patch.base == base).all():
        return patch.values
    rows, channels = patch.values.shape[:2]
    total = patch.values.new_zeros((rows, channels, *size))
    for row, shift in enumerate(patch.base - base):
        total[(row, slice(None), *_box(shift, patch.size))] = patch.values[row]
    return total


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


class Layer(ABC):
    """One node of a network, as a rule for boxes.

    `slopes` of :meth:`forward` is whatever :meth:`pull` needs to know of the forward.
    """

    @abstractmethod
    def output_size(self, sizes: list[Triple]) -> Triple:
        """Return the size of the output's domain from those of the inputs."""

    @abstractmethod
    def demand(self, span: Span, sizes: list[Triple]) -> Span:
        """Return the part of every input that an output box depends on."""

    @abstractmethod
    def forward(
        self, inputs: list[Kept], span: Span, sizes: list[Triple]
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the output on a box, (1, C, x, y, z), and the slopes there, if any."""

    @abstractmethod
    def pull(self, patch: Patch, slopes: Kept | None, sizes: list[Triple]) -> list[Patch]:
        """Take cotangents of the output back to each of the inputs."""


@dataclass(frozen=True)
class Convolution(Layer):
    """`torch.nn.Conv3d` with zero padding; a batch norm behind it is folded in."""

    weight: torch.Tensor
    bias: torch.Tensor | None
    stride: Triple
    padding: Triple
    dilation: Triple
    groups: int

    def _reach(self) -> NDArray[np.int64]:
        """Distance from the first to the last input voxel of one output voxel."""
        return ints(self.dilation) * (ints(self.weight.shape[2:]) - 1)

    def output_size(self, sizes: list[Triple]) -> Triple:
        free = ints(sizes[0]) + 2 * ints(self.padding) - self._reach() - 1
        return _triple(free // ints(self.stride) + 1)

    def _unclipped(self, span: Span) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        low = ints(span[0]) * ints(self.stride) - ints(self.padding)
        last = (ints(span[1]) - 1) * ints(self.stride) - ints(self.padding)
        high = last + self._reach() + 1
        return low, high

    def demand(self, span: Span, sizes: list[Triple]) -> Span:
        return clip(*self._unclipped(span), sizes[0])

    def forward(
        self, inputs: list[Kept], span: Span, sizes: list[Triple]
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        low, high = self._unclipped(span)
        inside = self.demand(span, sizes)
        margins: list[int] = []
        for axis in (2, 1, 0):
            margins += [inside[0][axis] - int(low[axis]), int(high[axis]) - inside[1][axis]]
        values = inputs[0].part(inside)
        if any(margins):
            values = functional.pad(values, margins)
        output = functional.conv3d(
            values, self.weight, self.bias, self.stride, 0, self.dilation, self.groups
        )
        return output, None

    @cached_property
    def _subpixel(self) -> torch.Tensor | None:
        """Weights of the transposed convolution as an ordinary one with more channels.

        A transposed convolution to very few channels, such as the last one to the sequences,
        leaves most of a processor's vector idle. With stride s its output at ``s m + p`` is an
        ordinary convolution of the input around m, so all s³ phases p are computed at once as
        channels, and interleaved. None where that does not pay.
        """
        width = self.weight.shape[1]
        if self.groups != 1 or self.dilation != (1, 1, 1) or width > NARROW:
            return None
        if max(self.stride) == 1:
            return None
        kernel, stride = ints(self.weight.shape[2:]), ints(self.stride)
        taps = -(-kernel // stride)
        padding: list[int] = []
        for extra in reversed(taps * stride - kernel):
            padding += [0, int(extra)]
        weight = functional.pad(self.weight, padding).contiguous()
        (a, b, c), (i, j, k) = taps.tolist(), self.stride
        weight = weight.view(*weight.shape[:2], a, i, b, j, c, k).flip(2, 4, 6)
        weight = weight.permute(3, 5, 7, 1, 0, 2, 4, 6).reshape(i * j * k * width, -1, a, b, c)
        return weight.contiguous(memory_format=torch.channels_last_3d)

    def _transposed(self, values: torch.Tensor) -> torch.Tensor:
        """Return the cotangent of the padded input, (R, Cin, x, y, z)."""
        if self._subpixel is None:
            return functional.conv_transpose3d(
                values,
                self.weight,
                stride=self.stride,
                dilation=self.dilation,
                groups=self.groups,
            )
        taps = self._subpixel.shape[2:]
        phases = functional.conv3d(values, self._subpixel, padding=[tap - 1 for tap in taps])
        rows, (x, y, z), (i, j, k) = len(values), phases.shape[2:], self.stride
        woven = phases.permute(0, 2, 3, 4, 1).reshape(rows, x, y, z, i, j, k, -1)
        woven = woven.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(rows, x * i, y * j, z * k, -1)
        size = (ints(values.shape[2:]) - 1) * ints(self.stride) + ints(self.weight.shape[2:])
        return woven.permute(0, 4, 1, 2, 3)[(..., *_box(0 * size, size))]

    def pull(self, patch: Patch, slopes: Kept | None, sizes: list[Triple]) -> list[Patch]:
        values = self._transposed(patch.values)
        base = patch.base * ints(self.stride) - ints(self.padding)
        return [zero_outside(Patch(values, base), sizes[0])]


@dataclass(frozen=True)
class TransposedConvolution(Layer):
    """`torch.nn.ConvTranspose3d` without dilation; a batch norm behind it is folded in."""

    weight: torch.Tensor
    bias: torch.Tensor | None
    stride: Triple
    padding: Triple
    output_padding: Triple

    def _kernel(self) -> NDArray[np.int64]:
        return ints(self.weight.shape[2:])

    def output_size(self, sizes: list[Triple]) -> Triple:
        grown = (ints(sizes[0]) - 1) * ints(self.stride) - 2 * ints(self.padding)
        return _triple(grown + self._kernel() + ints(self.output_padding))

    def _unclipped(
        self, low: NDArray[np.int64], high: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the inputs that reach a box of outputs, without regard to the domain."""
        first = -((self._kernel() - 1 - low - ints(self.padding)) // ints(self.stride))
        last = (high - 1 + ints(self.padding)) // ints(self.stride)
        return first, last + 1

    def demand(self, span: Span, sizes: list[Triple]) -> Span:
        return clip(*self._unclipped(ints(span[0]), ints(span[1])), sizes[0])

    def forward(
        self, inputs: list[Kept], span: Span, sizes: list[Triple]
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        inside = self.demand(span, sizes)
        grown = functional.conv_transpose3d(inputs[0].part(inside), self.weight, stride=self.stride)
        start = ints(inside[0]) * ints(self.stride) - ints(self.padding)
        margins: list[int] = []  # negative ones cut off what is not asked for
        for axis in (2, 1, 0):
            before = int(start[axis]) - span[0][axis]
            margins += [before, span[1][axis] - int(start[axis]) - grown.shape[2 + axis]]
        output = functional.pad(grown, margins)
        if self.bias is not None:
            output = output + self.bias.view(1, -1, 1, 1, 1)
        return output, None

    def pull(self, patch: Patch, slopes: Kept | None, sizes: list[Triple]) -> list[Patch]:
        first, behind = self._unclipped(patch.base, patch.base + patch.size)
        count = np.maximum((behind - first).max(axis=0), 1)
        size = _triple((count - 1) * ints(self.stride) + self._kernel())
        start = first * ints(self.stride) - ints(self.padding)
        canvas = _place(patch, start, size)
        values = functional.conv3d(canvas, self.weight, stride=self.stride)
        return [zero_outside(Patch(values, first), sizes[0])]


@dataclass(frozen=True)
class Pointwise(Layer):
    """An activation: its slope at the noisy input is all that a gradient sees of it."""

    function: Callable[[torch.Tensor], torch.Tensor]

    def output_size(self, sizes: list[Triple]) -> Triple:
        return sizes[0]

    def demand(self, span: Span, sizes: list[Triple]) -> Span:
        return span

    def forward(
        self, inputs: list[Kept], span: Span, sizes: list[Triple]
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        with torch.enable_grad():
            values = inputs[0].part(span).detach().requires_grad_()
            output = self.function(values)
            (slopes,) = torch.autograd.grad(output, values, torch.ones_like(output))
        return output.detach(), slopes

    def pull(self, patch: Patch, slopes: Kept | None, sizes: list[Triple]) -> list[Patch]:
        assert slopes is not None  # noqa: S101 - forward has given them
        for row, base in enumerate(patch.base):
            low = np.maximum(base, slopes.span[0])
            high = np.minimum(base + patch.size, slopes.span[1])
            if (high <= low).any():
                continue
            factor = slopes.part((_triple(low), _triple(high)))[0]
            patch.values[(row, slice(None), *_box(low - base, high - low))].mul_(factor)
        return [patch]


@dataclass(frozen=True)
class Affine(Layer):
    """A batch norm in evaluation mode that no convolution could take in."""

    scale: torch.Tensor
    shift: torch.Tensor

    def output_size(self, sizes: list[Triple]) -> Triple:
        return sizes[0]

    def demand(self, span: Span, sizes: list[Triple]) -> Span:
        return span

    def forward(
        self, inputs: list[Kept], span: Span, sizes: list[Triple]
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        values = inputs[0].part(span)
        return values * self.scale.view(1, -1, 1, 1, 1) + self.shift.view(1, -1, 1, 1, 1), None

    def pull(self, patch: Patch, slopes: Kept | None, sizes: list[Triple]) -> list[Patch]:
        return [Patch(patch.values * self.scale.view(1, -1, 1, 1, 1), patch.base)]


@dataclass(frozen=True)
class Concatenation(Layer):
    """Channels of several inputs, one behind the other."""

    channels: tuple[int, ...]

    def output_size(self, sizes: list[Triple]) -> Triple:
        return sizes[0]

    def demand(self, span: Span, sizes: list[Triple]) -> Span:
        return span

    def forward(
        self, inputs: list[Kept], span: Span, sizes: list[Triple]
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        return torch.cat([kept.part(span) for kept in inputs], dim=1), None

    def pull(self, patch: Patch, slopes: Kept | None, sizes: list[Triple]) -> list[Patch]:
        parts = torch.split(patch.values, list(self.channels), dim=1)
        return [Patch(part, patch.base) for part in parts]


@dataclass(frozen=True)
class Sum(Layer):
    """Inputs added voxel by voxel."""

    def output_size(self, sizes: list[Triple]) -> Triple:
        return sizes[0]

    def demand(self, span: Span, sizes: list[Triple]) -> Span:
        return span

    def forward(
        self, inputs: list[Kept], span: Span, sizes: list[Triple]
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        return torch.stack([kept.part(span) for kept in inputs]).sum(dim=0), None

    def pull(self, patch: Patch, slopes: Kept | None, sizes: list[Triple]) -> list[Patch]:
        # Each input goes on alone, and pulling may work in place.
        return [patch, *(Patch(patch.values.clone(), patch.base) for _ in sizes[1:])]


@dataclass(frozen=True)
class NearestUpsampling(Layer):
    """Every voxel repeated a whole number of times along each axis."""

    factor: Triple

    def output_size(self, sizes: list[Triple]) -> Triple:
        return _triple(ints(sizes[0]) * ints(self.factor))

    def demand(self, span: Span, sizes: list[Triple]) -> Span:
        low = ints(span[0]) // ints(self.factor)
        return clip(low, (ints(span[1]) - 1) // ints(self.factor) + 1, sizes[0])

    def forward(
        self, inputs: list[Kept], span: Span, sizes: list[Triple]
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        inside = self.demand(span, sizes)
        values = inputs[0].part(inside)
        for axis, factor in enumerate(self.factor):
            values = values.repeat_interleave(factor, dim=2 + axis)
        start = ints(inside[0]) * ints(self.factor)
        box = _box(ints(span[0]) - start, ints(span[1]) - ints(span[0]))
        return values[(slice(None), slice(None), *box)], None

    def pull(self, patch: Patch, slopes: Kept | None, sizes: list[Triple]) -> list[Patch]:
        factor = ints(self.factor)
        first = patch.base // factor
        behind = (patch.base + patch.size - 1) // factor + 1
        count = (behind - first).max(axis=0)
        canvas = _place(patch, first * factor, _triple(count * factor))
        values = functional.avg_pool3d(canvas, self.factor) * float(np.prod(factor))
        return [zero_outside(Patch(values, first), sizes[0])]


def _place(patch: Patch, start: NDArray[np.int64], size: Triple) -> torch.Tensor:
    """Return a patch in boxes that start elsewhere; what would lie outside them is cut off."""
    rows, channels = patch.values.shape[:2]
    canvas = patch.values.new_zeros((rows, channels, *size))
    for row, shift in enumerate(patch.base - start):
        low = np.maximum(shift, 0)
        high = np.minimum(shift + patch.size, size)
        source = _box(low - shift, high - low)
        target = _box(low, high - low)
        canvas[(row, slice(None), *target)] = patch.values[(row, slice(None), *source)]
    return canvas


def _box(start: NDArray[np.int64], size: NDArray[np.int64]) -> tuple[slice, slice, slice]:
    (a, b, c), (i, j, k) = (int(v) for v in start), (int(v) for v in size)
    return slice(a, a + i), slice(b, b + j), slice(c, c + k)


def _triple(values: NDArray[np.int64]) -> Triple:
    x, y, z = (int(value) for value in values)
    return x, y, z
