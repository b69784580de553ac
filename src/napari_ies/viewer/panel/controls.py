"""Controls: the widgets that forms are made of, described as they are made, and their rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QItemSelectionModel, Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLayout,
    QPushButton,
    QSizePolicy,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from napari_ies.viewer.panel.availability import describe
from napari_ies.viewer.panel.plain_text import PlainLabel

if TYPE_CHECKING:
    from collections.abc import Iterable


def button(text: str, name: str, tooltip: str, pressed: Any = None) -> QPushButton:
    """Return a button; `pressed` is the slot or signal that a press calls."""
    made = QPushButton(text)
    made.setAutoDefault(False)
    describe(made, tooltip, name)
    if pressed is not None:
        made.clicked.connect(pressed)
    return made


def tick_box(text: str, name: str, tooltip: str, ticked: bool = False) -> QCheckBox:
    """Return a box to tick."""
    made = QCheckBox(text)
    made.setChecked(ticked)
    describe(made, tooltip, name)
    return made


def combo(name: str, tooltip: str, entries: Iterable[str] = (), least: int = 0) -> QComboBox:
    """Return a choice that is as wide as there is room, whatever its entries need."""
    made = QComboBox()
    made.addItems(list(entries))
    made.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    made.setMinimumWidth(least)
    describe(made, tooltip, name)
    return made


def words(name: str = "", tooltip: str = "", *, selectable: bool = False) -> PlainLabel:
    """Return a label for sentences, as many lines as they need."""
    made = PlainLabel()
    made.setWordWrap(True)
    if selectable:
        made.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    describe(made, tooltip, name)
    return made


def row(*parts: Any) -> QHBoxLayout:
    """Return widgets and layouts side by side, each alone or with how far it stretches.

    None is room that takes what is left.
    """
    return _filled(QHBoxLayout(), parts)


def column(
    owner: QWidget | None,
    *parts: Any,
    spacing: int = -1,
    margins: tuple[int, int, int, int] = (0, 0, 0, 0),
) -> QVBoxLayout:
    """Put widgets and layouts into a widget, one below the other, as in :func:`row`."""
    layout = QVBoxLayout(owner)
    layout.setContentsMargins(*margins)
    layout.setSpacing(spacing)
    return _filled(layout, parts)


def grid(owner: QWidget, *stretches: int) -> QGridLayout:
    """Lay out a widget as a grid of close rows; its columns stretch as given."""
    layout = QGridLayout(owner)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setVerticalSpacing(3)
    for number, stretch in enumerate(stretches):
        layout.setColumnStretch(number, stretch)
    return layout


def _filled(layout: Any, parts: Iterable[Any]) -> Any:
    for part in parts:
        one, stretch = part if isinstance(part, tuple) else (part, 0)
        if one is None:
            layout.addStretch(1)
        else:
            add = layout.addLayout if isinstance(one, QLayout) else layout.addWidget
            add(one, stretch)
    return layout


def select_alone(view: QTableView, row: int, column: int = 0) -> None:
    """Select a row of a table and no other, and bring it into sight.

    Qt's own ``selectRow`` does what a click would with the keys that are held: with Ctrl, which
    zooms elsewhere in the window, a row that is selected would be selected no more.
    """
    view.selectRow(row)  # rows that Shift adds are counted from here
    index, select = view.model().index(row, column), QItemSelectionModel.SelectionFlag
    view.selectionModel().setCurrentIndex(index, select.ClearAndSelect | select.Rows)
    view.scrollTo(index)
