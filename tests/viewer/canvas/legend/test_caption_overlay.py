"""Captions: all of their words, at any width, broken between their parts first; read anywhere."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QFont, QFontMetrics, QHelpEvent, QImage, QPainter
from qtpy.QtWidgets import QApplication, QToolTip, QWidget

from napari_ies.viewer.canvas.legend.caption_overlay import CaptionOverlay, wrapped
from napari_ies.viewer.canvas.legend.legend import Legend
from napari_ies.viewer.canvas.legend.writing import write

PARTS = ("Lesion 13", "SmoothGrad mean", "FLAIR map on FLAIR", "16 of 50 samples")


@pytest.mark.parametrize("width", [90, 170, 260, 600])
def test_a_caption_is_whole_at_any_width_and_breaks_between_parts_first(qapp, width):
    font = QFont()
    font.setPixelSize(12)
    metrics = QFontMetrics(font)
    lines = wrapped(PARTS, metrics, width)
    assert max(metrics.horizontalAdvance(line) for line in lines) <= width
    assert " ".join(lines).replace(" · ", " ") == " ".join(PARTS)
    wide = [part for part in PARTS if metrics.horizontalAdvance(part) > width]
    for part in set(PARTS) - set(wide):
        assert any(part in line for line in lines), part
    assert len(wrapped((), metrics, width)) == 0
    (long,) = wrapped(("n" * 500,), metrics, width)
    assert metrics.horizontalAdvance(long) <= width
    assert "…" in long
    # Of two lines each is filled, and the second one ends where there is no more room.
    two = wrapped(PARTS, metrics, width, 2)
    assert len(two) <= 2
    assert max(metrics.horizontalAdvance(line) for line in two) <= width
    if len(lines) <= 2:
        assert two == lines
    else:
        assert two[1].endswith("…")
        assert " · ".join(PARTS).startswith(f"{two[0]} {two[1][:-1]}")


def test_a_narrow_canvas_has_two_lines_and_all_words_in_its_tool_tip(qtbot):
    native, legend = QWidget(), Legend()
    qtbot.addWidget(native)
    native.resize(170, 200)
    caption = CaptionOverlay(native, legend, most_lines=2)
    native.show()
    qtbot.waitExposed(native)
    legend.set_caption(PARTS)
    assert len(caption.lines) == 2
    assert caption.lines[1].endswith("…")
    assert native.rect().contains(caption.geometry())
    for at, said in ((QPoint(80, 190), ""), (caption.geometry().center(), " · ".join(PARTS))):
        event = QHelpEvent(QHelpEvent.Type.ToolTip, at, native.mapToGlobal(at))
        QApplication.sendEvent(native, event)
        assert (QToolTip.text() if QToolTip.isVisible() else "") == said
    QToolTip.hideText()
    # In few words where there are some, as long as there is no room for all.
    legend.set_caption(PARTS, short=("Lesion 13", "FLAIR", "16 of 50", "mean"))
    assert caption.lines[0].startswith("Lesion 13 · FLAIR")
    assert not any("…" in line for line in caption.lines)
    assert legend.text == " · ".join(PARTS)
    native.resize(900, 200)
    assert caption.lines == [" · ".join(PARTS)]
    native.resize(170, 200)
    # What is changed in place of a hidden map is all that is said.
    legend.set_caption(("Lesion 13", "map hidden, FLAIR"), hidden=True)
    legend.set_remark("what if", "original FLAIR")
    assert caption.lines == ["Original FLAIR"]
    legend.set_caption(PARTS)
    assert legend.text == " · ".join((*PARTS, "original FLAIR"))


@pytest.mark.parametrize("ground", [0, 128, 255])
def test_letters_are_read_on_any_ground(qapp, ground):
    """White on dark, with a contrast of 4.5 to 1 at the least, as WCAG asks for."""
    image = QImage(40, 30, QImage.Format.Format_RGB888)
    image.fill(ground * 0x010101 | 0xFF000000)
    painter = QPainter(image)
    write(painter, image.rect().toRectF(), Qt.AlignmentFlag.AlignCenter, "I")
    painter.end()
    line = image.bytesPerLine()
    shades = np.frombuffer(image.bits().asstring(line * 30), np.uint8).reshape(30, line)[:, :120]
    middle = shades[15, 3 * 17 : 3 * 23]  # through the letter, and its plate beside it
    linear = np.sort(((middle / 255 + 0.055) / 1.055) ** 2.4)
    assert (linear[-1] + 0.05) / (linear[0] + 0.05) > 4.5
