"""Definition 2 of the noise: integer arithmetic and a table, so that every device makes the same.

Each line of voxels along the last stored axis has a SplitMix64 sequence of its own, whose start is
mixed from seed, sample, sequence and the line's place. With sums and products modulo 2⁶⁴,
``mix`` the finaliser of SplitMix64 and γ its increment, the noise of the voxel (x, y, z) in
sequence c of sample n is made of ::

    start = mix(seed + γ · (1 + 2¹⁶ n + c))
    line  = mix(start + γ · (1 + 2³² x + y))
    word  = mix(line + γ · (1 + ⌊z / 2⌋))

whose lower 32 bits are an even z's and whose upper 32 an odd one's: ``T[a] + T[b]`` of the lower
16 bits a and the upper 16 bits b, where ``T[a]`` is the normal quantile at ``(a + ½) / 2¹⁶`` times
:data:`SCALE`, rounded to a multiple of 2⁻²¹. Such sums are exact in float32. They have variance 1
(to 3e-9), kurtosis 2.9996 and reach ±6.1, in steps far below what float32 tells apart at 6.

No number is drawn one after another, so a box costs what it holds and a device makes all of it at
once, in a number of operations that depends on nothing.

Source: Steele, Lea and Flood, *Fast splittable pseudorandom number generators* (OOPSLA 2014).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.special import ndtri

from napari_ies.geometry.box import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCALE = 0.707113951835
"""Gives the sum of two entries of the table the variance 1."""
STEPS_OF_ONE = 2**21
"""The table's entries are whole multiples of one by this."""
WORDS_AT_ONCE = 2**15
"""On the CPU, for each thread: they stay in its cache."""


def noise_of_lines(
    seed: int,
    samples: range,
    n_sequences: int,
    box: tuple[slice, slice, slice],
    device: torch.device,
) -> torch.Tensor:
    """Make the noise of samples; see :func:`~napari_ies.saliency.noise.drawn`."""
    x, y, z = (torch.arange(axis.start, axis.stop, device=device) for axis in Box.of(box))
    first, odd = divmod(box[2].start, 2)
    pair = torch.arange(first, (box[2].stop + 1) // 2, device=device)
    sample = torch.arange(samples.start, samples.stop, device=device)
    sequence = torch.arange(n_sequences, device=device)
    start = _mixed(_step(2**16 * sample[:, None] + sequence) + seed)
    line = _mixed(start[..., None, None] + _step(2**32 * x[:, None] + y))
    noise = torch.empty((*line.shape, len(pair), 2), dtype=torch.float32, device=device)
    for part in _parts(line.numel(), len(pair), device):
        words = _mixed(line.view(-1, 1)[part] + _step(pair))
        terms = _table(device).index_select(0, _halves(words)).view(-1, 2)
        torch.add(terms[:, 0], terms[:, 1], out=noise.view(-1, len(pair), 2)[part].view(-1))
    return noise.flatten(-2)[..., odd : odd + len(z)]


def quantiles() -> NDArray[np.float32]:
    """Return the table T, float32 (65536,).

    No entry lies nearer to the border between two multiples than 6e-6 of their distance, a
    thousand times the rounding of float64, so every correct ``ndtri`` gives the same table.
    """
    steps = ndtri((np.arange(2**16) + 0.5) / 2**16) * (SCALE * STEPS_OF_ONE)
    table: NDArray[np.float32] = (np.rint(steps) / STEPS_OF_ONE).astype(np.float32)
    return table


@cache
def _table(device: torch.device) -> torch.Tensor:
    return torch.from_numpy(quantiles()).to(device)


def _parts(lines: int, words: int, device: torch.device) -> list[slice]:
    """Return the lines that are made at once: all of them but on the CPU."""
    if device.type != "cpu":
        return [slice(0, lines)]
    size = max(WORDS_AT_ONCE * torch.get_num_threads() // words, 1)
    return [slice(first, first + size) for first in range(0, lines, size)]


def _step(number: torch.Tensor) -> torch.Tensor:
    """Return γ · (1 + number)."""
    return (number + 1) * _signed(0x9E3779B97F4A7C15)


def _mixed(state: torch.Tensor) -> torch.Tensor:
    """Mix 64-bit integers, in place: the finaliser of SplitMix64."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        _fold(state, shift).mul_(_signed(factor))
    return _fold(state, 31)


def _fold(state: torch.Tensor, shift: int) -> torch.Tensor:
    """Add a right-shifted copy modulo 2, in place; int64 shifts in its sign, which is masked."""
    return state.bitwise_xor_((state >> shift).bitwise_and_(2 ** (64 - shift) - 1))


def _halves(words: torch.Tensor) -> torch.Tensor:
    """Return the 16-bit parts of words, the lowest first, int32 (4 x words)."""
    return words.view(-1).view(torch.int16).to(torch.int32).bitwise_and_(2**16 - 1)


def _signed(number: int) -> int:
    """Return the int64 of the same 64 bits."""
    return number - 2**64
