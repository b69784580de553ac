"""Footprint: the voxels whose logits are explained, and the windows that hold them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_ies.errors import SaliencyError
from napari_ies.geometry.box import Box, Triple

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from napari_ies.network.windows import Tiling

SPLIT_GAIN = 0.8
"""A piece is split where its parts together need less than this fraction of its voxels."""


@dataclass(frozen=True, eq=False)
class Piece:
    """A part of a footprint that one window predicts.

    Parameters
    ----------
    window
        The window.
    seen
        The part of the window that the piece's logits are computed from.
    rows
        int64 (R,): which of the footprint's voxels these are.
    local
        int64 (R, 3): where they lie in the window.
    weight
        float64 (R,): with which blend weight the window's logit enters the prediction there.
    """

    window: Box
    seen: Box
    rows: NDArray[np.int64]
    local: NDArray[np.int64]
    weight: torch.Tensor

    @cached_property  # asked for again and again, and a whole brain's pieces have many voxels
    def span(self) -> Box:
        """The smallest box of the window that holds the piece's voxels."""
        return Box.of_voxels(self.local)


@dataclass(frozen=True, eq=False)
class LabelledVoxels:
    """The voxels of one label, as a mask that is made when it is asked for and kept by nobody.

    Parameters
    ----------
    labels
        Whole numbers (X, Y, Z).
    label
        The label.
    """

    labels: NDArray[np.int32]
    label: int

    def __array__(self, dtype: object = None, copy: bool | None = None) -> NDArray[np.bool_]:
        return np.asarray(self.labels == self.label)


@dataclass(frozen=True, eq=False)
class BoxedMask:
    """A mask kept on the smallest box that holds it.

    Parameters
    ----------
    shape
        Of the whole grid.
    box
        The smallest box with all marked voxels.
    values
        bool (x, y, z): the mask there.
    """

    shape: tuple[int, ...]
    box: Box
    values: NDArray[np.bool_]

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> BoxedMask:
        """Keep a mask that marks one voxel at least."""
        box = Box.around(mask)
        return cls(mask.shape, box, mask[box].copy())

    def within(self, box: Box) -> NDArray[np.bool_]:
        """Return the mask on another box, bool (x, y, z); what lies outside that is left out."""
        part = np.zeros(box.shape, dtype=bool)
        shared = self.box.meet(box)
        if shared is not None:
            part[shared.within(box)] = self.values[shared.within(self.box)]
        return part

    def __array__(self, dtype: object = None, copy: bool | None = None) -> NDArray[np.bool_]:
        whole = np.zeros(self.shape, dtype=bool)
        whole[self.box] = self.values
        return whole


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


def pieces(
    voxels: NDArray[np.int64],
    tiles: Tiling,
    reach: Callable[[Box, Triple], Box] | None = None,
) -> tuple[Piece, ...]:
    """Find the windows that predict a footprint; no other window has any part in its saliency.

    Parameters
    ----------
    voxels
        int64 (V, 3).
    tiles
        The windows of the forward.
    reach
        Gives the box of a window that a box of its output is computed from; by default the
        whole window. Scattered voxels are split where that spares most of their common box.

    Returns
    -------
    At least one piece per window that holds at least one of the voxels.
    """
    found = []
    for window in tiles.windows:
        inside = ((voxels >= window.start) & (voxels < window.stop)).all(axis=1)
        if not inside.any():
            continue
        rows = np.flatnonzero(inside)
        part = tiles.visible(window)
        at = voxels[rows] - part.start
        weight = tiles.weight(window)[tuple(at.T)]
        local = voxels[rows] - window.start
        for members in _split(local, window.shape, reach):
            seen = _reached(local[members], window.shape, reach).shift(window.start)
            chosen = weight[torch.from_numpy(members)]
            found.append(Piece(window, seen, rows[members], local[members], chosen))
    return tuple(found)


def _split(
    local: NDArray[np.int64], domain: Triple, reach: Callable[[Box, Triple], Box] | None
) -> list[NDArray[np.int64]]:
    """Split voxels into groups whose reaches together are much smaller than the whole's."""
    whole = np.arange(len(local))
    if reach is None:
        return [whole]
    groups, waiting = [], [whole]
    while waiting:
        members = waiting.pop()
        span = Box.of_voxels(local[members])
        axis = int(np.argmax(span.shape))
        middle = (span.start[axis] + span.stop[axis]) // 2
        before = local[members, axis] < middle
        halves = [members[before], members[~before]]
        if min(map(len, halves)) == 0:
            groups.append(members)
            continue
        cost = _reached(local[members], domain, reach).size
        parts = sum(_reached(local[half], domain, reach).size for half in halves)
        if parts < SPLIT_GAIN * cost:
            waiting += halves
        else:
            groups.append(members)
    return groups


def _reached(
    local: NDArray[np.int64], domain: Triple, reach: Callable[[Box, Triple], Box] | None
) -> Box:
    return Box.whole(domain) if reach is None else reach(Box.of_voxels(local), domain)
