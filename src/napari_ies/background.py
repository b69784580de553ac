"""The background of an image: the constant value around a brain or head, which need not be 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_OF_BORDER = 0.4
"""Share of the volume's outermost voxels that a background fills at the least."""

LEAST_OF_VOLUME = 0.1
"""Share of the volume that a background fills at the least."""

SMALLEST_PART = 27
"""Voxels that a connected part of a background other than 0 has at the least."""

NEARLY_CONSTANT = 1e-3
"""A background that interpolation made uneven varies by less than this share of the values."""


@dataclass(frozen=True)
class Background:
    """The value of what is not the patient.

    Parameters
    ----------
    value
        In the image's unit.
    tolerance
        Values this close to it are background too: half the file's own rounding step, or how far
        an uneven background strays. 0 where the value is met exactly.
    share
        Of the volume that it fills.
    uneven
        Whether it is not one value but values close to it.
    """

    value: float
    tolerance: float = 0.0
    share: float = 0.0
    uneven: bool = False

    @property
    def is_zero(self) -> bool:
        """Whether it is exactly 0, as in brain-extracted images that were not changed since."""
        return self.value == 0 and not self.uneven

    def holds(self, values: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Return which values are background."""
        if self.tolerance == 0:
            return np.asarray(values == np.float32(self.value))
        return np.asarray(np.abs(values - np.float32(self.value)) <= self.tolerance)

    def kept_apart(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return values of the patient with those that would pass for background beside it."""
        value = np.float32(self.value)
        beside = np.nextafter(value + np.float32(self.tolerance), np.float32(np.inf))
        return np.where(self.holds(values), beside, values).astype(np.float32)


def find_background(volume: NDArray[np.float32], step: float = 0.0) -> Background | None:
    """Find the constant background of an image.

    It is the commonest value of the volume's outermost voxels, if it fills at least two fifths of
    them and a tenth of the volume. Brain-extracted images have one, and so have most scanners'
    own, where it is 0; saved with a scale and an offset it becomes nearly 0, after z-scoring a
    negative number, from other tools -1000.

    Parameters
    ----------
    volume
        Intensities (X, Y, Z).
    step
        Difference between neighbouring values that the file can hold, 0 for floating point.

    Returns
    -------
    The background, or None where there is none, as in images whose noise was kept everywhere.
    """
    border = _border(volume)
    exact = _commonest(volume, border, step)
    return exact if exact is not None else _uneven(volume, border)


def inside(volume: NDArray[np.float32], background: Background | None) -> NDArray[np.bool_]:
    """Return the voxels of the patient: all that are not background.

    Parameters
    ----------
    volume
        (X, Y, Z).
    background
        From :func:`find_background`. Where there is none or it is 0, every exact 0 counts as
        background, as in MONAI's ``NormalizeIntensity(nonzero=True)``; of another value only
        connected parts of some size do, since a voxel of the patient may have it by chance.
    """
    if background is None:
        return np.asarray(volume != 0)
    outside = background.holds(volume)
    if background.is_zero:
        return ~outside
    from scipy.ndimage import label  # only where it is needed

    # A voxel of the patient may have the background's value by chance, as by rounding.
    parts, _ = label(outside)
    small = np.bincount(parts.ravel()) < SMALLEST_PART
    small[0] = True
    return np.asarray(small[parts])


def _border(volume: NDArray[np.float32]) -> NDArray[np.float32]:
    faces = [np.take(volume, at, axis=axis).ravel() for axis in range(3) for at in (0, -1)]
    return np.concatenate(faces)


def _commonest(
    volume: NDArray[np.float32], border: NDArray[np.float32], step: float
) -> Background | None:
    values, counts = np.unique(border, return_counts=True)
    value = float(values[counts.argmax()])
    # Half a step, and what single precision adds to it; integers as such are met exactly.
    whole = step > 0 and value == round(value) and step == round(step)
    tolerance = 0.0 if step == 0 or whole else 0.51 * step
    found = Background(value, tolerance)
    of_border = float(found.holds(border).mean())
    share = float(found.holds(volume).mean())
    if of_border < LEAST_OF_BORDER or share < LEAST_OF_VOLUME:
        return None
    return Background(value, tolerance, share)


def _uneven(volume: NDArray[np.float32], border: NDArray[np.float32]) -> Background | None:
    """Find a background that is constant but for the ringing of interpolation or rounding."""
    low, middle, high = (float(v) for v in np.percentile(border, (2, 50, 98)))
    bottom, top = (float(v) for v in np.percentile(volume[::3, ::3, ::3], (0.1, 99.9)))
    reach = NEARLY_CONSTANT * (top - bottom)
    if high - low > 2 * reach or top == bottom:
        return None
    found = Background(middle, max(reach, high - middle, middle - low))
    share = float(found.holds(volume).mean())
    if share < LEAST_OF_VOLUME:
        return None
    return Background(middle, found.tolerance, share, uneven=True)
