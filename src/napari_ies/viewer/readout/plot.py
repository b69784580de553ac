"""The plot of the readout: signed saliency against signed distance to the lesion's border."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.printable import printable
from napari_ies.saliency.reading_off.surroundings import REACH_MM
from napari_ies.viewer.state.scaled import common_power, scaled_unit

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from napari_ies.viewer.panel.plot import Sheet

STYLES = (
    ("#E69F00", "-", "o"),
    ("#56B4E9", "--", "s"),
    ("#009E73", ":", "^"),
    ("#CC79A7", "-.", "D"),
)
"""Colour, dash and marker of each sequence. The colours are of Okabe and Ito's set, which
colour-blind readers tell apart (*Color Universal Design*, 2008), on dark and on light."""

FONT_POINTS = 8
LONGEST_NAME = 40
"""Characters of a sequence's name in the legend."""


def profile_figure(
    profile: pd.DataFrame, sequences: tuple[str, ...], unit: str, sheet: Sheet
) -> Figure:
    """Make the figure of a profile: a line per sequence, zero lines, inside and outside in words.

    Parameters
    ----------
    profile
        See :func:`napari_ies.saliency.reading_off.distance_profile.profile`.
    sequences
        Its columns to draw.
    unit
        Their unit.
    sheet
        Size and colours.
    """
    figure, axes = sheet.page()
    filled = profile[profile["voxels"] > 0]
    values = filled[list(sequences)].to_numpy()
    power = common_power(float(np.abs(values).max(initial=0.0)))
    axes.axhline(0, color=sheet.faint, linewidth=0.8, zorder=1)
    axes.axvline(0, color=sheet.faint, linewidth=0.8, zorder=1)
    for number, name in enumerate(sequences):
        colour, dash, marker = STYLES[number % len(STYLES)]
        axes.plot(
            filled["distance_mm"],
            filled[name] / 10**power,
            color=colour,
            linestyle=dash,
            marker=marker,
            markersize=3,
            linewidth=1.5,
            label="all sequences" if name == "all" else printable(str(name), LONGEST_NAME),
        )
    axes.set_xlim(min(float(filled["from_mm"].min()), -1.0) - 0.3, REACH_MM + 0.3)
    _write(axes, scaled_unit(unit, power).replace("standard deviation", "SD"), sheet)
    return figure


def _write(axes: Axes, unit: str, sheet: Sheet) -> None:
    """Write what the axes are, in the colours of the theme."""
    words: dict[str, Any] = {"fontsize": FONT_POINTS, "color": sheet.text}
    axes.set_xlabel("Distance from the border (mm)", **words)
    axes.set_ylabel(f"Mean saliency\n({unit})", **words)
    for word, side, offset in (("inside", "right", -3), ("outside", "left", 3)):
        axes.annotate(
            word,
            xy=(0.0, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(offset, 2),
            textcoords="offset points",
            ha=side,
            va="bottom",
            **words,
        )
    axes.tick_params(color=sheet.faint, labelcolor=sheet.text, labelsize=FONT_POINTS)
    for spine in axes.spines.values():
        spine.set_color(sheet.faint)
    axes.spines[["top", "right"]].set_visible(False)
    legend = axes.legend(
        loc="upper right",
        fontsize=FONT_POINTS,
        frameon=False,
        handlelength=2.8,
        labelcolor=sheet.text,
    )
    for text in legend.get_texts():  # a name may hold what matplotlib takes for a formula
        text.set_parse_math(False)
