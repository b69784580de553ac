"""How intensities are brought to the scale a network was trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_ies.errors import CaseError

if TYPE_CHECKING:
    from numpy.typing import NDArray

METHODS = ("zscore-nonzero", "zscore", "minmax", "percentiles-nonzero", "none")
BACKGROUND_IS_ZERO = {"zscore-nonzero", "percentiles-nonzero"}
"""Those that leave the background out, and make it 0."""
EXPECTED = f"one of {', '.join(METHODS)}, or a range such as 'range -57 164 to 0 1 clipped'"
"""What describes a normalisation."""
_PERCENTILES = (0.5, 99.5)


@dataclass(frozen=True)
class Range:
    """Intensities from `low` to `high` are brought linearly to the numbers from `first` to `last`.

    Written as ``"range -57 164 to 0 1 clipped"``, or without the last word. It is MONAI's
    ``ScaleIntensityRange``.
    """

    low: float
    high: float
    """In the unit of the intensities."""
    first: float
    last: float
    clipped: bool
    """Whether what lies outside of it becomes `first` or `last`."""

    @classmethod
    def read(cls, text: str) -> Range | None:
        """Return the range that a text describes, or None if it describes none."""
        words = text.split()
        clipped = words[-1:] == ["clipped"]
        if clipped:
            words.pop()
        if len(words) != 6 or words[0] != "range" or words[3] != "to":
            return None
        try:
            low, high, first, last = (float(words[place]) for place in (1, 2, 4, 5))
        except ValueError:
            return None
        fits = low < high and first < last and all(map(math.isfinite, (low, high, first, last)))
        return cls(low, high, first, last, clipped) if fits else None

    def __str__(self) -> str:
        ends = [f"{value:.15g}" for value in (self.low, self.high, self.first, self.last)]
        return f"range {ends[0]} {ends[1]} to {ends[2]} {ends[3]}" + " clipped" * self.clipped

    @property
    def scaling(self) -> Scaling:
        """The change that it is."""
        divisor = (self.high - self.low) / (self.last - self.first)
        ends = (self.first, self.last) if self.clipped else (-math.inf, math.inf)
        return Scaling(self.low - self.first * divisor, divisor, ends=ends)


def is_method(text: str) -> bool:
    """Return whether a text describes a normalisation."""
    return text in METHODS or Range.read(text) is not None


@dataclass(frozen=True)
class Scaling:
    """A linear change of intensities: ``(value - offset) / divisor``, between two ends."""

    offset: float = 0.0
    divisor: float = 1.0
    """In the unit of the intensities."""
    background_is_zero: bool = False
    """Whether voxels of the background become 0 instead of being scaled."""
    ends: tuple[float, float] = (-math.inf, math.inf)
    """What lies beyond them becomes one of them."""

    def apply(
        self, volume: NDArray[np.float32], inside: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float32]:
        """Return the changed intensities, float32, same shape.

        Parameters
        ----------
        volume
            Intensities (X, Y, Z).
        inside
            bool (X, Y, Z), which voxels are not background; by default those that are not 0.
        """
        values = volume.astype(np.float64)
        if not self.background_is_zero:
            scaled = (values - self.offset) / self.divisor
            return scaled.clip(*self.ends).astype(np.float32)
        inside = volume != 0 if inside is None else inside
        values[inside] = ((values[inside] - self.offset) / self.divisor).clip(*self.ends)
        values[~inside] = 0
        return values.astype(np.float32)


def scaling(
    volume: NDArray[np.float32], method: str, inside: NDArray[np.bool_] | None = None
) -> Scaling:
    """Return how the intensities of one sequence are normalised.

    Parameters
    ----------
    volume
        Intensities (X, Y, Z); their statistics are taken.
    method
        ``"zscore-nonzero"``: mean 0 and standard deviation 1 over the voxels that are not
        background, which is 0 then (where the background is 0, MONAI's
        ``NormalizeIntensity(nonzero=True)``); ``"zscore"``: the same over all voxels; ``"minmax"``:
        linearly to [0, 1]; ``"percentiles-nonzero"``: to [0, 1] from the 0.5th to the 99.5th
        percentile of what is not background, clipped, and the background 0 (LST-AI's); ``"none"``;
        a `Range`. With the z-scores one unit is one
        standard deviation of the sequence.
    inside
        bool (X, Y, Z), which voxels are not background; by default those that are not 0.

    Raises
    ------
    CaseError
        If there is no such method or the voxels in question have one single value.
    """
    if (fixed := Range.read(method)) is not None:
        return fixed.scaling
    if method not in METHODS:
        raise CaseError(f"There is no normalisation {method!r}; expected {EXPECTED}.")
    if method == "none":
        return Scaling()
    values = volume.astype(np.float64)
    if method == "minmax":
        low, high = float(values.min()), float(values.max())
        if low == high:
            raise CaseError("The image has one single value, so it cannot be scaled to [0, 1].")
        return Scaling(low, high - low)
    nonzero = method in BACKGROUND_IS_ZERO
    if nonzero:
        values = values[volume != 0 if inside is None else inside]
    if not values.size:
        raise CaseError("Every voxel of the image is background, so it cannot be normalised.")
    if method == "percentiles-nonzero":
        low, high = (float(value) for value in np.percentile(values, _PERCENTILES))
        if low == high:
            raise CaseError("The image has one single value, so it cannot be scaled to [0, 1].")
        return Scaling(low, high - low, nonzero, (0.0, 1.0))
    deviation = float(values.std())
    # MONAI leaves the scale alone where all values are equal; so does this.
    return Scaling(float(values.mean()), deviation if deviation > 0 else 1.0, nonzero)
