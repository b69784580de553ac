"""Plain text: what comes from files and people is shown letter by letter, and never without end.

Qt takes a text that looks like HTML for HTML: a layer called ``<img src=…>`` would be a picture in
a label or a tool tip. What a terminal or a window would take for a command is no text, either
(:mod:`napari_ies.printable`).
"""

from __future__ import annotations

import re
from html import escape

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QLabel

from napari_ies.printable import printable

LONGEST_NAME = 200
"""Characters of a name in a list; of a longer one, beginning and end are shown."""
LONGEST_TIP = 2000
"""Characters of a tool tip."""
NARROW = 200
"""Pixels that any text has room in."""
PIECE = 30
"""Letters of a word without end that stay on a line."""

_UNBROKEN = re.compile(r"[^\s/]{101,}")


def shown_name(name: str) -> str:
    """Return a name as it is shown in a list or a title: one line, as short as can be read."""
    return printable(name, LONGEST_NAME).replace("\n", "⏎").replace("\t", " ")


def tool_tip(text: str) -> str:
    """Return a text that Qt shows letter by letter as a tool tip."""
    text = printable(text, LONGEST_TIP)
    if not Qt.mightBeRichText(text):
        return text
    return f"<p style='white-space: pre-wrap'>{escape(text)}</p>"


def said_aloud(text: str) -> str:
    """Return a text that napari's notifications show letter by letter."""
    text = printable(text)
    # They cannot be told that a text is plain, and write it to the terminal, too.
    return text.replace("<", "‹") if Qt.mightBeRichText(text) else text


class PlainLabel(QLabel):
    """A label that shows any text letter by letter, and is never wide because of one."""

    def __init__(self, text: str = "") -> None:
        super().__init__()
        self._shown = ""
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setText(text)

    def text(self) -> str:
        """Return the text on show."""
        return self._shown

    def setText(self, text: str) -> None:  # noqa: N802
        """Show a text."""
        self._shown = printable(text)
        super().setText(_UNBROKEN.sub(_broken, self._shown))

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Return a size that long words do not make wide."""
        hint = super().minimumSizeHint()
        return QSize(min(hint.width(), NARROW), hint.height()) if self.wordWrap() else hint


def _broken(word: re.Match[str]) -> str:
    """Let a word be continued on the next line, where there is no room for it."""
    letters = word.group()
    pieces = [letters[start : start + PIECE] for start in range(0, len(letters), PIECE)]
    return "\u200b".join(pieces)
