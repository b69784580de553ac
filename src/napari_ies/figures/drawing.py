"""Drawing: a figure's content on its page, with matplotlib.

matplotlib is imported where it is used, through its objects alone: no window, no global figure.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.colour_maps import overlay_colours
from napari_ies.figures.content import number_text
from napari_ies.figures.marks import (
    draw_letter,
    draw_marks,
    draw_outline,
    draw_scale_bar,
    letters,
    shortened,
    text_width,
    wrapped,
)
from napari_ies.figures.page import (
    EDGE,
    LEGENDS_GAP,
    LINE,
    Page,
    Panel,
    Rectangle,
    Sizes,
    Words,
    lay_out,
)
from napari_ies.figures.scales import Scale, scales_of
from napari_ies.figures.slices import Slicing
from napari_ies.figures.style import (
    BAR_GREYS,
    BEHIND_BAR,
    CASING_WIDTHS,
    DPI,
    HEADING_PT,
    HIDDEN_PARTS,
    LESION_LINE,
    MM_PER_INCH,
    NAME_PT,
    OUTLINE_PER_VOXEL,
    POINTS_PER_MM,
    REFERENCE_LINE,
    SMALL_PT,
    SWATCH_MM,
    THEMES,
    THINNEST_PT,
    UNIT_PT,
    Line,
    Stroke,
    drawing_settings,
)
from napari_ies.geometry.outline import chained
from napari_ies.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    from napari_ies.figures.content import FigureContent
    from napari_ies.figures.settings import FigureSettings


def draw_figure(content: FigureContent, settings: FigureSettings) -> Figure:
    """Draw a figure.

    Parameters
    ----------
    content
        What it shows.
    settings
        How.

    Returns
    -------
    A matplotlib figure that belongs to no window. Render it within
    :func:`~napari_ies.figures.style.drawing_settings`.

    Raises
    ------
    FigureError
        If a sequence that is to be shown is not there, or the centre lies outside the images.
    """
    with drawing_settings():
        return _Drawing(content, settings).draw()


def outline_width(content: FigureContent, settings: FigureSettings) -> float | None:
    """Return how wide a figure's outlines are, in points; None where it has none.

    That is less than what is set where the lesion is so small that they would hide its map.
    """
    with drawing_settings():
        drawing = _Drawing(content, settings)
        return drawing.stroke.width if drawing.outlines else None


LONGEST_NAME = 200
"""Characters of a name in a figure; it comes from a file, and control characters spoil an SVG."""


def saliency_colours(content: FigureContent, settings: FigureSettings) -> ListedColormap:
    """Return the colours of the maps, from the lower limit to the upper one."""
    import matplotlib as mpl
    from matplotlib.colors import ListedColormap

    name = settings.signed_map if content.signed else settings.sequential_map
    colours = overlay_colours(
        mpl.colormaps[name], signed=content.signed, threshold=settings.threshold
    )
    colours[:, 3] *= settings.opacity
    return ListedColormap(colours, name)


def fitting(headings: Sequence[Words]) -> tuple[Sequence[Words], float]:
    """Return the headings and one size for them, shorter and smaller where they have no room."""
    short = [replace(words, text=words.short) for words in headings]
    for words, size in ((headings, HEADING_PT), (headings, SMALL_PT), (short, SMALL_PT)):
        if all(text_width(each.text, size) < each.room - 0.5 for each in words):
            break
    return words, size


class _Drawing:
    """One figure in the making."""

    def __init__(self, content: FigureContent, settings: FigureSettings) -> None:
        from matplotlib.figure import Figure

        sequences = content.sequences(settings)
        self.content, self.settings = content, settings
        self.theme = THEMES[settings.theme]
        self.slicing = Slicing(content, settings)
        self.windows = {name: content.window(name) for name in sequences}
        self.scales = scales_of(content, settings, self.slicing)
        self.colours = saliency_colours(content, settings)
        shown = self.slicing.slices
        self.shows_footprint = any(map(np.any, map(self.slicing.footprint, shown)))
        self.outlines: dict[Line, str] = {}
        if settings.outline and self.shows_footprint:
            self.outlines[LESION_LINE] = shortened(content.subject_title)
        if settings.outline_reference and any(map(np.any, map(self.slicing.reference, shown))):
            self.outlines[REFERENCE_LINE] = "Reference"
        self.lines = wrapped(self._words(), SMALL_PT, settings.width - 2 * EDGE - 1.5)
        sizes = Sizes(
            lines=len(self.lines),
            unit=max(text_width(scale.label, UNIT_PT) for scale in self.scales),
            legend=sum(map(self._swatch, self.outlines.values())),
            bars=len(self.scales),
        )
        self.page: Page = lay_out(self.slicing.slices, sequences, settings, sizes)
        self.figure = Figure(
            figsize=(self.page.width / MM_PER_INCH, self.page.height / MM_PER_INCH),
            dpi=DPI,
            facecolor=self.theme.page,
            layout=None,
        )

    def draw(self) -> Figure:
        named = letters(self.page.panels) if self.settings.letters else {}
        for panel in self.page.panels:
            axes = self._draw_panel(panel)
            if panel in named:
                draw_letter(axes, named[panel])
        headings, size = fitting(self.page.headings)
        for words in headings:
            self._write(words, size)
        for words in self.page.names:
            self._write(words, NAME_PT, rotation=90, weight="bold")
        for scale, place in zip(self.scales, self.page.bars, strict=True):
            self._draw_colour_bar(scale, place)
        self._draw_legend()
        self._write_lines()
        return self.figure

    def _words(self) -> str:
        """Say what a reader must know of this drawing, and how the maps were made."""
        words = []
        if not self.shows_footprint:
            words.append(f"{self.content.subject_title} lies on none of these slices.")
        if len(self.scales) > 1:
            words.append(
                "Each sequence has colour limits of its own: equal colours are not equal values."
            )
        return " ".join([*words, self.content.method_line])

    def _draw_panel(self, panel: Panel) -> Axes:
        where = panel.where
        axes = self._axes(panel.place, facecolor="black")
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        left, right, top, bottom = self.slicing.extent(where.plane)
        options: dict[str, Any] = {
            "extent": (left, right, bottom, top),
            "interpolation": "bilinear" if self.settings.interpolation == "linear" else "nearest",
            # Values are interpolated, then coloured: no colour appears that stands for no value.
            "interpolation_stage": "data",
            "aspect": "auto",
        }
        low, high = self.windows[panel.sequence]
        image = self.slicing.image(panel.sequence, where)
        axes.imshow(image, cmap="gray", vmin=low, vmax=high, **options)
        if panel.overlay:
            saliency = self.slicing.saliency(panel.sequence, where)
            (scale,) = (scale for scale in self.scales if panel.sequence in scale.sequences)
            axes.imshow(saliency, cmap=self.colours, norm=scale.norm(), **options)
            self._draw_outlines(axes, panel)
        left, right, top, bottom = where.window
        axes.set(xlim=(left, right), ylim=(bottom, top))
        if panel.first or self.settings.layout == "planes":
            draw_marks(axes, where.plane.marks)
        if panel.first:  # all panels have one scale
            draw_scale_bar(axes, where.size[0], POINTS_PER_MM * panel.place.width)
        return axes

    @cached_property
    def stroke(self) -> Stroke:
        """How wide the outlines are: thinner where they would hide what they surround."""
        panel, asked = self.page.panels[0], self.settings.outline_width
        scale = POINTS_PER_MM * panel.place.width / panel.where.size[0]  # of all panels
        voxel = scale * min(self.slicing.spacing)
        width = min(max(OUTLINE_PER_VOXEL * voxel, THINNEST_PT), asked)
        fits = scale * self.slicing.area_by_border / (HIDDEN_PARTS * CASING_WIDTHS / 2)
        return Stroke(min(width, max(fits, THINNEST_PT)), cased=fits >= THINNEST_PT)

    def _draw_outlines(self, axes: Axes, panel: Panel) -> None:
        masks = {LESION_LINE: self.slicing.footprint, REFERENCE_LINE: self.slicing.reference}
        for line in self.outlines:
            edges = self.slicing.outline(masks[line](panel.where), panel.where)
            draw_outline(
                axes, [*edges] if line.dashes is None else chained(edges), line, self.stroke
            )

    def _draw_colour_bar(self, scale: Scale, place: Rectangle) -> None:
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import ListedColormap

        table = np.asarray(self.colours.colors, dtype=float)
        # As over the image: over grey from black, at the bar's foot, to white.
        behind = np.linspace(1.0, 0.0, BAR_GREYS)[:, None, None]
        blended = table[:, :3] * table[:, 3:] + behind * (1 - table[:, 3:])
        opaque = table[:, :3] * table[:, 3:] + BEHIND_BAR * (1 - table[:, 3:])
        axes = self._axes(place)
        extend = ("both" if scale.signed else "max") if scale.exceeded else "neither"
        bar = self.figure.colorbar(
            ScalarMappable(scale.norm(), ListedColormap(opaque)),
            cax=axes,
            orientation="horizontal",
            extend=extend,
            extendfrac=0.04,
        )
        if bar.solids is not None:
            bar.solids.remove()
        ends = axes.get_xlim()
        left = -scale.limit if scale.signed else 0.0
        axes.imshow(
            blended, extent=(left, scale.limit, 0, 1), aspect="auto", interpolation="nearest"
        )
        axes.set_xlim(ends)
        bar.outline.set_visible(False)
        ticks = [-scale.limit, 0.0, scale.limit] if scale.signed else [0.0, scale.limit]
        bar.set_ticks(ticks, labels=[number_text(value) for value in ticks])
        axes.tick_params(
            labelsize=SMALL_PT, length=1.5, width=0.5, pad=1, colors=self.theme.text, which="both"
        )
        bar.set_label(scale.label, size=UNIT_PT, color=self.theme.text, labelpad=1.5)

    def _draw_legend(self) -> None:
        place = self.page.legend
        if not place.width:
            return
        axes = self._axes(place)
        axes.set_axis_off()
        axes.set(xlim=(0, place.width), ylim=(0, place.height))
        left, high = 0.0, place.height
        for line, words in self.outlines.items():
            right = left + SWATCH_MM
            around = [(left, 0), (right, 0), (right, high), (left, high), (left, 0)]
            stroke = Stroke(self.settings.outline_width)  # of the sample, to be seen well
            draw_outline(axes, [np.array(around)], line, stroke, clip=False)
            axes.text(
                right + 1,
                high / 2,
                words,
                size=UNIT_PT,
                color=self.theme.text,
                va="center_baseline",
            )
            left += self._swatch(words)

    def _swatch(self, words: str) -> float:
        """Return how wide an outline's sample and its words are, in mm, with what parts them."""
        return SWATCH_MM + 1 + text_width(words, UNIT_PT) + LEGENDS_GAP

    def _axes(self, place: Rectangle, **options: Any) -> Axes:
        width, height = self.page.width, self.page.height
        return self.figure.add_axes(
            (
                place.left / width,
                1 - (place.top + place.height) / height,
                place.width / width,
                place.height / height,
            ),
            **options,
        )

    def _write(self, words: Words, size: float, **options: Any) -> None:
        self.figure.text(
            words.across / self.page.width,
            1 - words.down / self.page.height,
            printable(words.text, LONGEST_NAME),
            size=size,
            color=self.theme.text,
            ha="center",
            va="center",
            **options,
        )

    def _write_lines(self) -> None:
        for count, line in enumerate(self.lines):
            self.figure.text(
                (EDGE + 0.5) / self.page.width,
                1 - (self.page.lines + (count + 0.5) * LINE) / self.page.height,
                line,
                size=SMALL_PT,
                color=self.theme.faint,
                va="center",
            )
