"""SessionControls: the button "Session…" with its menu, and the line that says where it lies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtWidgets import QMenu, QWidget
from superqt import QElidingLabel

from napari_ies.viewer.panel.availability import describe
from napari_ies.viewer.panel.controls import button, column, row
from napari_ies.viewer.panel.plain_text import shown_name, tool_tip

if TYPE_CHECKING:
    from pathlib import Path

    from qtpy.QtGui import QAction

SWITCHED_OFF = "“Save by itself” is switched off in Session…"


class SessionControls(QObject):
    """Shows where the session is saved; says what a person wants to do with it.

    Parameters
    ----------
    saves_itself
        Whether sessions are saved by themselves at first.

    Attributes
    ----------
    button, place
        To be placed by whoever makes this; the place is a line of text with a button to change it.
    automatic
        The menu's checkable entry "Save by itself".
    """

    open_requested = Signal()
    """A saved session is to be opened."""
    place_requested = Signal()
    """The session is to be saved in another folder."""
    folder_requested = Signal()
    """The session's folder is to be shown by the system's file manager."""

    def __init__(self, saves_itself: bool, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.text = ""
        """What the line and the button's tooltip say in full."""
        about = "Open a saved session, or choose where this one is saved."
        self.button = button("Session…", "session", about)
        self.line = QElidingLabel()
        self.line.setTextFormat(Qt.TextFormat.PlainText)
        self.line.setElideMode(Qt.TextElideMode.ElideMiddle)
        self.line.setEllipsesWidth(12)  # napari's themes indent labels, which elision does not know
        describe(self.line, "Where this session is saved.", "session_place")
        about = "Choose where this session is saved, before or after it begins."
        change = button("Change…", "change_session_place", about, self.place_requested)
        self.place = QWidget()
        column(self.place, row((self.line, 1), change))
        self.place.hide()
        menu = QMenu(self.button)
        menu.setToolTipsVisible(True)
        about = "Choose the folder of a session that was saved before."
        self._add(menu, "Open session…", about, self.open_requested)
        about = "Choose a folder in which this session is saved from now on."
        self._add(menu, "Save in another folder…", about, self.place_requested)
        about = "Show where this session is saved, in the system's file manager."
        self._folder = self._add(menu, "Show the folder", about, self.folder_requested)
        self._folder.setEnabled(False)
        menu.addSeparator()
        self.automatic = menu.addAction("Save by itself")
        self.automatic.setToolTip("Save each finished map, note and region as soon as it is there.")
        self.automatic.setCheckable(True)
        self.automatic.setChecked(saves_itself)
        self.button.setMenu(menu)

    def show_place(self, folder: Path) -> None:
        """Say where the session is saved."""
        self._say(f"This session is saved in {folder}.", f"Session: {folder}", is_folder=True)

    def show_planned(self, folder: Path | None) -> None:
        """Say that nothing is saved yet, and where it will be, or that nothing can be."""
        if folder is None:
            self.show_unsaved(
                "Nothing is saved yet, and it seems that nothing can be saved in the folder for "
                "sessions; choose another one with Session… → Save in another folder…."
            )
            return
        self._say(
            "Nothing is saved yet: the first map, curve, note or region begins a session in "
            f"{folder}.",
            f"Nothing is saved yet, later in {folder}",
        )

    def show_nothing(self) -> None:
        """Say nothing: there are no images that a session would be of."""
        self.text = ""
        self.place.hide()

    def show_switched_off(self, folder: Path | None) -> None:
        """Say that nothing is saved because a person wants that; what was saved lies in a folder.

        Parameters
        ----------
        folder
            None where nothing was saved.
        """
        if folder is None:
            self.show_unsaved(f"This session is not saved: {SWITCHED_OFF}.")
            return
        self._say(
            f"Nothing more is saved in {folder}: {SWITCHED_OFF}.",
            f"Nothing more is saved ({SWITCHED_OFF}): {folder}",
            is_folder=True,
        )

    def show_unsaved(self, reason: str) -> None:
        """Say that the session is not saved, in one sentence."""
        self._say(reason, reason)

    def _say(self, sentence: str, line: str, *, is_folder: bool = False) -> None:
        self.text = sentence
        self.button.setToolTip(tool_tip(sentence))
        self.line.setToolTip(tool_tip(sentence))
        self.line.setText(shown_name(line))
        self.place.show()
        self._folder.setEnabled(is_folder)

    def _add(self, menu: QMenu, text: str, tooltip: str, signal: Signal) -> QAction:
        action = menu.addAction(text)
        action.setToolTip(tooltip)
        action.triggered.connect(lambda: signal.emit())
        return action
