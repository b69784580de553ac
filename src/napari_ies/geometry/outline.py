"""Outline: the borders of lesions as thin lines along voxel edges, slice by slice.

A contour made of voxels would cover a small lesion, and its saliency, altogether.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def outline_segments(
    labels: NDArray[Any], plane: Sequence[int], origin: Sequence[int] = (0, 0, 0)
) -> NDArray[np.float32]:
    """Return the edges between voxels of different labels within parallel slices.

    Parameters
    ----------
    labels
        (I, J, K): labels or a mask in a box that holds all of them; 0 is the background, and so
        is everything outside the box.
    plane
        The two axes that a slice shows.
    origin
        Index of the box's first voxel in the volume.

    Returns
    -------
    float32 (N, 2, 3): the ends of each edge in voxel indices; voxel centres are whole numbers, so
    borders lie at halves.
    """
    padded = np.pad(labels, 1)
    segments = []
    for across, along in (tuple(plane), tuple(plane)[::-1]):
        before = np.moveaxis(padded, across, 0)
        changes = np.argwhere(np.moveaxis(before[1:] != before[:-1], 0, across))
        start = changes.astype(np.float32) - 1 + np.asarray(origin, dtype=np.float32)
        start[:, across] += 0.5
        start[:, along] -= 0.5
        end = start.copy()
        end[:, along] += 1.0
        segments.append(np.stack([start, end], axis=1))
    return np.concatenate(segments)


def chained(edges: NDArray[np.floating[Any]]) -> list[NDArray[np.float64]]:
    """Join edges that share an end to lines, each edge in one of them.

    Parameters
    ----------
    edges
        (N, 2, D): the ends of each edge; shared ends are equal numbers.

    Returns
    -------
    Lines (M, D): the points that each runs through; a closed one ends where it began.
    """
    points, ends = np.unique(edges.reshape(-1, edges.shape[-1]), axis=0, return_inverse=True)
    beside: dict[int, list[int]] = {}
    for start, end in ends.reshape(-1, 2).tolist():
        beside.setdefault(start, []).append(end)
        beside.setdefault(end, []).append(start)
    lines = []
    for first, others in beside.items():
        while others:
            line = [first]
            while beside[line[-1]]:
                here = line[-1]
                line.append(beside[here].pop())
                beside[line[-1]].remove(here)
            lines.append(np.asarray(points[line], dtype=float))
    return lines
