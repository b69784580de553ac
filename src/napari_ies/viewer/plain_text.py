"""Plain text: what comes from files and people is shown letter by letter, and never without end.

Qt takes a text that looks like HTML for HTML: a layer called ``<img src=…>`` would be a picture in
a label or a tool tip. What a terminal or a window would take for a command is no text, either
(:mod:`napari_ies.printable`).
"""

from __future__ import annotations

from html import escape

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel

from napari_ies.printable import printable

LONGEST_NAME = 200
"""Characters of a name in a list; of a longer one, beginning and end are shown."""
LONGEST_TIP = 2000
"""Characters of a tool tip."""


def shown_name(name: str) -> str:
    """Return a name as it is shown in a list or a title: one line, as short as can be read."""
    return printable(name, LONGEST_NAME).replace("\n", "⏎").replace("\t", " ")


def tool_tip(text: str) -> str:
    """Return a text that Qt shows letter by letter as a tool tip."""
    text = printable(text, LONGEST_TIP)
    if not Qt.mightBeRichText(text):
        return text
    return f"<p style='white-space: pre-wrap'>{escape(text)}</p>"


class PlainLabel(QLabel):
    """A label that shows any text letter by letter."""

    def __init__(self, text: str = "") -> None:
        super().__init__()
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setText(text)

    def setText(self, text: str) -> None:  # noqa: N802
        """Show a text."""
        super().setText(printable(text))
