"""Layers that know which part of a volume they need: the calculus behind exact local gradients.

Every layer here computes on *boxes*: a forward gives the output on a box from the input on the
box it demands, and a pull takes the cotangents of many rows, each a small tensor at a place of
its own, back through the layer. Indices are always those of the whole domain, so strides need no
alignment, and what lies outside a layer's domain is zero, as its padding says.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from torch.nn import functional

from napari_ies.geometry.box import Box, Triple
from napari_ies.saliency.engines.moves import Move, Scaling
from napari_ies.saliency.engines.patches import Boxes, Kept
from napari_ies.saliency.engines.plan import Route, sent

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

Output = tuple[torch.Tensor, torch.Tensor | None]
"""What a forward gives: the output on a box, (1, C, x, y, z), and the slopes there, if any."""


class Layer(ABC):
    """One node of a network, as a rule for boxes.

    `slopes` of :meth:`forward` is whatever :meth:`pull` needs to know of the forward.
    """

    @abstractmethod
    def output_size(self, sizes: list[Triple]) -> Triple:
        """Return the size of the output's domain from those of the inputs."""

    @abstractmethod
    def demand(self, span: Box, sizes: list[Triple]) -> Box:
        """Return the part of every input that an output box depends on."""

    @abstractmethod
    def forward(self, inputs: list[Kept], span: Box, sizes: list[Triple]) -> Output:
        """Return the output on a box, and the slopes there."""

    @abstractmethod
    def route(self, boxes: Boxes, sizes: list[Triple], slopes: Box | None) -> Route:
        """Return where cotangents on boxes of the output go in each of the inputs.

        It knows no values: `sizes` are those of the inputs, `slopes` is where these are known.
        """

    @abstractmethod
    def pull(
        self, values: torch.Tensor, moves: tuple[Move, ...], slopes: Kept | None
    ) -> list[torch.Tensor]:
        """Take cotangents of the output, (R, C, x, y, z), back to each of the inputs.

        `moves` are those of :meth:`route`; the cotangents may be overwritten.
        """

    def convolving_in(self, dtype: torch.dtype) -> Layer:
        """Return this layer with its convolutions, if it has any, in another data type."""
        return self


class VoxelwiseLayer(Layer):
    """A layer whose output at a voxel depends on its inputs at that voxel alone."""

    def output_size(self, sizes: list[Triple]) -> Triple:
        return sizes[0]

    def demand(self, span: Box, sizes: list[Triple]) -> Box:
        return span

    def route(self, boxes: Boxes, sizes: list[Triple], slopes: Box | None) -> Route:
        return Route((boxes,) * len(sizes))


@dataclass(frozen=True)
class Pointwise(VoxelwiseLayer):
    """An activation: its slope at the noisy input is all that a gradient sees of it."""

    function: Callable[[torch.Tensor], torch.Tensor]

    def forward(self, inputs: list[Kept], span: Box, sizes: list[Triple]) -> Output:
        with torch.enable_grad():
            values = inputs[0].part(span).detach().requires_grad_()
            output = self.function(values)
            (slopes,) = torch.autograd.grad(output, values, torch.ones_like(output))
        return output.detach(), slopes

    def route(self, boxes: Boxes, sizes: list[Triple], slopes: Box | None) -> Route:
        assert slopes is not None  # noqa: S101 - forward has given them
        return Route((boxes,), (Scaling(boxes.base - slopes.start, boxes.size, slopes.shape),))

    def pull(
        self, values: torch.Tensor, moves: tuple[Move, ...], slopes: Kept | None
    ) -> list[torch.Tensor]:
        (scaling,) = moves
        assert isinstance(scaling, Scaling)  # noqa: S101 - `route` says so
        assert slopes is not None  # noqa: S101 - forward has given them
        # Either every row is of the only input, or there is one row for each.
        scaling.scale(values, slopes)
        return [values]


@dataclass(frozen=True)
class Affine(VoxelwiseLayer):
    """A batch norm in evaluation mode that no convolution could take in."""

    scale: torch.Tensor
    shift: torch.Tensor

    def forward(self, inputs: list[Kept], span: Box, sizes: list[Triple]) -> Output:
        values = inputs[0].part(span)
        return values * self.scale.view(1, -1, 1, 1, 1) + self.shift.view(1, -1, 1, 1, 1), None

    def pull(
        self, values: torch.Tensor, moves: tuple[Move, ...], slopes: Kept | None
    ) -> list[torch.Tensor]:
        return [values * self.scale.view(1, -1, 1, 1, 1)]


@dataclass(frozen=True)
class Concatenation(VoxelwiseLayer):
    """Channels of several inputs, one behind the other."""

    channels: tuple[int, ...]

    def forward(self, inputs: list[Kept], span: Box, sizes: list[Triple]) -> Output:
        return torch.cat([kept.part(span) for kept in inputs], dim=1), None

    def pull(
        self, values: torch.Tensor, moves: tuple[Move, ...], slopes: Kept | None
    ) -> list[torch.Tensor]:
        return list(torch.split(values, list(self.channels), dim=1))


@dataclass(frozen=True)
class Sum(VoxelwiseLayer):
    """Inputs added voxel by voxel."""

    inputs: int

    def forward(self, inputs: list[Kept], span: Box, sizes: list[Triple]) -> Output:
        return torch.stack([kept.part(span) for kept in inputs]).sum(dim=0), None

    def pull(
        self, values: torch.Tensor, moves: tuple[Move, ...], slopes: Kept | None
    ) -> list[torch.Tensor]:
        # Each input goes on alone, and pulling may work in place.
        return [values, *(values.clone() for _ in range(1, self.inputs))]


