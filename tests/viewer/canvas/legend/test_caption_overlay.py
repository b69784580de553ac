"""Captions: all of their words, at any width, broken between their parts first."""

from __future__ import annotations

import pytest
from qtpy.QtGui import QFont, QFontMetrics

from napari_ies.viewer.canvas.legend.caption_overlay import wrapped


@pytest.mark.parametrize("width", [90, 170, 260, 600])
def test_a_caption_is_whole_at_any_width_and_breaks_between_parts_first(qapp, width):
    font = QFont()
    font.setPixelSize(12)
    metrics = QFontMetrics(font)
    parts = ("Lesion 13", "SmoothGrad mean", "FLAIR map on FLAIR", "16 of 50 samples")
    lines = wrapped(parts, metrics, width)
    assert max(metrics.horizontalAdvance(line) for line in lines) <= width
    assert " ".join(lines).replace(" · ", " ") == " ".join(parts)
    wide = [part for part in parts if metrics.horizontalAdvance(part) > width]
    for part in set(parts) - set(wide):
        assert any(part in line for line in lines), part
    assert len(wrapped((), metrics, width)) == 0
    (long,) = wrapped(("n" * 500,), metrics, width)
    assert metrics.horizontalAdvance(long) <= width
    assert "…" in long
