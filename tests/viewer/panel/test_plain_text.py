"""Names and sentences of others are shown letter by letter, in one place as in the other."""

from __future__ import annotations

import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractButton, QComboBox, QLabel, QTableView, QWidget

from napari_ies.viewer.panel import dialogs
from napari_ies.viewer.panel.plain_text import PlainLabel, shown_name, tool_tip
from napari_ies.viewer.work.failures import sentence

MARK = "<img src='file:///etc/hostname'>"
HOSTILE = f"{MARK}\x1b[31mred\x07\u202e$\\frac$\n{'n' * 50_000}"
LONGEST = 5000


def objections(text, *, html):
    """What is wrong with a text on show; `html`: whether Qt takes it for HTML if it looks so."""
    found = [f"{letter!r}" for letter in "\x1b\x07\u202e" if letter in text]
    found += ["too long"] if len(text) > LONGEST else []
    found += ["HTML"] if html and MARK[1:] in text and Qt.mightBeRichText(text) else []
    return found


def shown(panel):
    """Yield every text of the panel: where it is, the text, and whether it may be HTML."""
    for widget in panel.findChildren(QWidget):
        where = f"{type(widget).__name__} {widget.objectName()}"
        yield f"{where} tool tip", widget.toolTip(), True
        if isinstance(widget, QLabel):
            yield where, widget.text(), widget.textFormat() != Qt.TextFormat.PlainText
        elif isinstance(widget, QAbstractButton):
            yield where, widget.text(), False
        elif isinstance(widget, QComboBox):
            for index in range(widget.count()):
                yield where, widget.itemText(index), False
                tip = widget.itemData(index, Qt.ItemDataRole.ToolTipRole)
                yield f"{where} tool tip", tip or "", True
        elif isinstance(widget, QTableView):
            model = widget.model()
            for row in range(model.rowCount()):
                for column in range(model.columnCount()):
                    index = model.index(row, column)
                    yield where, str(index.data() or ""), False
                    tip = index.data(Qt.ItemDataRole.ToolTipRole)
                    yield f"{where} tool tip", str(tip or ""), True


def test_what_is_hostile_is_shown_and_said(segmented, monkeypatch):
    with monkeypatch.context() as patched:
        sentences_that_are_said_aloud(segmented, patched)
    a_hostile_name_of_a_layer_is_only_ever_shown(segmented)


def a_hostile_name_of_a_layer_is_only_ever_shown(segmented):
    panel = segmented.panel
    image = segmented.layer("sub-01_FLAIR")
    segmented.press("new_region")
    segmented.settle()
    region = next(layer for layer in segmented.viewer.layers if "egion" in layer.name)
    centre = [round(c) for c in region.world_to_data(segmented.viewer.dims.point)]
    region.paint(centre, 1)
    region.name = HOSTILE
    segmented.settle()
    segmented.press("explain_region")
    segmented.finish()
    assert panel.state.shown is not None
    assert panel.state.shown.subject not in (1, 2)
    panel.state.set_note(panel.state.shown.subject, HOSTILE)
    tabs = panel.tabs
    for index in range(tabs.count()):
        tabs.setCurrentIndex(index)
        segmented.finish()
    image.name = HOSTILE
    segmented.settle()
    wrong = {
        where: found for where, text, html in shown(panel) if (found := objections(text, html=html))
    }
    assert wrong == {}
    for layer in segmented.overlays():
        assert objections(layer.name, html=False) == []


def sentences_that_are_said_aloud(segmented, monkeypatch):
    panel = segmented.panel
    panel.services.tell.fail(HOSTILE)
    assert objections(notification_manager.records[-1].message, html=True) == []
    panel.services.work.noted.emit(HOSTILE)
    assert objections(notification_manager.records[-1].message, html=True) == []
    assert objections(panel.status.text, html=False) == []
    asked = []
    monkeypatch.setattr(dialogs.QMessageBox, "question", lambda *words: asked.append(words[-1]))
    dialogs.may_replace(panel, HOSTILE)
    dialogs.may_replace_file(panel, HOSTILE)
    for text in asked:
        assert MARK not in text
        assert objections(text, html=True) == []


def test_what_was_written_is_what_is_read(qtbot):
    label = PlainLabel("<b>5 < 6</b>")
    qtbot.addWidget(label)
    assert label.text() == "<b>5 < 6</b>"
    assert label.textFormat() == Qt.TextFormat.PlainText
    label.setWordWrap(True)
    label.setText("w" * 10**6)
    assert label.minimumSizeHint().width() <= 200
    assert label.heightForWidth(300) > 3 * label.fontMetrics().lineSpacing()
    assert tool_tip("5 < 6, in mm") == "5 < 6, in mm"
    assert "&lt;b&gt;bold" in tool_tip("<b>bold</b>")
    assert shown_name("ФЛЕР маска") == "ФЛЕР маска"
    assert len(shown_name("n" * 10**6)) <= 200
    assert "\n" not in shown_name("two\nlines")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            RuntimeError("DefaultCPUAllocator: not enough memory: you tried 9 bytes"),
            "enough memory",
        ),
        (MemoryError(), "enough memory"),
        (PermissionError(13, "Permission denied", "/a/map.nii.gz"), "/a/map.nii.gz"),
        (KeyError("x\x1b[2J"), "a fault in napari-ies (KeyError 'x\\x1b[2J')"),
        (ZeroDivisionError(), "(ZeroDivisionError)"),
    ],
)
def test_errors_that_nobody_foresaw_are_sentences_too(error, words):
    said = sentence(error)
    assert words in said
    assert said.endswith(".")
    assert "nexpected" not in said
    assert objections(said, html=False) == []
