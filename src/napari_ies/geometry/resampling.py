"""A volume brought from one grid to another: exactly where that can be, else by interpolation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_ies.geometry.grid import Grid


@dataclass(frozen=True, eq=False)
class Resampled:
    """A volume on another grid.

    Parameters
    ----------
    data
        (X, Y, Z), of the type it had.
    how
        ``"same"``: it lay there already; ``"turned"``: its voxels were put in another order,
        shifted by whole voxels or cropped, and no value changed; ``"linear"`` or ``"nearest"``:
        interpolated.
    covered
        Share of the new grid's voxels that lie in the field of view of the old one.
    """

    data: NDArray[Any]
    how: str
    covered: float


def onto(
    data: NDArray[Any], source: Grid, target: Grid, *, order: int = 1, fill: float = 0.0
) -> Resampled:
    """Bring a volume onto another grid.

    Parameters
    ----------
    data
        (X, Y, Z) on `source`.
    source, target
        Where it lies, and where it is wanted.
    order
        1 for linear interpolation between voxel centres, 0 for the nearest voxel.
    fill
        Value outside the field of view of `source`. The field of view ends half a voxel beyond
        the centres of the outermost voxels; between these and its end the outermost values hold.
    """
    if source.same_as(target):
        return Resampled(data, "same", 1.0)
    from scipy.ndimage import affine_transform  # only where it is needed

    matrix = source.to_voxels(target)
    # Every voxel one of the source's, none left out in between.
    exact = bool(
        (matrix == np.rint(matrix)).all() and (np.abs(matrix[:3, :3]).sum(axis=0) == 1).all()
    )
    seen = _field_of_view(matrix, source.shape, target.shape)
    moved = affine_transform(
        # A constant beyond the border would be mixed into it: the fill is subtracted first.
        data if order == 0 or exact else data.astype(np.float32) - np.float32(fill),
        matrix[:3, :3],
        matrix[:3, 3],
        output_shape=target.shape,
        order=0 if exact else order,
        mode="nearest",
    )
    if not (order == 0 or exact):
        moved = (moved + np.float32(fill)).astype(data.dtype, copy=False)
    moved[~seen] = fill
    how = "turned" if exact else ("linear" if order else "nearest")
    return Resampled(moved, how, float(seen.mean()))


def _field_of_view(
    matrix: NDArray[np.float64], source: tuple[int, int, int], target: tuple[int, int, int]
) -> NDArray[np.bool_]:
    """Return which voxels of the target lie in the source's field of view."""
    x, y, z = (np.arange(size) for size in target)
    seen = np.ones(target, dtype=bool)
    for row, size in zip(matrix[:3], source, strict=True):
        index = (row[0] * x)[:, None, None] + (row[1] * y)[:, None] + (row[2] * z + row[3])
        # A hair's breadth more, so that rounding does not cut a plane off.
        seen &= (index >= -0.5 - 1e-6) & (index <= size - 0.5 + 1e-6)
    return seen
