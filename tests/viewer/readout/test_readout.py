"""The tab "Readout", as a person sees it; numbers against loops of their own."""

from __future__ import annotations

import io
import math
import threading
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication

from napari_ies.saliency.request import SaliencyRequest
from napari_ies.saliency.saliency import Saliency
from napari_ies.segmentation.subject import Lesion
from napari_ies.viewer.canvas.legend.colour_strip import ColourStrip
from napari_ies.viewer.panel.plot import Sheet
from napari_ies.viewer.readout.plot import STYLES, profile_figure
from napari_ies.viewer.readout.words import (
    ROWS,
    cell_text,
    cell_tooltip,
    copied_text,
    method_line,
    rows_of,
    share_sentence,
)
from napari_ies.viewer.state.answers import Answer
from napari_ies.viewer.state.scaled import common_power, number, scaled_unit

READOUT = "napari-ies readout"
"""Name of the thread that measures."""

ZONES = {
    "mean_inside": (-math.inf, 0),
    "mean_0_3_mm": (0, 3),
    "mean_3_7_mm": (3, 7),
    "mean_7_15_mm": (7, 15),
}


def open_tab(hands, title="Readout"):
    tabs = hands.control("tabs")
    titles = [tabs.tabText(i) for i in range(tabs.count())]
    place = tabs.tabBar().tabRect(titles.index(title)).center()
    hands.qtbot.mouseClick(tabs.tabBar(), Qt.MouseButton.LeftButton, pos=place)
    hands.settle()


def header(rows, column):
    return rows.headerData(column, Qt.Orientation.Horizontal)


def method(hands):
    return hands.control("readout_method").text()


def cells(hands):
    """Every cell of the table: text and tooltip by row and sequence."""
    model = hands.control("measures").model()
    across, down = Qt.Orientation.Horizontal, Qt.Orientation.Vertical
    return {
        (model.headerData(row, down), model.headerData(column, across)): (
            model.index(row, column).data(),
            model.index(row, column).data(Qt.ItemDataRole.ToolTipRole),
        )
        for row in range(model.rowCount())
        for column in range(model.columnCount())
    }


def on_screen(text):
    return float(text.replace("−", "-"))


