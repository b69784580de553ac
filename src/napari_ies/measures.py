"""The numbers read off a saliency map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from napari_ies.saliency.saliency import Saliency


def measure(saliency: Saliency) -> pd.DataFrame:
    """Summarise a saliency map.

    Parameters
    ----------
    saliency
        The maps of one footprint.

    Returns
    -------
    A row per sequence (index ``sequence``) with

    ``peak_positive``, ``peak_negative``
        Largest and smallest value of the map (0 where there is none of that sign), in the
        map's unit.
    ``peak_positive_error``, ``peak_negative_error``
        Monte-Carlo standard error at these two voxels, same unit; NaN where it is not known.
    ``mean_inside``
        Mean over the voxels of the footprint, same unit.
    ``positive_fraction_inside``
        Fraction of the footprint's voxels with a value above 0.
    ``share``
        Sum of the magnitudes of this sequence's map as a fraction of that of all sequences.
    """
    totals = np.abs(saliency.cropped).sum(axis=(1, 2, 3), dtype=np.float64)
    total = float(totals.sum())
    rows = []
    for channel, name in enumerate(saliency.sequences):
        values = saliency.cropped[channel]
        inside = values[saliency.footprint]
        highest, lowest = int(values.argmax()), int(values.argmin())
        rows.append(
            {
                "sequence": name,
                "peak_positive": max(float(values.flat[highest]), 0.0),
                "peak_positive_error": _error_at(saliency, channel, highest),
                "peak_negative": min(float(values.flat[lowest]), 0.0),
                "peak_negative_error": _error_at(saliency, channel, lowest),
                "mean_inside": float(inside.mean(dtype=np.float64)),
                "positive_fraction_inside": float((inside > 0).mean()),
                "share": float(totals[channel]) / total if total > 0 else float("nan"),
            }
        )
    return pd.DataFrame(rows).set_index("sequence")


def _error_at(saliency: Saliency, channel: int, index: int) -> float:
    if saliency.cropped_standard_error is None:
        return float("nan")
    return float(saliency.cropped_standard_error[channel].flat[index])
