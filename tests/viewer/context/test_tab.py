"""The tab "Context", as a person sees and uses it."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QScrollArea, QToolTip

from napari_ies.viewer.canvas.canvases import around
from napari_ies.viewer.panel import dialogs
from napari_ies.viewer.panel.availability import why_not

FILES = [f"curve.{ending}" for ending in ("csv", "json", "pdf", "png")]


def colours_of(plot):
    """The colours that a widget shows, with how many pixels each has."""
    image = plot.grab().toImage().convertToFormat(plot.grab().toImage().Format.Format_RGB32)
    bits = np.frombuffer(image.constBits().asstring(image.sizeInBytes()), np.uint32)
    return dict(zip(*np.unique(bits & 0xFFFFFF, return_counts=True), strict=True))


@pytest.mark.slow
def test_the_curve_of_the_selected_lesion(segmented, tmp_path, monkeypatch):
    panel, control = segmented.panel, segmented.control
    tabs = panel.tabs
    names = [tabs.tabText(number) for number in range(tabs.count())]
    tabs.setCurrentIndex(names.index("Context"))
    line, table, plot = (control(f"context_{name}") for name in ("line", "values", "plot"))
    assert why_not(control("context_compute")) == "Select a lesion first."
    assert not plot.isVisible()
    panel.state.select(1)
    assert line.text() == "Lesion 1 has no curve yet."
    control("context_to").setValue(6.0)
    control("context_step").setValue(2.0)
    segmented.press("context_compute")
    assert control("context_compute").text() == "Stop"
    segmented.wait(lambda: panel.state.curves.of(1))
    segmented.finish()
    assert control("context_compute").text() == "Compute curve"
    assert line.text().startswith("Lesion 1 · all sequences to background · steps of 2 mm to 6 mm")
    assert not control("context_outdated").isVisible()
    (curve,) = panel.state.curves.of(1)
    model = table.model()
    shown = [[model.index(r, c).data() for c in range(4)] for r in range(model.rowCount())]
    assert [row[0] for row in shown] == ["whole image", "lesion alone", "2 mm", "4 mm", "6 mm"]
    assert [float(row[1]) for row in shown[1:]] == pytest.approx(
        curve.context.mean_probability, abs=5e-4
    )
    # The line in its colour is painted, on the theme's own background.
    blue = 0x56B4E9
    segmented.wait(lambda: colours_of(plot).get(blue, 0) > 20)

    # The keyboard goes from step to step, and the plot points it out.
    before = plot.grab().toImage()
    table.setFocus()
    table.selectRow(0)
    for _ in range(2):
        segmented.qtbot.keyClick(table, Qt.Key.Key_Down)
    assert table.step == 1
    segmented.wait(lambda: plot.grab().toImage() != before)
    # The mouse reads a step out, and a press goes to it.
    page = around(plot, QScrollArea)
    around(page.parentWidget(), QScrollArea).ensureWidgetVisible(page)
    page.ensureWidgetVisible(plot)
    segmented.settle()
    right = QPoint(plot.width() - 12, plot.visibleRegion().boundingRect().center().y())
    segmented.qtbot.mouseMove(plot, right)
    segmented.wait(lambda: "6 mm kept: mean probability" in QToolTip.text())
    segmented.qtbot.mouseClick(plot, Qt.MouseButton.LeftButton, pos=right)
    assert table.step == 3

    # What is not of now is said to be so.
    control("context_step").setValue(3.0)
    assert "other steps or sequences" in control("context_outdated").text()
    control("context_step").setValue(2.0)
    assert not control("context_outdated").isVisible()
    control("threshold").setValue(0.25)
    assert "The threshold says 0.25 now" in control("context_outdated").text()
    panel.state.select(2)
    assert line.text() == "Lesion 2 has no curve yet."
    assert not plot.isVisible()
    panel.state.select(1)

    # It is taken away: on the clipboard, and as files.
    control("copy_context").click()
    head, *rows = QGuiApplication.clipboard().text().splitlines()
    assert head.split("\t")[0] == "lesion"
    assert len(rows) == 4
    asked = []
    monkeypatch.setattr(dialogs, "choose_new_file", lambda *asked_for: str(tmp_path / "curve.csv"))
    monkeypatch.setattr(dialogs, "may_replace_file", lambda _, path: asked.append(path))
    control("export_context").click()
    segmented.wait(lambda: "Saved the curve" in panel.status.text)
    assert sorted(path.name for path in tmp_path.glob("curve.*")) == FILES
    saved = pd.read_csv(tmp_path / "curve.csv")
    np.testing.assert_array_equal(saved["mean_probability"], curve.context.mean_probability)
    assert list(saved.columns[:5]) == ["subject", "visit", "network", "growth", "lesion"]
    told = json.loads((tmp_path / "curve.json").read_text())
    assert told["Growth"] == {"step_mm": 2.0, "farthest_mm": 6.0, "dilations": 0}
    assert told["Threshold"] == 0.5
    control("export_context").click()
    assert asked == [str(tmp_path / "curve.csv")]

    # Segmented again, there are other lesions and no curve.
    segmented.segment()
    assert len(panel.state.curves) == 0
    assert not plot.isVisible()
