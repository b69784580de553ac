"""CaptionOverlay: the caption over a canvas, in its upper left corner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, QRectF, Qt
from qtpy.QtGui import QColor, QFont, QFontMetrics, QPainter, QPaintEvent
from qtpy.QtWidgets import QToolTip, QWidget

from napari_ies.viewer.canvas.legend.writing import LETTER, MARGIN, PAD, write
from napari_ies.viewer.panel.plain_text import tool_tip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_ies.viewer.canvas.legend.legend import Legend

FONT_PIXELS = 12
TOP = MARGIN + 20
"""Below the plane's name and the letter in the middle of the upper border."""
NARROW = 480
"""Up to this width, in pixels, a caption takes all of its canvas, and else no more than this or
the left half of it."""
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
    most_lines
        What needs more is said in few words, shortened if need be, and whole in the tool tip; 0
        for no end.
    """

    def __init__(self, native: QWidget, legend: Legend, most_lines: int = 0) -> None:
        super().__init__(native)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setObjectName("canvas_caption")
        self._native, self._legend, self._most_lines = native, legend, most_lines
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
        """Wrap the caption anew at another size; say all of it under a mouse at rest."""
        if event.type() == QEvent.Type.Resize:
            self._on_legend()
        elif (
            event.type() == QEvent.Type.ToolTip
            and self.isVisible()
            and self.geometry().contains(event.pos())
        ):
            QToolTip.showText(event.globalPos(), tool_tip(self._legend.text), self._native)
            return True
        return bool(super().eventFilter(watched, event))

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Write the lines."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(self._font())
        colour = NOTABLE if self._legend.odd else LETTER
        height = painter.fontMetrics().height()
        for number, line in enumerate(self.lines):
            box = QRectF(PAD, number * height, self.width(), height)
            write(painter, box, Qt.AlignmentFlag.AlignLeft, line, colour)
        painter.end()

    def _on_legend(self) -> None:
        metrics = QFontMetrics(self._font())
        whole = self._native.width()
        width = max(whole // 2, min(whole, NARROW)) - 2 * MARGIN
        width, most = max(width, 60), self._most_lines
        self.lines = wrapped(self._legend.parts, metrics, width)
        if most and len(self.lines) > most:
            self.lines = wrapped(self._legend.short, metrics, width, most)
        height = len(self.lines) * metrics.height()
        self.setGeometry(MARGIN - PAD, TOP, width + 2 * PAD, height)
        self.setVisible(bool(self.lines))
        self.raise_()
        self.update()

    def _font(self) -> QFont:
        font = QFont(self.font())
        font.setPixelSize(FONT_PIXELS)
        return font


def wrapped(parts: Sequence[str], metrics: QFontMetrics, width: int, most: int = 0) -> list[str]:
    """Join parts to lines no wider than there is room; a wider part is broken between its words.

    A word that is wider is shortened. Where there are at `most` so many lines (0: no end), they are
    filled word by word, and what is left ends the last one, shortened.
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
    return _shortened(parts, metrics, width, most) if most and len(lines) > most else lines


def _shortened(parts: Sequence[str], metrics: QFontMetrics, width: int, most: int) -> list[str]:
    words, lines = " · ".join(parts).split(" "), []
    for _ in range(most - 1):
        count = 1  # not all of them fit
        while metrics.horizontalAdvance(" ".join(words[: count + 1])) <= width:
            count += 1
        lines.append(" ".join(words[:count]))
        del words[:count]
    lines.append(" ".join(words))
    return [metrics.elidedText(line, Qt.TextElideMode.ElideRight, width) for line in lines]
