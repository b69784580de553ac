"""What the line of status says of what was stopped."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLineEdit, QWidget

from napari_ies.viewer.panel.controls import column
from napari_ies.viewer.panel.status import StatusLine
from napari_ies.viewer.work.runner import Runner


@pytest.mark.parametrize(
    ("title", "said"),
    [
        (
            "Explaining lesion 1: SmoothGrad max",
            "Cancelled: Explaining lesion 1: SmoothGrad max. A map on screen may be unfinished.",
        ),
        (
            "Computing the context of lesion 4",
            "Cancelled: Computing the context of lesion 4.",
        ),
        ("Opening lesion 2 of sub-P06", "Cancelled: Opening lesion 2 of sub-P06."),
    ],
)
def test_only_of_a_map_it_says_that_it_may_be_unfinished(title, said, qtbot):
    line, work = StatusLine(), Runner()
    qtbot.addWidget(line)
    line.follow(work)
    work.cancelled.emit(title)
    assert line.text == said


def test_why_an_action_did_nothing_is_said_until_the_next_one(qtbot):
    window, line, field = QWidget(), StatusLine(), QLineEdit()
    column(window, line, field)
    qtbot.addWidget(window)
    window.show()
    line.say("Lesion 2: agree.")
    line.hint("There is no further lesion.")
    line.hint("Nothing was changed yet.")
    qtbot.wait(5)
    assert line.text == "Nothing was changed yet."
    qtbot.keyPress(field, Qt.Key.Key_Shift)  # on its way to an action, and none yet
    assert line.text == "Nothing was changed yet."
    qtbot.keyClick(field, Qt.Key.Key_A)
    assert line.text == "Lesion 2: agree."
    line.hint("There is no further lesion.")
    qtbot.wait(5)
    qtbot.mouseClick(field, Qt.MouseButton.LeftButton)
    assert line.text == "Lesion 2: agree."
    # What was said since is no hint, and what ran and is over is not said again.
    line.hint("There is no further lesion.")
    line.say("Finished lesion 3.")
    qtbot.wait(5)
    qtbot.keyClick(field, Qt.Key.Key_A)
    assert line.text == "Finished lesion 3."
    work = Runner()
    line.follow(work)
    work.started.emit("Explaining lesion 1")
    line.hint("There is no further lesion.")
    work.idle.emit()
    qtbot.wait(5)
    qtbot.keyClick(field, Qt.Key.Key_A)
    assert line.text == ""
