"""The paper's two plots of the context: how sure the network is, and how many lesions it finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ies.cohort.chart import STYLES, chart, label_axes, legend
from napari_ies.cohort.context.table import curve

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from matplotlib.figure import Figure

ACROSS = "Kept around the lesion (mm)"


def probability_figure(rows: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the mean probability in the lesions against distance, with its standard deviation.

    Parameters
    ----------
    rows
        The rows of :func:`~napari_ies.cohort.context.table.context_rows` of each curve, by its
        name, such as that of the network. Lesions are weighted alike; the band reaches one
        standard deviation over the lesions up and down, as in the paper.
    """
    figure = chart()
    axes = figure.subplots()
    for number, (name, its) in enumerate(rows.items()):
        colour, dash = STYLES[number % len(STYLES)]
        values = curve(its)
        across, mean, deviation = values["distance_mm"], values["mean"], values["deviation"]
        axes.plot(across, mean, color=colour, linestyle=dash, label=_named(name, values))
        if values["lesions"].max() > 1:
            axes.fill_between(
                across, mean - deviation, mean + deviation, color=colour, alpha=0.15, linewidth=0
            )
    label_axes(axes, ACROSS, "Mean probability in the lesion")
    axes.set_xlim(left=0)
    axes.set_ylim(0, 1)
    legend(axes, loc="lower right")
    return figure


def detected_figure(rows: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw how many of the lesions are detected against distance.

    The rows are as for :func:`probability_figure`.
    """
    from matplotlib.ticker import MaxNLocator

    figure = chart()
    axes = figure.subplots()
    for number, (name, its) in enumerate(rows.items()):
        colour, dash = STYLES[number % len(STYLES)]
        values = curve(its)
        axes.step(
            values["distance_mm"],
            values["detected"],
            where="mid",
            color=colour,
            linestyle=dash,
            label=_named(name, values),
        )
    label_axes(axes, ACROSS, "Lesions detected")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    legend(axes, loc="lower right")
    return figure


def _named(name: str, values: pd.DataFrame) -> str:
    count = int(values["lesions"].max())
    return f"{name} ({count} lesion{'' if count == 1 else 's'})"
