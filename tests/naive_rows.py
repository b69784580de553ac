"""Rows through strided convolutions, and their extremes, by loops in float64."""

from __future__ import annotations

import numpy as np
import torch


def naive_rows(values, convolution):
    """A loop over rows, voxels and taps, float64."""
    values, weight = values.double().numpy(), convolution.weight.double().numpy()
    size = [(n - 1) * s + k for n, s, k in zip(values.shape[2:], convolution.stride,
                                               weight.shape[2:], strict=True)]  # fmt: skip
    rows = np.zeros((len(values), weight.shape[1], *size))
    for voxel in np.ndindex(*values.shape[2:]):
        for tap in np.ndindex(*weight.shape[2:]):
            at = tuple(v * s + t for v, s, t in zip(voxel, convolution.stride, tap, strict=True))
            rows[(..., *at)] += values[(..., *voxel)] @ weight[(..., *tap)]
    return torch.from_numpy(rows)


def placed(values, at, size):
    """Each row on a canvas of its own; what lies outside is cut off."""
    canvas = values.new_zeros((*values.shape[:2], *size))
    for row, start in enumerate(at.tolist()):
        for voxel in np.ndindex(*values.shape[2:]):
            there = tuple(a + v for a, v in zip(start, voxel, strict=True))
            if all(0 <= t < n for t, n in zip(there, size, strict=True)):
                canvas[(row, slice(None), *there)] = values[(row, slice(None), *voxel)]
    return canvas


def take_extremes(rows, base, highest, lowest, start, domain):
    """The maximum and minimum of rows that start at `base`, on canvases that start somewhere."""
    highest, lowest = highest.double().numpy().copy(), lowest.double().numpy().copy()
    shape = highest.shape[1:]
    for row, first in zip(rows.numpy(), base.tolist(), strict=True):
        for voxel in np.ndindex(*row.shape[1:]):
            at = [f + v for f, v in zip(first, voxel, strict=True)]
            there = [a - s for a, s in zip(at, start, strict=True)]
            if all(0 <= a < n for a, n in zip((*at, *there), (*domain, *shape), strict=True)):
                place, value = (slice(None), *there), row[(slice(None), *voxel)]
                highest[place] = np.maximum(highest[place], value)
                lowest[place] = np.minimum(lowest[place], value)
    return torch.from_numpy(highest), torch.from_numpy(lowest)
