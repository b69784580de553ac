"""ColourStrip: the colour bars of a view, in a strip below its canvas, where they cover nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFont, QImage, QPainter, QPaintEvent, QPalette, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_ies.viewer.canvas.legend.caption_overlay import wrapped
from napari_ies.viewer.panel.availability import describe

if TYPE_CHECKING:
    from qtpy.QtGui import QResizeEvent

    from napari_ies.viewer.canvas.legend.bar import Bar
    from napari_ies.viewer.canvas.legend.legend import Legend

FONT_PIXELS = 11
LINE = 15
"""Height of a line of text, in pixels, as are the others."""
BAR_HEIGHT, BAR_WIDTH, LEAST_WIDTH = 10, 280, 120
GAP, SIDE, ARROW, TICK = 14, 26, 7, 3
TEXT_WIDTH = 310
"""Of the title with the unit, about; narrower strips write it below the numbers."""
NARROW = 330
"""Strips narrower than this need a line more for it."""


class ColourStrip(QWidget):
    """Shows the bars of a legend, one below the other; no room is taken where none is kept.

    Parameters
    ----------
    view
        The view (napari's ``QtViewer``) below whose canvas it lies, above its sliders.
    legend
        What is shown.
    """

    def __init__(self, view: Any, legend: Legend) -> None:
        super().__init__()
        about = "What the colours of the map stand for; its unit is that of Readout."
        describe(self, about, "colour_strip")
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._legend = legend
        layout = view.dims.parentWidget().layout()
        layout.insertWidget(layout.indexOf(view.dims), self)
        legend.changed.connect(self._on_legend)
        self._on_legend()

    @property
    def bars(self) -> tuple[Bar, ...]:
        """What it shows."""
        return self._legend.bars

    def release(self) -> None:
        """Give the room back to the canvas."""
        self._legend.changed.disconnect(self._on_legend)
        self.hide()
        self.setParent(None)
        self.deleteLater()

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return the height of all bars at this width."""
        return QSize(2 * SIDE + LEAST_WIDTH, max(len(self.bars), 1) * self._height())

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Take the height that this width needs."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self.updateGeometry()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Draw the bars."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = QFont(self.font())
        font.setPixelSize(FONT_PIXELS)
        painter.setFont(font)
        for number, bar in enumerate(self.bars):
            _draw(painter, bar, number * self._height(), self.width(), self._ink())
        painter.end()

    def _height(self) -> int:
        beside = self.width() >= 2 * SIDE + LEAST_WIDTH + TEXT_WIDTH
        below = 0 if beside else 2 if self.width() >= NARROW else 3
        return 6 + BAR_HEIGHT + TICK + LINE + below * LINE

    def _ink(self) -> QColor:
        return QColor(self.palette().color(QPalette.ColorRole.WindowText))

    def _on_legend(self) -> None:
        self.setVisible(bool(self.bars) or self._legend.room)
        self.updateGeometry()
        self.update()


def _draw(painter: QPainter, bar: Bar, top: int, width: int, ink: QColor) -> None:
    """Draw a bar with its ticks, and its words beside it, or below it where that is narrow."""
    room = width - 2 * SIDE
    beside = room >= LEAST_WIDTH + TEXT_WIDTH
    long = min(BAR_WIDTH, room - TEXT_WIDTH if beside else room)
    place = QRectF(SIDE, top + 4, max(long, 1), BAR_HEIGHT)
    painter.drawImage(place, _picture(bar))
    painter.setPen(QPen(ink, 1))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawRect(place)
    _draw_arrows(painter, bar, place, ink)
    metrics = painter.fontMetrics()
    taken: list[QRectF] = []
    for at, text in bar.ticks:
        x, wide = place.left() + at * place.width(), metrics.horizontalAdvance(text)
        box = QRectF(x - wide / 2 - 3, place.bottom() + TICK, wide + 6, LINE)
        if any(box.intersects(other) for other in taken):
            continue  # the ends come first, and what stands between gives way
        taken.append(box)
        painter.drawLine(QPointF(x, place.bottom()), QPointF(x, place.bottom() + TICK))
        painter.drawText(box, Qt.AlignmentFlag.AlignHCenter, text)
    if beside:
        left, first = place.right() + SIDE + ARROW, place.top() - 3
    else:
        left, first = 6.0, place.bottom() + TICK + LINE
    for number, line in enumerate(wrapped(bar.words, metrics, int(width - left) - 2)):
        box = QRectF(left, first + number * LINE, width - left, LINE)
        painter.drawText(box, Qt.AlignmentFlag.AlignLeft, line)


def _draw_arrows(painter: QPainter, bar: Bar, place: QRectF, ink: QColor) -> None:
    """Draw an arrow at an end that values go beyond."""
    painter.setBrush(ink)
    middle = place.center().y()
    for beyond, x, outwards in zip(
        bar.exceeded, (place.left() - 3, place.right() + 3), (-1, 1), strict=True
    ):
        if beyond:
            tip = QPointF(x + outwards * ARROW, middle)
            sides = [QPointF(x, place.top()), QPointF(x, place.bottom())]
            painter.drawPolygon(QPolygonF([tip, *sides]))
    painter.setBrush(Qt.BrushStyle.NoBrush)


def _picture(bar: Bar) -> QImage:
    pixels = np.ascontiguousarray(np.rint(255 * bar.colours).astype(np.uint8))
    steps = len(pixels)
    form = QImage.Format.Format_RGB888
    return QImage(pixels.tobytes(), steps, 1, 3 * steps, form).copy()
