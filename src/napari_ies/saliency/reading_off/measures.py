"""The numbers read off a saliency map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_ies.saliency.reading_off.surroundings import (
    SHELLS_MM,
    Surroundings,
    averages,
    column,
    surroundings,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_ies.saliency.boxed_maps import BoxedMaps

SHELLS = tuple(f"{low:g}_{high:g}_mm" for low, high in SHELLS_MM)
"""Names of the shells in the columns."""

ZONES = ("inside", *SHELLS)
"""Where means are taken."""


def measure(saliency: BoxedMaps, around: Surroundings | None = None) -> pd.DataFrame:
    """Summarise a saliency map.

    Parameters
    ----------
    saliency
        The maps of one footprint.
    around
        Its surroundings if they are known already; how distances are measured is said there.

    Returns
    -------
    A row per sequence (index ``sequence``) with

    ``peak_positive``, ``peak_negative``
        Largest and smallest value of the map (0 where there is none of that sign), in the
        map's unit.
    ``peak_positive_error``, ``peak_negative_error``
        Monte-Carlo standard error at these two voxels, same unit; NaN where it is not known.
    ``peak_positive_spread``, ``peak_negative_spread``
        Standard deviation between the maps of the network's members at these two voxels, same unit;
        only of a network that has members.
    ``mean_inside``
        Mean over the voxels of the footprint, same unit.
    ``positive_fraction_inside``
        Fraction of the footprint's voxels with a value above 0.
    ``share``
        Sum of the magnitudes of this sequence's map as a fraction of that of all sequences.
    ``mean_0_3_mm``, ``mean_3_7_mm``, ``mean_7_15_mm``
        Mean over the voxels around the footprint whose centres lie more than the first and at
        most the second distance from its border, same unit. Voxels where the map is 0 count, in
        other lesions and outside the head too; the volume's border cuts a shell; NaN where
        nothing is left of it.
    ``voxels_inside``, ``voxels_0_3_mm``, ``voxels_3_7_mm``, ``voxels_7_15_mm``
        Number of voxels these means are taken over.
    ``mean_…_error_bound``
        For each of the four means, what its Monte-Carlo standard error is at most (see
        :class:`~napari_ies.saliency.reading_off.surroundings.Averages`), same unit; NaN where it is
        not known.
    """
    around = around or surroundings(saliency)
    found = averages(saliency, around, _zones(around), len(ZONES))
    totals = np.abs(saliency.cropped).sum(axis=(1, 2, 3), dtype=np.float64)
    total = float(totals.sum())
    rows = []
    for channel, name in enumerate(saliency.sequences):
        values = saliency.cropped[channel]
        inside = values[saliency.footprint]
        highest, lowest = int(values.argmax()), int(values.argmin())
        means, bounds = found.means[channel], found.error_bounds[channel]
        shell_means = {f"mean_{zone}": float(mean) for zone, mean in zip(ZONES, means, strict=True)}
        rows.append(
            {
                "sequence": name,
                "peak_positive": max(float(values.flat[highest]), 0.0),
                "peak_positive_error": _error_at(saliency, channel, highest),
                "peak_negative": min(float(values.flat[lowest]), 0.0),
                "peak_negative_error": _error_at(saliency, channel, lowest),
                **_spread_at(saliency, channel, highest, lowest),
                "mean_inside": shell_means.pop("mean_inside"),
                "positive_fraction_inside": float((inside > 0).mean()),
                "share": float(totals[channel]) / total if total > 0 else float("nan"),
                **shell_means,
                **{f"voxels_{zone}": int(n) for zone, n in zip(ZONES, found.voxels, strict=True)},
                **{
                    f"mean_{zone}_error_bound": float(bound)
                    for zone, bound in zip(ZONES, bounds, strict=True)
                },
            }
        )
    return pd.DataFrame(rows).set_index("sequence")


def describe_measures(unit: str) -> dict[str, dict[str, str]]:
    """Describe the columns of :func:`measure`, of maps in a unit, as a BIDS sidecar does."""
    columns = {
        "sequence": {"Description": "Image sequence the map belongs to"},
        "peak_positive": column("Largest value of the map, 0 if none is positive", unit),
        "peak_positive_error": column(
            "Monte-Carlo standard error at the voxel of the largest value", unit
        ),
        "peak_negative": column("Smallest value of the map, 0 if none is negative", unit),
        "peak_negative_error": column(
            "Monte-Carlo standard error at the voxel of the smallest value", unit
        ),
        **{
            f"peak_{sign}_spread": column(
                "Standard deviation between the maps of the network's members (folds) at the "
                f"voxel of the {which} value",
                unit,
            )
            for sign, which in (("positive", "largest"), ("negative", "smallest"))
        },
        "positive_fraction_inside": column(
            "Fraction of the footprint's voxels with a value above 0", "1"
        ),
        "share": column(
            "Sum of the magnitudes of this sequence's map as a fraction of that of all sequences",
            "1",
        ),
    }
    places = ["in the footprint"] + [
        f"whose centres lie more than {low:g} and at most {high:g} mm outside the footprint's "
        "border (the faces of its outermost voxels), within the image"
        for low, high in SHELLS_MM
    ]
    for zone, place in zip(ZONES, places, strict=True):
        columns[f"mean_{zone}"] = column(f"Mean of the map over the voxels {place}", unit)
        columns[f"voxels_{zone}"] = column(f"Number of voxels {place}", "1")
        columns[f"mean_{zone}_error_bound"] = column(
            f"Upper bound of the Monte-Carlo standard error of mean_{zone}: the mean of the "
            "voxels' standard errors",
            unit,
        )
    return columns


def _zones(around: Surroundings) -> NDArray[np.int64]:
    """Return the zone of each voxel: 0 inside, then the shells, then what is further away."""
    zones = np.searchsorted([high for _, high in SHELLS_MM], around.distance, side="left") + 1
    return np.where(around.distance < 0, 0, zones)


def _spread_at(saliency: BoxedMaps, channel: int, highest: int, lowest: int) -> dict[str, float]:
    spreads = getattr(saliency, "cropped_spread", None)
    if spreads is None:
        return {}
    values = spreads[channel].flat
    return {
        "peak_positive_spread": float(values[highest]),
        "peak_negative_spread": float(values[lowest]),
    }


def _error_at(saliency: BoxedMaps, channel: int, index: int) -> float:
    if saliency.cropped_standard_error is None:
        return float("nan")
    return float(saliency.cropped_standard_error[channel].flat[index])
