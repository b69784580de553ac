"""Rows into the running maximum and minimum, as Triton kernels that write no row.

A program owns a brick of the canvases and goes through the rows that reach it, so nothing is
added atomically and the result does not depend on the order. Where the last layer is a strided
convolution, the rows themselves are never written: all phases of the stride around a voxel are the
columns of one product, and as every row starts at a multiple of the stride, less the padding,
a brick's phases are those of every row.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from napari_ies.saliency.engines.kernels.language import jit, on_device_of, tl
from napari_ies.saliency.engines.kernels.strided import Brick, filled

if TYPE_CHECKING:
    from napari_ies.geometry.box import Triple
    from napari_ies.saliency.engines.kernels.strided import Base, Canvases, Strided

# Pointers among these are not assumed to be aligned.
BRICKS = (
    *("base_x", "base_y", "base_z", "highest", "lowest"),
    *("rows", "x", "y", "z", "first_x", "first_y", "first_z", "bricks_y", "bricks_z"),
    *("low_x", "low_y", "low_z", "high_x", "high_y", "high_z"),
    *("start_x", "start_y", "start_z", "step_c", "step_x", "step_y", "step_z"),
)
PADDING = ("pad_x", "pad_y", "pad_z")
STRIDES = ("row_r", "row_c", "row_x", "row_y", "row_z")


WHOLE_LINES = Brick((1, 4, 64))
"""Rows that are there are read along their lines."""


class LastLayer:
    """Takes rows through a network's first convolution, the last of the pull, into the extremes.

    Parameters
    ----------
    convolution
        Which one.
    precision
        As for :class:`~napari_ies.saliency.engines.kernels.transposed.TransposedRows`.
    brick
        What a program owns.
    """

    def __init__(self, convolution: Strided, precision: str, brick: Brick) -> None:
        self._convolution, self._precision, self._brick = convolution, precision, brick
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self._weight = convolution.by_phases(dtype)

    def __call__(self, values: torch.Tensor, base: Base, canvases: Canvases) -> None:
        """Take in cotangents (R, I, x, y, z) whose rows start at `base` in the domain."""
        convolution, brick = self._convolution, self._brick
        stride, padding = convolution.stride, convolution.padding
        before, behind = convolution.channels
        low, high = canvases.bounds
        first = _each(lambda n, p, s: (n + p) // s, low, padding, stride)
        last = _each(lambda n, p, s: (n - 1 + p) // s, high, padding, stride)
        bricks = _each(lambda a, b, size: -(-(b + 1 - a) // size), first, last, brick.size)
        if min(bricks) < 1 or not len(values):
            return
        values = values.contiguous(memory_format=torch.channels_last_3d)
        with on_device_of(values):
            _last_layer[(math.prod(bricks),)](
                values,
                self._weight,
                *(axis.contiguous() for axis in base),
                canvases.highest,
                canvases.lowest,
                len(values),
                *values.shape[2:],
                *first,
                *bricks[1:],
                *low,
                *high,
                *canvases.start,
                *canvases.highest.stride(),
                *padding,
                before,
                behind,
                filled(before),
                self._weight.shape[3],
                *convolution.taps,
                *stride,
                self._precision,
                *brick.size,
                min(filled(before) & -filled(before), brick.terms),
                num_warps=brick.warps,
                num_stages=brick.stages,
            )


class ReduceRows:
    """Takes rows that are there into the extremes; `brick` is what a program owns."""

    def __init__(self, brick: Brick = WHOLE_LINES) -> None:
        self._brick = brick

    def __call__(self, values: torch.Tensor, base: Base, canvases: Canvases) -> None:
        """Take in rows (R, C, x, y, z) that start at `base` in the domain."""
        brick, width = self._brick, values.shape[1]
        low, high = canvases.bounds
        bricks = _each(lambda a, b, size: -(-(b - a) // size), low, high, brick.size)
        if min(bricks) < 1 or not len(values):
            return
        with on_device_of(values):
            _reduced[(math.prod(bricks),)](
                values,
                *(axis.contiguous() for axis in base),
                canvases.highest,
                canvases.lowest,
                len(values),
                *values.shape[2:],
                *low,
                *bricks[1:],
                *low,
                *high,
                *canvases.start,
                *canvases.highest.stride(),
                *values.stride(),
                width,
                1 << (width - 1).bit_length(),
                *brick.size,
                num_warps=brick.warps,
            )


def _each(rule: Any, *triples: Triple) -> Triple:
    x, y, z = (int(rule(*values)) for values in zip(*triples, strict=True))
    return x, y, z


@jit(*BRICKS, *PADDING)
def _last_layer(  # type: ignore[no-untyped-def]
    values,
    weight,
    base_x,
    base_y,
    base_z,
    highest,
    lowest,
    rows,
    x,
    y,
    z,
    first_x,
    first_y,
    first_z,
    bricks_y,
    bricks_z,
    low_x,
    low_y,
    low_z,
    high_x,
    high_y,
    high_z,
    start_x,
    start_y,
    start_z,
    step_c,
    step_x,
    step_y,
    step_z,
    pad_x,
    pad_y,
    pad_z,
    IN: tl.constexpr,
    OUT: tl.constexpr,
    IN_FILLED: tl.constexpr,
    COLUMNS: tl.constexpr,
    TX: tl.constexpr,
    TY: tl.constexpr,
    TZ: tl.constexpr,
    SX: tl.constexpr,
    SY: tl.constexpr,
    SZ: tl.constexpr,
    PRECISION: tl.constexpr,
    BX: tl.constexpr,
    BY: tl.constexpr,
    BZ: tl.constexpr,
    TERMS: tl.constexpr,
) -> None:
    """Compute a brick: each of its places with all phases of the stride."""
    brick = tl.program_id(0)
    corner_x = first_x + brick // (bricks_y * bricks_z) * BX
    corner_y = first_y + brick // bricks_z % bricks_y * BY
    corner_z = first_z + brick % bricks_z * BZ
    place = tl.arange(0, BX * BY * BZ)
    nx, ny, nz = corner_x + place // (BY * BZ), corner_y + place // BZ % BY, corner_z + place % BZ
    column = tl.arange(0, COLUMNS)
    most = tl.full((BX * BY * BZ, COLUMNS), 0.0, tl.float32)
    least = tl.full((BX * BY * BZ, COLUMNS), 0.0, tl.float32)
    for row in range(rows):
        # A row starts at a multiple of the stride, less the padding: this leaves no rest.
        ax = (tl.load(base_x + row).to(tl.int32) + pad_x) // SX
        ay = (tl.load(base_y + row).to(tl.int32) + pad_y) // SY
        az = (tl.load(base_z + row).to(tl.int32) + pad_z) // SZ
        reached = (corner_x + BX > ax) & (corner_x < ax + x + TX - 1)
        reached = reached & (corner_y + BY > ay) & (corner_y < ay + y + TY - 1)
        reached = reached & (corner_z + BZ > az) & (corner_z < az + z + TZ - 1)
        if reached:
            start = values + (row + tl.full((), 0, tl.int64)) * x * y * z * IN
            total = tl.full((BX * BY * BZ, COLUMNS), 0.0, tl.float32)
            for step in range(TX * TY * TZ * (IN_FILLED // TERMS)):
                tap = step // (IN_FILLED // TERMS)
                term = step % (IN_FILLED // TERMS) * TERMS + tl.arange(0, TERMS)
                vx, vy, vz = (
                    nx - ax - tap // (TY * TZ),
                    ny - ay - tap // TZ % TY,
                    nz - az - tap % TZ,
                )
                there = (vx >= 0) & (vx < x) & (vy >= 0) & (vy < y) & (vz >= 0) & (vz < z)
                one = tl.load(
                    start + (((vx * y + vy) * z + vz) * IN)[:, None] + term[None, :],
                    mask=there[:, None] & (term[None, :] < IN),
                    other=0.0,
                )
                other = tl.load(
                    weight + (tap * COLUMNS + column[None, :]) * IN_FILLED + term[:, None]
                )
                if PRECISION == "bf16":
                    total = tl.dot(one.to(tl.bfloat16), other, total)
                else:
                    total = tl.dot(one.to(tl.float32), other, total, input_precision=PRECISION)
            # What is not a number stays so: it is looked for afterwards.
            most = tl.maximum(most, total, propagate_nan=tl.PropagateNan.ALL)
            least = tl.minimum(least, total, propagate_nan=tl.PropagateNan.ALL)
    phase, channel = column // OUT, column % OUT
    ux = nx[:, None] * SX + (phase // (SY * SZ) - pad_x)[None, :]
    uy = ny[:, None] * SY + (phase // SZ % SY - pad_y)[None, :]
    uz = nz[:, None] * SZ + (phase % SZ - pad_z)[None, :]
    there = (ux >= low_x) & (ux < high_x) & (uy >= low_y) & (uy < high_y)
    there = there & (uz >= low_z) & (uz < high_z) & (phase < SX * SY * SZ)[None, :]
    at = (ux - start_x).to(tl.int64) * step_x + (uy - start_y) * step_y + (uz - start_z) * step_z
    at += (channel * step_c)[None, :]
    former = tl.load(highest + at, mask=there, other=0.0)
    tl.store(highest + at, tl.maximum(former, most, propagate_nan=tl.PropagateNan.ALL), mask=there)
    former = tl.load(lowest + at, mask=there, other=0.0)
    tl.store(lowest + at, tl.minimum(former, least, propagate_nan=tl.PropagateNan.ALL), mask=there)


@jit(*BRICKS, *STRIDES)
def _reduced(  # type: ignore[no-untyped-def]
    values,
    base_x,
    base_y,
    base_z,
    highest,
    lowest,
    rows,
    x,
    y,
    z,
    first_x,
    first_y,
    first_z,
    bricks_y,
    bricks_z,
    low_x,
    low_y,
    low_z,
    high_x,
    high_y,
    high_z,
    start_x,
    start_y,
    start_z,
    step_c,
    step_x,
    step_y,
    step_z,
    row_r,
    row_c,
    row_x,
    row_y,
    row_z,
    OUT: tl.constexpr,
    COLUMNS: tl.constexpr,
    BX: tl.constexpr,
    BY: tl.constexpr,
    BZ: tl.constexpr,
) -> None:
    """Reduce a brick, all channels of it."""
    brick = tl.program_id(0)
    corner_x = first_x + brick // (bricks_y * bricks_z) * BX
    corner_y = first_y + brick // bricks_z % bricks_y * BY
    corner_z = first_z + brick % bricks_z * BZ
    place = tl.arange(0, BX * BY * BZ)
    ux, uy, uz = corner_x + place // (BY * BZ), corner_y + place // BZ % BY, corner_z + place % BZ
    channel = tl.arange(0, COLUMNS)
    most = tl.full((BX * BY * BZ, COLUMNS), 0.0, tl.float32)
    least = tl.full((BX * BY * BZ, COLUMNS), 0.0, tl.float32)
    for row in range(rows):
        ax = tl.load(base_x + row).to(tl.int32)
        ay = tl.load(base_y + row).to(tl.int32)
        az = tl.load(base_z + row).to(tl.int32)
        reached = (corner_x + BX > ax) & (corner_x < ax + x)
        reached = reached & (corner_y + BY > ay) & (corner_y < ay + y)
        reached = reached & (corner_z + BZ > az) & (corner_z < az + z)
        if reached:
            start = values + (row + tl.full((), 0, tl.int64)) * row_r
            vx, vy, vz = ux - ax, uy - ay, uz - az
            there = (vx >= 0) & (vx < x) & (vy >= 0) & (vy < y) & (vz >= 0) & (vz < z)
            at = (vx * row_x + vy * row_y + vz * row_z)[:, None] + (channel * row_c)[None, :]
            row_values = tl.load(
                start + at, mask=there[:, None] & (channel < OUT)[None, :], other=0.0
            ).to(tl.float32)
            most = tl.maximum(most, row_values, propagate_nan=tl.PropagateNan.ALL)
            least = tl.minimum(least, row_values, propagate_nan=tl.PropagateNan.ALL)
    there = (ux >= low_x) & (ux < high_x) & (uy >= low_y) & (uy < high_y)
    there = there & (uz >= low_z) & (uz < high_z)
    at = (ux - start_x).to(tl.int64) * step_x + (uy - start_y) * step_y + (uz - start_z) * step_z
    at_each = at[:, None] + (channel * step_c)[None, :]
    real = there[:, None] & (channel < OUT)[None, :]
    former = tl.load(highest + at_each, mask=real, other=0.0)
    most = tl.maximum(former, most, propagate_nan=tl.PropagateNan.ALL)
    tl.store(highest + at_each, most, mask=real)
    former = tl.load(lowest + at_each, mask=real, other=0.0)
    least = tl.minimum(former, least, propagate_nan=tl.PropagateNan.ALL)
    tl.store(lowest + at_each, least, mask=real)
