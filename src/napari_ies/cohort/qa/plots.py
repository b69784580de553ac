"""Plots of a model of errors: what a threshold costs, and whether probabilities come true."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ies.cohort.chart import STYLES, TEXT_PT, chart, label_axes, legend

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from napari_ies.cohort.qa.evaluation import Evaluation


def threshold_figure(evaluation: Evaluation) -> Figure:
    """Draw the shares of false positives removed and of true positives lost, with intervals."""
    table, figure = evaluation.thresholds, chart()
    axes = figure.subplots()
    curves = {"fp_removed": "False positives removed", "tp_lost": "True positives lost"}
    for (colour, dash), (name, words) in zip(STYLES, curves.items(), strict=False):
        axes.step(
            *(table["threshold"], table[f"{name}_share"]),
            where="pre",
            color=colour,
            linestyle=dash,
            label=words,
        )
        axes.fill_between(
            table["threshold"],
            table[f"{name}_low"],
            table[f"{name}_high"],
            color=colour,
            alpha=0.15,
            linewidth=0,
            step="pre",
        )
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.02, 1.02)
    label_axes(axes, "Lesions are left out from this probability on", "Share of the lesions")
    legend(axes, loc="upper right")
    return figure


def calibration_figure(evaluation: Evaluation) -> Figure:
    """Draw how often probabilities came true, with intervals and numbers of lesions."""
    table, figure = evaluation.calibration, chart(95.0, 95.0)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.5", linewidth=0.8, linestyle="--", label="as predicted")
    observed = table["observed"]
    spread = [
        (observed - table["observed_low"]).clip(lower=0).fillna(0),
        (table["observed_high"] - observed).clip(lower=0).fillna(0),
    ]
    axes.errorbar(
        table["predicted"],
        observed,
        yerr=spread,
        color=STYLES[0][0],
        marker="o",
        markersize=4,
        linewidth=1,
        capsize=2,
        label="observed (95 %)",
    )
    for _, row in table.iterrows():
        axes.annotate(
            f"{int(row['lesions'])}",
            (row["predicted"], row["observed"]),
            xytext=(4, -9),
            textcoords="offset points",
            fontsize=TEXT_PT - 2,
            color="0.35",
        )
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")
    label_axes(axes, "Predicted probability of a false positive", "Share of false positives")
    legend(axes, loc="upper left")
    return figure