def power_on_screen(hands):
    words = hands.control("readout_unit").text().split()
    raised = words[words.index("in") + 1]
    if not raised.startswith("10"):
        return 0
    digits = {"⁻": "-"} | {c: str(i) for i, c in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")}
    return int("".join(digits[c] for c in raised[2:]))


def distances_outside(mask, sizes):
    """From each voxel's centre to the nearest face of a mask's voxels, in mm."""
    grid = np.stack(np.indices(mask.shape), axis=-1).astype(float)
    nearest = np.full(mask.shape, math.inf)
    for voxel in np.argwhere(mask):
        steps = np.maximum(np.abs(grid - voxel) - 0.5, 0) * sizes
        nearest = np.minimum(nearest, np.sqrt((steps**2).sum(axis=-1)))
    return np.round(nearest, 3)


def expected_measures(answer):
    saliency = answer.saliency
    maps = saliency.maps.astype(np.float64)
    mask = saliency.mask
    outside = distances_outside(mask, np.linalg.norm(saliency.affine[:3, :3], axis=0))
    found = {}
    for channel, name in enumerate(saliency.sequences):
        values = maps[channel]
        found["Peak, positive", name] = values.max()
        found["Peak, negative", name] = values.min()
        found["Mean inside", name] = values[mask].mean()
        for low, high in list(ZONES.values())[1:]:
            near = ~mask & (outside > low) & (outside <= high)
            found[f"Mean {low}–{high} mm", name] = values[near].mean()
        found["Share of total", name] = np.abs(values).sum() / np.abs(maps).sum()
        found["Positive inside", name] = (values[mask] > 0).mean()
    return found


def test_numbers_and_plot_of_the_map_on_screen(segmented):
    the_numbers_of_the_map_on_screen_are_shown_and_copied(segmented)
    segmented.panel.features["explaining"].form.set_method("smoothgrad")
    segmented.afresh()
    the_plot_is_seen_in_the_theme_and_nothing_is_left_behind(segmented)


def the_numbers_of_the_map_on_screen_are_shown_and_copied(segmented):
    assert "Explain a lesion" in method(segmented)
    readout = segmented.panel.features["readout"]
    segmented.panel.explaining.explain(2)
    segmented.finish()
    assert not readout.measuring.busy  # the tab is hidden: nothing is measured for it
    open_tab(segmented)
    segmented.wait(lambda: "3 samples" in method(segmented))
    answer = segmented.answer(2)
    for part in ("Lesion 2", "SmoothGrad mean", "float32", "CPU"):
        assert part in method(segmented)

    shown, power = cells(segmented), 10.0 ** power_on_screen(segmented)
    expected = expected_measures(answer)
    assert shown.keys() == expected.keys()
    for (row, name), value in expected.items():
        text, tooltip = shown[row, name]
        if "%" in text:
            assert on_screen(text.removesuffix(" %")) == pytest.approx(100 * value, abs=0.51)
        else:
            assert on_screen(text.split(" ± ")[0]) * power == pytest.approx(value, rel=6e-3)
            assert "logit per standard deviation" in tooltip
            assert "tandard error" in tooltip
    errors = answer.saliency.standard_error[0].flat[answer.saliency.maps[0].argmax()]
    error = on_screen(shown["Peak, positive", "FLAIR"][0].split(" ± ")[1]) * power
    assert error == pytest.approx(errors, rel=0.35)
    shares = [expected["Share of total", name] for name in ("FLAIR", "T1")]
    sentence = segmented.control("readout_shares").text()
    assert f"FLAIR {100 * shares[0]:.0f} %, T1 {100 * shares[1]:.0f} %" in sentence

    # Readout, colour bar and table are in one power of ten: that of all maps of this kind.
    state, strip = segmented.panel.state, segmented.viewer.window._qt_window.findChild(ColourStrip)
    rows = segmented.control("lesions").model()
    at = next(i for i in range(rows.columnCount()) if header(rows, i).startswith("▾ Peak FLAIR"))
    peak = rows.index(segmented.panel.features["lesions"].table.subjects().index(2), at)
    values = answer.saliency.cropped[0]
    strongest = float(values.flat[np.abs(values).argmax()])
    for factor in (1.0, 1000.0):
        ranges = [replace(one, highest=factor * one.highest) for one in answer.ranges]
        state.keep(replace(answer, subject=Lesion(1), ranges=tuple(ranges)))
        (bar,), power = strip.bars, power_on_screen(segmented)
        assert bar.power == power
        assert power == common_power(factor * max(one.highest for one in answer.ranges))
        unit = scaled_unit("", power).strip()
        assert header(rows, at) == f"▾ Peak FLAIR\nmean{', ' if unit else ''}{unit}"
        assert peak.data().removeprefix("+") == number(strongest, power)
    state.answers.forget(1)

    segmented.press("copy_readout")
    copied = pd.read_csv(
        io.StringIO(QGuiApplication.clipboard().text()), sep="\t", index_col=0, na_values=["n/a"]
    )
    for (row, name), value in expected.items():
        assert copied.loc[row, name] == pytest.approx(value, rel=1e-4)
    assert copied.loc["Mean inside, voxels", "T1"] == answer.saliency.footprint.sum()

    # Another lesion without a map: no number of the one before stays.
    segmented.panel.features["explaining"].form.samples.setValue(5000)
    segmented.panel.explaining.explain(1)
    if segmented.panel.state.shown.subject == 2:
        assert not segmented.control("measures").isVisible()
    segmented.wait(lambda: "running: " in method(segmented))
    assert "Lesion 1" in method(segmented)
    assert "of 5000 samples" in method(segmented)
    assert " of 5000 samples" in segmented.control("progress").text()
    first = method(segmented)
    segmented.wait(lambda: method(segmented) != first)
    assert "running: " in method(segmented)
    segmented.press("cancel")
    segmented.wait(lambda: "stopped: " in method(segmented))

    segmented.panel.features["explaining"].form.set_method("gradcam++")
    segmented.control("layer").setCurrentText("2")
    segmented.panel.explaining.explain(2)
    segmented.wait(lambda: "Grad-CAM++ 2 · float32" in method(segmented))
    shown = cells(segmented)
    peak, tooltip = shown["Peak, positive", "all"]
    assert peak.endswith("± –")
    assert "Grad-CAM++ has no noise" in tooltip
    value = segmented.answer(2).saliency.maps.max()
    power = 10.0 ** power_on_screen(segmented)
    assert on_screen(peak.split(" ± ")[0]) * power == pytest.approx(value, rel=6e-3)


def the_plot_is_seen_in_the_theme_and_nothing_is_left_behind(segmented):
    open_tab(segmented)
    segmented.panel.explaining.explain(1)
    segmented.wait(lambda: "3 samples" in method(segmented))
    plot = segmented.control("profile")

    def seen(colour):
        picture = plot.grab().toImage()
        pixels = [
            picture.pixelColor(x, y).getRgb()[:3]
            for x in range(0, picture.width(), 2)
            for y in range(0, picture.height(), 2)
        ]
        wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        return (np.abs(np.array(pixels) - wanted).max(axis=1) < 12).mean()

    for colour, _, _ in STYLES[:2]:
        assert seen(colour) > 0.0005
    assert seen("#23242b") > 0.5
    segmented.viewer.theme = "light"
    segmented.wait(lambda: seen("#ebe7e6") > 0.5)
    for colour, _, _ in STYLES[:2]:
        assert seen(colour) > 0.0005

    # Closed while a map is being measured: nothing fails, nothing comes any more.
    readout = segmented.panel.features["readout"]
    came = []
    readout.measuring.measured.connect(came.append)
    segmented.panel.features["explaining"].form.samples.setValue(5000)
    segmented.panel.explaining.explain(2)
    segmented.wait(lambda: readout.measuring.busy)
    segmented.viewer.window.remove_dock_widget("all")
    seen_so_far = len(came)
    segmented.wait(lambda: not [t for t in threading.enumerate() if t.name == READOUT])
    segmented.settle()
    assert len(came) == seen_so_far


def answered(method="smoothgrad", *, finished=True, n_used=4, **changes):
    """A map of 6 × 5 × 4 voxels, its footprint the voxel in the corner."""
    shape = (6, 5, 4)
    footprint = np.zeros(shape, dtype=bool)
    footprint[0, 0, 0] = True
    sequences = ("FLAIR", "T1") if method == "smoothgrad" else ("all",)
    maps = np.random.default_rng(0).normal(0, 1e-4, (len(sequences), *shape))
    values = {
        "request": SaliencyRequest(method=method, n_samples=6, tolerance=0.1),
        "sequences": sequences,
        "shape": shape,
        "affine": np.eye(4),
        "box": tuple(slice(0, n) for n in shape),
        "cropped": maps.astype(np.float32),
        "cropped_standard_error": None,
        "footprint": footprint,
        "n_used": n_used,
        "provenance": {"precision": "float32", "device": "CPU (2 threads)"},
    }
    saliency = Saliency(**(values | changes))
    return Answer(Lesion(3), saliency.request, saliency, 1.0, "net.pth", "", finished)


def test_the_method_line_says_how_far_the_map_is():
    assert method_line(answered(n_used=6), False) == (
        "Lesion 3 · SmoothGrad mean · 6 samples · float32 · CPU (2 threads)"
    )
    assert "4 of 6 samples, converged" in method_line(answered(), False)
    assert "running: 4 of 6 samples" in method_line(answered(finished=False), True)
    assert "stopped: 4 of 6 samples" in method_line(answered(finished=False), False)
    assert "running: part of the first of 6 samples" in method_line(
        answered(finished=False, n_used=0), True
    )
    assert "sample" not in method_line(answered("gradcam++"), False)


def test_how_far_members_lie_apart_stands_below_the_peaks():
    one = answered()
    measures = one.saliency.measures
    assert rows_of(measures) == ROWS
    measures = measures.assign(peak_positive_spread=0.02, peak_negative_spread=0.01)
    rows = rows_of(measures)
    assert [row.title for row in rows[:4]] == [
        "Peak, positive",
        "Peak, negative",
        "Members ±, at +",
        "Members ±, at −",
    ]
    values = measures.loc["T1"]
    assert cell_text(rows[2], values, -2) == "2"
    assert "how much another training would change" in cell_tooltip(rows[2], "T1", values, one)
    assert f"Members ±, at −\t{one.saliency.unit}\t0.01" in copied_text(one, measures, False)


def test_a_number_that_is_missing_says_why():
    one = answered(n_used=1)
    row = one.saliency.measures.loc["T1"]
    peak, shell = ROWS[0], ROWS[5]
    assert cell_text(peak, row, 0).endswith("± –")
    assert "at least two noise samples" in cell_tooltip(peak, "T1", row, one)
    # The volume ends before the last shell begins.
    assert shell.key == "mean_7_15_mm"
    assert cell_text(shell, row, 0) == "–"
    assert "No voxel of the image lies there" in cell_tooltip(shell, "T1", row, one)
    nothing = answered(cropped=np.zeros((2, 6, 5, 4), np.float32))
    share = next(row for row in ROWS if row.key == "share")
    row = nothing.saliency.measures.loc["FLAIR"]
    assert cell_text(share, row, 0) == "–"
    assert "0 everywhere" in cell_tooltip(share, "FLAIR", row, nothing)
    assert share_sentence(nothing, nothing.saliency.measures) == "The map is 0 everywhere."


@pytest.mark.parametrize(
    ("largest", "power"), [(0.0, 0), (4.2, 0), (0.3, 0), (0.061, -3), (2e-5, -6), (1.5e4, 3)]
)
def test_values_are_shown_in_a_power_of_ten_that_reads_well(largest, power):
    assert common_power(largest) == power
    assert scaled_unit("mm", -6) == "10⁻⁶ mm"
    assert scaled_unit("mm", 0) == "mm"


def test_the_plot_has_a_line_per_sequence_that_colour_blind_readers_tell_apart():
    table = pd.DataFrame(
        {
            "from_mm": [-2.0, -1, 0, 1],
            "to_mm": [-1.0, 0, 1, 2],
            "distance_mm": [-1.5, -0.6, 0.5, math.nan],
            "voxels": [2, 5, 9, 0],
            "FLAIR": [0.02, 0.04, -0.01, math.nan],
            "T1": [0.0, -0.03, 0.01, math.nan],
        }
    )
    sheet = Sheet(340, 220, 1.0, "#000000", "#ffffff", "#888888")
    figure = profile_figure(table, ("FLAIR", "T1"), "logit per standard deviation", sheet)
    (axes,) = figure.axes
    lines = {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}
    for name, line in lines.items():
        np.testing.assert_allclose(line.get_xdata(), [-1.5, -0.6, 0.5])
        np.testing.assert_allclose(line.get_ydata(), 1000 * table[name][:3])
    assert len({line.get_linestyle() for line in lines.values()}) == 2
    assert len({line.get_color() for line in lines.values()}) == 2
    assert axes.get_xlabel() == "Distance from the border (mm)"
    assert "10⁻³ logit per SD" in axes.get_ylabel()
    assert {text.get_text() for text in axes.texts} == {"inside", "outside"}
    left, right = axes.get_xlim()
    assert left < -2
    assert 15 <= right < 16
