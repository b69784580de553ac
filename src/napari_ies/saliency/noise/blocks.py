"""Definition 1 of the noise, that of maps made before there was another; it never changes.

The grid is cut into fixed blocks. Each block of each sequence has a counter-based generator of
its own, keyed by (seed, sample, sequence, block), so a voxel's noise is the same whichever crop,
batch, lesion or device asks for it, and a crop costs only the blocks it touches. It is drawn on
the CPU, one block after another.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from napari_ies.geometry.box import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 32
"""Edge of a block in voxels."""


def noise_of_blocks(
    seed: int, sample: int, n_sequences: int, box: tuple[slice, slice, slice]
) -> NDArray[np.float32]:
    """Draw one sample; see :func:`~napari_ies.saliency.noise.standard_noise`."""
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
