"""CaptionOverlay: the caption over a canvas, in its upper left corner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, QRectF, Qt
from qtpy.QtGui import QColor, QFont, QFontMetrics, QPainter, QPaintEvent
from qtpy.QtWidgets import QWidget

from napari_ies.viewer.canvas.legend.writing import LETTER, MARGIN, write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_ies.viewer.canvas.legend.legend import Legend

FONT_PIXELS = 12
TOP = MARGIN + 20
"""Below the plane's name and the letter in the middle of the upper border."""
NARROW = 260
"""Up to this width, in pixels, a caption takes all of its canvas, and else the left half of it."""
NOTABLE = QColor(255, 200, 60)
"""Of a caption that says what a person might not expect; its words say what."""


class CaptionOverlay(QWidget):
    """Writes the caption of a legend over one canvas, in its upper left corner.

    Parameters
    ----------
    native
        The canvas.
    legend
        What is said.
    """

    def __init__(self, native: QWidget, legend: Legend) -> None:
        super().__init__(native)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setObjectName("canvas_caption")
        self._native, self._legend = native, legend
        self.lines: list[str] = []
        """What is written, line by line."""
        native.installEventFilter(self)
        legend.changed.connect(self._on_legend)
        self._on_legend()

    def release(self) -> None:
        """Leave the canvas."""
        self._legend.changed.disconnect(self._on_legend)
        self._native.removeEventFilter(self)
        self.hide()
        self.setParent(None)
        self.deleteLater()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Wrap the caption anew on a canvas of another size."""
        if event.type() == QEvent.Type.Resize:
            self._on_legend()
        return bool(super().eventFilter(watched, event))

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Write the lines."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(self._font())
        colour = NOTABLE if self._legend.odd else LETTER
        height = painter.fontMetrics().height()
        for number, line in enumerate(self.lines):
            box = QRectF(2, number * height + 2, self.width(), height)
            write(painter, box, Qt.AlignmentFlag.AlignLeft, line, colour)
        painter.end()

    def _on_legend(self) -> None:
        metrics = QFontMetrics(self._font())
        whole = self._native.width()
        width = max(whole // 2 - 2 * MARGIN, min(whole - 2 * MARGIN, NARROW), 60)
        self.lines = wrapped(self._legend.parts, metrics, width)
        height = len(self.lines) * metrics.height() + 4
        self.setGeometry(MARGIN - 2, TOP, width + 4, height)
        self.setVisible(bool(self.lines))
        self.raise_()
        self.update()

    def _font(self) -> QFont:
        font = QFont(self.font())
        font.setPixelSize(FONT_PIXELS)
        return font


def wrapped(parts: Sequence[str], metrics: QFontMetrics, width: int) -> list[str]:
    """Join parts to lines no wider than there is room; a wider part is broken between its words.

    A word that is wider is shortened.
    """
    lines: list[str] = []
    for part in parts:
        joined = f"{lines[-1]} · {part}" if lines else part
        if metrics.horizontalAdvance(joined) <= width:
            lines[-1:] = [joined]
            continue
        started = len(lines)
        for word in part.split(" "):
            joined = " ".join([*lines[started:][-1:], word])
            if len(lines) > started and metrics.horizontalAdvance(joined) <= width:
                lines[-1] = joined
            else:
                lines.append(metrics.elidedText(word, Qt.TextElideMode.ElideMiddle, width))
    return lines
