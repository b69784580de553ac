"""Footprint: the voxels whose logits are explained, and the windows that hold them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_ies.errors import SaliencyError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from napari_ies.windows import Tiling, Window


@dataclass(frozen=True, eq=False)
class Piece:
    """The part of a footprint that one window predicts.

    Parameters
    ----------
    window
        The window.
    rows
        int64 (R,): which of the footprint's voxels it holds.
    local
        int64 (R, 3): where these lie in the window.
    weight
        float32 (R,): with which blend weight the window's logit enters the prediction there.
    """

    window: Window
    rows: torch.Tensor
    local: torch.Tensor
    weight: torch.Tensor


def footprint_mask(footprint: ArrayLike, shape: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Check a footprint.

    Parameters
    ----------
    footprint
        (X, Y, Z) boolean, or numbers of which all but 0 belong to the footprint.
    shape
        The case's grid.

    Returns
    -------
    bool (X, Y, Z)

    Raises
    ------
    SaliencyError
        If the mask is not on the grid, not finite, or empty.
    """
    array = np.asarray(footprint)
    if array.shape != shape:
        raise SaliencyError(
            f"The region has the size {array.shape}, the images {shape}; expected a mask on the "
            "images' grid."
        )
    if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
        raise SaliencyError("The region is not a mask; expected true and false, or labels.")
    mask = array != 0
    if not mask.any():
        raise SaliencyError("The region holds no voxel; choose a lesion or paint at least one.")
    return np.asarray(mask)


def footprint_voxels(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the voxels of a mask, int64 (V, 3), in scan order."""
    return np.argwhere(mask)


def pieces(voxels: NDArray[np.int64], tiles: Tiling) -> tuple[Piece, ...]:
    """Find the windows that predict a footprint; no other window has any part in its saliency.

    Parameters
    ----------
    voxels
        int64 (V, 3).
    tiles
        The windows of the forward.

    Returns
    -------
    One piece per window that holds at least one of the voxels.
    """
    found = []
    for window in tiles.windows:
        inside = ((voxels >= window.start) & (voxels < window.stop)).all(axis=1)
        if not inside.any():
            continue
        rows = np.flatnonzero(inside)
        part = tiles.visible(window)
        at = voxels[rows] - [axis.start for axis in part]
        found.append(
            Piece(
                window=window,
                rows=torch.from_numpy(rows),
                local=torch.from_numpy(voxels[rows] - window.start),
                weight=tiles.weight(window)[tuple(at.T)],
            )
        )
    return tuple(found)
