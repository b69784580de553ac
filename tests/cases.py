"""Small cases with random content."""

from __future__ import annotations

import numpy as np

from napari_ies.patient.case import Case

OBLIQUE = np.array(
    [
        [-0.9, 0.1, 0.05, 11.0],
        [0.12, 1.1, -0.2, -7.0],
        [0.04, 0.15, 2.0, 5.0],
        [0.0, 0.0, 0.0, 1.0],
    ]
)


def random_case(shape=(20, 18, 22), seed=0, sequences=("FLAIR", "T1"), affine=OBLIQUE):
    """Return a case of positive noise, zero in a margin at the low end of the first axis."""
    data = np.random.default_rng(seed).uniform(1, 100, (len(sequences), *shape))
    data[:, :2] = 0
    return Case(tuple(sequences), data.astype(np.float32), np.asarray(affine, dtype=float))


def ball(shape, centre, radius):
    """Return a ball of voxels as a mask."""
    grid = np.indices(shape)
    offset = grid - np.reshape(centre, (3, 1, 1, 1))
    return (offset**2).sum(axis=0) <= radius**2
