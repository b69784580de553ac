"""Colours of maps and images: which colour maps there are, how opaque, and where they end.

The viewer and the figures take the colours of a map by its name from the library that each of
them draws with, napari or matplotlib; what is ours, the opacity and the limits, is here once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.geometry.box import Box
from napari_ies.patient.background import Background

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_ies.saliency.saliency import Saliency

SIGNED_MAPS = {
    "Blue–red": "RdBu_r",
    "Blue–red, dark centre": "berlin",
    "Blue–orange, dark centre": "managua_r",
}
"""Diverging colour maps, by the name a person reads; safe for colour-blind readers."""

SEQUENTIAL_MAPS = {"Inferno": "inferno", "Cividis": "cividis", "Viridis": "viridis"}
"""Sequential colour maps, by the name a person reads; safe for colour-blind readers."""

OUTLINE_SELECTED = (0.25, 1.0, 0.75, 1.0)
"""Outline of the lesion that is explained: green of high luminance."""

STEPS = 128
"""Colours of each sign."""

LIMIT_MARGIN_VOXELS = 8
"""How far from the lesion the limits of the colours look for large values."""

_INNER_PART = 0.88


def overlay_colours(
    colours_at: Callable[[NDArray[np.float64]], NDArray[Any]],
    *,
    signed: bool,
    threshold: float,
) -> NDArray[np.float64]:
    """Return the colours of an overlay, from its lower limit to its upper one.

    The outermost colours of diverging maps are left out: nearly black or white, some readers
    could not tell them from the image.

    Parameters
    ----------
    colours_at
        The colour map: positions from 0 to 1 to colours (N, 3 or 4).
    signed
        Whether the values run from minus the limit to the limit, or from 0 to the limit.
    threshold
        Magnitude up to which the overlay is clear, as a fraction of the limit.

    Returns
    -------
    (N, 4): red, green, blue and opacity in [0, 1]; opacity grows with the magnitude.
    """
    if signed:
        value = np.linspace(-1, 1, 2 * STEPS - 1)
        at = 0.5 + 0.5 * _INNER_PART * value
    else:
        value = np.linspace(0, 1, STEPS)
        at = value
    colours = np.ones((len(value), 4))
    colours[:, :3] = np.asarray(colours_at(at))[:, :3]
    colours[:, 3] = opacity(np.abs(value), threshold)
    return colours


def opacity(magnitude: NDArray[np.float64], threshold: float) -> NDArray[np.float64]:
    """Return the opacity of magnitudes, all as fractions of the limit.

    Up to the threshold the anatomy stays untouched; 0.61 of the way from there to the limit (at
    0.65 with a threshold of 0.1) it hardly shows any more.
    """
    return np.asarray(np.clip((magnitude - threshold) / (0.61 * (1 - threshold)), 0, 1) * 0.9)


def colour_limit(saliency: Saliency, channel: int | None = None) -> float:
    """Return the magnitude at which the colours of a map end.

    It is the magnitude that a twentieth as many values as the lesion has voxels, and at least 5,
    exceed in the lesion and within 8 voxels of it: robust against a few extreme voxels, and not
    diluted by the emptiness around.

    Parameters
    ----------
    saliency
        The maps.
    channel
        Which of them; None for one limit of all, so that sequences can be compared.
    """
    maps = saliency.cropped if channel is None else saliency.cropped[channel : channel + 1]
    footprint = saliency.footprint
    near = Box.around(footprint).grow(LIMIT_MARGIN_VOXELS).clip(footprint.shape)
    values = np.abs(maps[(slice(None), *near)]).ravel()
    rank = min(max(5, int(np.count_nonzero(footprint)) // 20), values.size)
    limit = float(np.partition(values, -rank)[-rank])
    # A map that is 0 around the lesion still needs limits.
    return limit or float(np.abs(maps).max(initial=0.0)) or 1.0


def window_of(
    volume: NDArray[np.float32], background: Background | None = None
) -> tuple[float, float]:
    """Return grey-value limits that show tissue: 0.5th to 99.8th percentile of its voxels.

    Parameters
    ----------
    volume
        Intensities (X, Y, Z).
    background
        Its value is the lower limit, so that it is black, unless it lies so far below the tissue
        that this would be one grey. None for voxels that are 0.
    """
    # Every third voxel along each axis is plenty for a percentile and 27 times quicker.
    sample = volume[::3, ::3, ::3]
    background = background or Background(0.0)
    inside = sample[~background.holds(sample)]
    if inside.size < 2:
        inside = volume.ravel()
    low, high = (float(value) for value in np.percentile(inside, (0.5, 99.8)))
    if inside.size < sample.size and background.value >= low - 2 * (high - low):
        low = background.value
    if not low < high:
        low, high = float(volume.min()), float(volume.max())
    return (low, high) if low < high else (low, low + 1.0)
