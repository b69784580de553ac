"""ThresholdChange: a table of an earlier threshold or network is said to be so, and updated."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFrame, QWidget

from napari_ies.printable import counted, joined
from napari_ies.viewer.panel.availability import allow
from napari_ies.viewer.panel.controls import button, row, words
from napari_ies.viewer.panel.plain_text import shown_name
from napari_ies.viewer.panel.sentence_list import AMBER
from napari_ies.viewer.state.updated import another_network, at_form, carried_over, left_behind
from napari_ies.viewer.work.job import Job
from napari_ies.viewer.work.tasks import once

if TYPE_CHECKING:
    from napari_ies.viewer.feature import Services
    from napari_ies.viewer.state.reading import Reading

READING_BACK = "Wait until the maps of the session are read back."


class ThresholdBar(QFrame):
    """Says of which threshold the table is, and offers to find the lesions at the form's."""

    update_requested = Signal()
    """The button was pressed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("threshold_bar")
        self.setStyleSheet(f"#threshold_bar {{ border: none; border-left: 4px solid {AMBER}; }}")
        self.setAutoFillBackground(True)  # it lies over what the table says was found
        self.text = words("threshold_text", "The table is of an earlier threshold.")
        about = (
            "Find the lesions at the form's threshold. Those that stay the same voxel by voxel "
            "keep number, maps, notes and verdict."
        )
        self.button = button("Update", "update_threshold", about, self.update_requested)
        line = row((self.text, 1), self.button)
        line.setContentsMargins(6, 0, 0, 0)
        self.setLayout(line)
        self.hide()


class ThresholdChange:
    """Follows the form's threshold and smallest lesion, and updates the reading when asked to.

    Parameters
    ----------
    services
        The state, and what computes.
    """

    def __init__(self, services: Services) -> None:
        self._state, self._work = services.state, services.work
        self._explaining, self._tell = services.explaining, services.tell
        self.bar = ThresholdBar()
        self.bar.update_requested.connect(self.update)
        self._state.update_wanted.connect(self.update)
        self._state.threshold_changed.connect(self.refresh)
        self._state.model_changed.connect(self.refresh)
        self._state.reading_changed.connect(self.refresh)
        self._state.answer_kept.connect(self.refresh)

    def refresh(self, _: object = None) -> None:
        """Say that the table is of an earlier threshold or network, or nothing where it is not."""
        asked = at_form(self._state)
        reading = self._state.reading
        if reading is not None and (other := another_network(self._state)):
            first = shown_name(reading.model.profile.name)
            self.bar.text.setText(
                f"Lesions that {first} found; {shown_name(other)} is loaded now and explains "
                "these. Segment finds its own."
            )
            self.bar.button.hide()
            self.bar.show()
            return
        self.bar.button.show()
        if reading is None or asked is None:
            self.bar.hide()
            return
        (threshold, smallest), own = asked, reading.segmentation
        of, says = [f"threshold {own.threshold:g}"], [f"{threshold:g}"]
        if own.smallest is not None and own.smallest != smallest:
            of.append(f"at least {counted(own.smallest, 'voxel')}")
            says.append(str(smallest))
        self.bar.text.setText(f"Table of {joined(of)}; the form says {joined(says)} now.")
        allow(self.bar.button, READING_BACK if self._state.answers.any_awaited else "")
        self.bar.show()

    def update(self) -> None:
        """Find the lesions at the form's threshold and smallest lesion."""
        reading, asked = self._state.reading, at_form(self._state)
        if reading is None or asked is None or another_network(self._state):
            return
        if self._state.answers.any_awaited:
            self._tell.hint(READING_BACK)
            return
        title = f"Finding the lesions at the threshold {asked[0]:g}"
        work = partial(once, title, partial(carried_over, reading, *asked))
        found, refused = partial(self._on_found, reading), partial(self._on_refused, reading)
        self._work.run(Job("segment", title, work, found, brief=True, on_failed=refused))

    def _on_refused(self, reading: Reading) -> None:
        reading.fixed = True  # so that Segment finds lesions anew

    def _on_found(self, before: Reading, after: Reading) -> None:
        if before is not self._state.reading:
            return
        lost = left_behind(before, after)
        start = partial(self._take, before, after)
        if lost:
            self._tell.say(f"Not updated yet: {lost}")
            self._tell.ask(f"{lost} Update all the same?", start, "Update")
        else:
            start()

    def _take(self, before: Reading, after: Reading) -> None:
        if before is not self._state.reading:
            return
        self._explaining.stop()  # not before a person agreed
        # What was written since it was computed counts, too.
        after.take_said_of(before)
        self._state.update_reading(after)
        became = "" if after.change is None else f": {after.change.words}"
        self._tell.say(f"Updated to the threshold {after.segmentation.threshold:g}{became}.")
