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

from napari_ies.saliency.patches import (
    Kept,
    Patch,
    Span,
    Triple,
    box_at,
    clip,
    ints,
    place,
    triple,
    zero_outside,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

NARROW = 4
"""Up to so many channels a strided transposed convolution is computed phase by phase."""


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
        return triple(free // ints(self.stride) + 1)

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
        return woven.permute(0, 4, 1, 2, 3)[(..., *box_at(0 * size, size))]

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
        return triple(grown + self._kernel() + ints(self.output_padding))

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
        size = triple((count - 1) * ints(self.stride) + self._kernel())
        start = first * ints(self.stride) - ints(self.padding)
        canvas = place(patch, start, size)
        values = functional.conv3d(canvas, self.weight, stride=self.stride)
        return [zero_outside(Patch(values, first), sizes[0])]


class VoxelwiseLayer(Layer):
    """A layer whose output at a voxel depends on its inputs at that voxel alone."""

    def output_size(self, sizes: list[Triple]) -> Triple:
        return sizes[0]

    def demand(self, span: Span, sizes: list[Triple]) -> Span:
        return span


@dataclass(frozen=True)
class Pointwise(VoxelwiseLayer):
    """An activation: its slope at the noisy input is all that a gradient sees of it."""

    function: Callable[[torch.Tensor], torch.Tensor]

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
            factor = slopes.part((triple(low), triple(high)))[0]
            patch.values[(row, slice(None), *box_at(low - base, high - low))].mul_(factor)
        return [patch]


@dataclass(frozen=True)
class Affine(VoxelwiseLayer):
    """A batch norm in evaluation mode that no convolution could take in."""

    scale: torch.Tensor
    shift: torch.Tensor

    def forward(
        self, inputs: list[Kept], span: Span, sizes: list[Triple]
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        values = inputs[0].part(span)
        return values * self.scale.view(1, -1, 1, 1, 1) + self.shift.view(1, -1, 1, 1, 1), None

    def pull(self, patch: Patch, slopes: Kept | None, sizes: list[Triple]) -> list[Patch]:
        return [Patch(patch.values * self.scale.view(1, -1, 1, 1, 1), patch.base)]


@dataclass(frozen=True)
class Concatenation(VoxelwiseLayer):
    """Channels of several inputs, one behind the other."""

    channels: tuple[int, ...]

    def forward(
        self, inputs: list[Kept], span: Span, sizes: list[Triple]
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        return torch.cat([kept.part(span) for kept in inputs], dim=1), None

    def pull(self, patch: Patch, slopes: Kept | None, sizes: list[Triple]) -> list[Patch]:
        parts = torch.split(patch.values, list(self.channels), dim=1)
        return [Patch(part, patch.base) for part in parts]


@dataclass(frozen=True)
class Sum(VoxelwiseLayer):
    """Inputs added voxel by voxel."""

    def forward(
        self, inputs: list[Kept], span: Span, sizes: list[Triple]
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        return torch.stack([kept.part(span) for kept in inputs]).sum(dim=0), None

    def pull(self, patch: Patch, slopes: Kept | None, sizes: list[Triple]) -> list[Patch]:
        # Each input goes on alone, and pulling may work in place.
        return [patch, *(Patch(patch.values.clone(), patch.base) for _ in sizes[1:])]


@dataclass(frozen=True)
class Upsampling(Layer):
    """`torch.nn.Upsample` by nearest neighbour or linearly: a matrix along each axis.

    The matrices are what PyTorch's own interpolation makes of the unit vectors, so that every
    mode and every convention for corners is its own.
    """

    scale: tuple[float, float, float]
    mode: str
    align_corners: bool | None

    def _matrix(self, axis: int, size: int) -> torch.Tensor:
        """Return the weights (outputs, inputs) along an axis, float64."""
        unit = torch.eye(size, dtype=torch.float64)[:, None]
        return functional.interpolate(
            unit, scale_factor=self.scale[axis], mode=self.mode, align_corners=self.align_corners
        )[:, 0].T

    def output_size(self, sizes: list[Triple]) -> Triple:
        x, y, z = (int(size * scale) for size, scale in zip(sizes[0], self.scale, strict=True))
        return x, y, z

    def demand(self, span: Span, sizes: list[Triple]) -> Span:
        reached = []
        for axis, (low, high) in enumerate(zip(*span, strict=True)):
            matrix = self._matrix(axis, sizes[0][axis])[low:high]
            columns = matrix.any(dim=0).nonzero()[:, 0]
            reached.append((int(columns.min()), int(columns.max()) + 1))
        return triple(ints([a for a, _ in reached])), triple(ints([b for _, b in reached]))

    def forward(
        self, inputs: list[Kept], span: Span, sizes: list[Triple]
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        inside = self.demand(span, sizes)
        values = inputs[0].part(inside)
        for axis, size in enumerate(sizes[0]):
            matrix = self._matrix(axis, size)
            rows = slice(span[0][axis], span[1][axis])
            weights = matrix[rows, inside[0][axis] : inside[1][axis]].to(values)
            values = torch.tensordot(values, weights, dims=([2], [1]))  # its axis goes last
        return values, None

    def pull(self, patch: Patch, slopes: Kept | None, sizes: list[Triple]) -> list[Patch]:
        values, first = patch.values, np.empty_like(patch.base)
        for axis, size in enumerate(sizes[0]):
            weights, first[:, axis] = self._row_weights(patch, axis, size)
            values = torch.einsum("rcxyz,rxi->rcyzi", values, weights.to(values))
        return [Patch(values, first)]

    def _row_weights(
        self, patch: Patch, axis: int, size: int
    ) -> tuple[torch.Tensor, NDArray[np.int64]]:
        """Return each row's part of the matrix, (R, outputs, inputs), and its first input."""
        matrix = self._matrix(axis, size).numpy()
        index = patch.base[:, axis, None] + np.arange(patch.values.shape[2 + axis])
        inside = (index >= 0) & (index < len(matrix))
        rows = np.where(inside[..., None], matrix[np.clip(index, 0, len(matrix) - 1)], 0.0)
        used = np.asarray(rows.any(axis=1))
        first = used.argmax(axis=1)
        width = int((size - used[:, ::-1].argmax(axis=1) - first).max())
        padded = np.pad(rows, ((0, 0), (0, 0), (0, width)))
        columns = first[:, None] + np.arange(width)
        weights = np.take_along_axis(padded, columns[:, None, :], axis=2)
        return torch.from_numpy(weights), first
