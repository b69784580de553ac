"""What the figure's lane does: previews, and files written whole or not at all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_ies.figures.drawing import outline_width
from napari_ies.figures.files import figure_format, figure_pixels, save_figure
from napari_ies.figures.scales import scales_of
from napari_ies.figures.slices import Slicing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from qtpy.QtGui import QImage

    from napari_ies.figures.content import FigureContent
    from napari_ies.figures.scales import Scale
    from napari_ies.figures.settings import FigureSettings
    from napari_ies.viewer.state.reading import Reading

    Preview = tuple[NDArray[np.uint8], tuple[Scale, ...], float | None]
    """Pixels, where the colours end, and how wide the outlines are, if there are any."""

MOST_FIGURES = 1000
"""Of one map."""


def preview(dpi: float, content: FigureContent, settings: FigureSettings) -> Preview:
    """Draw a figure, and say what is otherwise than asked for."""
    scales, width = scales_of(content, settings, Slicing(content, settings)), None
    if settings.outline or settings.outline_reference:
        width = outline_width(content, settings)
    return figure_pixels(content, settings, dpi=dpi), scales, width


def with_reference(
    work: Callable[[FigureContent, FigureSettings], Any],
    reading: Reading,
    content: FigureContent,
    settings: FigureSettings,
) -> Any:
    """Do some work with the content and the reading's reference, which may have to be read."""
    if settings.outline_reference:
        content = replace(content, reference=reading.reference_mask)
    return work(content, settings)


def save(path: Path, content: FigureContent, settings: FigureSettings) -> Path:
    """Save a figure in a file that a person chose."""
    figure_format(path)
    return save_figure(path, content, settings, overwrite=True)  # asked before


def keep(
    folder: Path, name: str, form: str, content: FigureContent, settings: FigureSettings
) -> Path:
    """Save a figure beside those that are there."""
    names = (f"{name}.{form}", *(f"{name}-{number}.{form}" for number in range(2, MOST_FIGURES)))
    free = next((folder / one for one in names if not (folder / one).exists()), folder / names[-1])
    return save_figure(free, content, settings)


def save_image(path: Path, image: QImage) -> Path:
    """Save a picture in a file that a person chose."""
    from napari_ies.results.storage.writing import prepare, write

    folder = prepare(path.parent, [path.name], overwrite=True)  # asked before
    return write(folder, {path.name: lambda staged: image.save(str(staged), "PNG")})[0]
