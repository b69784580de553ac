"""Writing: white letters on dark plates, legible over any image and on either theme's canvas."""

from __future__ import annotations

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QPainter

LETTER = QColor(255, 255, 255)
PLATE = QColor(0, 0, 0, 190)
"""Below the letters: nothing of it is seen on a black canvas, and white ones are read on a white
one, where a rim around each letter would make a box of an "I"."""
PAD = 4
"""How far a plate reaches beyond its text on the left and on the right, in pixels."""
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
    painter.fillRect(rect.adjusted(-PAD, 0, PAD, 0), PLATE)
    painter.setPen(colour)
    painter.drawText(QPointF(rect.left(), rect.top() + metrics.ascent()), text)
