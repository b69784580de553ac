"""Two saliency maps side by side: how far they agree, and where they differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_ies.errors import SaliencyError
from napari_ies.geometry.box import Box
from napari_ies.saliency.request import ALL_SEQUENCES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_ies.saliency.saliency import Saliency

REGION_MM = 15.0
"""How far around the footprints maps are compared: as far as the shells of the readout reach."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """What two saliency maps, A and B, have in common.

    Parameters
    ----------
    agreement
        A row per sequence that both have (index ``sequence``), or None for two footprints without
        a common voxel, whose maps lie at different places; with

        ``pearson``, ``spearman``
            Correlation of the two maps' values over the region; NaN where one is constant.
        ``norm_ratio``
            Euclidean norm of A divided by that of B over the region; NaN between units.
        ``equal_signs``
            Fraction of the region's voxels where both are positive or both are negative; NaN
            where one map has no sign.
        ``voxels``
            Size of the region.

        The region of a sequence is every voxel within 15 mm of either footprint (between voxel
        centres) at which at least one of the two maps is not exactly 0.
    measures
        The measures of both maps: a row per sequence and measure, a column each for A and B.
    sequences, box, difference
        A − B, float32 (C, x, y, z), in the unit of the maps, on the box of the grid outside which
        both are 0, a map per name in `sequences`; None where there is no such thing.
    note
        What a reader must know about it, in whole sentences.
    """

    agreement: pd.DataFrame | None
    measures: pd.DataFrame
    sequences: tuple[str, ...]
    box: Box
    difference: NDArray[np.float32] | None
    note: str


def compare(a: Saliency, b: Saliency) -> Comparison:
    """Compare two saliency maps on one grid.

    Like is compared with like: sequence by sequence between maps of SmoothGrad, whatever their
    aggregation and network; the single map of Grad-CAM++ with another of its kind. Grad-CAM++
    against SmoothGrad is compared with the sum over the sequences of SmoothGrad's magnitudes, since
    it has neither sequences nor a sign; only their correlation then has a meaning.

    Raises
    ------
    SaliencyError
        If they do not lie on one grid, or have no sequence in common.
    """
    if not a.grid.same_as(b.grid):
        raise SaliencyError(
            f"One map lies on a grid of {a.shape} voxels, the other on {b.shape}, or elsewhere; "
            "expected two maps of the same images."
        )
    box = Box.hull((a.box, b.box))
    measures = _measures(a, b)
    if not (a.box.lay(a.footprint, box) & b.box.lay(b.footprint, box)).any():
        note = (
            "The two regions have no voxel in common, so their maps are not compared voxel by "
            "voxel; their measures stand side by side."
        )
        return Comparison(None, measures, (), box, None, note)
    same_kind = a.request.method == b.request.method
    sequences, first, second = _paired(a, b, box)
    near = near_footprints(a, b, box)
    signed = a.request.is_smoothgrad and b.request.is_smoothgrad
    rows = [
        _agreement(one[near], other[near], comparable=same_kind, signed=signed)
        for one, other in zip(first, second, strict=True)
    ]
    agreement = pd.DataFrame(rows, index=pd.Index(sequences, name="sequence"))
    note = (
        "Over all voxels within 15 mm of the region at which either map is not 0."
        if same_kind
        else "Grad-CAM++ has one map without a sign: it is correlated with the sum of SmoothGrad's "
        "magnitudes over the sequences, within 15 mm of the region. Their units differ, so there "
        "is no difference."
    )
    difference = (first - second).astype(np.float32) if same_kind else None
    return Comparison(agreement, measures, sequences, box, difference, note)


def near_footprints(a: Saliency, b: Saliency, box: Box) -> NDArray[np.bool_]:
    """Return which voxels of a box lie within 15 mm of either footprint, bool (x, y, z)."""
    from scipy import ndimage

    inside = a.box.lay(a.footprint, box) | b.box.lay(b.footprint, box)
    distance = ndimage.distance_transform_edt(~inside, sampling=a.grid.spacing)
    return np.asarray(distance <= REGION_MM)


def _agreement(
    a: NDArray[np.float64], b: NDArray[np.float64], *, comparable: bool, signed: bool
) -> dict[str, float]:
    from scipy import stats

    some = (a != 0) | (b != 0)
    a, b = a[some], b[some]
    constant = a.size < 2 or np.ptp(a) == 0 or np.ptp(b) == 0
    norm = float(np.linalg.norm(b))
    return {
        "pearson": np.nan if constant else float(stats.pearsonr(a, b).statistic),
        "spearman": np.nan if constant else float(stats.spearmanr(a, b).statistic),
        "norm_ratio": float(np.linalg.norm(a)) / norm if comparable and norm > 0 else np.nan,
        "equal_signs": float((a * b > 0).mean()) if signed and a.size else np.nan,
        "voxels": int(a.size),
    }


def _paired(
    a: Saliency, b: Saliency, box: Box
) -> tuple[tuple[str, ...], NDArray[np.float64], NDArray[np.float64]]:
    """Return the sequences that are compared, and both maps of each in float64 on a box."""
    maps = [s.box.lay(s.cropped.astype(np.float64), box) for s in (a, b)]
    if a.request.method != b.request.method:
        magnitudes = [np.abs(whole).sum(axis=0, keepdims=True) for whole in maps]
        return (ALL_SEQUENCES,), magnitudes[0], magnitudes[1]
    common = tuple(name for name in a.sequences if name in b.sequences)
    if not common:
        raise SaliencyError(
            f"One map has the sequences {', '.join(a.sequences)}, the other "
            f"{', '.join(b.sequences)}; expected at least one that both have."
        )
    first, second = (
        whole[[s.sequences.index(name) for name in common]]
        for whole, s in zip(maps, (a, b), strict=True)
    )
    return common, first, second


def _measures(a: Saliency, b: Saliency) -> pd.DataFrame:
    columns = {"A": a.measures.stack(), "B": b.measures.stack()}
    table = pd.DataFrame(columns)
    order = [*dict.fromkeys((*a.sequences, *b.sequences))]
    return table.reindex(order, level=0).rename_axis(["sequence", "measure"])
