"""Guidance: an empty panel says what to do; the help says how to read a map."""

import re
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QTextBrowser

import napari_ies.viewer.help as help_room

PAGES = Path(help_room.__file__).parent


def test_guidance_in_the_window(hands):
    an_empty_panel_offers_the_demo_and_loads_it(hands)
    help_shows_its_pages_with_their_pictures(hands)


def an_empty_panel_offers_the_demo_and_loads_it(hands):
    assert hands.control("first_steps").isVisible()
    hands.qtbot.mouseClick(hands.control("load_demo"), Qt.MouseButton.LeftButton)
    hands.wait(
        lambda: hands.panel.state.model is not None and not hands.panel.services.work.busy, 300
    )
    hands.settle()
    assert [layer.name for layer in hands.viewer.layers] == ["T1", "FLAIR", "reference lesions"]
    assert not hands.viewer.layers["reference lesions"].visible
    assert not hands.control("first_steps").isVisible()
    assert hands.control("segment").isEnabled(), hands.control("segment").toolTip()


def help_shows_its_pages_with_their_pictures(hands):
    hands.press("help")
    dialog = hands.control("help_pages")
    hands.wait(dialog.isVisible)
    texts = [browser.toPlainText() for browser in dialog.findChildren(QTextBrowser)]
    assert any("logit per standard deviation" in text for text in texts)
    assert any("Shift+N" in text and "Go to the lesion listed before" in text for text in texts)
    assert any("not a medical device" in text for text in texts)
    hands.viewer.window.remove_dock_widget(hands.panel)
    hands.settle()
    assert not dialog.isVisible()


def test_every_picture_of_the_help_is_there():
    for page in PAGES.glob("*.md"):
        for name in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            assert (PAGES / name).is_file(), f"{page.name} shows {name}"
