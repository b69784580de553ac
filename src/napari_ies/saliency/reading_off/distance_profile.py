"""Saliency against distance: how far from the lesion's border the network looked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_ies.saliency.reading_off.surroundings import (
    DECIMALS,
    REACH_MM,
    Surroundings,
    averages,
    column,
    surroundings,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_ies.saliency.boxed_maps import BoxedMaps

BIN_MM = 1.0
"""Usual width of a bin."""

ERROR_BOUND = "_error_bound"
"""What follows a sequence's name in the column of its error bounds."""


def profile(
    saliency: BoxedMaps, around: Surroundings | None = None, *, width_mm: float = BIN_MM
) -> pd.DataFrame:
    """Average a saliency over bins of signed distance to the footprint's border.

    Parameters
    ----------
    saliency
        The maps of one footprint.
    around
        Its surroundings if they are known already; how distances are measured is said there.
    width_mm
        Width of the bins; the smallest voxel size where that is larger, since narrower bins would
        hold voxels by chance.

    Returns
    -------
    A row per bin from the depth of the footprint to 15 mm around it (index ``bin``), with

    ``from_mm``, ``to_mm``
        Edges of the bin: signed distance to the border, negative inside the footprint. 0 is an
        edge; the edge further from the border belongs to the bin. The last bin ends at 15 mm.
    ``distance_mm``
        Mean signed distance of the bin's voxels.
    ``voxels``
        Number of voxels in the bin. Voxels outside the head or in other lesions count too; the
        volume's border cuts a bin.
    one column per sequence, by its name
        Mean of the signed saliency over these voxels, in the map's unit; NaN in an empty bin.
    one column per sequence, its name followed by ``_error_bound``
        What the Monte-Carlo standard error of that mean is at most (see
        :class:`~napari_ies.saliency.reading_off.surroundings.Averages`); NaN where the map has no
        error.
    """
    around = around or surroundings(saliency)
    edges = _edges(around, max(width_mm, min(around.spacing)))
    zones = _bins(around.distance, edges)
    count = len(edges) - 1
    found = averages(saliency, around, zones, count)
    inside = (zones >= 0) & (zones < count)
    with np.errstate(invalid="ignore"):
        distances = (
            np.bincount(zones[inside], around.distance[inside], minlength=count) / found.voxels
        )
    columns = {
        "from_mm": edges[:-1],
        "to_mm": edges[1:],
        "distance_mm": distances,
        "voxels": found.voxels,
        **dict(zip(saliency.sequences, found.means, strict=True)),
        **{
            f"{name}{ERROR_BOUND}": bounds
            for name, bounds in zip(saliency.sequences, found.error_bounds, strict=True)
        },
    }
    return pd.DataFrame(columns).rename_axis("bin")


def describe_profile(saliency: BoxedMaps) -> dict[str, dict[str, str]]:
    """Describe the columns of :func:`profile` as a BIDS sidecar does."""
    columns = {
        "bin": {"Description": "Number of the bin, from the inside to the outside"},
        "from_mm": column(
            "Lower edge of the bin: signed distance from a voxel's centre to the nearest point of "
            "the footprint's border, negative inside",
            "mm",
        ),
        "to_mm": column("Upper edge of the bin", "mm"),
        "distance_mm": column("Mean signed distance of the bin's voxels to the border", "mm"),
        "voxels": column("Number of voxels in the bin", "1"),
    }
    for name in saliency.sequences:
        columns[name] = column(
            f"Mean signed saliency of the bin's voxels, sequence {name}", saliency.unit
        )
        columns[f"{name}{ERROR_BOUND}"] = column(
            "Upper bound of the Monte-Carlo standard error of that mean: the mean of the voxels' "
            "standard errors",
            saliency.unit,
        )
    return columns


def _edges(around: Surroundings, width: float) -> NDArray[np.float64]:
    """Return the edges of the bins: multiples of the width, and 15 mm as the last one."""
    finite = around.distance[np.isfinite(around.distance)]
    deepest = -float(finite.min(initial=0))
    inside = np.arange(int(np.ceil(deepest / width - 1e-6)), 0, -1)
    outside = np.arange(0, int(np.ceil(REACH_MM / width - 1e-6)) + 1)
    edges = np.concatenate([-inside, outside]) * width
    edges[-1] = REACH_MM
    return np.round(edges, DECIMALS)


def _bins(distance: NDArray[np.float32], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the bin of each voxel; the edge further from the border belongs to the bin."""
    exact = edges.astype(distance.dtype)
    lower, upper = (np.searchsorted(exact, distance, side) - 1 for side in ("right", "left"))
    return np.where(distance < 0, lower, upper)
