"""SequenceSwitch: one control for the sequence on show."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QButtonGroup, QHBoxLayout, QPushButton, QWidget

from napari_ies.viewer.panel.availability import allow, describe
from napari_ies.viewer.panel.controls import button
from napari_ies.viewer.panel.plain_text import shown_name

if TYPE_CHECKING:
    from collections.abc import Sequence

ABOUT = "Show {name}: its image and its map with its limits. Q goes on to the next sequence."
BOTH = "Show another sequence beside it, image and map, linked (Shift+Q); again: one sequence."
WIDEST = 90
"""Of a name, in pixels."""


class SequenceSwitch(QWidget):
    """A button for each sequence, of which one is pressed; says which one a person wants."""

    chosen = Signal(str)
    """A sequence is to be shown."""
    beside_toggled = Signal()
    """Another sequence is to be shown beside it, or no more."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        describe(self, "Which sequence is shown, image and map together.", "sequences")
        self._group = QButtonGroup(self)
        self._buttons: dict[str, QPushButton] = {}
        self._layout = QHBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(1)
        self.beside = button("Both", "show_both", BOTH, self.beside_toggled)
        self.beside.setCheckable(True)
        self._layout.addWidget(self.beside)
        self.set_beside(False)

    def set_sequences(self, names: Sequence[str]) -> None:
        """Offer other sequences."""
        if tuple(names) == tuple(self._buttons):
            return
        for one in self._buttons.values():
            self._group.removeButton(one)
            self._layout.removeWidget(one)
            one.deleteLater()
        self._buttons = {}
        for name in names:
            made = button("", f"show_{name}", ABOUT.format(name=shown_name(name)))
            end = Qt.TextElideMode.ElideRight
            made.setText(made.fontMetrics().elidedText(shown_name(name), end, WIDEST))
            made.setCheckable(True)
            made.clicked.connect(partial(self.chosen.emit, name))
            self._group.addButton(made)
            self._layout.insertWidget(len(self._buttons), made)
            self._buttons[name] = made
        self.set_beside(False)

    def set_shown(self, name: str | None) -> None:
        """Show which sequence is on show; None, or another image, for none of them."""
        self._group.setExclusive(name in self._buttons)
        for one, made in self._buttons.items():
            made.setChecked(one == name)

    def set_beside(self, beside: bool) -> None:
        """Show whether another sequence is shown beside it."""
        allow(self.beside, "" if len(self._buttons) > 1 else "There are no two sequences to show.")
        self.beside.setChecked(beside)
