"""Page: where everything on a figure goes, in millimetres from its top left corner."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_ies.figures.settings import FigureSettings
    from napari_ies.figures.slices import Slice

EDGE = 1.0
"""Around the whole page."""
GAP, WIDE_GAP = 0.6, 2.4
"""Between panels that belong together, and between pairs of them."""
SEQUENCE_GAP = 1.2
"""Between the rows of two sequences."""
ROW_NAME, HEADING = 4.2, 4.2
"""For the sequences' names at the left, and for the slices' names above them."""
BAR_GAP, BAR, BAR_TEXT = 3.0, 2.2, 6.6
"""Above the colour bar, its height, and the numbers and the unit below it."""
BARS_GAP = 1.4
"""Between two colour bars with their texts."""
SHORTEST_BAR, LONGEST_BAR = 28.0, 64.0
LEGEND_GAP, LEGEND = 6.0, 3.6
"""Between the colour bar and the legend of the outline beside it, and its height below it."""
LEGENDS_GAP = 3.0
"""After each sample of an outline and its words."""
LINE, LINE_GAP = 2.9, 1.6
"""A line of the method, and the space above the first."""

SMALLEST_PANEL = 17.0
"""A montage whose panels would be narrower goes on in another band."""
PAIRS_FROM = 120.0
"""From this width of the page, an image lies beside its overlay instead of above it."""
TALLEST = 225.0
"""Of the panels together, so that the figure fits a journal's page."""


@dataclass(frozen=True)
class Rectangle:
    """A part of the page: left and top edge, width and height, in mm."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class Panel:
    """One picture."""

    sequence: str
    where: Slice
    """What it shows."""
    overlay: bool
    """Whether with the saliency and the lesion's outline."""
    place: Rectangle
    """Where it goes."""
    first: bool
    """Whether it begins a row."""


@dataclass(frozen=True)
class Sizes:
    """What the texts of a page take."""

    lines: int
    """How many lines the method takes."""
    unit: float
    """Width in mm of the colour bar's unit."""
    legend: float
    """Width in mm of the outline's legend; 0 for none."""
    bars: int = 1
    """How many colour bars there are."""


@dataclass(frozen=True)
class Words:
    """A text (and a shorter one), the middle of where it goes and its room there, in mm."""

    text: str
    across: float
    down: float
    room: float
    short: str = ""


@dataclass(frozen=True)
class Page:
    """A figure's arrangement."""

    width: float
    height: float
    """Of the page, in mm."""
    panels: tuple[Panel, ...]
    """The pictures."""
    headings: tuple[Words, ...]
    """The slices' texts above them."""
    names: tuple[Words, ...]
    """The sequences' at the left, turned by a quarter."""
    bars: tuple[Rectangle, ...]
    """Where the colour bars go, one below the other."""
    legend: Rectangle
    """Beside the first bar, that of the outline; of no width where there is none."""
    lines: float
    """Where the method's first line begins."""


@dataclass(frozen=True)
class _Row:
    """A row of panels: of which sequence, how far below the first row, overlays or not."""

    sequence: str
    down: float
    overlays: tuple[bool, ...]


def lay_out(
    slices: Sequence[Slice], sequences: Sequence[str], settings: FigureSettings, sizes: Sizes
) -> Page:
    """Arrange a page.

    Parameters
    ----------
    slices, sequences
        What to show: each slice of each sequence. The slices are equally high.
    settings
        Width, layout, and whether images are shown without overlay too.
    sizes
        What the texts take.
    """
    overlays = _overlays(settings)
    bands = _bands(slices, settings)
    scale = min(
        _scale_by_width(bands, settings.width, len(overlays[0])),
        TALLEST / (len(bands) * len(sequences) * len(overlays) * slices[0].size[1]),
    )
    rows = list(_rows(sequences, overlays, scale * slices[0].size[1]))
    panels: list[Panel] = []
    headings: list[Words] = []
    names: list[Words] = []
    top = EDGE
    for band in bands:
        placed = _Band(band, rows, scale, top, settings)
        panels += placed.panels()
        headings += placed.headings()
        names += placed.names()
        top = placed.bottom + GAP
    bars, legend = _bars_and_legend(settings.width, top + BAR_GAP, sizes)
    below = LEGEND if legend.top > bars[-1].top else 0.0
    text = bars[-1].top + BAR + BAR_TEXT + below + LINE_GAP
    return Page(
        width=settings.width,
        height=text + sizes.lines * LINE + EDGE,
        panels=tuple(panels),
        headings=tuple(headings),
        names=tuple(names),
        bars=bars,
        legend=legend,
        lines=text,
    )


