"""Noise that depends on the seed, the sample and the stored voxel alone.

It is the same whichever crop, batch, lesion or device asks for it. There are two definitions of
it: a request's `noise_version` says which.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_ies.saliency.noise.blocks import noise_of_blocks
from napari_ies.saliency.noise.lines import noise_of_lines

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEFINITIONS = {
    1: "1: blocks of 32³ voxels, Philox and ziggurat of NumPy",
    2: "2: SplitMix64 for each line of voxels, normal by a table",
}
"""The definitions of the noise, as a map's provenance calls them."""
WITH_WHOLE_NUMBERS = ("cpu", "cuda", "meta")
"""Devices whose 64-bit integers are known to be exact; for others noise is made on the CPU."""


@dataclass(frozen=True)
class Noise:
    """Which noise.

    Parameters
    ----------
    seed
        Not negative.
    deviation
        Its standard deviation.
    version
        Its definition.
    """

    seed: int
    deviation: float
    version: int = 2


def drawn(
    noise: Noise,
    samples: range,
    n_sequences: int,
    box: tuple[slice, slice, slice],
    device: torch.device,
) -> torch.Tensor:
    """Draw the noise of samples on a box of the stored grid, with standard deviation 1.

    Parameters
    ----------
    noise
        Which noise; its deviation does not count here.
    samples
        Numbers n of N noise samples, from 0.
    n_sequences
        Number C of sequences.
    box
        Part of the grid, in voxels of the stored grid.
    device
        Where it is wanted. Definition 2 is made there, definition 1 on the CPU.

    Returns
    -------
    float32 (N, C, x, y, z), bit for bit the same on every device.
    """
    if noise.version == 1:
        each = [noise_of_blocks(noise.seed, sample, n_sequences, box) for sample in samples]
        return torch.from_numpy(np.stack(each)).to(device)
    exact = device.type in WITH_WHOLE_NUMBERS
    made = noise_of_lines(
        noise.seed, samples, n_sequences, box, device if exact else torch.device("cpu")
    )
    return made if exact else made.to(device)


def standard_noise(
    seed: int,
    sample: int,
    n_sequences: int,
    box: tuple[slice, slice, slice],
    version: int = 2,
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
    version
        Definition of the noise.

    Returns
    -------
    float32 (C, x, y, z), mean 0 and standard deviation 1.
    """
    noise, cpu = Noise(seed, 1.0, version), torch.device("cpu")
    found = drawn(noise, range(sample, sample + 1), n_sequences, box, cpu)[0]
    values: NDArray[np.float32] = np.ascontiguousarray(found.numpy())
    return values
