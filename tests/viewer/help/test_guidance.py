"""Guidance: an empty panel says what to do; the help says how to read a map."""

import re
from copy import deepcopy
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QTextBrowser

import napari_ies.viewer.help as help_room
from napari_ies.demo import patient as demo

PAGES = Path(help_room.__file__).parent


def test_guidance_in_the_window(hands, demo_patient, monkeypatch):
    # The patient that the button makes: made once for all tests.
    monkeypatch.setattr(demo, "synthetic_patient", lambda: deepcopy(demo_patient))
    an_empty_panel_offers_the_demo_which_is_ready_to_click(hands)
    help_shows_its_pages_with_their_pictures(hands)


def an_empty_panel_offers_the_demo_which_is_ready_to_click(hands):
    panel = hands.panel
    assert hands.control("first_steps").isVisible()
    hands.qtbot.mouseClick(hands.control("load_demo"), Qt.MouseButton.LeftButton)
    hands.wait(lambda: panel.state.reading is not None, 300)
    hands.finish()
    assert not hands.control("first_steps").isVisible()
    names = [layer.name for layer in hands.viewer.layers]
    assert names[:3] == ["T1", "FLAIR", "reference lesions"]
    assert not hands.viewer.layers["reference lesions"].visible
    lesions = panel.state.reading.segmentation.lesions
    assert {"TP", "FP"} <= set(lesions["match"])
    # One click more, and it is being explained why.
    label = int(lesions["volume_mm3"][lesions["match"] == "TP"].idxmax())
    world = panel.state.reading.frame.to_world(panel.state.reading.places[label].centre)
    hands.go(world)
    hands.click(world)
    assert panel.state.selected == label
    assert panel.explaining.running
    hands.press("cancel")
    hands.finish()


def help_shows_its_pages_with_their_pictures(hands):
    hands.press("help")
    dialog = hands.control("help_pages")
    hands.wait(dialog.isVisible)
    texts = [browser.toPlainText() for browser in dialog.findChildren(QTextBrowser)]
    assert any("logit per standard deviation" in text for text in texts)
    assert any("Ctrl + wheel" in text and "Zoom" in text and "window" in text for text in texts)
    assert any("Shift+N" in text and "Go to the lesion listed before" in text for text in texts)
    assert any("not a medical device" in text for text in texts)
    hands.viewer.window.remove_dock_widget(hands.panel)
    hands.settle()
    assert not dialog.isVisible()


def test_every_picture_of_the_help_is_there():
    for page in PAGES.glob("*.md"):
        for name in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            assert (PAGES / name).is_file(), f"{page.name} shows {name}"
