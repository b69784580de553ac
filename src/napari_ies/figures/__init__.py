"""Figures for papers: a lesion with its saliency, drawn from the data by matplotlib."""

from __future__ import annotations

from napari_ies.figures.content import FigureContent
from napari_ies.figures.drawing import draw_figure
from napari_ies.figures.files import figure_bytes, figure_format, figure_pixels, save_figure
from napari_ies.figures.settings import FigureSettings

__all__ = [
    "FigureContent",
    "FigureSettings",
    "draw_figure",
    "figure_bytes",
    "figure_format",
    "figure_pixels",
    "save_figure",
]
