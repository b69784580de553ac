"""Features of a map: its measures, first-order statistics and texture, a number each.

Texture is that of the grey-level co-occurrence matrix of Haralick, Shanmugam & Dinstein (*IEEE
Trans. Syst. Man Cybern.* 3 (1973), 610-621), by mahotas: 16 levels between the smallest and the
largest value, neighbours in all 13 directions of space counted in one matrix, both ways. Neighbours
are voxels, whatever their size in mm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.errors import CohortError
from napari_ies.saliency.reading_off.measures import measure
from napari_ies.saliency.reading_off.surroundings import surroundings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_ies.saliency.boxed_maps import BoxedMaps

DEFINITION = 1
"""Of the features: a model of another one does not know what it is given."""
NEAR_MM = 3.0
"""Statistics and texture are of the lesion and what lies at most so far from its border: the
smallest lesions alone have too few neighbouring voxels."""
LEVELS = 16
MEASURES = (
    "peak_positive",
    "peak_negative",
    "mean_inside",
    "positive_fraction_inside",
    "share",
    "mean_0_3_mm",
    "mean_3_7_mm",
    "mean_7_15_mm",
)
FIRST_ORDER = ("standard_deviation", "skewness", "kurtosis", "histogram_entropy")
TEXTURE = {
    "angular_second_moment": 0,
    "contrast": 1,
    "correlation": 2,
    "inverse_difference_moment": 4,
    "entropy": 8,
}
"""Places among Haralick's features."""
NAMES = (*MEASURES, *FIRST_ORDER, *(f"texture_{name}" for name in TEXTURE))
"""Of each sequence."""
INSTALL = "install it with pip install 'napari-ies[qa]'"


def feature_names(sequences: Sequence[str]) -> list[str]:
    """Return the names of a map's features, such as ``"FLAIR mean_inside"``, in their order."""
    return [f"{sequence} {name}" for sequence in sorted(sequences) for name in NAMES]


def map_features(saliency: BoxedMaps) -> dict[str, float]:
    """Return the features of a map.

    Parameters
    ----------
    saliency
        Of one lesion.

    Returns
    -------
    A float64 for each of :func:`feature_names`: the measures, in the map's unit or as a fraction;
    of the voxels at most 3 mm from the border and those inside, standard deviation in the map's
    unit, skewness and excess kurtosis, entropy of the histogram and of the co-occurrences in bits,
    and texture, which knows no unit. NaN where there is no such number.

    Raises
    ------
    CohortError
        If mahotas is not installed.
    """
    around = surroundings(saliency)
    measures = measure(saliency, around)
    near = around.distance <= NEAR_MM
    maps = saliency.box.lay(saliency.cropped, around.box)
    found: dict[str, float] = {}
    for sequence, values in zip(saliency.sequences, maps, strict=True):
        levels = _levels(values, near)
        numbers = [
            *measures.loc[sequence, list(MEASURES)].astype(float),
            *_first_order(values[near].astype(np.float64), levels[near]),
            *_texture(levels),
        ]
        found |= {f"{sequence} {name}": n for name, n in zip(NAMES, numbers, strict=True)}
    return {name: found[name] for name in feature_names(saliency.sequences)}


def _levels(values: NDArray[np.float32], near: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return grey levels from 1, and 0 where nothing is looked at."""
    inside = values[near].astype(np.float64)
    low, high = inside.min(), inside.max()
    steps = LEVELS * (inside - low) / (high - low) if high > low else np.zeros_like(inside)
    levels = np.zeros(values.shape, dtype=np.int32)
    levels[near] = np.minimum(np.floor(steps), LEVELS - 1).astype(np.int32) + 1
    return levels


def _first_order(values: NDArray[np.float64], levels: NDArray[np.int32]) -> list[float]:
    from scipy.stats import entropy, kurtosis, skew

    counts = np.bincount(levels)
    if np.ptp(values) == 0:
        return [0.0, float("nan"), float("nan"), 0.0]
    moments = [float(values.std()), float(skew(values)), float(kurtosis(values))]
    return [*moments, float(entropy(counts, base=2))]


def _texture(levels: NDArray[np.int32]) -> list[float]:
    texture = haralick_texture()
    counts = np.zeros((LEVELS + 1, LEVELS + 1), dtype=np.int64)
    one = np.empty(counts.shape, dtype=np.int32)
    for direction in range(13):
        texture.cooccurence(levels, direction, one, symmetric=True)
        counts += one
    if not counts[1:, 1:].any():  # one voxel alone
        return [float("nan")] * len(TEXTURE)
    haralick = texture.haralick_features([counts], ignore_zeros=True)[0]
    return [float(haralick[place]) for place in TEXTURE.values()]


def haralick_texture() -> Any:
    """Return mahotas' module for texture.

    Raises
    ------
    CohortError
        If it is not installed.
    """
    try:
        from mahotas.features import texture
    except ImportError as error:
        raise CohortError(f"The texture of maps needs mahotas; {INSTALL}.") from error
    return texture