@dataclass(frozen=True)
class MaxPooling(Layer):
    """`torch.nn.MaxPool3d` whose windows lie side by side: for an input, a choice of voxels.

    Its slopes are 1 for the largest voxel of each window, the first one of equals as in PyTorch,
    and 0 for the others: a channel for each voxel of the window.
    """

    kernel: Triple

    def output_size(self, sizes: list[Triple]) -> Triple:
        x, y, z = (size // edge for size, edge in zip(sizes[0], self.kernel, strict=True))
        return x, y, z

    def demand(self, span: Box, sizes: list[Triple]) -> Box:
        return Box(
            np.multiply(span.start, self.kernel),
            np.multiply(span.stop, self.kernel),
        )

    def forward(self, inputs: list[Kept], span: Box, sizes: list[Triple]) -> Output:
        values = inputs[0].part(self.demand(span, sizes))
        (x, y, z), (i, j, k) = span.shape, self.kernel
        windows = values.reshape(*values.shape[:2], x, i, y, j, z, k)
        windows = windows.permute(0, 1, 3, 5, 7, 2, 4, 6).flatten(2, 4)
        largest = windows.argmax(dim=2, keepdim=True)
        places = torch.arange(i * j * k, device=values.device).view(-1, 1, 1, 1)
        slopes = (places == largest).to(values.dtype).flatten(1, 2)
        return windows.gather(2, largest)[:, :, 0], slopes

    def route(self, boxes: Boxes, sizes: list[Triple], slopes: Box | None) -> Route:
        assert slopes is not None  # noqa: S101 - forward has given them
        move = Scaling(boxes.base - slopes.start, boxes.size, slopes.shape)
        x, y, z = (size * edge for size, edge in zip(boxes.size, self.kernel, strict=True))
        return Route((Boxes(boxes.base * self.kernel, (x, y, z)),), (move,))

    def pull(
        self, values: torch.Tensor, moves: tuple[Move, ...], slopes: Kept | None
    ) -> list[torch.Tensor]:
        (scaling,) = moves
        assert isinstance(scaling, Scaling)  # noqa: S101 - `route` says so
        assert slopes is not None  # noqa: S101 - forward has given them
        rows, channels, *size = values.shape
        spread = values[:, :, None].repeat(1, 1, math.prod(self.kernel), 1, 1, 1).flatten(1, 2)
        scaling.scale(spread, slopes)
        woven = spread.view(rows, channels, *self.kernel, *size).permute(0, 1, 5, 2, 6, 3, 7, 4)
        edges = (n * edge for n, edge in zip(size, self.kernel, strict=True))
        return [woven.reshape(rows, channels, *edges)]


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

    def demand(self, span: Box, sizes: list[Triple]) -> Box:
        reached = []
        for axis, side in enumerate(span):
            matrix = self._matrix(axis, sizes[0][axis])[side]
            columns = matrix.any(dim=0).nonzero()[:, 0]
            reached.append((int(columns.min()), int(columns.max()) + 1))
        return Box(*zip(*reached, strict=True))

    def forward(self, inputs: list[Kept], span: Box, sizes: list[Triple]) -> Output:
        inside = self.demand(span, sizes)
        values = inputs[0].part(inside)
        for axis, size in enumerate(sizes[0]):
            matrix = self._matrix(axis, size)
            weights = matrix[span[axis], inside[axis]].to(values)
            values = torch.tensordot(values, weights, dims=([2], [1]))  # its axis goes last
        return values, None

    def route(self, boxes: Boxes, sizes: list[Triple], slopes: Box | None) -> Route:
        base, tables = np.empty_like(boxes.base), []
        for axis, size in enumerate(sizes[0]):
            weights, base[:, axis] = self._row_weights(boxes, axis, size)
            tables.append(torch.from_numpy(weights))
        x, y, z = (table.shape[2] for table in tables)
        move = Interpolating(base, boxes.size, sizes[0], weights=tuple(tables))
        return Route((Boxes(base, (x, y, z)),), (move,))

    def pull(
        self, values: torch.Tensor, moves: tuple[Move, ...], slopes: Kept | None
    ) -> list[torch.Tensor]:
        (move,) = moves
        assert isinstance(move, Interpolating)  # noqa: S101 - `route` says so
        for weights in move.weights:
            values = torch.einsum("rcxyz,rxi->rcyzi", values, weights.to(values))
        return [values]

    def _row_weights(
        self, boxes: Boxes, axis: int, size: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return each row's part of the matrix, (R, outputs, inputs), and its first input."""
        matrix = self._matrix(axis, size).numpy()
        index = boxes.base[:, axis, None] + np.arange(boxes.size[axis])
        inside = (index >= 0) & (index < len(matrix))
        rows = np.where(inside[..., None], matrix[np.clip(index, 0, len(matrix) - 1)], 0.0)
        used = np.asarray(rows.any(axis=1))
        first = used.argmax(axis=1)
        width = int((size - used[:, ::-1].argmax(axis=1) - first).max())
        padded = np.pad(rows, ((0, 0), (0, 0), (0, width)))
        columns = first[:, None] + np.arange(width)
        return np.take_along_axis(padded, columns[:, None, :], axis=2), first


@dataclass(frozen=True, eq=False)
class Interpolating(Move):
    """Interpolates rows, by a matrix for each of them along each axis, (R, outputs, inputs)."""

    weights: tuple[torch.Tensor, ...] = ()

    def by_index(self, at: torch.Tensor, like: torch.Tensor) -> Self:
        return replace(
            self, at=at, weights=tuple(sent(w.to(like.dtype), like.device) for w in self.weights)
        )

    def part(self, rows: slice) -> Self:
        return replace(super().part(rows), weights=tuple(w[rows] for w in self.weights))
