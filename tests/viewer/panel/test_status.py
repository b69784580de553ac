"""What the line of status says of what was stopped."""

from __future__ import annotations

import pytest

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
