"""Footprint: the voxels whose logits are explained, and the windows that hold them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_ies.errors import NapariIESError, SaliencyError
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
        return self.box.lay(self.values, box)

    def __array__(self, dtype: object = None, copy: bool | None = None) -> NDArray[np.bool_]:
        return self.within(Box.whole(self.shape))


@dataclass(frozen=True, eq=False)
class LabelledVoxels:
    """The voxels of one label, as a mask that is made when it is asked for and kept by nobody.

    Parameters
    ----------
    labels
        Whole numbers (X, Y, Z).
    label
        The label.
    box
        The smallest box with all its voxels; nothing else is looked at.
    """

    labels: NDArray[np.int32]
    label: int
    box: Box

    def boxed(self) -> BoxedMask:
        """Return the mask on its box."""
        return BoxedMask(self.labels.shape, self.box, self.labels[self.box] == self.label)

    def __array__(self, dtype: object = None, copy: bool | None = None) -> NDArray[np.bool_]:
        return np.asarray(self.boxed())


def boxed_footprint(
    footprint: ArrayLike, shape: Triple, kind: type[NapariIESError] = SaliencyError
) -> BoxedMask:
    """Check a footprint.

    Parameters
    ----------
    footprint
        (X, Y, Z) boolean, or numbers of which all but 0 belong to the footprint.
    shape
        The case's grid.
    kind
        Of error.

    Raises
    ------
    NapariIESError
        Of that kind, if the mask is not on the grid, not finite, or empty.
    """
    if isinstance(footprint, LabelledVoxels):
        footprint = footprint.boxed()
    known = footprint if isinstance(footprint, BoxedMask) else None
    array = np.asarray(footprint) if known is None else known.values
    size = array.shape if known is None else known.shape
    if size != shape:
        raise kind(
            f"The region has the size {size}, the images {shape}; expected a mask on the "
            "images' grid."
        )
    if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
        raise kind("The region is not a mask; expected true and false, or labels.")
    mask = array != 0
    if not mask.any():
        raise kind("The region holds no voxel; choose a lesion or paint at least one.")
    return known or BoxedMask.of(mask)


def pieces(
    voxels: NDArray[np.int64],
    tiles: Tiling,
    reach: Callable[[Box, Triple], Box] | None = None,
) -> tuple[Piece, ...]:
    """Find the windows that predict a footprint; no other window has any part in its saliency.

    Only the footprint's voxels are looked at, and windows near them.

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
    held, total = [], torch.zeros(len(voxels), dtype=torch.float64)
    for window in tiles.meeting(Box.of_voxels(voxels)):
        inside = ((voxels >= window.start) & (voxels < window.stop)).all(axis=1)
        if not inside.any():
            continue
        rows = np.flatnonzero(inside)
        local = voxels[rows] - window.start
        importance = tiles.window_importance[tuple(local.T)]
        total[rows] += importance
        held.append((window, rows, local, importance))
    found = []
    for window, rows, local, importance in held:
        weight = importance / total[rows]
        split = [(np.arange(len(local)), Box.whole(window.shape))]
        if reach is not None:
            split = _split(local, window.shape, reach)
        for members, seen in split:
            chosen = weight[torch.from_numpy(members)]
            place = seen.shift(window.start)
            found.append(Piece(window, place, rows[members], local[members], chosen))
    return tuple(found)


def _split(
    local: NDArray[np.int64], domain: Triple, reach: Callable[[Box, Triple], Box]
) -> list[tuple[NDArray[np.int64], Box]]:
    """Split voxels into groups whose reaches together are much smaller than the whole's."""

    def reached(members: NDArray[np.int64]) -> tuple[NDArray[np.int64], Box]:
        return members, reach(Box.of_voxels(local[members]), domain)

    groups, waiting = [], [reached(np.arange(len(local)))]
    while waiting:
        members, seen = waiting.pop()
        span = Box.of_voxels(local[members])
        axis = int(np.argmax(span.shape))
        before = local[members, axis] < (span.start[axis] + span.stop[axis]) // 2
        parts, left = [], SPLIT_GAIN * seen.size
        for half in (members[before], members[~before]):
            if len(half) and left > 0:  # else nothing is spared, whatever the other half reaches
                parts.append(reached(half))
                left -= parts[-1][1].size
        if len(parts) > 1 and left > 0:
            waiting += parts
        else:
            groups.append((members, seen))
    return groups
