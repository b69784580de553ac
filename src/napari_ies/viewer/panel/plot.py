"""A plot as a picture: matplotlib draws it in a thread, the window paints it.

Matplotlib takes longer for a picture than the window may stand still.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from napari.utils.theme import get_theme
from qtpy.QtCore import QRect, Signal
from qtpy.QtGui import QImage, QPainter
from qtpy.QtWidgets import QWidget

from napari_ies.viewer.panel.availability import describe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from qtpy.QtGui import QPaintEvent, QResizeEvent

DOTS_PER_INCH = 96
"""Of a screen without magnification."""
MARGINS_INCH = (0.7, 0.42, 0.08, 0.2)
"""Room for the text left of the axes, below, right of them and above."""


@dataclass(frozen=True)
class Sheet:
    """What a plot is drawn on."""

    width: int
    """In the screen's units, as is the height."""
    height: int
    ratio: float
    """Pixels per unit."""
    background: str
    """Behind the plot; this and the next two are colours of napari's theme."""
    text: str
    """Of its text."""
    faint: str
    """Of its axes and zero lines."""

    @classmethod
    def of(cls, plot: Plot, theme: str) -> Sheet:
        """Return the sheet of a plot as large as it is now, in the colours of napari's theme."""
        colours = get_theme(theme)
        return cls(
            max(plot.width(), 120),
            max(plot.height(), 120),
            plot.devicePixelRatioF(),
            colours.background.as_hex(),
            colours.text.as_hex(),
            colours.secondary.as_hex(),
        )

    @property
    def dark(self) -> bool:
        """Whether the background is dark."""
        values = (int(self.background[place : place + 2], 16) for place in (1, 3, 5))
        return sum(values) < 3 * 128

    def page(self) -> tuple[Figure, Axes]:
        """Return a figure of its size and colour, and axes with room for words around them.

        Matplotlib's own layouts lay the text out twice, which doubles the time.
        """
        from matplotlib.figure import Figure

        width, height = self.width / DOTS_PER_INCH, self.height / DOTS_PER_INCH
        dots = DOTS_PER_INCH * self.ratio
        figure = Figure((width, height), dpi=dots, facecolor=self.background)
        left, bottom, right, top = MARGINS_INCH
        across, up = 1 - (left + right) / width, 1 - (bottom + top) / height
        place = left / width, bottom / height, across, up
        return figure, figure.add_axes(place, facecolor=self.background)

    def share(self, x: float) -> float:
        """Return how far along the axes a place across is: 0 at their left end, 1 at the right."""
        left, _, right, _ = (DOTS_PER_INCH * inch for inch in MARGINS_INCH)
        return (x - left) / (self.width - left - right)


class Plot(QWidget):
    """Paints a picture of a plot, and says when one of another size is needed."""

    resized = Signal()
    """The size changed; until a new picture comes, the one before is stretched."""

    def __init__(self, name: str, tooltip: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        describe(self, tooltip, name)
        self.setMinimumHeight(220)
        self._picture: QImage | None = None

    def set_picture(self, picture: NDArray[np.uint8] | None) -> None:
        """Paint another picture, uint8 (rows, columns, RGBA), or none."""
        if picture is None:
            self._picture = None
        else:
            rows, columns, _ = picture.shape
            form = QImage.Format.Format_RGBA8888
            # A copy: Qt does not keep the array alive.
            self._picture = QImage(picture.tobytes(), columns, rows, 4 * columns, form).copy()
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint the picture, stretched if it has another size."""
        if self._picture is not None:
            painter = QPainter(self)
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawImage(QRect(0, 0, self.width(), self.height()), self._picture)
            painter.end()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Say that the size changed."""
        super().resizeEvent(event)
        self.resized.emit()


def draw(figure: Figure) -> NDArray[np.uint8]:
    """Return the picture of a figure, uint8 (rows, columns, RGBA)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.array(canvas.buffer_rgba(), dtype=np.uint8)  # type: ignore[no-untyped-call]