class _Band:
    """A row of slices with its heading: in all sequences, with and without overlay."""

    def __init__(
        self,
        slices: Sequence[Slice],
        rows: Sequence[_Row],
        scale: float,
        top: float,
        settings: FigureSettings,
    ) -> None:
        self._slices, self._rows, self._scale, self._top = slices, rows, scale, top
        self._pair = len(rows[0].overlays)
        self._height = scale * slices[0].size[1]
        self._planes = settings.layout == "planes"
        wide = scale * self._pair * sum(where.size[0] for where in slices)
        free = settings.width - ROW_NAME - wide - _gaps(len(slices), self._pair)
        self._left = ROW_NAME + free / 2

    @property
    def bottom(self) -> float:
        return self._top + HEADING + self._rows[-1].down + self._height

    def panels(self) -> Iterator[Panel]:
        for number, (where, left, width) in enumerate(self._columns()):
            for row in self._rows:
                for column, overlay in enumerate(row.overlays):
                    place = Rectangle(
                        left + column * (width + GAP),
                        self._top + HEADING + row.down,
                        width,
                        self._height,
                    )
                    yield Panel(row.sequence, where, overlay, place, number + column == 0)

    def headings(self) -> Iterator[Words]:
        for where, left, width in self._columns():
            room = self._pair * width + (self._pair - 1) * GAP
            text = f"{where.plane.name}, {position(where)}" if self._planes else position(where)
            yield Words(text, left + room / 2, self._top + HEADING / 2, room, position(where))

    def names(self) -> Iterator[Words]:
        for sequence, group in groupby(self._rows, key=lambda row: row.sequence):
            downs = [row.down for row in group]
            room = downs[-1] - downs[0] + self._height
            middle = self._top + HEADING + downs[0] + room / 2
            yield Words(sequence, self._left - ROW_NAME / 2, middle, room)

    def _columns(self) -> Iterator[tuple[Slice, float, float]]:
        """Yield each slice, where its first panel begins, and how wide its panels are."""
        left = self._left
        for where in self._slices:
            width = self._scale * where.size[0]
            yield where, left, width
            left += self._pair * width + (self._pair - 1) * GAP + _between(self._pair)


def position(where: Slice) -> str:
    """Return a slice's position in the scanner, such as ``"z = −24 mm"``."""
    rounded = round(where.position)
    number = f"−{-rounded}" if rounded < 0 else str(rounded)
    return f"{where.plane.coordinate} = {number} mm"


def _overlays(settings: FigureSettings) -> list[tuple[bool, ...]]:
    """Return, for each row of a sequence, whether its panels of a slice have the overlay."""
    if not settings.plain:
        return [(True,)]
    if settings.layout == "planes" and settings.width >= PAIRS_FROM:
        return [(False, True)]
    return [(False,), (True,)]


def _bands(slices: Sequence[Slice], settings: FigureSettings) -> list[Sequence[Slice]]:
    if settings.layout == "planes":
        return [slices]
    room = settings.width - 2 * EDGE - ROW_NAME
    most = max(1, int((room + GAP) // (SMALLEST_PANEL + GAP)))
    each = math.ceil(len(slices) / math.ceil(len(slices) / most))
    return [slices[start : start + each] for start in range(0, len(slices), each)]


def _rows(
    sequences: Sequence[str], overlays: Sequence[tuple[bool, ...]], height: float
) -> Iterator[_Row]:
    down = 0.0
    for sequence in sequences:
        for pair in overlays:
            yield _Row(sequence, down, pair)
            down += height + GAP
        down += SEQUENCE_GAP - GAP


def _between(pair: int) -> float:
    return WIDE_GAP if pair > 1 else GAP


def _gaps(slices: int, pair: int) -> float:
    """Return what the gaps within a row take."""
    return (slices - 1) * _between(pair) + slices * (pair - 1) * GAP


def _scale_by_width(bands: Sequence[Sequence[Slice]], width: float, pair: int) -> float:
    """Return how many mm of the page a mm of the patient may take."""
    room = width - 2 * EDGE - ROW_NAME
    return min(
        (room - _gaps(len(band), pair)) / (pair * sum(where.size[0] for where in band))
        for band in bands
    )


def _bars_and_legend(
    width: float, top: float, sizes: Sizes
) -> tuple[tuple[Rectangle, ...], Rectangle]:
    """Return where the colour bars go, and the legend at their right or, without room, below."""
    beside = sizes.legend + LEGEND_GAP if sizes.legend else 0.0
    room = width - 2 * EDGE
    bar = min(0.5 * width, LONGEST_BAR)
    tops = [top + number * (BAR + BAR_TEXT + BARS_GAP) for number in range(sizes.bars)]
    if max(SHORTEST_BAR, sizes.unit) + beside > room:
        down = tops[-1] + BAR + BAR_TEXT + (LEGEND - BAR) / 2
        legend = Rectangle((width - sizes.legend) / 2, down, sizes.legend, BAR)
        return tuple(Rectangle((width - bar) / 2, each, bar, BAR) for each in tops), legend
    bar = max(min(bar, room - beside), SHORTEST_BAR)
    taken = max(bar, sizes.unit)
    left = (width - taken - beside) / 2
    legend = Rectangle(left + taken + LEGEND_GAP, top, sizes.legend, BAR)
    return tuple(Rectangle(left + (taken - bar) / 2, each, bar, BAR) for each in tops), legend
