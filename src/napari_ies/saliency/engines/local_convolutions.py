"""Convolutions as rules for boxes: both directions, with strides, dilation and zero padding."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from napari_ies.geometry.box import Box, Triple
from napari_ies.saliency.engines.local_layers import Layer, Output
from napari_ies.saliency.engines.moves import Cropping, Cutting, Move, Placing
from napari_ies.saliency.engines.patches import Boxes, Kept, ints, triple
from napari_ies.saliency.engines.plan import Route

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_ies.saliency.engines.kernels.candidates import Rows

NARROW = 4
"""Up to so many channels a strided transposed convolution is computed phase by phase."""


@dataclass(frozen=True)
class Convolution(Layer):
    """`torch.nn.Conv3d` with zero padding; a batch norm behind it is folded in.

    `kernel` is what takes rows back through it, if that is not PyTorch itself.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None
    stride: Triple
    padding: Triple
    dilation: Triple
    groups: int
    kernel: Rows | None = None

    def _reach(self) -> NDArray[np.int64]:
        """Distance from the first to the last input voxel of one output voxel."""
        return ints(self.dilation) * (ints(self.weight.shape[2:]) - 1)

    def output_size(self, sizes: list[Triple]) -> Triple:
        free = ints(sizes[0]) + 2 * ints(self.padding) - self._reach() - 1
        return triple(free // ints(self.stride) + 1)

    def _unclipped(self, span: Box) -> Box:
        low = ints(span.start) * ints(self.stride) - ints(self.padding)
        last = (ints(span.stop) - 1) * ints(self.stride) - ints(self.padding)
        return Box(low, last + self._reach() + 1)

    def demand(self, span: Box, sizes: list[Triple]) -> Box:
        return self._unclipped(span).clip(sizes[0])

    def forward(self, inputs: list[Kept], span: Box, sizes: list[Triple]) -> Output:
        wanted = self._unclipped(span)
        inside = wanted.clip(sizes[0])
        values, margins = inputs[0].part(inside), wanted.margins(inside)
        if any(margins):
            values = functional.pad(values, margins)
        output = functional.conv3d(
            values.to(self.weight.dtype),
            self.weight,
            self.bias,
            self.stride,
            0,
            self.dilation,
            self.groups,
        )
        return output.to(values.dtype), None

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
        padding = Box.whole(taps * stride).margins(Box.whole(kernel))
        weight = functional.pad(self.weight, padding).contiguous()
        (a, b, c), (i, j, k) = taps.tolist(), self.stride
        weight = weight.view(*weight.shape[:2], a, i, b, j, c, k).flip(2, 4, 6)
        weight = weight.permute(3, 5, 7, 1, 0, 2, 4, 6).reshape(i * j * k * width, -1, a, b, c)
        return weight.contiguous(memory_format=torch.channels_last_3d)

    def _transposed(self, values: torch.Tensor, moves: tuple[Move, ...]) -> torch.Tensor:
        """Return the cotangent of the padded input, (R, Cin, x, y, z), or what they leave of it."""
        if self._subpixel is None:
            spared = [move.margins for move in moves if isinstance(move, Cropping)]
            padding = np.minimum(spared[0], self._reach()) if spared else ints((0, 0, 0))
            return functional.conv_transpose3d(
                values,
                self.weight,
                stride=self.stride,
                padding=triple(padding),
                dilation=self.dilation,
                groups=self.groups,
            )
        taps = self._subpixel.shape[2:]
        phases = functional.conv3d(values, self._subpixel, padding=[tap - 1 for tap in taps])
        rows, (x, y, z), (i, j, k) = len(values), phases.shape[2:], self.stride
        woven = phases.permute(0, 2, 3, 4, 1).reshape(rows, x, y, z, i, j, k, -1)
        woven = woven.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(rows, x * i, y * j, z * k, -1)
        size = (ints(values.shape[2:]) - 1) * ints(self.stride) + ints(self.weight.shape[2:])
        return woven.permute(0, 4, 1, 2, 3)[(..., *Box.whole(size))]

    def route(self, boxes: Boxes, sizes: list[Triple], slopes: Box | None) -> Route:
        base = boxes.base * ints(self.stride) - ints(self.padding)
        size = (ints(boxes.size) - 1) * ints(self.stride) + self._reach() + 1
        return _cut_route(Boxes(base, triple(size)), sizes[0])

    def pull(
        self, values: torch.Tensor, moves: tuple[Move, ...], slopes: Kept | None
    ) -> list[torch.Tensor]:
        if self.kernel is not None and values.dtype == torch.float32:
            return [_cut(self.kernel(values), moves)]
        pulled = self._transposed(values.to(self.weight.dtype), moves)
        return [_cut(pulled.to(values.dtype), moves)]

    def convolving_in(self, dtype: torch.dtype) -> Convolution:
        bias = None if self.bias is None else self.bias.to(dtype)
        return replace(self, weight=self.weight.to(dtype), bias=bias)


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

    def demand(self, span: Box, sizes: list[Triple]) -> Box:
        return Box(*self._unclipped(ints(span.start), ints(span.stop))).clip(sizes[0])

    def forward(self, inputs: list[Kept], span: Box, sizes: list[Triple]) -> Output:
        inside = self.demand(span, sizes)
        values = inputs[0].part(inside)
        grown = functional.conv_transpose3d(
            values.to(self.weight.dtype), self.weight, stride=self.stride
        ).to(values.dtype)
        start = ints(inside.start) * ints(self.stride) - ints(self.padding)
        given = Box(start, start + ints(grown.shape[2:]))
        output = functional.pad(grown, span.margins(given))  # less where it is not asked for
        if self.bias is not None:
            output = output + self.bias.view(1, -1, 1, 1, 1)
        return output, None

    def route(self, boxes: Boxes, sizes: list[Triple], slopes: Box | None) -> Route:
        first, behind = self._unclipped(boxes.base, boxes.base + boxes.size)
        count = np.maximum((behind - first).max(axis=0), 1)
        canvas = (count - 1) * ints(self.stride) + self._kernel()
        start = first * ints(self.stride) - ints(self.padding)
        placing = Placing(boxes.base - start, boxes.size, triple(canvas))
        return _cut_route(Boxes(first, triple(count)), sizes[0], placing)

    def pull(
        self, values: torch.Tensor, moves: tuple[Move, ...], slopes: Kept | None
    ) -> list[torch.Tensor]:
        placing, *cutting = moves
        assert isinstance(placing, Placing)  # noqa: S101 - `route` says so
        canvas = placing.canvases(values).to(self.weight.dtype)
        pulled = functional.conv3d(canvas, self.weight, stride=self.stride)
        return [_cut(pulled.to(values.dtype), tuple(cutting))]

    def convolving_in(self, dtype: torch.dtype) -> TransposedConvolution:
        return replace(self, weight=self.weight.to(dtype))


def _cut_route(boxes: Boxes, domain: Triple, *moves: Move) -> Route:
    """Return a route to boxes that are cut to a domain, where any of them reaches beyond."""
    if (boxes.base < 0).any() or (boxes.base + boxes.size > domain).any():
        moves = *moves, Cutting(boxes.base, boxes.size, domain)
    return Route((boxes,), moves)


def _cut(values: torch.Tensor, moves: tuple[Move, ...]) -> torch.Tensor:
    for cutting in moves:
        assert isinstance(cutting, Cutting | Cropping)  # noqa: S101 - `_cut_route` says so
        values = cutting.cut(values)
    return values
