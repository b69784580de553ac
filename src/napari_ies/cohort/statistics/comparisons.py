"""True positive, false positive and missed lesions compared, measure by measure."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_ies.cohort.statistics.bootstrap import (
    Draws,
    cliffs_deltas,
    dominance,
    interval,
    means,
    medians,
)
from napari_ies.cohort.statistics.rows import MAP

if TYPE_CHECKING:
    from collections.abc import Sequence

GROUPS = ("TP", "FP", "FN")
MEASURES = {
    "peak_positive": "largest value of the map",
    "peak_negative": "smallest value of the map",
    "mean_inside": "mean over the lesion's voxels",
    "positive_fraction_inside": "fraction of the lesion's voxels above 0",
    "share": "share of the sequence in all magnitudes",
}
"""What is compared, in words."""
BETWEEN_SEQUENCES = ("share",)
"""Says nothing where there is one map for all sequences."""


def summarise(rows: pd.DataFrame, draws: Draws) -> pd.DataFrame:
    """Return median and quartiles of each measure in each group.

    Parameters
    ----------
    rows
        See :func:`~napari_ies.cohort.statistics.rows.lesion_rows`.
    draws
        Of all patients.

    Returns
    -------
    A row per method, aggregation, sequence, measure and match, with ``lesions``, ``patients``,
    ``median``, ``median_low``, ``median_high`` (95 % bootstrap interval by patient), ``quartile_1``
    and ``quartile_3``.
    """
    found: list[dict[str, Any]] = []
    for kind, its in _maps(rows):
        for measure in _measures(kind):
            groups = {str(match): group for match, group in its.groupby("match")}
            for match in sorted(groups, key=_rank):
                values, patients = _values(groups[match], measure)
                if not values.size:
                    continue
                bounds = interval(medians(values, draws.number(patients), draws), len({*patients}))
                quartiles = np.percentile(values, (25, 50, 75))
                found.append(
                    {
                        **kind,
                        "measure": measure,
                        "match": match,
                        "lesions": len(values),
                        "patients": len(set(patients)),
                        "median": quartiles[1],
                        "median_low": bounds[0],
                        "median_high": bounds[1],
                        "quartile_1": quartiles[0],
                        "quartile_3": quartiles[2],
                    }
                )
    return pd.DataFrame(found)


def compare(rows: pd.DataFrame, draws: Draws) -> pd.DataFrame:
    """Compare each measure between each two groups.

    The parameters are as for :func:`summarise`.

    Returns
    -------
    A row per method, aggregation, sequence, measure and pair of groups, with ``first``, ``second``,
    the numbers of lesions ``lesions_first`` and ``lesions_second``, ``u`` and ``p`` of the
    two-sided Mann-Whitney test, ``q`` (p adjusted by Benjamini and Hochberg over all rows),
    ``cliffs_delta`` (from -1, all of the first smaller, to 1, all larger) and
    ``median_difference``, first less second, each with ``…_low`` and ``…_high``, the 95 %
    bootstrap interval by patient. The test takes lesions as independent of one another, which
    those of one patient are not; the intervals do not.
    """
    from scipy.stats import false_discovery_control, mannwhitneyu

    found: list[dict[str, Any]] = []
    for kind, its in _maps(rows):
        groups = {str(match): group for match, group in its.groupby("match")}
        for measure in _measures(kind):
            for pair in combinations([name for name in GROUPS if name in groups], 2):
                sides = [_values(groups[name], measure) for name in pair]
                if not all(values.size for values, _ in sides):
                    continue
                test = mannwhitneyu(sides[0][0], sides[1][0], alternative="two-sided")
                found.append(
                    {
                        **kind,
                        "measure": measure,
                        "first": pair[0],
                        "second": pair[1],
                        "lesions_first": len(sides[0][0]),
                        "lesions_second": len(sides[1][0]),
                        "u": float(test.statistic),
                        "p": float(test.pvalue),
                        "q": np.nan,
                        **_effects(sides, draws),
                    }
                )
    table = pd.DataFrame(found, columns=_COMPARED)
    if len(table):
        table["q"] = false_discovery_control(table["p"], method="bh")
    return table


def average_profiles(profiles: pd.DataFrame, draws: Draws) -> pd.DataFrame:
    """Average the radial profiles of each group, lesions weighted alike.

    Parameters
    ----------
    profiles
        See :func:`~napari_ies.cohort.statistics.rows.profile_rows`.
    draws
        Of all patients.

    Returns
    -------
    A row per method, aggregation, sequence, match and bin, with ``from_mm``, ``to_mm``,
    ``lesions`` (those with voxels in the bin), ``mean``, ``mean_low`` and ``mean_high``. Where
    bins of several widths occur, those of another voxel size have rows of their own.
    """
    filled = profiles[profiles["voxels"] > 0]
    found: list[dict[str, Any]] = []
    names = [*MAP, "match", "from_mm", "to_mm"]
    for key, group in filled.groupby(names, sort=True):
        values, patients = _values(group, "value")
        if not values.size:
            continue
        bounds = interval(means(values, draws.number(patients), draws), len({*patients}))
        found.append(
            {
                **dict(zip(names, key, strict=True)),
                "lesions": len(values),
                "mean": float(values.mean()),
                "mean_low": bounds[0],
                "mean_high": bounds[1],
            }
        )
    return pd.DataFrame(found)


_INTERVALS = ("cliffs_delta", "median_difference")
_COMPARED = [
    *MAP,
    *("measure", "first", "second", "lesions_first", "lesions_second", "u", "p", "q"),
    *(f"{name}{end}" for name in _INTERVALS for end in ("", "_low", "_high")),
]


def _effects(sides: Sequence[tuple[Any, list[str]]], draws: Draws) -> dict[str, float]:
    (first, patients), (second, others) = sides
    whose = draws.number(patients), draws.number(others)
    # An interval of two groups rests on no more patients than the smaller has.
    number = min(len({*patients}), len({*others}))
    table = dominance(first, second, whose, len(draws.patients))
    known = {
        "cliffs_delta": (
            float(table.sum() / (len(first) * len(second))),
            cliffs_deltas(table, whose, draws),
        ),
        "median_difference": (
            float(np.median(first) - np.median(second)),
            medians(first, whose[0], draws) - medians(second, whose[1], draws),
        ),
    }
    effects: dict[str, float] = {}
    for name, (value, drawn) in known.items():
        low, high = interval(drawn, number)
        effects |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return effects


def _rank(match: str) -> int:
    return GROUPS.index(match) if match in GROUPS else len(GROUPS)


def _maps(rows: pd.DataFrame) -> list[tuple[dict[str, str], pd.DataFrame]]:
    groups = rows.groupby(list(MAP), sort=True)
    return [(dict(zip(MAP, map(str, key), strict=True)), its) for key, its in groups]


def _measures(kind: dict[str, str]) -> list[str]:
    alone = kind["sequence"] == "all"
    return [name for name in MEASURES if not (alone and name in BETWEEN_SEQUENCES)]


def _values(group: pd.DataFrame, name: str) -> tuple[Any, list[str]]:
    known = group[group[name].notna()]
    return known[name].to_numpy(dtype=np.float64), known["subject"].astype(str).tolist()
