"""Marks: the texts and measures on a figure: orientation, scale, lines of words, numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_ies.figures.style import MM_PER_POINT, SMALL_PT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
        fontproperties=FontProperties(family=["DejaVu Sans"], size=SMALL_PT),
    )
    bar.patch.set(**_BEHIND)
    axes.add_artist(bar)


def text_width(text: str, size: float) -> float:
    """Return how wide a text is, in mm; the size of its font in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=["DejaVu Sans"], size=size)
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


def number_text(value: float) -> str:
    """Return a number with two digits and a proper minus sign."""
    return f"{value:.2g}".replace("-", "−")


def shortened(text: str, longest: int = 36) -> str:
    """Return a text that is not too long for a legend."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
