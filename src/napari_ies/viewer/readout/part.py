"""Readout: follows the map on screen, and shows its numbers while the tab can be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtGui import QGuiApplication

from napari_ies.viewer.feature import Feature, Place, Placed
from napari_ies.viewer.panel.plot import Sheet
from napari_ies.viewer.readout.measuring import Measuring
from napari_ies.viewer.readout.view import ReadoutView
from napari_ies.viewer.readout.words import NO_ANSWER, copied_text, method_line
from napari_ies.viewer.state.titles import capitalised

if TYPE_CHECKING:
    from napari_ies.viewer.feature import Services
    from napari_ies.viewer.readout.measuring import Numbers
    from napari_ies.viewer.state.answers import Answer


class Readout(Feature):
    """The tab "Readout": what the map on screen is measured to be.

    It is measured in the background, and only while the tab can be seen.
    """

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._numbers: Numbers | None = None
        self.view = ReadoutView()
        self.measuring = Measuring(self.work.lane("readout"))
        self.state.answer_shown.connect(self._refresh)
        self.state.answer_kept.connect(self._on_kept)
        self.state.selection_changed.connect(self._refresh)
        self.state.reading_changed.connect(self._refresh)
        self.work.idle.connect(self._say_method)
        self.measuring.measured.connect(self._show)
        self.view.appeared.connect(self._refresh)
        self.view.restyled.connect(self._refresh)
        self.view.plot.resized.connect(self._refresh)
        self.view.copy_requested.connect(self._copy)
        about = "Numbers of the map on screen, and how far from the lesion it looks."
        self.views = (Placed(Place.TAB, [self.view], "Readout", about),)

    def release(self) -> None:
        """Ask nothing any more; a map that is being measured is dropped."""
        self.measuring.forget()

    def _refresh(self, _: object = None) -> None:
        """Measure what is on screen, unless the tab is hidden; then when it comes up."""
        answer = self._answer()
        if self._numbers is not None and (answer is None or answer.key != self._numbers.answer.key):
            self._numbers = None
        if answer is None:
            self.measuring.forget()
            self.view.set_empty(self._why_none())
        elif self.view.isVisible():
            if self._numbers is None:
                self.view.set_empty(f"Reading off {answer.title}…")
            elif (self._numbers.answer, self._numbers.sheet) == (answer, self._sheet()):
                return
            self.measuring.ask(answer, self._sheet())

    def _answer(self) -> Answer | None:
        """Return the map on screen if it is one of what is selected."""
        shown = self.state.shown
        return shown if shown is not None and shown.subject == self.state.selected else None

    def _why_none(self) -> str:
        selected = self.state.selected
        if selected is None:
            return NO_ANSWER
        return f"{capitalised(selected.called)} has no map yet."

    def _show(self, numbers: Numbers) -> None:
        self._numbers = numbers
        self.view.set_numbers(numbers, self.state.answers.power(numbers.answer))
        self._say_method()

    def _on_kept(self, _: Answer) -> None:
        """Go on with the power of ten of all maps of this kind."""
        if self._numbers is not None:
            power = self.state.answers.power(self._numbers.answer)
            self.view.set_numbers(self._numbers, power)

    def _say_method(self) -> None:
        if self._numbers is not None:
            self.view.set_method(method_line(self._numbers.answer, self.explaining.running))

    def _copy(self) -> None:
        if self._numbers is not None:
            text = copied_text(
                self._numbers.answer, self._numbers.measures, self.explaining.running
            )
            QGuiApplication.clipboard().setText(text)
            self.tell.say("Copied the numbers of the map; paste them into a spreadsheet.")

    def _sheet(self) -> Sheet:
        return Sheet.of(self.view.plot, self.viewer.theme)
