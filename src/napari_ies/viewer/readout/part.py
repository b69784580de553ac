"""Readout: follows the map on screen, and shows its numbers while the tab can be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.utils.theme import get_theme
from qtpy.QtCore import QObject
from qtpy.QtGui import QGuiApplication

from napari_ies.viewer.readout.measuring import Measuring
from napari_ies.viewer.readout.plot import Sheet
from napari_ies.viewer.readout.view import ReadoutView
from napari_ies.viewer.readout.words import NO_ANSWER, copied_text, method_line
from napari_ies.viewer.state.titles import capitalised, subject_title

if TYPE_CHECKING:
    from napari_ies.viewer.readout.measuring import Numbers
    from napari_ies.viewer.state.reading import Answer
    from napari_ies.viewer.widget import LesionSaliencyWidget


class Readout(QObject):
    """The tab "Readout" of the panel.

    Parameters
    ----------
    host
        The panel. What its map on screen is measured to be is shown, in the background and only
        while the tab can be seen.
    """

    def __init__(self, host: LesionSaliencyWidget) -> None:
        super().__init__(host)
        self._host = host
        self._numbers: Numbers | None = None
        self.view = ReadoutView()
        self.measuring = Measuring(self)
        host.add_tab(
            "Readout",
            self.view,
            "Numbers of the map on screen, and how far from the lesion it looks.",
        )
        host.answer_shown.connect(self._refresh)
        host.selection_changed.connect(self._refresh)
        host.reading_changed.connect(self._refresh)
        host.jobs.idle.connect(self._say_method)
        self.measuring.measured.connect(self._show)
        self.view.appeared.connect(self._refresh)
        self.view.restyled.connect(self._refresh)
        self.view.plot.resized.connect(self._refresh)
        self.view.copy_requested.connect(self._copy)

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
        shown = self._host.shown
        return shown if shown is not None and shown.subject == self._host.selected else None

    def _why_none(self) -> str:
        selected = self._host.selected
        if selected is None:
            return NO_ANSWER
        return f"{capitalised(subject_title(selected))} has no map yet."

    def _show(self, numbers: Numbers) -> None:
        self._numbers = numbers
        self.view.set_numbers(numbers)
        self._say_method()

    def _say_method(self) -> None:
        if self._numbers is not None:
            self.view.set_method(method_line(self._numbers.answer, self._running))

    @property
    def _running(self) -> bool:
        return self._host.jobs.is_active("explain")

    def _copy(self) -> None:
        if self._numbers is not None:
            text = copied_text(self._numbers.answer, self._numbers.measures, self._running)
            QGuiApplication.clipboard().setText(text)
            self._host.say("Copied the numbers of the map; paste them into a spreadsheet.")

    def _sheet(self) -> Sheet:
        theme, plot = get_theme(self._host.viewer.theme), self.view.plot
        return Sheet(
            max(plot.width(), 120),
            max(plot.height(), 120),
            plot.devicePixelRatioF(),
            theme.background.as_hex(),
            theme.text.as_hex(),
            theme.secondary.as_hex(),
        )
