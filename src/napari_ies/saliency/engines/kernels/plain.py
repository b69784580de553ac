"""Rows through a strided convolution with PyTorch's own operations, and what a trial needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_ies.geometry.box import Box

if TYPE_CHECKING:
    from napari_ies.saliency.engines.kernels.strided import Base, Canvases, Strided


def library_rows(
    convolution: Strided, values: torch.Tensor, precision: str = "float32"
) -> torch.Tensor:
    """Return rows (R, O, X, Y, Z) of cotangents (R, I, x, y, z) as PyTorch's library has them.

    The precision is told to the library itself: the settings of the process, which another
    thread may be changing, say nothing here.
    """
    weight = convolution.weight.to(torch.bfloat16 if precision == "bf16" else values.dtype)
    rows: torch.Tensor = torch.ops.aten._convolution(
        values.to(weight.dtype),
        weight,
        None,
        list(convolution.stride),
        [0, 0, 0],
        [1, 1, 1],
        True,  # transposed
        [0, 0, 0],
        1,  # groups
        False,  # benchmark
        False,  # deterministic
        True,  # cuDNN
        precision == "tf32",
    )
    return rows.to(values.dtype)


class LibraryRows:
    """Takes rows back through a convolution as PyTorch's library does."""

    takes_behind = False

    def __init__(self, convolution: Strided, precision: str) -> None:
        self._convolution, self._precision = convolution, precision

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        """Return the rows (R, O, X, Y, Z) of cotangents (R, I, x, y, z)."""
        return library_rows(self._convolution, values, self._precision)


class ProductRows:
    """Takes rows back through a convolution by matrix products and strided additions.

    A product for each tap along the first axis, with all taps along the others side by side: the
    largest array is then not much larger than the rows.
    """

    takes_behind = False

    def __init__(self, convolution: Strided) -> None:
        self._convolution = convolution
        weight = convolution.weight.permute(2, 0, 3, 4, 1)
        self._weight = weight.reshape(*weight.shape[:2], -1).contiguous()

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        """Return the rows (R, O, X, Y, Z), channels last, of cotangents (R, I, x, y, z)."""
        x, y, z = values.shape[2:]
        (kx, ky, kz), (i, j, k) = self._convolution.kernel, self._convolution.stride
        size = self._convolution.size((x, y, z))
        width = self._convolution.channels[1]
        rows = values.new_zeros((len(values), *size, width))
        flat = values.permute(0, 2, 3, 4, 1)
        for a in range(kx):
            products = (flat @ self._weight[a]).view(*flat.shape[:-1], ky, kz, width)
            for b in range(ky):
                for c in range(kz):
                    rows[
                        :,
                        a : a + i * (x - 1) + 1 : i,
                        b : b + j * (y - 1) + 1 : j,
                        c : c + k * (z - 1) + 1 : k,
                    ] += products[..., b, c, :]
        return rows.permute(0, 4, 1, 2, 3)


def reduced(rows: torch.Tensor, base: Base, canvases: Canvases) -> None:
    """Take rows (R, C, x, y, z) that start at `base` in the domain into extremes, one by one.

    For few: what a kernel gives is compared with it.
    """
    bounds = Box(*canvases.bounds)
    whole = Box.whole(canvases.highest.shape[1:]).shift(canvases.start)
    for row, start in zip(rows, torch.stack(tuple(base), dim=1).tolist(), strict=True):
        box = Box.whole(row.shape[1:]).shift(start)
        shared = box.meet(bounds)
        if shared is None:
            continue
        values, at = row[(..., *shared.within(box))], (..., *shared.within(whole))
        canvases.highest[at] = torch.maximum(canvases.highest[at], values)
        canvases.lowest[at] = torch.minimum(canvases.lowest[at], values)
