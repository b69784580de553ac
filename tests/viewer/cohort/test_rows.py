"""A long list on the screen: what is out of sight is not asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from listed_cohort import cohort, report
from qtpy.QtCore import QItemSelectionModel, Qt
from qtpy.QtWidgets import QApplication

from napari_ies.viewer.cohort.rows import ListedRows
from napari_ies.viewer.cohort.rows_view import RowsView
from napari_ies.viewer.state.listed.cohort import Wanted

MANY = 20_000
IN_SIGHT = 60
"""Rows that are on a screen at the very most, drawn two times each."""


@pytest.fixture(scope="module")
def many():
    """A cohort of as many lesions, of which each is one of a few."""
    found = report(cases=20)
    lesions = (found.lesions * (MANY // len(found.lesions) + 1))[:MANY]
    return cohort(replace(found, lesions=lesions))


@pytest.mark.slow
def test_a_window_looks_at_the_rows_in_sight_alone(many, qtbot):
    listing, asked = many.lesions, []
    listing.columns = tuple(
        replace(column, text=lambda row, text=column.text: asked.append(row) or text(row))
        for column in listing.columns
    )
    model = ListedRows()
    view = RowsView(model, "rows", "")
    qtbot.addWidget(view)
    view.resize(900, 300)

    def asked_by(act):
        asked.clear()
        act()
        QApplication.processEvents()
        view.grab()
        return len(asked)

    few = 2 * IN_SIGHT * len(listing.columns)
    assert 0 < asked_by(lambda: (view.show(), model.show(listing), view.fit_columns())) < few
    assert model.rowCount() == MANY
    header = view.horizontalHeader()
    assert 0 < asked_by(lambda: view.sortByColumn(4, Qt.SortOrder.DescendingOrder)) < few
    volumes = [listing.row(place).volume_mm3 for place in range(50)]
    assert volumes == sorted(volumes, reverse=True)
    assert header.sortIndicatorSection() == 4
    assert 0 < asked_by(view.scrollToBottom) < few
    assert 0 < asked_by(lambda: many.ask_for(Wanted(text="unstable", suspicious=True))) < few
    assert 0 < model.rowCount() < MANY
    assert asked_by(lambda: many.ask_for(Wanted(text="nothing of the kind"))) == 0
    assert model.rowCount() == 0


def test_the_selected_lesion_stays_selected_and_enter_opens_it(qtbot):
    listed = cohort()
    model = ListedRows(lambda number: "▶" if number == 5 else "")
    view = RowsView(model, "rows", "")
    qtbot.addWidget(view)
    model.show(listed.lesions)
    opened = []
    view.opened.connect(opened.append)
    qtbot.keyClick(view, Qt.Key.Key_Return)
    assert opened == []
    view.select_number(0)
    assert view.selected_number == 0
    qtbot.keyClick(view, Qt.Key.Key_Down)
    assert view.selected_number == int(listed.lesions.listed[1])
    view.select_number(5)
    view.sortByColumn(2, Qt.SortOrder.DescendingOrder)
    assert view.selected_number == 5
    place = listed.lesions.place_of(5)
    assert model.headerData(place, Qt.Orientation.Vertical) == "▶"
    assert model.index(place, 1).data() == listed.lesions.rows[5].case
    listed.ask_for(Wanted(text="nothing of the kind"))
    assert view.selected_number is None
    other = next(one.case for one in listed.lesions.rows if one.case != listed.lesions.rows[5].case)
    listed.ask_for(Wanted(case=other))
    assert view.selected_number == int(listed.lesions.listed[0]) != 5
    listed.ask_for(Wanted())
    assert view.selected_number == 5
    qtbot.keyClick(view, Qt.Key.Key_Enter)
    assert opened == [5]
    flag = QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows
    view.selectionModel().select(model.index(0, 0), flag)
    view.doubleClicked.emit(model.index(3, 0))
    assert opened == [5, int(listed.lesions.listed[3])]


def test_tooltips_give_every_reason_letter_by_letter(qtbot):
    found = report()
    suspicion = replace(found.lesions[0].suspicion, reasons=("<b>much</b>", "more"))
    lesions = (replace(found.lesions[0], suspicion=suspicion), *found.lesions[1:])
    model = ListedRows()
    model.show(cohort(replace(found, lesions=lesions)).lesions)
    tip = model.index(0, 0).data(Qt.ItemDataRole.ToolTipRole)
    assert "&lt;b&gt;much&lt;/b&gt;\nmore" in tip
    assert model.index(0, 0).data() == {"outside": "little inside"}.get(
        suspicion.kinds[0], suspicion.kinds[0]
    )
    assert "Highest" in model.index(0, 5).data(Qt.ItemDataRole.ToolTipRole)
