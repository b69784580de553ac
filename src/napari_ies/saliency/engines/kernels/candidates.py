"""The ways to compute that are tried: PyTorch's, matrix products, and Triton's kernels."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

from napari_ies.saliency.engines.kernels.language import AVAILABLE
from napari_ies.saliency.engines.kernels.plain import LibraryRows, ProductRows
from napari_ies.saliency.engines.kernels.strided import Brick, Tile, filled, power_of_two
from napari_ies.saliency.engines.kernels.trial import Candidate

if TYPE_CHECKING:
    import torch

    from napari_ies.saliency.engines.kernels.strided import Base, Behind, Canvases, Strided

LIBRARY = "PyTorch"
PRECISIONS = {
    "float32": ("tf32x3", "ieee"),
    "tf32": ("tf32", "tf32x3"),
    "bf16": ("bf16", "tf32x3"),
}
"""How a kernel may multiply where a precision is asked for; the second is tried in one form."""
TILES = (Tile(64, 32), Tile(128, 32, warps=8), Tile(64, 64))
BRICKS = (Brick((4, 4, 4), stages=3), Brick((4, 4, 4), stages=1), Brick((4, 4, 8), stages=3))
WIDEST = 64
"""Up to so many channels, all phases of the stride together, a program holds the extremes of."""


class Rows(Protocol):
    """Takes cotangents (R, I, x, y, z) back to rows (R, O, X, Y, Z).

    Attributes
    ----------
    takes_behind
        Whether it is a :class:`JoiningRows`.
    """

    takes_behind: bool

    def __call__(self, values: torch.Tensor, /) -> torch.Tensor:
        """Return the rows."""


class JoiningRows(Rows, Protocol):
    """Takes cotangents back, and through what happens behind the convolution."""

    def __call__(self, values: torch.Tensor, behind: Behind = ...) -> torch.Tensor:
        """Return the rows."""


class Into(Protocol):
    """Takes rows, or what becomes rows, into the extremes."""

    def __call__(self, values: torch.Tensor, base: Base, canvases: Canvases, /) -> None:
        """Change the canvases; the rows start at `base` in the domain."""


# The modules of kernels are imported where one is tried: that imports Triton.


def row_candidates(convolution: Strided, precision: str) -> list[Candidate[Rows]]:
    """Return what may take rows through a convolution."""
    found: list[Candidate[Rows]] = [Candidate(LIBRARY, lambda: LibraryRows(convolution, precision))]
    if precision == "float32":
        found.append(Candidate("matrix products", lambda: ProductRows(convolution)))
    if AVAILABLE:
        from napari_ies.saliency.engines.kernels.transposed import TransposedRows

        best, other = PRECISIONS[precision]
        width = max(filled(convolution.channels[1]), TILES[0].channels)
        tried = [(best, tile) for tile in TILES if tile.channels <= width]
        for multiplied, tile in (*tried, (other, TILES[0])):
            name = f"Triton {multiplied}, {tile.places}×{tile.channels}"
            found.append(Candidate(name, partial(TransposedRows, convolution, multiplied, tile)))
    return found


def reducing_candidates() -> list[Candidate[Into]]:
    """Return what may take rows that are there into the extremes."""
    if not AVAILABLE:
        return []
    from napari_ies.saliency.engines.kernels.extremes import ReduceRows

    return [Candidate("Triton", ReduceRows)]


def last_candidates(
    convolution: Strided, precision: str, way: Rows, reduces: Into
) -> list[Candidate[Into]]:
    """Return what may take rows through a convolution into the extremes.

    The first is the one after the other, by `way` and `reduces`.
    """

    def one_after_the_other(values: torch.Tensor, base: Base, canvases: Canvases) -> None:
        reduces(way(values), base, canvases)

    found: list[Candidate[Into]] = [Candidate("Triton", lambda: one_after_the_other)]
    if power_of_two(convolution.phases * convolution.channels[1]) > WIDEST:
        return found
    from napari_ies.saliency.engines.kernels.extremes import LastLayer

    best, other = PRECISIONS[precision]
    for multiplied, brick in (*((best, brick) for brick in BRICKS), (other, BRICKS[0])):
        size = "×".join(map(str, brick.size))
        name = f"Triton {multiplied} with the last layer, {size}, {brick.stages} stages"
        found.append(Candidate(name, partial(LastLayer, convolution, multiplied, brick)))
    return found
