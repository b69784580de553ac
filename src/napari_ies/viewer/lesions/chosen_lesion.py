"""What lies below the table: maps, verdict and note of the lesion or region that is selected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QFrame,
    QListView,
    QListWidget,
    QListWidgetItem,
    QPlainTextEdit,
    QPushButton,
    QWidget,
)

from napari_ies.viewer.lesions.lesion_columns import SYMBOLS
from napari_ies.viewer.panel.availability import allow, describe
from napari_ies.viewer.panel.controls import column, row
from napari_ies.viewer.panel.plain_text import shown_name, tool_tip

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

KEY = Qt.ItemDataRole.UserRole
NONE_CHOSEN = "Click a lesion or choose its row first."
HEIGHT = 24
"""Of the line, in pixels."""
CHOSEN = "background: #5a7dc8; color: white;"
"""Of the map on screen and of the verdict that was given, in either theme of napari."""
ABOUT = {
    "agree": "Agree: it is a lesion. Again: no verdict.",
    "reject": "Reject: it is no lesion. Again: no verdict.",
    "unsure": "Unsure: it cannot be told. Again: no verdict.",
}


class ChosenLesion(QWidget):
    """Its maps in a line, of which a click shows one, buttons for a verdict, and its note.

    Its height stays whatever is selected: nothing may move under the mouse.
    """

    map_chosen = Signal(object)
    """The key of the map that was clicked."""
    judged = Signal(str)
    """The verdict that was pressed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._listed: list[tuple[Hashable, str, str]] = []
        self.maps = QListWidget()
        describe(self.maps, "", "maps_of_lesion")
        self.maps.setFlow(QListView.Flow.LeftToRight)
        self.maps.setFrameShape(QFrame.Shape.NoFrame)
        self.maps.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.maps.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        # Keys stay the viewer's: a list would search its entries for the letters.
        self.maps.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.maps.setFixedHeight(HEIGHT)
        self.maps.setStyleSheet(
            "QListWidget::item { border: 1px solid rgba(128, 128, 128, 160); border-radius: 3px;"
            " padding: 1px 4px; margin-right: 3px; }"
            f" QListWidget::item:selected {{ {CHOSEN} }}"
        )
        self.maps.itemClicked.connect(self._on_clicked)
        self.verdicts = {verdict: self._button(verdict) for verdict in SYMBOLS}
        self.note = QPlainTextEdit()
        describe(self.note, "The note on the selected lesion (J writes one).", "note_of_lesion")
        self.note.setReadOnly(True)
        self.note.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.note.setFrameShape(QFrame.Shape.NoFrame)
        self.note.setFixedHeight(2 * self.note.fontMetrics().lineSpacing() + 10)
        self.note.hide()
        line = row((self.maps, 1), *self.verdicts.values())
        line.setSpacing(2)
        column(self, line, self.note, spacing=2)
        self.set_subject("")

    def set_subject(self, called: str) -> None:
        """Say which lesion or region is selected; none where that is empty."""
        for one in self.verdicts.values():
            allow(one, "" if called else NONE_CHOSEN)
        about = f"The maps of {called}; a click shows one and sets the form to it."
        describe(self.maps, about if called else NONE_CHOSEN)
        self.note.setPlaceholderText(f"No note on {called}; J writes one." if called else "")

    def set_maps(self, maps: Sequence[tuple[Hashable, str, str]], shown: Hashable) -> None:
        """List the maps of what is selected.

        Parameters
        ----------
        maps
            Key, short title and tool tip of each; the key of one that cannot be shown again, such
            as one that is being computed, is None.
        shown
            The key of the one on screen.
        """
        if [*maps] != self._listed:
            self._listed = [*maps]
            self.maps.clear()
            for key, title, tooltip in maps:
                item = QListWidgetItem(shown_name(title))
                item.setData(KEY, key)
                item.setToolTip(tool_tip(tooltip))
                self.maps.addItem(item)
        # Else they stay as they are: a map that refines must not take one from under the mouse.
        keys = [key for key, _, _ in maps]
        self.maps.setCurrentRow(keys.index(shown) if shown in keys else -1)
        if shown in keys:
            self.maps.scrollToItem(self.maps.currentItem())

    def set_verdict(self, verdict: str | None) -> None:
        """Show what was said of it."""
        for name, one in self.verdicts.items():
            one.setChecked(name == verdict)

    def set_note(self, text: str, anywhere: bool) -> None:
        """Show its note; there is room for it as soon as a note is `anywhere` in the table."""
        self.note.setPlainText(text)
        self.note.setVisible(anywhere)

    def _button(self, verdict: str) -> QPushButton:
        made = QPushButton(SYMBOLS[verdict])
        made.setCheckable(True)
        made.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        made.setFixedSize(28, HEIGHT)
        # The theme pads buttons by more than there is room.
        made.setStyleSheet(f"QPushButton {{ padding: 0; }} QPushButton:checked {{ {CHOSEN} }}")
        describe(made, ABOUT[verdict], verdict)
        made.clicked.connect(lambda _: self.judged.emit(verdict))
        return made

    def _on_clicked(self, item: Any) -> None:
        key = item.data(KEY)
        if key is not None:
            self.map_chosen.emit(key)
