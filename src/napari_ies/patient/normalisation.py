"""How intensities are brought to the scale a network was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_ies.errors import CaseError

if TYPE_CHECKING:
    from numpy.typing import NDArray

METHODS = ("zscore-nonzero", "zscore", "minmax", "none")


@dataclass(frozen=True)
class Scaling:
    """A linear change of intensities: ``(value - offset) / divisor``."""

    offset: float = 0.0
    divisor: float = 1.0
    """In the unit of the intensities."""
    background_is_zero: bool = False
    """Whether voxels of the background become 0 instead of being scaled."""

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
            return ((values - self.offset) / self.divisor).astype(np.float32)
        inside = volume != 0 if inside is None else inside
        values[inside] = (values[inside] - self.offset) / self.divisor
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
        linearly to [0, 1]; ``"none"``. With the z-scores one unit is one standard deviation of the
        sequence.
    inside
        bool (X, Y, Z), which voxels are not background; by default those that are not 0.

    Raises
    ------
    CaseError
        If there is no such method or the voxels in question have one single value.
    """
    if method not in METHODS:
        raise CaseError(
            f"There is no normalisation {method!r}; expected one of {', '.join(METHODS)}."
        )
    if method == "none":
        return Scaling()
    values = volume.astype(np.float64)
    if method == "minmax":
        low, high = float(values.min()), float(values.max())
        if low == high:
            raise CaseError("The image has one single value, so it cannot be scaled to [0, 1].")
        return Scaling(low, high - low)
    nonzero = method == "zscore-nonzero"
    if nonzero:
        values = values[volume != 0 if inside is None else inside]
    if not values.size:
        raise CaseError("Every voxel of the image is background, so it cannot be normalised.")
    deviation = float(values.std())
    # MONAI leaves the scale alone where all values are equal; so does this.
    return Scaling(float(values.mean()), deviation if deviation > 0 else 1.0, nonzero)
