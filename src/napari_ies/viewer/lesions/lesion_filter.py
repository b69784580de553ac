"""The line above the lesion table: which lesions are listed, and Explain all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QLabel,
    QLineEdit,
    QMenu,
    QToolButton,
    QWidget,
    QWidgetAction,
)

from napari_ies.viewer.panel.availability import describe
from napari_ies.viewer.panel.controls import button, column, row

if TYPE_CHECKING:
    from qtpy.QtGui import QAction

MATCHES = {
    "TP": "TP: overlap the reference",
    "FP": "FP: the network's alone",
    "FN": "FN: in the reference alone",
}


VERDICTS = {
    "agree": "✓ Agreed",
    "reject": "✗ Rejected",
    "unsure": "? Unsure",
    "": "No verdict yet",
}


class LesionFilter(QWidget):
    """Text to look for, a menu of quick filters, how many lesions are listed, Explain all."""

    changed = Signal()
    """Another selection of rows is asked for."""
    explain_all_requested = Signal()
    """The button was pressed, to start or to stop."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text = QLineEdit()
        self.text.setPlaceholderText("Filter, such as FP left")
        self.text.setClearButtonEnabled(True)
        describe(
            self.text,
            "List only lesions with all of these words in any of their columns, notes included.",
            "filter",
        )
        self.menu = QToolButton()
        self.menu.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        # The theme draws its own arrow over the number.
        self.menu.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        describe(
            self.menu, "How many lesions are listed; choose which ones to list.", "quick_filters"
        )
        self.matches = {match: self._choice(words) for match, words in MATCHES.items()}
        self.verdicts = {verdict: self._choice(words) for verdict, words in VERDICTS.items()}
        self.unexplained = self._choice("Not explained yet")
        self.smallest = QDoubleSpinBox()
        self.smallest.setRange(0.0, 1e6)
        self.smallest.setDecimals(0)
        self.smallest.setSuffix(" mm³")
        describe(self.smallest, "Smallest volume of the lesions listed.", "filter_volume")
        self.explain_all = button("", "explain_all", "", self.explain_all_requested)
        self.set_explaining(False)
        self._lay_out()
        self.set_matched(False)
        self.text.textChanged.connect(self.changed)
        self.smallest.valueChanged.connect(self.changed)

    @property
    def chosen_matches(self) -> frozenset[str]:
        """The matches that are asked for; none if all."""
        return frozenset(match for match, action in self.matches.items() if action.isChecked())

    @property
    def chosen_verdicts(self) -> frozenset[str]:
        """The verdicts that are asked for, an empty text for none; none of these if all are."""
        return frozenset(one for one, action in self.verdicts.items() if action.isChecked())

    def set_matched(self, matched: bool) -> None:
        """Offer TP, FP and FN, or not, where there was no reference."""
        for action in self.matches.values():
            action.setVisible(matched)
            action.setChecked(action.isChecked() and matched)

    def set_count(self, shown: int, total: int) -> None:
        """Say how many lesions are listed."""
        self.menu.setText(f"{total} ▾" if shown == total else f"{shown} of {total} ▾")

    def set_explaining(self, running: bool) -> None:
        """Offer to stop explaining all, or to start."""
        self.explain_all.setText("Stop" if running else "Explain all")
        tooltip = (
            "Stop explaining the lesions that are left; finished maps stay."
            if running
            else "Explain, in the background, every lesion listed that has no map with the present "
            "settings yet; lesions you click go first."
        )
        describe(self.explain_all, tooltip)

    def _choice(self, words: str) -> QAction:
        if self.menu.menu() is None:
            self.menu.setMenu(QMenu(self.menu))
        action = self.menu.menu().addAction(words)
        action.setCheckable(True)
        action.toggled.connect(self.changed)
        return action

    def _lay_out(self) -> None:
        volume = QWidget()
        column(volume, row(QLabel("At least"), self.smallest), margins=(24, 2, 8, 2))
        action = QWidgetAction(self)
        action.setDefaultWidget(volume)
        self.menu.menu().addAction(action)
        line = row((self.text, 1), self.menu, self.explain_all)
        line.setSpacing(3)
        column(self, line)
