"""Noise that depends on the seed, the sample and the voxel alone.

The grid is cut into fixed blocks. Each block of each sequence has a counter-based generator of
its own, keyed by (seed, sample, sequence, block), so a voxel's noise is the same whichever crop,
batch, lesion or device asks for it, and a crop costs only the blocks it touches.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from napari_ies.geometry.box import Box

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
    wanted = Box.of(box)
    noise = np.empty((n_sequences, *wanted.shape), dtype=np.float32)
    blocks = [range(axis.start // BLOCK, (axis.stop - 1) // BLOCK + 1) for axis in wanted]
    for channel, block in product(range(n_sequences), list(product(*blocks))):
        whole = Box.whole((BLOCK, BLOCK, BLOCK)).shift(BLOCK * index for index in block)
        part = whole.meet(wanted)
        assert part is not None  # noqa: S101 - these blocks alone
        generator = np.random.Generator(
            np.random.Philox(np.random.SeedSequence((seed, sample, channel, *block)))
        )
        values = generator.standard_normal((BLOCK, BLOCK, BLOCK), dtype=np.float32)
        noise[channel][part.within(wanted)] = values[part.within(whole)]
    return noise
