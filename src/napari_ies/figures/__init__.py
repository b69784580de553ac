"""Figures for papers: a lesion with its saliency, drawn from the data by matplotlib."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_ies.figures.content import FigureContent
    from napari_ies.figures.drawing import draw_figure
    from napari_ies.figures.files import figure_bytes, figure_format, figure_pixels, save_figure
    from napari_ies.figures.settings import FigureSettings

_SOURCES = {
    "FigureContent": "content",
    "FigureSettings": "settings",
    "draw_figure": "drawing",
    "figure_bytes": "files",
    "figure_format": "files",
    "figure_pixels": "files",
    "save_figure": "files",
}
__all__ = [
    "FigureContent",
    "FigureSettings",
    "draw_figure",
    "figure_bytes",
    "figure_format",
    "figure_pixels",
    "save_figure",
]


def __getattr__(name: str) -> Any:
    if name not in _SOURCES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_SOURCES[name]}"), name)
