"""The background of an image: the constant values around a brain or head, which need not be 0."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.geometry.box import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_OF_VOLUME = 0.1
"""Share of the volume that a background fills if it is uneven, or brighter than the patient."""

LEAST_PLATEAU = 0.002
"""Share of the volume that any value of a background fills: 0, the lowest, or one at the border."""

LEAST_AT_BORDER = 0.02
"""Share of the outermost voxels from which a value counts as one at the border."""

LEAST_WITHIN = 0.4
"""The same for the border of what lies within a padding."""

LEAST_SOLID = 0.15
"""Share of a background's voxels with the same value all around: noise and tissue have none."""

SMALLEST_PART = 27
"""Voxels that a connected part of a background other than 0 has at the least."""

NEARLY_CONSTANT = 0.01
"""A background that interpolation made uneven varies by less than this share of the values."""

LEAST_UNEVEN = 0.01
"""Share of the volume near a background's value, and not at it, from which it is uneven."""

LEAST_OF_UNEVEN_BORDER = 0.8
"""Share of the outermost voxels that an uneven background fills."""

FAR = 1.0
"""Farther from the patient's values than this many times their range, a value only fills."""


@dataclass(frozen=True)
class Background:
    """The value, or the values, of what is not the patient."""

    value: float
    """The commonest, in the image's unit."""
    tolerance: float = 0.0
    """Values this close to it are background too: half the file's own rounding step, or how far an
    uneven background strays. 0 where the value is met exactly."""
    share: float = 0.0
    """Of the volume that it fills, with all its values."""
    uneven: bool = False
    """Whether it is not one value but values close to it."""
    others: tuple[float, ...] = ()
    """Further values, such as that with which another program filled the corners."""

    @property
    def is_zero(self) -> bool:
        """Whether it is exactly 0, as in brain-extracted images that were not changed since."""
        return self.value == 0 and not self.uneven and not self.others

    def holds(self, values: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Return which values are background."""
        held = _near(values, self.value, self.tolerance)
        for other in self.others:
            held |= _near(values, other, self.tolerance)
        return held

    def kept_apart(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return values of the patient with those that would pass for background beside it."""
        apart = np.array(values, dtype=np.float32)
        for value in sorted((self.value, *self.others)):
            beside = np.nextafter(np.float32(value + self.tolerance), np.float32(np.inf))
            apart[_near(apart, value, self.tolerance)] = beside
        return apart


def find_background(volume: NDArray[np.float32], step: float = 0.0) -> Background | None:
    """Find the background of an image.

    A value is background where it fills a solid part of the volume, its own value all around it,
    and is 0, the lowest of all or common at the volume's border, or at that of what lies within
    a padding. Brain-extracted images have one, and so have most scanners' own, where it is 0; saved
    with a scale and an offset it becomes nearly 0, after z-scoring a negative number, from other
    tools -1000, and after a rotation the corners may have another value than the rest.

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
    volume = in_memory_order(volume)
    sample = volume[::3, ::3, ::3].ravel()
    whole = bool((sample == np.rint(sample)).all())
    # Half a step, and what single precision adds to it; whole numbers as such are met exactly.
    tolerance = 0.0 if step == 0 or whole else 0.51 * step
    plateaus = _plateaus(volume, sample, tolerance)
    low, high = (float(v) for v in np.percentile(sample, (0.1, 99.9)))
    if not whole and (uneven := _uneven(volume, plateaus, NEARLY_CONSTANT * (high - low))):
        return uneven
    if not plateaus:
        return None
    first, *others = plateaus
    found = Background(first, tolerance, others=tuple(others))
    return replace(found, share=float(found.holds(volume).mean()))


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


def only_fills(volume: NDArray[np.float32], background: Background | None) -> bool:
    """Whether a background's value stands for "nothing", so far is it from the patient's values.

    Such a value must not be mixed into the patient's by interpolation; one among them, 0 as it
    came through a change of scale, may.
    """
    if background is None or background.is_zero:
        return False
    patient = volume[::2, ::2, ::2]
    patient = patient[~background.holds(patient)]
    if not patient.size:
        return False
    low, high = (float(v) for v in np.percentile(patient, (0.5, 99.5)))
    values = np.array([background.value, *background.others])
    away = np.maximum(low - values, values - high)
    return bool((away > FAR * (high - low)).any())


def in_memory_order(volume: NDArray[Any]) -> NDArray[Any]:
    """Return a view whose last axis is the fastest in memory: four times as fast to look through.

    Images are read with their first axis the fastest; its axes are then in reverse order.
    """
    return volume.T if volume.flags.f_contiguous else volume


def _near(values: NDArray[np.floating], value: float, tolerance: float) -> NDArray[np.bool_]:
    if tolerance == 0:
        return np.asarray(values == np.float32(value))
    return np.asarray(np.abs(values - np.float32(value)) <= tolerance)


def _plateaus(
    volume: NDArray[np.float32], sample: NDArray[np.float32], tolerance: float
) -> list[float]:
    """Return the values of the background, the commonest first."""
    found = _at_border(volume, volume, sample, tolerance)
    if not found:
        return []
    held = Background(found[0], tolerance, others=tuple(found[1:])).holds(volume)
    within = volume[Box.around(~held)]
    if not held.all() and within.size < volume.size:
        # What lies within a padding of a value of its own, as the border of the rest.
        inner = _at_border(volume, within, sample, tolerance, least=LEAST_WITHIN)
        found += [value for value in inner if value not in found]
    return sorted(found, key=lambda value: -float(_near(sample, value, tolerance).mean()))


def _at_border(
    volume: NDArray[np.float32],
    part: NDArray[np.float32],
    sample: NDArray[np.float32],
    tolerance: float,
    least: float = LEAST_AT_BORDER,
) -> list[float]:
    """Return the values of the background that are common at the border of a part, dark or 0."""
    values, counts = np.unique(_border(part), return_counts=True)
    shares = counts / counts.sum()
    common = [float(values[at]) for at in np.argsort(-shares)[:4] if shares[at] >= least]
    lowest, highest = float(sample.min()), float(sample.max())
    found: list[float] = []
    for value in dict.fromkeys([*common, lowest, 0.0]):
        share = float(_near(sample, value, tolerance).mean())
        # The brightest of all may be saturated tissue, unless it fills much.
        needed = LEAST_OF_VOLUME if value == highest != lowest else LEAST_PLATEAU
        known = any(abs(value - other) <= tolerance for other in found)
        if share >= needed and not known and _is_solid(volume, value, tolerance):
            found.append(value)
    return found


def _border(volume: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the values of a volume's outermost voxels."""
    # By index: numpy's take copies a volume first that is stored with its first axis the fastest.
    turned = [np.moveaxis(volume, axis, 0) for axis in range(3)]
    return np.concatenate([one[at].ravel() for one in turned for at in (0, -1)])


def _is_solid(volume: NDArray[np.float32], value: float, tolerance: float) -> bool:
    """Whether many voxels of a value have it all around, as a background's do."""
    held = _near(volume, value, tolerance)
    padded = np.pad(held, 1, constant_values=True)
    solid = held.copy()
    for axis in range(3):
        for at in (slice(0, -2), slice(2, None)):
            window = [slice(1, -1)] * 3
            window[axis] = at
            solid &= padded[tuple(window)]
    return bool(np.count_nonzero(solid) >= LEAST_SOLID * np.count_nonzero(held))


def _uneven(volume: NDArray[np.float32], plateaus: list[float], reach: float) -> Background | None:
    """Find a background that is constant but for the ringing of interpolation or rounding."""
    border = _border(volume)
    middle = plateaus[0] if plateaus else float(np.median(border))
    close = [value for value in plateaus[1:] if abs(value - middle) <= reach]
    others = tuple(value for value in plateaus[1:] if value not in close)
    if close:
        # Two values that nearly agree, and what interpolation made between them.
        reach = 1.01 * max(abs(value - middle) for value in close)
    else:
        above = float(np.mean((volume > middle) & (volume <= middle + reach)))
        below = float(np.mean((volume < middle) & (volume >= middle - reach)))
        around = float(np.mean(_near(border, middle, reach)))
        # Ringing strays to both sides; the noise of magnitude images does not.
        rings = above + below >= LEAST_UNEVEN and min(above, below) >= 0.1 * (above + below)
        if not rings or around < LEAST_OF_UNEVEN_BORDER:
            return None
    found = Background(middle, reach, uneven=True, others=others)
    share = float(found.holds(volume).mean())
    return None if share < LEAST_OF_VOLUME else replace(found, share=share)
