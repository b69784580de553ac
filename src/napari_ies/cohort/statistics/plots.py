"""Plots of a cohort's maps: every lesion a point, and the maps against distance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_ies.cohort.chart import STYLES, TEXT_PT, chart, label_axes, legend
from napari_ies.cohort.statistics.comparisons import GROUPS, MEASURES
from napari_ies.cohort.statistics.rows import NO_MATCH

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

WIDTH_MM, HEIGHT_MM = 180.0, 95.0
SPREAD = 0.32
"""How far a point may lie from the middle of its group, in groups."""
COLOURS = dict(zip((*GROUPS, NO_MATCH), (style for style, _ in STYLES), strict=False))
NAMES = {NO_MATCH: "lesions"}


def points_figure(rows: pd.DataFrame, summary: pd.DataFrame, measure: str) -> Figure:
    """Draw a measure of one method: a panel per sequence, every lesion a point.

    Parameters
    ----------
    rows, summary
        Of one method and aggregation: see
        :func:`~napari_ies.cohort.statistics.rows.lesion_rows` and
        :func:`~napari_ies.cohort.statistics.comparisons.summarise`.
    measure
        Its column.
    """
    sequences = list(dict.fromkeys(rows["sequence"]))
    figure = chart(WIDTH_MM, HEIGHT_MM)
    panels = figure.subplots(1, len(sequences), sharey=True, squeeze=False)[0]
    for axes, sequence in zip(panels, sequences, strict=True):
        its = rows[rows["sequence"] == sequence]
        known = summary[(summary["sequence"] == sequence) & (summary["measure"] == measure)]
        _draw_points(axes, its, known, measure)
        _title(axes, sequence)
    label_axes(panels[0], "", MEASURES[measure].capitalize())
    return figure


def profile_figure(profiles: pd.DataFrame, unit: str) -> Figure:
    """Draw the mean profiles of one method: a panel per sequence, a curve per group.

    Parameters
    ----------
    profiles
        See :func:`~napari_ies.cohort.statistics.comparisons.average_profiles`.
    unit
        Of the map.
    """
    sequences = list(dict.fromkeys(profiles["sequence"]))
    figure = chart(WIDTH_MM, HEIGHT_MM)
    panels = figure.subplots(1, len(sequences), sharey=True, squeeze=False)[0]
    for axes, sequence in zip(panels, sequences, strict=True):
        for match, group in profiles[profiles["sequence"] == sequence].groupby("match"):
            middle = (group["from_mm"] + group["to_mm"]) / 2
            colour = COLOURS.get(str(match), "black")
            count = int(group["lesions"].max())
            name = f"{NAMES.get(str(match), match)} ({count})"
            axes.plot(middle, group["mean"], color=colour, label=name)
            axes.fill_between(
                middle,
                group["mean_low"],
                group["mean_high"],
                color=colour,
                alpha=0.15,
                linewidth=0,
            )
        axes.axvline(0, color="0.5", linewidth=0.8)
        axes.axhline(0, color="0.5", linewidth=0.8)
        label_axes(axes, "Distance from the border (mm)", "")
        _title(axes, sequence)
    panels[0].set_ylabel(f"Mean saliency\n({unit})", fontsize=TEXT_PT)
    legend(panels[-1], loc="upper right")
    return figure


def _draw_points(axes: Axes, rows: pd.DataFrame, summary: pd.DataFrame, measure: str) -> None:
    present = set(rows["match"])
    groups = [name for name in (*GROUPS, NO_MATCH) if name in present]
    for place, name in enumerate(groups):
        values = rows.loc[rows["match"] == name, measure].dropna().to_numpy(dtype=float)
        axes.scatter(
            place + _spread(values),
            values,
            s=6,
            color=COLOURS[name],
            alpha=0.5,
            linewidths=0,
            rasterized=len(values) > 5000,
        )
        for _, row in summary[summary["match"] == name].iterrows():
            axes.hlines(row["median"], place - 0.4, place + 0.4, color="black", linewidth=1.2)
            axes.vlines(place, row["median_low"], row["median_high"], color="black", linewidth=1.2)
    names = [f"{NAMES.get(name, name)}\n{int((rows['match'] == name).sum())}" for name in groups]
    axes.set_xticks(range(len(groups)), names, fontsize=TEXT_PT)
    axes.set_xlim(-0.6, len(groups) - 0.4)
    label_axes(axes, "", "")


def _spread(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far each point is moved aside, the same whenever it is drawn."""
    golden = (np.sqrt(5) - 1) / 2
    order = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return np.asarray(((order * golden) % 1 - 0.5) * 2 * SPREAD)


def _title(axes: Axes, text: str) -> None:
    axes.set_title(text, fontsize=TEXT_PT, loc="left").set_parse_math(False)


def figures(
    rows: pd.DataFrame, summary: pd.DataFrame, profiles: pd.DataFrame, measures: Sequence[str]
) -> list[tuple[str, Figure]]:
    """Return the figures of one method and aggregation, each with its heading."""
    found = [
        (MEASURES[measure].capitalize(), points_figure(rows, summary, measure))
        for measure in measures
        if rows[measure].notna().any()
    ]
    unit = "logit × activation" if rows["method"].iloc[0] == "gradcam++" else "logit per SD"
    found.append(("Against distance from the lesion's border", profile_figure(profiles, unit)))
    return found
