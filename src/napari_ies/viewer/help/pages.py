"""HelpPages: a window with what to do, how to read a map, and the keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QSize
from qtpy.QtWidgets import QDialog, QTabWidget, QTextBrowser, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGES = {"First steps": "first_steps.md", "How to read a map": "reading_a_map.md"}


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
            self._tabs.addTab(_page(keys_page(keys)), "Keys")
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
    """Return the page of the keys as Markdown."""
    rows = "\n".join(f"| **{key}** | {meaning} |" for key, meaning in keys.items())
    return (
        "# Keys\n\nThey work wherever the mouse is in the viewer, but not while you type.\n\n"
        f"| key | what it does |\n| --- | --- |\n{rows}\n"
    )


def _page(markdown: str) -> QTextBrowser:
    browser = QTextBrowser()
    browser.setSearchPaths([str(Path(__file__).parent)])
    browser.setOpenExternalLinks(True)
    browser.setMarkdown(markdown)
    return browser
