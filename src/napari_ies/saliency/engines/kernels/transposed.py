"""Rows through a strided convolution, as one Triton kernel.

With stride s, the places ``s m + p`` of one phase p are an ordinary convolution of the voxels
around m with every s-th tap, hence a product of a matrix that is never written, (rows × places,
taps × I), with one of weights, (taps × I, O). A program computes a tile of it; what happens to
the rows behind the convolution is done before they are written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from napari_ies.saliency.engines.kernels.language import jit, on_device_of, tl
from napari_ies.saliency.engines.kernels.strided import Behind, Places, filled

if TYPE_CHECKING:
    from napari_ies.saliency.engines.kernels.strided import Strided, Tile

NOTHING = Behind()

AT = ("added_at", "slopes_at")
"""Places of rows; they are not assumed to be aligned, as those of a chunk start anywhere."""
SIZES = ("rows", "x", "y", "z", "wide", "high", "deep")
BEHIND = (
    *("adding", "add_x", "add_y", "add_z", "add_row", "add_high", "add_deep"),
    *("add_from_x", "add_from_y", "add_from_z"),
    *("sloped", "slope_x", "slope_y", "slope_z", "slope_row", "slope_high", "slope_deep"),
    *("slope_from_x", "slope_from_y", "slope_from_z"),
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

    takes_behind = True

    def __init__(self, convolution: Strided, precision: str, tile: Tile) -> None:
        self._convolution, self._precision, self._tile = convolution, precision, tile
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self._weight = convolution.by_taps(dtype)
        self._nowhere = Places(self._weight.new_zeros(1, dtype=torch.int64), (1, 1, 1))

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
        with on_device_of(values):
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
        layout, nowhere = torch.channels_last_3d, self._nowhere
        added = values if behind.added is None else behind.added.contiguous(memory_format=layout)
        slopes = values if behind.slopes is None else behind.slopes.contiguous(memory_format=layout)
        added_places = behind.added_places or nowhere
        slopes_places = behind.slopes_places or nowhere
        return (
            added,
            slopes,
            added_places.at.contiguous(),
            slopes_places.at.contiguous(),
            int(behind.added is not None),
            *added.shape[2:],
            *added_places.numbers(),
            int(behind.slopes is not None),
            *slopes.shape[2:],
            *slopes_places.numbers(),
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
    adding,
    add_x,
    add_y,
    add_z,
    add_row,
    add_high,
    add_deep,
    add_from_x,
    add_from_y,
    add_from_z,
    sloped,
    slope_x,
    slope_y,
    slope_z,
    slope_row,
    slope_high,
    slope_deep,
    slope_from_x,
    slope_from_y,
    slope_from_z,
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
        at = (tl.load(added_at + row, mask=inside, other=0) - row_long * add_row).to(tl.int32)
        wx = ox - at // (add_high * add_deep) + add_from_x
        wy = oy - at // add_deep % add_high + add_from_y
        wz = oz - at % add_deep + add_from_z
        there = (wx >= 0) & (wx < add_x) & (wy >= 0) & (wy < add_y) & (wz >= 0) & (wz < add_z)
        voxel = ((row_long * add_x + wx) * add_y + wy) * add_z + wz
        total += tl.load(
            added + voxel[:, None] * OUT + channel[None, :], mask=real & there[:, None], other=0.0
        ).to(tl.float32)
    if sloped:
        at = (tl.load(slopes_at + row, mask=inside, other=0) - row_long * slope_row).to(tl.int32)
        wx = ox + at // (slope_high * slope_deep) - slope_from_x
        wy = oy + at // slope_deep % slope_high - slope_from_y
        wz = oz + at % slope_deep - slope_from_z
        there = (wx >= 0) & (wx < slope_x) & (wy >= 0) & (wy < slope_y)
        there = there & (wz >= 0) & (wz < slope_z)
        voxel = ((wx * slope_y + wy) * slope_z + wz).to(tl.int64)
        total *= tl.load(
            slopes + voxel[:, None] * OUT + channel[None, :], mask=real & there[:, None], other=0.0
        ).to(tl.float32)
    voxel = ((row_long * wide + ox) * high + oy) * deep + oz
    tl.store(output + voxel[:, None] * OUT + channel[None, :], total, mask=real)
