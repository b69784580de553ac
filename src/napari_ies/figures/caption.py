"""Caption: what stands below a figure in a paper, in words to paste."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_ies.figures.content import number_text
from napari_ies.figures.page import position
from napari_ies.figures.scales import scales_of
from napari_ies.figures.slices import Slicing
from napari_ies.printable import joined

if TYPE_CHECKING:
    from napari_ies.figures.content import FigureContent
    from napari_ies.figures.settings import FigureSettings

_ORIENTATION = (
    "A, anterior; P, posterior; R, right; L, left of the patient; S, superior; I, inferior."
)


def caption(content: FigureContent, settings: FigureSettings) -> str:
    """Return the caption of a figure: what is seen, what the colours mean, how it was made.

    Parameters
    ----------
    content, settings
        See :func:`~napari_ies.figures.drawing.draw_figure`.

    Raises
    ------
    FigureError
        If the figure could not be drawn.
    """
    slicing = Slicing(content, settings)
    sentences = [
        f"{content.title} on {joined(content.sequences(settings))}, {_slices(slicing, settings)}.",
        *_colours(content, settings, slicing),
        *filter(None, [content.peaks(content.sequences(settings))]),
        *_outlines(content, settings, slicing),
        _ORIENTATION,
        f"{content.method_line}.",
    ]
    return " ".join(sentences)


def _slices(slicing: Slicing, settings: FigureSettings) -> str:
    if settings.layout == "planes":
        planes = [f"{one.plane.name.lower()} ({position(one)})" for one in slicing.slices]
        where = f"{joined(planes)} slices"
    else:
        places = [position(one).removeprefix("z = ").removesuffix(" mm") for one in slicing.slices]
        where = f"axial slices at z = {joined(places)} mm"
    return f"{where}, each without and with the map" if settings.plain else where


def _colours(content: FigureContent, settings: FigureSettings, slicing: Slicing) -> list[str]:
    scales = scales_of(content, settings, slicing)
    unit = content.saliency.unit
    ends = [
        f"{'±' if each.signed else ''}{number_text(each.limit)}"
        + (f" ({each.sequences[0]})" if len(scales) > 1 else "")
        for each in scales
    ]
    means = (
        "Warm colours: a higher intensity there raises the network's score; cool colours: it "
        "lowers it."
        if content.signed
        else "Bright colours: what the layer found there speaks for the lesion."
    )
    clear = f"{100 * settings.threshold:g} %"
    said = [
        means,
        f"Colours end at {joined(ends)} {unit}, and are clear up to {clear} of that.",
    ]
    if len(scales) > 1:
        said.append("Equal colours of different sequences are not equal values.")
    return said


def _outlines(content: FigureContent, settings: FigureSettings, slicing: Slicing) -> list[str]:
    lines = []
    if settings.outline and any(np.any(slicing.footprint(one)) for one in slicing.slices):
        lines.append(f"solid line: {content.subject}")
    if settings.outline_reference and any(np.any(slicing.reference(one)) for one in slicing.slices):
        lines.append("dashed line: reference")
    text = "; ".join(lines)
    return [f"{text[:1].upper()}{text[1:]}."] if lines else []
