"""How intensities are brought to the scale a network was trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_ies.errors import CaseError

if TYPE_CHECKING:
    from numpy.typing import NDArray

METHODS = ("zscore-nonzero", "zscore", "minmax", "none")


def normalise(volume: NDArray[np.float32], method: str) -> NDArray[np.float32]:
    """Normalise the intensities of one sequence.

    Parameters
    ----------
    volume
        Intensities (X, Y, Z).
    method
        ``"zscore-nonzero"``: mean 0 and standard deviation 1 over the nonzero voxels, which
        alone change, so that the background stays 0 (MONAI's ``NormalizeIntensity(nonzero=True)``);
        ``"zscore"``: the same over all voxels; ``"minmax"``: linearly to [0, 1]; ``"none"``.

    Returns
    -------
    float32, same shape. With the z-scores one unit is one standard deviation of the sequence.

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
        return volume.astype(np.float32, copy=True)
    values = volume.astype(np.float64)
    if method == "minmax":
        low, high = values.min(), values.max()
        if low == high:
            raise CaseError("The image has one single value, so it cannot be scaled to [0, 1].")
        return np.asarray((values - low) / (high - low), dtype=np.float32)
    inside = values != 0 if method == "zscore-nonzero" else np.ones(values.shape, dtype=bool)
    if not inside.any():
        raise CaseError("Every voxel of the image is 0, so it cannot be normalised.")
    mean, deviation = values[inside].mean(), values[inside].std()
    # MONAI leaves the scale alone where all values are equal; so does this.
    values[inside] = (values[inside] - mean) / (deviation if deviation > 0 else 1.0)
    return values.astype(np.float32)
