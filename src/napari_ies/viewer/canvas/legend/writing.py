"""Writing: letters over an image, white with a dark rim, legible on any of them."""

from __future__ import annotations

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPainterPath, QPen

LETTER = QColor(255, 255, 255)
HALO = QColor(0, 0, 0)
MARGIN = 6
"""Between what is written and the border of the canvas, in pixels."""


def write(
    painter: QPainter, box: QRectF, where: Qt.AlignmentFlag, text: str, colour: QColor = LETTER
) -> None:
    """Write a text in one line, aligned in a box."""
    metrics = painter.fontMetrics()
    rect = QRectF(0, 0, metrics.horizontalAdvance(text), metrics.height())
    if where & Qt.AlignmentFlag.AlignRight:
        rect.moveRight(box.right())
    elif where & Qt.AlignmentFlag.AlignHCenter:
        rect.moveLeft(box.center().x() - rect.width() / 2)
    else:
        rect.moveLeft(box.left())
    if where & Qt.AlignmentFlag.AlignBottom:
        rect.moveBottom(box.bottom())
    elif where & Qt.AlignmentFlag.AlignVCenter:
        rect.moveTop(box.center().y() - rect.height() / 2)
    else:
        rect.moveTop(box.top())
    path = QPainterPath()
    path.addText(QPointF(rect.left(), rect.top() + metrics.ascent()), painter.font(), text)
    painter.strokePath(path, QPen(HALO, 3))
    painter.fillPath(path, colour)
