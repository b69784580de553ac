"""Marks: the texts and measures on a figure: orientation, scale, lines of words, numbers."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from napari_ies.figures.style import (
    CASING,
    CASING_WIDTHS,
    MM_PER_POINT,
    NAME_PT,
    SMALL_PT,
    Line,
    Stroke,
    font_family,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from napari_ies.figures.page import Panel

LONG_BAR_FROM_MM = 80.0
"""From this width of what a panel shows, its scale bar is 20 mm long instead of 10."""

_BEHIND: dict[str, Any] = {"facecolor": "black", "edgecolor": "none", "alpha": 0.4}
"""White marks stand on a dark patch, as they may lie over bright tissue."""


def draw_marks(axes: Axes, marks: tuple[str, str, str, str]) -> None:
    """Write where the left, right, top and bottom edge of a panel lie in the patient."""
    places = ((0, 0.5), (1, 0.5), (0.5, 1), (0.5, 0))
    inwards = ((2, 0), (-2, 0), (0, -2), (0, 2))
    aligned = (("left", "center"), ("right", "center"), ("center", "top"), ("center", "bottom"))
    for mark, place, offset, (across, down) in zip(marks, places, inwards, aligned, strict=True):
        axes.annotate(
            mark,
            place,
            xycoords="axes fraction",
            xytext=offset,
            textcoords="offset points",
            size=SMALL_PT,
            color="white",
            ha=across,
            va=down,
            bbox={**_BEHIND, "pad": 0.6},
        )


def letters(panels: Iterable[Panel]) -> dict[Panel, str]:
    """Name panels a, b, c, …, aa, ab, …: row by row, from left to right."""
    order = sorted(panels, key=lambda panel: (panel.place.top, panel.place.left))
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    named = {}
    for number, panel in enumerate(order):
        more, last = divmod(number, len(alphabet))
        named[panel] = (alphabet[more - 1] if more else "") + alphabet[last]
    return named


def draw_letter(axes: Axes, letter: str) -> None:
    """Write a panel's letter into its upper left corner."""
    axes.annotate(
        letter,
        (0, 1),
        xycoords="axes fraction",
        xytext=(2, -2),
        textcoords="offset points",
        size=NAME_PT,
        weight="bold",
        color="white",
        ha="left",
        va="top",
        bbox={**_BEHIND, "pad": 0.8},
    )


def draw_outline(
    axes: Axes, lines: Sequence[NDArray[np.float64]], line: Line, stroke: Stroke, clip: bool = True
) -> None:
    """Draw lines of an outline, over a darker and broader one where there is room for that.

    Parameters
    ----------
    axes
        Where.
    lines
        Each (N, 2): the points that it runs through, in the axes' data.
    line
        How it looks.
    stroke
        How wide.
    clip
        Whether what lies outside the axes is left out.
    """
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    if not lines:
        return
    path = Path.make_compound_path(*(Path(points) for points in lines))
    casing = [(CASING, CASING_WIDTHS * stroke.width)] if stroke.cased else []
    for colour, points in (*casing, (line.colour, stroke.width)):
        drawn = PathPatch(path, fill=False, edgecolor=colour, linewidth=points)
        drawn.set_capstyle("projecting" if line.dashes is None else "butt")
        if line.dashes is not None and colour != CASING:
            drawn.set_linestyle((0, line.dashes))
        axes.add_patch(drawn).set_clip_on(clip)


def draw_scale_bar(axes: Axes, width: float, points: float) -> None:
    """Draw a scale bar of 10 or 20 mm in a panel's lower left corner.

    Parameters
    ----------
    axes
        The panel, whose data are mm.
    width
        How many mm it shows.
    points
        How wide it is on the page, in points.
    """
    from matplotlib.font_manager import FontProperties
    from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

    length = 20.0 if width >= LONG_BAR_FROM_MM else 10.0
    bar = AnchoredSizeBar(
        axes.transData,
        length,
        f"{length:g} mm",
        "lower left",
        pad=0.25,
        borderpad=0.25,
        sep=1.5,
        color="white",
        size_vertical=1.1 * width / points,
        fill_bar=True,
        fontproperties=FontProperties(family=[font_family()], size=SMALL_PT),
    )
    bar.patch.set(**_BEHIND)
    axes.add_artist(bar)


def text_width(text: str, size: float) -> float:
    """Return how wide a text is, in mm; the size of its font in points."""
    return _width_in(text, font_family(), size)


@lru_cache(maxsize=4096)  # a preview asks for the same words with each change
def _width_in(text: str, family: str, size: float) -> float:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=[family], size=size)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width) * MM_PER_POINT


def wrapped(text: str, size: float, width: float) -> list[str]:
    """Break a text into lines of at most a width.

    Parameters
    ----------
    text
        Without line breaks. A word that is too long has a line of its own.
    size
        Of the font, in points.
    width
        In mm.
    """
    lines: list[str] = []
    for word in text.split(" "):
        if lines and text_width(f"{lines[-1]} {word}", size) <= width:
            lines[-1] = f"{lines[-1]} {word}"
        else:
            lines.append(word)
    return lines


def shortened(text: str, longest: int = 36) -> str:
    """Return a text that is not too long for a legend."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
