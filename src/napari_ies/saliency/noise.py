"""Noise that depends on the seed, the sample and the voxel alone.

The grid is cut into fixed blocks. Each block of each sequence has a counter-based generator of
its own, keyed by (seed, sample, sequence, block), so a voxel's noise is the same whichever crop,
batch, lesion or device asks for it, and a crop costs only the blocks it touches.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 32
"""Edge of a block in voxels; part of the definition of the noise, so never change it."""


def standard_noise(
    seed: int,
    sample: int,
    n_sequences: int,
    box: tuple[slice, slice, slice],
) -> NDArray[np.float32]:
    """Draw standard normal noise for a box of the stored grid.

    Parameters
    ----------
    seed
        Seed, not negative.
    sample
        Number n of the noise sample, from 0.
    n_sequences
        Number C of sequences.
    box
        Part of the grid, in voxels of the stored grid.

    Returns
    -------
    float32 (C, x, y, z), mean 0 and standard deviation 1.
    """
    noise = np.empty((n_sequences, *(axis.stop - axis.start for axis in box)), dtype=np.float32)
    blocks = [range(axis.start // BLOCK, (axis.stop - 1) // BLOCK + 1) for axis in box]
    for channel, block in product(range(n_sequences), list(product(*blocks))):
        source: list[slice] = []
        target: list[slice] = []
        for axis, index in zip(box, block, strict=True):
            low = max(axis.start, index * BLOCK)
            high = min(axis.stop, (index + 1) * BLOCK)
            source.append(slice(low - index * BLOCK, high - index * BLOCK))
            target.append(slice(low - axis.start, high - axis.start))
        generator = np.random.Generator(
            np.random.Philox(np.random.SeedSequence((seed, sample, channel, *block)))
        )
        values = generator.standard_normal((BLOCK, BLOCK, BLOCK), dtype=np.float32)
        noise[channel][tuple(target)] = values[tuple(source)]
    return noise
