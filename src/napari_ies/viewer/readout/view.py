"""The view of the readout: lines of text, the table and the plot; it computes and asks nothing."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, Qt, Signal
from qtpy.QtWidgets import QWidget

from napari_ies.viewer.panel.controls import button, column, row, words
from napari_ies.viewer.panel.plot import Plot
from napari_ies.viewer.readout.table import MeasuresModel, MeasuresTable
from napari_ies.viewer.readout.words import NO_ANSWER, share_sentence
from napari_ies.viewer.state.scaled import scaled_unit

if TYPE_CHECKING:
    from qtpy.QtGui import QShowEvent

    from napari_ies.viewer.readout.measuring import Numbers

PROFILE = (
    "How far from the lesion's border the network looks: the mean of the map over all voxels at a "
    "distance, inside the lesion (negative) and outside, in bins of 1 mm (or of one voxel, where "
    "that is larger). A voxel's distance is that of its centre."
)


class ReadoutView(QWidget):
    """Shows the numbers of one map, or why there are none."""

    appeared = Signal()
    """The view came on screen."""
    restyled = Signal()
    """The window's style changed, as when another theme is chosen."""
    copy_requested = Signal()
    """The button Copy was pressed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        line = partial(words, selectable=True)
        self._method = line("readout_method", "The map that the numbers are of.")
        self._shares = line(
            "readout_shares",
            "How much of the map's total magnitude, the sum over all voxels, each sequence has.",
        )
        self._unit = line("readout_unit", "Unit of the peaks and means in the table.")
        self._model = MeasuresModel(self)
        self._table = MeasuresTable(self._model)
        self.plot = Plot("profile", PROFILE)
        about = "Copy the table as text that a spreadsheet takes, with errors."
        copy = button("Copy", "copy_readout", about, self.copy_requested)
        beside = row((self._unit, 1), copy)
        beside.setAlignment(copy, Qt.AlignmentFlag.AlignTop)
        self._content = QWidget()
        column(self._content, self._shares, self._table, beside, self.plot, spacing=4)
        column(self, self._method, self._content)
        self.set_empty(NO_ANSWER)

    def set_empty(self, reason: str) -> None:
        """Show no numbers, and a sentence in their place."""
        self._method.setText(reason)
        self._content.hide()

    def set_method(self, text: str) -> None:
        """Say which map the numbers are of."""
        self._method.setText(text)

    def set_numbers(self, numbers: Numbers, power: int) -> None:
        """Show the numbers of a map, in units of ten to a power."""
        self._model.set_numbers(numbers, power)
        self._shares.setText(share_sentence(numbers.answer, numbers.measures))
        unit = scaled_unit(numbers.answer.saliency.unit, power)
        known = numbers.measures["peak_positive_error"].notna().any()
        errors = " ± is the Monte-Carlo standard error." if known else ""
        self._unit.setText(f"Peaks and means in {unit}.{errors}")
        self.plot.set_picture(numbers.picture)
        self._content.show()
        self._table.updateGeometry()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Say that the view came on screen."""
        super().showEvent(event)
        self.appeared.emit()

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802
        """Say that the style changed."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange:
            self.restyled.emit()
