"""The plot of the readout: signed saliency against signed distance to the lesion's border.

Matplotlib takes longer for a picture than the window may stand still, so it draws in the thread
that measures, and the window only paints the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QRect, Signal
from qtpy.QtGui import QImage, QPainter
from qtpy.QtWidgets import QWidget

from napari_ies.printable import printable
from napari_ies.saliency.reading_off.surroundings import REACH_MM
from napari_ies.viewer.readout.words import common_power, scaled_unit

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from qtpy.QtGui import QPaintEvent, QResizeEvent

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
DOTS_PER_INCH = 96
"""Of a screen without magnification."""
MARGINS_INCH = (0.7, 0.42, 0.08, 0.2)
"""Room for the text left of the axes, below, right of them and above."""


@dataclass(frozen=True)
class Sheet:
    """What a plot is drawn on."""

    width: int
    """In the screen's units, as is the height."""
    height: int
    ratio: float
    """Pixels per unit."""
    background: str
    """Behind the plot; this and the next two are colours of napari's theme."""
    text: str
    """Of its text."""
    faint: str
    """Of its axes and zero lines."""


class Plot(QWidget):
    """Paints a picture of a plot, and says when one of another size is needed."""

    resized = Signal()
    """The size changed; until a new picture comes, the one before is stretched."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("profile")
        self.setMinimumHeight(220)
        self.setToolTip(
            "How far from the lesion's border the network looks: the mean of the map over all "
            "voxels at a distance, inside the lesion (negative) and outside, in bins of 1 mm (or "
            "of one voxel, where that is larger). A voxel's distance is that of its centre."
        )
        self._picture: QImage | None = None

    def set_picture(self, picture: NDArray[np.uint8] | None) -> None:
        """Paint another picture, uint8 (rows, columns, RGBA), or none."""
        if picture is None:
            self._picture = None
        else:
            rows, columns, _ = picture.shape
            form = QImage.Format.Format_RGBA8888
            # A copy: Qt does not keep the array alive.
            self._picture = QImage(picture.tobytes(), columns, rows, 4 * columns, form).copy()
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint the picture, stretched if it has another size."""
        if self._picture is not None:
            painter = QPainter(self)
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawImage(QRect(0, 0, self.width(), self.height()), self._picture)
            painter.end()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Say that the size changed."""
        super().resizeEvent(event)
        self.resized.emit()


def draw(figure: Figure) -> NDArray[np.uint8]:
    """Return the picture of a figure, uint8 (rows, columns, RGBA)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.array(canvas.buffer_rgba(), dtype=np.uint8)  # type: ignore[no-untyped-call]


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
    from matplotlib.figure import Figure

    width, height = sheet.width / DOTS_PER_INCH, sheet.height / DOTS_PER_INCH
    figure = Figure(
        figsize=(width, height), dpi=DOTS_PER_INCH * sheet.ratio, facecolor=sheet.background
    )
    # Matplotlib's own layouts lay the text out twice, which doubles the time.
    left, bottom, right, top = MARGINS_INCH
    axes = figure.add_axes(
        (left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + top) / height),
        facecolor=sheet.background,
    )
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
