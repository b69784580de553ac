"""Style: the looks that every figure shares: fonts, themes, line widths."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from napari_ies.colour_maps import OUTLINE_SELECTED

if TYPE_CHECKING:
    from collections.abc import Iterator

MM_PER_INCH = 25.4
POINTS_PER_MM = 72 / MM_PER_INCH
MM_PER_POINT = MM_PER_INCH / 72

DPI = 300
"""Resolution of pixel images, and of the images inside vector files."""

FONTS = ("Arial", "Helvetica", "Liberation Sans", "DejaVu Sans")
"""What journals ask for, and what has the same letters or comes with matplotlib: the first that
is installed is taken."""

RC: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.weight": "normal",
    "text.usetex": False,
    # Letters are as wide at any resolution, so that lines break where they were measured to.
    "text.hinting": "none",
    "text.parse_math": False,
    "axes.unicode_minus": True,
    "axes.linewidth": 0.5,
    "image.composite_image": False,
    "image.resample": True,
    "path.snap": False,
    "path.sketch": None,
    "path.effects": [],
    "savefig.bbox": None,
    "svg.fonttype": "none",
    "svg.hashsalt": "napari-ies",
    "pdf.fonttype": 42,
}
"""Text stays text, and equal figures give equal files, whatever a person's own settings are."""

NAME_PT, HEADING_PT, UNIT_PT = 7.5, 7.0, 6.5
SMALL_PT = 6.0
"""Of marks on the images, numbers and the method line: the least that stays readable."""

THINNEST_PT, OUTLINE_PER_VOXEL = 0.3, 0.35
"""Width of an outline: a share of a voxel, from the thinnest to what is set."""
CASING = (0.0, 0.0, 0.0, 0.6)
"""The dark line under an outline that sets it off from a bright image."""
CASING_WIDTHS = 2.2
"""How many times as wide as the outline it is."""
HIDDEN_PARTS = 4
"""One part of so many is the most that an outline and its casing hide of what they surround."""
SWATCH_MM = 4.0
"""Width of the outline's sample in the legend."""

BEHIND_BAR = 0.35
"""Grey behind the tips of a colour bar, for the image that the overlay lets through."""
BAR_GREYS = 16
"""Steps of grey behind a colour bar, from black to white."""


@dataclass(frozen=True)
class Line:
    """How an outline looks."""

    colour: tuple[float, float, float, float]
    dashes: tuple[float, float] | None = None
    """Of how many times its width a dash and a gap are; None for a whole line."""


@dataclass(frozen=True)
class Stroke:
    """How wide an outline is drawn."""

    width: float
    """In points."""
    cased: bool = True
    """Whether it lies over a darker and broader one."""


LESION_LINE = Line(OUTLINE_SELECTED)
REFERENCE_LINE = Line((1.0, 1.0, 1.0, 1.0), (4.0, 2.5))


@dataclass(frozen=True)
class Theme:
    """Colours of the page around the images."""

    page: str
    """Background."""
    text: str
    """Of text."""
    faint: str
    """Of text of less importance."""


THEMES = {
    "light": Theme(page="white", text="black", faint="#4d4d4d"),
    "dark": Theme(page="black", text="white", faint="#b3b3b3"),
}


@cache
def font_family() -> str:
    """Return the first of :data:`FONTS` that is installed."""
    from matplotlib.font_manager import FontProperties, fontManager

    for family in FONTS:
        try:
            fontManager.findfont(FontProperties(family=[family]), fallback_to_default=False)
        except ValueError:
            continue
        return family
    return FONTS[-1]


@contextmanager
def drawing_settings() -> Iterator[None]:
    """Draw and write as :data:`RC` says; matplotlib's settings are as before afterwards."""
    import matplotlib as mpl

    with mpl.rc_context(RC | {"font.sans-serif": list(dict.fromkeys((font_family(), FONTS[-1])))}):
        yield
