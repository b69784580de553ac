"""Files: a figure as pixels, or written as PNG, SVG or PDF."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.errors import FigureError
from napari_ies.figures.drawing import draw_figure
from napari_ies.figures.settings import FORMATS
from napari_ies.figures.style import DPI, drawing_settings
from napari_ies.free_memory import within_memory
from napari_ies.versions import __version__

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_ies.figures.content import FigureContent
    from napari_ies.figures.settings import FigureSettings

MOST_DPI = 1200
"""A page of 400 mm has 19,000 pixels across then; journals print at 300 to 600."""
SMALLER = "draw this figure", "choose a narrower page, fewer sequences or fewer slices"


def figure_format(path: str | Path) -> str:
    """Return the format that a file name asks for: one of ``"png"``, ``"svg"``, ``"pdf"``.

    Raises
    ------
    FigureError
        If its ending is none of them.
    """
    ending = Path(path).suffix.lower().removeprefix(".")
    if ending not in FORMATS:
        raise FigureError(
            f"{Path(path).name} does not say which kind of file to write; expected a name that "
            "ends in .png, .svg or .pdf."
        )
    return ending


def save_figure(
    path: str | Path,
    content: FigureContent,
    settings: FigureSettings,
    *,
    overwrite: bool = False,
) -> Path:
    """Draw a figure and write it to a file, which appears whole or not at all.

    Parameters
    ----------
    path
        Ends in ``.png`` (300 dpi), ``.svg`` or ``.pdf`` (both with real text). Its folder is made
        if it is not there.
    content
        What it shows.
    settings
        How.
    overwrite
        Whether a file of that name is replaced.

    Returns
    -------
    The path written.

    Raises
    ------
    FigureError
        If the figure cannot be drawn, or the name has another ending.
    ResultsError
        If the file is there already, or the disk refuses.
    """
    from napari_ies.results.storage.writing import prepare, write  # PyTorch comes with results

    path = Path(path).expanduser()
    form = figure_format(path)
    folder = prepare(path.parent, [path.name], overwrite=overwrite)
    written = figure_bytes(content, settings, form)
    return write(folder, {path.name: lambda staged: staged.write_bytes(written)})[0]


def figure_bytes(content: FigureContent, settings: FigureSettings, form: str) -> bytes:
    """Draw a figure as the bytes of a file; equal figures give equal bytes.

    Parameters
    ----------
    content, settings
        See :func:`~napari_ies.figures.drawing.draw_figure`.
    form
        ``"png"``, ``"svg"`` or ``"pdf"``.
    """
    buffer = BytesIO()
    if form == "png":
        _save_pixels(buffer, figure_pixels(content, settings), _metadata(content, form))
        return buffer.getvalue()
    with within_memory(FigureError, *SMALLER), drawing_settings():
        figure = draw_figure(content, settings)
        figure.savefig(
            buffer,
            format=form,
            dpi=DPI,
            facecolor=figure.get_facecolor(),
            metadata=_metadata(content, form),
        )
    return buffer.getvalue()


def figure_pixels(
    content: FigureContent, settings: FigureSettings, dpi: float = DPI
) -> NDArray[np.uint8]:
    """Draw a figure as pixels, uint8 (height, width, 4): red, green, blue, opacity.

    Parameters
    ----------
    content, settings
        See :func:`~napari_ies.figures.drawing.draw_figure`.
    dpi
        Pixels per inch of the page.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    if not 1 <= dpi <= MOST_DPI:
        raise FigureError(
            f"{dpi:g} pixels per inch were asked for; expected 1 to {MOST_DPI}, more than any "
            "journal prints."
        )
    with within_memory(FigureError, *SMALLER):
        figure = draw_figure(content, settings)
        figure.set_dpi(dpi)
        canvas: Any = FigureCanvasAgg(figure)
        with drawing_settings():
            canvas.draw()
        return np.array(canvas.buffer_rgba(), dtype=np.uint8)


def _save_pixels(buffer: BytesIO, pixels: NDArray[np.uint8], words: dict[str, Any]) -> None:
    """Write pixels as PNG without transparency, which many journals refuse."""
    from PIL.Image import fromarray
    from PIL.PngImagePlugin import PngInfo

    said = PngInfo()
    for name, text in words.items():
        said.add_itxt(name, text)
    opaque = np.ascontiguousarray(pixels[..., :3])
    fromarray(opaque).save(buffer, "png", dpi=(DPI, DPI), pnginfo=said)


def _metadata(content: FigureContent, form: str) -> dict[str, Any]:
    """Return title and method in the format's own words, and no date."""
    title, creator = content.title, f"napari-ies {__version__}"
    method = ". ".join(filter(None, [content.method_line, content.peaks(content.case.sequences)]))
    if form == "png":
        return {"Title": title, "Description": method, "Software": creator}
    if form == "svg":
        return {"Title": title, "Description": method, "Creator": creator, "Date": None}
    return {"Title": title, "Subject": method, "Creator": creator, "CreationDate": None}
