"""The legend of TP, FP and FN: their outlines as they are drawn over the images."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QPointF, Qt
from qtpy.QtGui import QColor, QPainter, QPen, QPixmap
from qtpy.QtWidgets import QLabel, QWidget

from napari_ies.viewer.canvas.colours import OUTLINES
from napari_ies.viewer.panel.availability import describe
from napari_ies.viewer.panel.controls import row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_ies.viewer.canvas.colours import Outline

WORDS = {"TP": "TP", "FP": "FP", "FN": "FN (missed)"}
ABOUT = {
    "TP": "True positive: marked by the network, and overlaps the reference. A whole line.",
    "FP": "False positive: marked by the network alone. Long dashes.",
    "FN": "False negative: in the reference alone, missed by the network. Short dashes.",
}
ANATOMY = QColor(45, 45, 45)
"""Behind the lines, in either theme of napari: they are made to be seen over images."""
EDGE = 5
"""Of a voxel in the legend, in pixels."""


class MatchLegend(QWidget):
    """A line of each kind, with how many there are."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("match_legend")
        self._words = {match: QLabel() for match in OUTLINES}
        parts: list[QLabel] = []
        for match, words in self._words.items():
            sample = QLabel()
            sample.setPixmap(_sample(OUTLINES[match]))
            for part in (sample, words):
                describe(part, ABOUT[match])
                parts.append(part)
        line = row(*parts, None)
        line.setSpacing(5)
        self.setLayout(line)
        line.setContentsMargins(0, 0, 0, 0)
        self.hide()

    def set_counts(self, counts: Mapping[Any, int] | None) -> None:
        """Say how many lesions there are of each kind; hide where there is no reference."""
        for match, words in self._words.items():
            words.setText(f"{(counts or {}).get(match, 0)} {WORDS[match]}")
        self.setVisible(counts is not None)


@lru_cache
def match_mark(match: str) -> QPixmap | None:
    """Return a small mark in the colour of a kind, or None of what is none."""
    if match not in OUTLINES:
        return None
    mark = QPixmap(8, 8)
    mark.fill(QColor.fromRgbF(*OUTLINES[match].colour[:3]))
    return mark


def _sample(outline: Outline) -> QPixmap:
    picture = QPixmap(8 * EDGE + 4, 12)
    picture.fill(ANATOMY)
    painter = QPainter(picture)
    pen = QPen(QColor.fromRgbF(*outline.colour[:3]), 2.0)
    pen.setCapStyle(Qt.PenCapStyle.FlatCap)
    painter.setPen(pen)
    dash, gap = outline.dashes
    for edge in range(8):
        if edge % (dash + gap) < dash:
            start = QPointF(2.0 + edge * EDGE, 6.0)
            painter.drawLine(start, start + QPointF(EDGE, 0.0))
    painter.end()
    return picture
