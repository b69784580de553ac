"""Rows through a strided convolution, as one Triton kernel.

With stride s, the places ``s m + p`` of one phase p are an ordinary convolution of the voxels
around m with every s-th tap, hence a product of a matrix that is never written, (rows × places,
taps × I), with one of weights, (taps × I, O). A program computes a tile of it; what happens to
the rows behind the convolution is done before they are written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from napari_ies.saliency.engines.kernels.language import jit, tl
from napari_ies.saliency.engines.kernels.strided import Behind, filled

if TYPE_CHECKING:
    from napari_ies.saliency.engines.kernels.strided import Strided, Tile

NOTHING = Behind()

AT = ("added_at", "slopes_at", "domain_at")
"""Places of rows; they are not assumed to be aligned, as a row's are 24 bytes."""
SIZES = ("rows", "x", "y", "z", "wide", "high", "deep")
BEHIND = (
    *("adding", "add_x", "add_y", "add_z"),
    *("sloped", "slope_row", "slope_x", "slope_y", "slope_z"),
    *("cutting", "end_x", "end_y", "end_z"),
)


class TransposedRows:
    """Takes rows back through a convolution.

    Parameters
    ----------
    convolution
        Which one.
    precision
        Of the products: ``"ieee"`` and ``"tf32x3"`` are float32, ``"tf32"`` and ``"bf16"`` are
        themselves.
    tile
        Its channels and terms are cut to what the convolution has.
    """

    def __init__(self, convolution: Strided, precision: str, tile: Tile) -> None:
        self._convolution, self._precision, self._tile = convolution, precision, tile
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self._weight = convolution.by_taps(dtype)
        self._nowhere = torch.zeros((1, 3), dtype=torch.int64, device=self._weight.device)

    def __call__(self, values: torch.Tensor, behind: Behind = NOTHING) -> torch.Tensor:
        """Return the rows (R, O, X, Y, Z), channels last, of cotangents (R, I, x, y, z)."""
        convolution, tile = self._convolution, self._tile
        values = values.contiguous(memory_format=torch.channels_last_3d)
        before, width = convolution.channels
        x, y, z = values.shape[2:]
        size = convolution.size((x, y, z))
        output = torch.empty(
            (len(values), width, *size),
            dtype=values.dtype,
            device=values.device,
            memory_format=torch.channels_last_3d,
        )
        channels, terms = (
            _divisor(filled(width), tile.channels),
            _divisor(filled(before), tile.terms),
        )
        places = len(values)
        for extent, step in zip(size, convolution.stride, strict=True):
            places *= -(-extent // step)
        grid = (-(-places // tile.places), convolution.phases, filled(width) // channels)
        _transposed_rows[grid](
            values,
            self._weight,
            output,
            *self._arguments(values, behind),
            len(values),
            x,
            y,
            z,
            *size,
            before,
            width,
            filled(before),
            filled(width),
            *convolution.kernel,
            *convolution.stride,
            self._precision,
            tile.places,
            channels,
            terms,
            num_warps=tile.warps,
            num_stages=tile.stages,
        )
        return output

    def _arguments(self, values: torch.Tensor, behind: Behind) -> tuple[Any, ...]:
        """Return what the kernel is told of the steps behind: their tensors, then plain numbers.

        A tensor that is not there is replaced by one of its type, which is then not read: another
        type would be another variant to compile.
        """
        layout, places = (
            torch.channels_last_3d,
            (behind.added_at, behind.slopes_at, behind.domain_at),
        )
        added = values if behind.added is None else behind.added.contiguous(memory_format=layout)
        slopes = values if behind.slopes is None else behind.slopes.contiguous(memory_format=layout)
        return (
            added,
            slopes,
            *(self._nowhere if place is None else place.contiguous() for place in places),
            int(behind.added is not None),
            *added.shape[2:],
            int(behind.slopes is not None),
            slopes[0].numel() if len(slopes) > 1 else 0,
            *slopes.shape[2:],
            int(behind.domain_at is not None),
            *behind.domain,
        )


def _divisor(whole: int, at_most: int) -> int:
    """Return the largest power of two that divides a number, up to a limit."""
    return min(whole & -whole, at_most)


@jit(*AT, *BEHIND, *SIZES)
def _transposed_rows(  # type: ignore[no-untyped-def]
    values,
    weight,
    output,
    added,
    slopes,
    added_at,
    slopes_at,
    domain_at,
    adding,
    add_x,
    add_y,
    add_z,
    sloped,
    slope_row,
    slope_x,
    slope_y,
    slope_z,
    cutting,
    end_x,
    end_y,
    end_z,
    rows,
    x,
    y,
    z,
    wide,
    high,
    deep,
    IN: tl.constexpr,
    OUT: tl.constexpr,
    IN_FILLED: tl.constexpr,
    OUT_FILLED: tl.constexpr,
    KX: tl.constexpr,
    KY: tl.constexpr,
    KZ: tl.constexpr,
    SX: tl.constexpr,
    SY: tl.constexpr,
    SZ: tl.constexpr,
    PRECISION: tl.constexpr,
    PLACES_AT_ONCE: tl.constexpr,
    CHANNELS: tl.constexpr,
    TERMS: tl.constexpr,
) -> None:
    """Compute a tile of one phase: places of any rows, and channels."""
    phase = tl.program_id(1)
    px, py, pz = phase // (SY * SZ), phase // SZ % SY, phase % SZ
    # How many places of a row have this phase.
    nx, ny, nz = (wide - px + SX - 1) // SX, (high - py + SY - 1) // SY, (deep - pz + SZ - 1) // SZ
    first = tl.program_id(0) * PLACES_AT_ONCE
    if first >= rows * nx * ny * nz:
        return
    place = first + tl.arange(0, PLACES_AT_ONCE)
    inside = place < rows * nx * ny * nz
    row, rest = place // (nx * ny * nz), place % (nx * ny * nz)
    mx, my, mz = rest // (ny * nz), rest // nz % ny, rest % nz
    channel = tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS)
    row_long = row.to(tl.int64)

    tx, ty, tz = (KX - px + SX - 1) // SX, (KY - py + SY - 1) // SY, (KZ - pz + SZ - 1) // SZ
    total = tl.full((PLACES_AT_ONCE, CHANNELS), 0.0, tl.float32)
    for step in range(tx * ty * tz * (IN_FILLED // TERMS)):
        tap = step // (IN_FILLED // TERMS)
        term = step % (IN_FILLED // TERMS) * TERMS + tl.arange(0, TERMS)
        jx, jy, jz = tap // (ty * tz), tap // tz % ty, tap % tz
        vx, vy, vz = mx - jx, my - jy, mz - jz
        there = inside & (vx >= 0) & (vx < x) & (vy >= 0) & (vy < y) & (vz >= 0) & (vz < z)
        voxel = ((row_long * x + vx) * y + vy) * z + vz
        one = tl.load(
            values + voxel[:, None] * IN + term[None, :],
            mask=there[:, None] & (term[None, :] < IN),
            other=0.0,
        )
        at = ((px + SX * jx) * KY + py + SY * jy) * KZ + pz + SZ * jz
        other = tl.load(weight + (at * OUT_FILLED + channel[None, :]) * IN_FILLED + term[:, None])
        if PRECISION == "bf16":
            total = tl.dot(one.to(tl.bfloat16), other, total)
        else:
            total = tl.dot(one.to(tl.float32), other, total, input_precision=PRECISION)

    ox, oy, oz = SX * mx + px, SY * my + py, SZ * mz + pz
    real = inside[:, None] & (channel[None, :] < OUT)
    if adding:
        wx = ox - tl.load(added_at + 3 * row, mask=inside, other=0).to(tl.int32)
        wy = oy - tl.load(added_at + 3 * row + 1, mask=inside, other=0).to(tl.int32)
        wz = oz - tl.load(added_at + 3 * row + 2, mask=inside, other=0).to(tl.int32)
        there = (wx >= 0) & (wx < add_x) & (wy >= 0) & (wy < add_y) & (wz >= 0) & (wz < add_z)
        voxel = ((row_long * add_x + wx) * add_y + wy) * add_z + wz
        total += tl.load(
            added + voxel[:, None] * OUT + channel[None, :], mask=real & there[:, None], other=0.0
        ).to(tl.float32)
    if sloped:
        wx = ox + tl.load(slopes_at + 3 * row, mask=inside, other=0).to(tl.int32)
        wy = oy + tl.load(slopes_at + 3 * row + 1, mask=inside, other=0).to(tl.int32)
        wz = oz + tl.load(slopes_at + 3 * row + 2, mask=inside, other=0).to(tl.int32)
        there = (wx >= 0) & (wx < slope_x) & (wy >= 0) & (wy < slope_y)
        there = there & (wz >= 0) & (wz < slope_z)
        voxel = row_long * slope_row + ((wx * slope_y + wy) * slope_z + wz) * OUT
        total *= tl.load(
            slopes + voxel[:, None] + channel[None, :], mask=real & there[:, None], other=0.0
        ).to(tl.float32)
    if cutting:
        wx = ox + tl.load(domain_at + 3 * row, mask=inside, other=0).to(tl.int32)
        wy = oy + tl.load(domain_at + 3 * row + 1, mask=inside, other=0).to(tl.int32)
        wz = oz + tl.load(domain_at + 3 * row + 2, mask=inside, other=0).to(tl.int32)
        there = (wx >= 0) & (wx < end_x) & (wy >= 0) & (wy < end_y) & (wz >= 0) & (wz < end_z)
        total = tl.where(there[:, None], total, 0.0)
    voxel = ((row_long * wide + ox) * high + oy) * deep + oz
    tl.store(output + voxel[:, None] * OUT + channel[None, :], total, mask=real)
