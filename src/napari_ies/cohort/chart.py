"""Charts of a cohort: their looks, and their files, in which nothing depends on the day."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

from napari_ies.figures.style import DPI, MM_PER_INCH, drawing_settings
from napari_ies.printable import printable
from napari_ies.versions import __version__

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLES = (
    ("#0072B2", "-"),
    ("#D55E00", "--"),
    ("#009E73", "-."),
    ("#CC79A7", ":"),
    ("#56B4E9", "-"),
    ("#E69F00", "--"),
)
"""Colour and dash of each curve: the colours of Okabe and Ito, which colour-blind readers tell
apart (*Color Universal Design*, 2008); printed in grey, the dashes do."""
WIDTH_MM, HEIGHT_MM = 120.0, 85.0
TEXT_PT = 8.0
LONGEST_NAME = 40
"""Characters of a name in a legend."""


def chart(width_mm: float = WIDTH_MM, height_mm: float = HEIGHT_MM) -> Figure:
    """Return an empty page for a chart."""
    from matplotlib.figure import Figure

    size = width_mm / MM_PER_INCH, height_mm / MM_PER_INCH
    return Figure(figsize=size, facecolor="white", layout="constrained")


def label_axes(axes: Axes, across: str, up: str) -> None:
    """Say what the axes are, and take away the lines that say nothing."""
    axes.set_xlabel(across, fontsize=TEXT_PT)
    axes.set_ylabel(up, fontsize=TEXT_PT)
    axes.tick_params(labelsize=TEXT_PT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, color="0.9", linewidth=0.5)
    axes.set_axisbelow(True)


def legend(axes: Axes, **where: Any) -> None:
    """Write the names of the curves, as they are: what looks like a formula is none."""
    shown = axes.legend(fontsize=TEXT_PT, frameon=False, **where)
    for text in shown.get_texts():
        text.set_text(printable(text.get_text(), LONGEST_NAME))
        text.set_parse_math(False)


def chart_writer(draw: Callable[[], Figure], title: str) -> Callable[[Path], None]:
    """Return what draws a chart and writes it to a path, PNG, SVG or PDF by its ending."""

    def put(path: Path) -> None:
        form = path.suffix.lower().removeprefix(".")
        path.write_bytes(chart_bytes(draw, title, form))

    return put


def chart_bytes(draw: Callable[[], Figure], title: str, form: str) -> bytes:
    """Draw a chart as the bytes of a file; equal charts give equal bytes."""
    buffer = BytesIO()
    with drawing_settings():
        metadata: dict[str, Any] = {"Title": title}
        metadata["Software" if form == "png" else "Creator"] = f"napari-ies {__version__}"
        undated = {"svg": "Date", "pdf": "CreationDate"}
        if form in undated:
            metadata[undated[form]] = None
        draw().savefig(buffer, format=form, dpi=DPI, metadata=metadata)
    return buffer.getvalue()
