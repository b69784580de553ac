"""HelpPages: a window with what to do, how to read a map, and the keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QSize
from qtpy.QtWidgets import QDialog, QTabWidget, QTextBrowser, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGES = {"First steps": "first_steps.md", "How to read a map": "reading_a_map.md"}


MOUSE = {
    "Click": "Explain the lesion that is there, or within 2 mm of it.",
    "Wheel": "Turn the slices.",
    "Ctrl + wheel": "Zoom in or out about the mouse; Home, below the layers, shows all again.",
    "Drag": "Move the picture (pan); while you paint, hold Space for it.",
    "Right drag": "Set the window: to the right it becomes wider, upwards the image brighter.",
    "Rest": "Read off lesion, probability and saliency under the mouse.",
}
"""What the mouse does in every plane."""


class HelpPages(QDialog):
    """Shows the pages of the help; the panel stays usable beside it.

    Parameters
    ----------
    keys
        What each key does, in words, by the key's name.
    parent
        Closes it when it goes.
    """

    def __init__(self, keys: Mapping[str, str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("help_pages")
        self.setWindowTitle("Lesion saliency: help")
        self._tabs = QTabWidget()
        for title, name in PAGES.items():
            text = Path(__file__).with_name(name).read_text(encoding="utf-8")
            self._tabs.addTab(_page(text), title)
        if keys:
            self._tabs.addTab(_page(keys_page(keys)), "Keys and mouse")
        layout = QVBoxLayout(self)
        layout.addWidget(self._tabs)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return a size at which a page reads like one of a book."""
        return QSize(640, 760)

    def open_page(self, title: str) -> None:
        """Show a page and bring the window to the front."""
        titles = [self._tabs.tabText(index) for index in range(self._tabs.count())]
        self._tabs.setCurrentIndex(titles.index(title))
        self.show()
        self.raise_()


def keys_page(keys: Mapping[str, str]) -> str:
    """Return the page of the mouse and the keys as Markdown."""
    return (
        f"# Mouse\n\nIn every plane.\n\n{_table('mouse', MOUSE)}\n"
        "# Keys\n\nThey work wherever the mouse is in the viewer, but not while you type.\n\n"
        f"{_table('key', keys)}"
    )


def _table(title: str, meanings: Mapping[str, str]) -> str:
    rows = "\n".join(f"| **{one}** | {meaning} |" for one, meaning in meanings.items())
    return f"| {title} | what it does |\n| --- | --- |\n{rows}\n"


def _page(markdown: str) -> QTextBrowser:
    browser = QTextBrowser()
    browser.setSearchPaths([str(Path(__file__).parent)])
    browser.setOpenExternalLinks(True)
    browser.setMarkdown(markdown)
    return browser
