"""The lesion table by itself: order, filter, choosing, notes, copying; with real events."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QApplication, QLabel, QLineEdit

from napari_ies.viewer.canvas.colours import OUTLINES
from napari_ies.viewer.lesions.lesion_columns import PeakKind
from napari_ies.viewer.lesions.lesion_table import LesionTable

LESIONS = pd.DataFrame(
    {
        "voxels": [120, 9, 1400, 30],
        "volume_mm3": [120.0, 9.0, 1400.0, 30.0],
        "mean_probability": [0.7, 0.45, 0.9, 0.1],
        "max_probability": [0.9, 0.5, 1.0, 0.2],
        "hemisphere": ["left", "right", "unknown", "midline"],
        "midline_mm": [23.2, 8.0, float("nan"), 1.0],
        "match": ["TP", "FP", "TP", "FN"],
    },
    index=pd.Index([1, 2, 3, 4], name="label"),
)


MEAN = PeakKind("mean")
PLACE = "Place\n(mm)"


@pytest.fixture
def table(qtbot):
    widget = LesionTable()
    qtbot.addWidget(widget)
    widget.resize(340, 300)
    widget.set_lesions(LESIONS)
    widget.show()
    qtbot.waitExposed(widget)
    widget.said = []
    widget.chosen.connect(lambda subject: widget.said.append(("chosen", subject)))
    widget.note_changed.connect(lambda *what: widget.said.append(("note", *what)))
    return widget


def column(table, title):
    return titles(table).index(title)


def cell(table, subject, title):
    row = table.subjects().index(subject)
    return table.view.model().index(row, column(table, title))


def text(table, subject, title):
    return cell(table, subject, title).data()


def titles(table):
    model = table.view.model()
    return [model.headerData(c, Qt.Orientation.Horizontal) for c in range(model.columnCount())]


def press_choice(qtbot, table, title, entry):
    """Press the ▾ of a header and choose from its menu."""
    click_header(qtbot, table, title, into=10)
    menu = QApplication.activePopupWidget()
    action = next(one for one in menu.actions() if one.text() == entry)
    at = menu.actionGeometry(action).center()
    qtbot.mouseClick(menu, Qt.MouseButton.LeftButton, pos=at)


def click_header(qtbot, table, title, into=6):
    header = table.view.horizontalHeader()
    x = header.sectionViewportPosition(column(table, title)) + into
    middle = header.viewport().rect().center()
    middle.setX(x)
    qtbot.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=middle)


def click(qtbot, table, subject, title, event="mouseClick"):
    at = table.view.visualRect(cell(table, subject, title)).center()
    getattr(qtbot, event)(table.view.viewport(), Qt.MouseButton.LeftButton, pos=at)


def note_editor(table):
    editors = [e for e in table.view.viewport().findChildren(QLineEdit) if e.isVisible()]
    assert len(editors) == 1
    return editors[0]


def paused(qtbot, table):
    """Wait until no choice and no second click is waited for any more."""
    qtbot.wait(1)
    waiting = table._pause, table.view._click
    qtbot.waitUntil(lambda: not any(one.waiting for one in waiting), timeout=10_000)


def test_what_a_row_says(table):
    assert text(table, 3, "mm³") == "1,400"
    assert text(table, 1, "p max") == "0.90"
    assert [text(table, n, PLACE) for n in (1, 2, 3, 4)] == ["L 23", "R 8", "?", "mid"]
    role = Qt.ItemDataRole.ToolTipRole
    assert "23 mm from the midline" in cell(table, 1, PLACE).data(role)
    assert cell(table, 1, PLACE).data(role).endswith("on the patient's left.")


def test_the_name_of_a_region_and_all_columns_of_peaks_fit_a_small_screen(qtbot, table):
    view = table.view
    kind = PeakKind("mean", "1", -3)
    table.set_kinds({"mean": kind})
    table.set_peaks(2, "mean", {"FLAIR": -0.0123, "T1": 0.0045}, "")
    # As wide as the rows are at 1280 by 800.
    table.resize(377 + table.width() - view.viewport().width(), table.height())
    qtbot.wait(1)
    last = column(table, next(title for title in titles(table) if title.startswith("▾ Peak T1")))
    assert view.columnViewportPosition(last) + view.columnWidth(last) <= view.viewport().width()
    table.set_peaks(1, "mean", {"FLAIR": 0.1, "T1": -1234.5}, "")
    for number in (last - 1, last):
        assert view.columnWidth(number) >= view.sizeHintForColumn(number)
    assert view.sizeHintForColumn(last) > 64  # it had to grow
    table.set_region("Region 12", {"volume_mm3": 70.0})
    assert view.columnWidth(0) >= view.sizeHintForColumn(0)
    assert view.fontMetrics().horizontalAdvance("Region 12") < view.columnWidth(0)
    table.set_region("A name that is longer than all the rest of the table", {"volume_mm3": 7.0})
    assert view.columnWidth(0) < 100


def test_columns_of_peaks_hold_one_kind_of_maps_chosen_in_their_header(qtbot, table):
    assert not any(title.startswith("▾") for title in titles(table))
    table.select(2)
    table.set_kinds({"a": MEAN})
    table.set_peaks(2, "a", {"FLAIR": -0.1234, "T1": 0.5}, "Lesion 2: in logit per something.")
    mean = ["▾ Peak FLAIR\nmean", "▾ Peak T1\nmean"]
    assert titles(table)[-4:] == [*mean, "Maps", "Note"]
    assert [text(table, 2, title) for title in mean] == ["−0.123", "+0.5"]
    assert text(table, 1, mean[1]) == ""
    assert table.view.selectionModel().isSelected(cell(table, 2, mean[1]))
    assert table.view.selected_row() == 1
    assert "logit" in cell(table, 2, mean[1]).data(Qt.ItemDataRole.ToolTipRole)
    # All of a kind are in units of one power of ten, and copied in full.
    table.set_kinds({"a": PeakKind("mean", "logit per something", -3)})
    small = ["▾ Peak FLAIR\nmean, 10⁻³", "▾ Peak T1\nmean, 10⁻³"]
    assert [text(table, 2, title) for title in small] == ["−123", "+500"]
    about = table.view.model().headerData(
        column(table, small[0]), Qt.Orientation.Horizontal, Qt.ItemDataRole.ToolTipRole
    )
    assert "10⁻³ logit per something" in about
    header, values = table.view.copied().splitlines()
    assert "Peak FLAIR (mean)\tPeak T1 (mean)" in header
    assert "-0.1234\t0.5" in values
    table.set_kinds({"a": MEAN})
    # Maps of other kinds do not get among them, whichever came last.
    table.set_kinds({"a": MEAN, "b": PeakKind("max"), "c": PeakKind("Grad-CAM++")})
    table.set_peaks(1, "b", {"FLAIR": 7.0, "T1": 8.0}, "")
    table.set_peaks(2, "b", {"FLAIR": 9.0, "T1": 9.5}, "")
    table.set_peaks(2, "c", {"all": 3.0}, "Lesion 2: in logit × activation.")
    assert [text(table, n, mean[0]) for n in (1, 2)] == ["", "−0.123"]
    table.resize(800, 300)
    order = table.subjects()
    press_choice(qtbot, table, mean[0], "Peaks of max maps")
    largest = ["▾ Peak FLAIR\nmax", "▾ Peak T1\nmax"]
    assert titles(table)[-4:] == [*largest, "Maps", "Note"]
    assert [text(table, n, largest[0]) for n in (1, 2, 3)] == ["+7", "+9", ""]
    press_choice(qtbot, table, largest[0], "Peaks of Grad-CAM++ maps")
    assert titles(table)[-3:] == ["▾ Peak\nGrad-CAM++", "Maps", "Note"]
    assert [text(table, n, "▾ Peak\nGrad-CAM++") for n in (1, 2)] == ["", "+3"]
    # The choice did not sort; a click beside it does.
    assert table.subjects() == order
    click_header(qtbot, table, "▾ Peak\nGrad-CAM++", into=60)
    assert table.subjects()[0] == 2
    # Maps that are gone leave nothing behind.
    table.forget_peaks(2, {"b"})
    table.set_kinds({"b": PeakKind("max")})
    assert [text(table, n, largest[0]) for n in (1, 2)] == ["+7", "+9"]
    assert table.said == []


def test_verdicts_are_listed_filtered_and_copied(qtbot, table):
    for subject, verdict in ((1, "agree"), (2, "reject"), (3, "unsure")):
        table.set_verdict(subject, verdict)
    assert [text(table, n, "OK?") for n in (1, 2, 3, 4)] == ["✓", "✗", "?", ""]
    assert "reject" in cell(table, 2, "OK?").data(Qt.ItemDataRole.ToolTipRole)
    actions = table.filter.verdicts
    for chosen, listed in ((["reject"], [2]), (["agree", ""], [1, 4]), (["unsure"], [3])):
        for one in chosen:
            actions[one].trigger()
        assert table.subjects() == listed
        for one in chosen:
            actions[one].trigger()
    qtbot.keyClicks(table.filter.text, "reject")
    assert table.subjects() == [2]
    table.filter.text.clear()
    # Judged away under a filter: no other row is selected, and none would be judged in its place.
    actions[""].trigger()
    table.select(4)
    table.set_verdict(4, "agree")
    assert table.subjects() == []
    table.set_verdict(1, None)
    assert (table.view.selected_row(), table.pointed_at) == (None, 4)
    # The row that the keys came to is meant at once, before it is chosen.
    actions[""].trigger()
    table.select(1)
    table.step(1)
    assert table.pointed_at == 2
    qtbot.keyClick(table.view, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    header, row = (line.split("\t") for line in QGuiApplication.clipboard().text().splitlines())
    assert row[header.index("OK?")] == "reject"
    paused(qtbot, table)


def test_what_was_found_and_missed_is_said_with_a_legend(qtbot, table):
    table.set_lesions(LESIONS, "3 found (2 TP, 1 FP), 1 of the reference missed.")
    assert table.found.text().startswith("3 found (2 TP, 1 FP)")
    shown = [words.text() for words in table.legend.findChildren(QLabel) if words.text()]
    assert shown == ["2 TP", "1 FP", "1 FN (missed)"]
    # Each sample is drawn in the colour of its kind, with its dashes.
    samples = [one.pixmap() for one in table.legend.findChildren(QLabel) if not one.text()]
    lengths = []
    for sample, outline in zip(samples, OUTLINES.values(), strict=True):
        picture = sample.toImage()
        colour = np.array(outline.colour[:3]) * 255
        along = [picture.pixelColor(x, 6).getRgb()[:3] for x in range(picture.width())]
        lengths.append(sum(np.abs(np.array(one) - colour).max() < 3 for one in along))
    assert lengths[0] > lengths[1] > lengths[2] > 0
    table.set_lesions(LESIONS.drop(columns="match"), "4 lesions found.")
    assert table.legend.isHidden()


def test_below_the_table_nothing_moves_whatever_is_selected(qtbot, table):
    below, said = table.chosen_lesion, []
    below.map_chosen.connect(said.append)
    below.judged.connect(said.append)
    height = below.height()
    below.set_subject("lesion 2")
    below.set_maps([("k", "mean", "SmoothGrad mean"), (None, "max …", "")], "k")
    qtbot.wait(1)
    assert below.height() == height
    for row in (0, 1):
        at = below.maps.visualItemRect(below.maps.item(row)).center()
        qtbot.mouseClick(below.maps.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert said == ["k"]  # what is being computed is not there to be shown again
    # A map that refines, between press and release, takes nothing from under the mouse.
    middle = below.maps.visualItemRect(below.maps.item(0)).center()
    qtbot.mousePress(below.maps.viewport(), Qt.MouseButton.LeftButton, pos=middle)
    below.set_maps([("k", "mean", "SmoothGrad mean"), (None, "max …", "")], None)
    qtbot.mouseRelease(below.maps.viewport(), Qt.MouseButton.LeftButton, pos=middle)
    assert said == ["k", "k"]
    qtbot.mouseClick(below.verdicts["unsure"], Qt.MouseButton.LeftButton)
    assert said == ["k", "k", "unsure"]
    below.set_note("a note of many words " * 9, anywhere=True)
    qtbot.wait(1)
    height = below.height()
    for text_of_another in ("", "short"):
        below.set_note(text_of_another, anywhere=True)
        qtbot.wait(1)
        assert below.height() == height


def test_sorted_by_any_column_with_regions_and_gaps_below(qtbot, table):
    # A region is chosen before its first map makes it a row, whatever key is held meanwhile.
    table.view.setFocus()
    held = Qt.KeyboardModifier
    for key, with_it in (
        (Qt.Key.Key_Control, held.ControlModifier),
        (Qt.Key.Key_Shift, held.ShiftModifier),
    ):
        qtbot.keyPress(table.view, key, with_it)
        table.select("a region")
        table.set_region("a region", {"volume_mm3": 500.0, "hemisphere": "left", "midline_mm": 9})
        assert table.view.selected_row() == 4
        table.select(1)
        table.select(2)
        assert table.view.copied().splitlines()[1].split("\t")[0] == "2"
        assert len(table.view.copied().splitlines()) == 2
        qtbot.keyRelease(table.view, key)
    assert table.subjects() == [1, 2, 3, 4, "a region"]
    click_header(qtbot, table, "mm³")
    assert table.subjects() == [2, 4, 1, 3, "a region"]
    click_header(qtbot, table, "mm³")
    assert table.subjects() == [3, 1, 4, 2, "a region"]
    # From the patient's left to the right; where the side is not known stands below.
    click_header(qtbot, table, PLACE)
    places = table.subjects()
    assert places == [1, 4, 2, 3, "a region"]
    click_header(qtbot, table, PLACE)
    assert table.subjects() == [2, 4, 1, 3, "a region"]


def test_only_what_is_asked_for_is_listed(qtbot, table):
    table.set_note(4, "Ask the neurologist")
    table.set_explained(1, "mean")
    counts = table.filter.menu
    assert counts.text() == "4 ▾"
    for words, expected in (
        ("tp", [1, 3]),
        ("LEFT tp", [1]),
        ("neuro ask", [4]),
        ("neuro left", []),
        ("r 8", [2]),
    ):
        table.filter.text.clear()
        qtbot.keyClicks(table.filter.text, words)
        assert table.subjects() == expected, words
    assert counts.text() == "1 of 4 ▾"
    table.filter.text.clear()
    table.filter.matches["FP"].trigger()
    table.filter.matches["FN"].trigger()
    assert table.subjects() == [2, 4]
    table.filter.smallest.setValue(10)
    assert table.subjects() == [4]
    for match in ("FP", "FN"):
        table.filter.matches[match].trigger()
    table.filter.unexplained.trigger()
    assert table.subjects() == [3, 4]
    assert table.said == []
    # Without a reference there is nothing to match, and a filter for it is lifted.
    table.filter.matches["FP"].trigger()
    table.set_lesions(LESIONS.drop(columns="match"))
    assert not table.filter.matches["FP"].isVisible()
    assert table.subjects() == [1, 3, 4]


def test_filtering_the_selected_lesion_away_chooses_no_other(qtbot, table):
    table.select(1)
    qtbot.keyClicks(table.filter.text, "fp")
    paused(qtbot, table)
    assert table.said == []
    assert table.view.selected_row() is None
    table.filter.text.clear()
    assert table.subjects()[table.view.selected_row()] == 1


def test_arrow_keys_choose_after_a_pause_and_the_mouse_at_once(qtbot, table):
    click(qtbot, table, 1, "mm³")
    assert table.said == [("chosen", 1)]
    for _ in range(2):
        qtbot.keyClick(table.view, Qt.Key.Key_Down)
    assert table.said == [("chosen", 1)]
    qtbot.waitUntil(lambda: len(table.said) > 1, timeout=10_000)
    assert table.said == [("chosen", 1), ("chosen", 3)]
    # What the panel selects meanwhile is no choice of the person at the table.
    qtbot.keyClick(table.view, Qt.Key.Key_Down)
    table.select(2)
    paused(qtbot, table)
    assert len(table.said) == 2
    qtbot.keyClick(table.view, Qt.Key.Key_Return)
    assert table.said[-1] == ("chosen", 2)
    # More rows, to be copied, are no choice either.
    qtbot.keyClick(table.view, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    paused(qtbot, table)
    assert len(table.said) == 3
    qtbot.keyClick(table.view, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    lines = QGuiApplication.clipboard().text().splitlines()
    assert [line.split("\t") for line in lines] == [
        ["#", "mm³", "p max", "Match", "OK?", "Place (mm)", "Maps", "Note"],
        ["2", "9", "0.5", "FP", "", "R 8", "", ""],
        ["3", "1400", "1", "TP", "", "?", "", ""],
    ]


def test_a_note_is_written_without_choosing_anything(qtbot, table):
    click(qtbot, table, 1, "mm³")
    click(qtbot, table, 2, "Note")
    click(qtbot, table, 2, "Note", "mouseDClick")
    editor = note_editor(table)
    qtbot.keyClicks(editor, "near the  vein or not ")
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: ("note", 2, "near the vein or not") in table.said, timeout=10_000)
    paused(qtbot, table)
    assert [what for what in table.said if what[0] == "chosen"] == [("chosen", 1)]
    # The lesion on show is the selected one again; F2 writes its note.
    assert table.subjects()[table.view.selected_row()] == 1
    qtbot.keyClick(table.view, Qt.Key.Key_F2)
    qtbot.keyClicks(note_editor(table), "x")
    qtbot.keyClick(note_editor(table), Qt.Key.Key_Escape)
    assert table.notes() == {2: "near the vein or not"}
    # A row stays while its note is written, though it is explained meanwhile; then it goes.
    table.filter.unexplained.trigger()
    table.select(4)
    qtbot.keyClick(table.view, Qt.Key.Key_F2)
    qtbot.keyClicks(note_editor(table), "old")
    table.set_explained(4, "mean")
    table.set_kinds({"a": MEAN})
    table.set_peaks(4, "a", {"FLAIR": 1.0}, "Lesion 4.")
    qtbot.keyClick(note_editor(table), Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: table.notes().get(4) == "old", timeout=10_000)
    assert 4 not in table.subjects()
    table.filter.unexplained.trigger()
    # A click on a note, without a second one, is a choice like any other.
    click(qtbot, table, 3, "Note")
    qtbot.waitUntil(lambda: table.said[-1] == ("chosen", 3), timeout=10_000)


def test_columns_are_hidden_and_shown_by_the_header_menu(qtbot, table):
    hidden = {
        title: table.view.isColumnHidden(column(table, title))
        for title in ("#", "mm³", "Voxels", "p mean", "p max", "Match", PLACE, "Note")
    }
    assert [title for title, is_hidden in hidden.items() if is_hidden] == ["Voxels", "p mean"]
    # What is shown at first fits a panel of 340 pixels.
    header = table.view.horizontalHeader()
    assert header.length() <= table.view.viewport().width()
    menu = table.view.column_menu()
    next(a for a in menu.actions() if a.text() == "Voxels").trigger()
    assert not table.view.isColumnHidden(column(table, "Voxels"))
    menu.deleteLater()
