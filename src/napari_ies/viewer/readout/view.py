"""The view of the readout: lines of text, the table and the plot; it computes and asks nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_ies.viewer.panel.availability import describe
from napari_ies.viewer.panel.plain_text import PlainLabel
from napari_ies.viewer.readout.plot import Plot
from napari_ies.viewer.readout.table import MeasuresModel, MeasuresTable
from napari_ies.viewer.readout.words import NO_ANSWER, scaled_unit, share_sentence

if TYPE_CHECKING:
    from qtpy.QtGui import QShowEvent

    from napari_ies.viewer.readout.measuring import Numbers


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
        self._method = _line("readout_method", "The map that the numbers are of.")
        self._shares = _line(
            "readout_shares",
            "How much of the map's total magnitude, the sum over all voxels, each sequence has.",
        )
        self._unit = _line("readout_unit", "Unit of the peaks and means in the table.")
        self._model = MeasuresModel(self)
        self._table = MeasuresTable(self._model)
        self.plot = Plot()
        self._copy = QPushButton("Copy")
        describe(
            self._copy,
            "Copy the table as text that a spreadsheet takes, with errors.",
            "copy_readout",
        )
        self._copy.clicked.connect(self.copy_requested)
        beside = QHBoxLayout()
        beside.addWidget(self._unit, 1)
        beside.addWidget(self._copy, 0, Qt.AlignmentFlag.AlignTop)
        self._content = QWidget()
        below = QVBoxLayout(self._content)
        below.setContentsMargins(0, 0, 0, 0)
        below.setSpacing(4)
        below.addWidget(self._shares)
        below.addWidget(self._table)
        below.addLayout(beside)
        below.addWidget(self.plot)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._method)
        layout.addWidget(self._content)
        self.set_empty(NO_ANSWER)

    def set_empty(self, reason: str) -> None:
        """Show no numbers, and a sentence in their place."""
        self._method.setText(reason)
        self._content.hide()

    def set_method(self, text: str) -> None:
        """Say which map the numbers are of."""
        self._method.setText(text)

    def set_numbers(self, numbers: Numbers) -> None:
        """Show the numbers of a map."""
        self._model.set_numbers(numbers)
        self._shares.setText(share_sentence(numbers.answer, numbers.measures))
        unit = scaled_unit(numbers.answer.saliency.unit, self._model.power)
        errors = (
            ""
            if numbers.measures["peak_positive_error"].isna().all()
            else (" ± is the Monte-Carlo standard error.")
        )
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


def _line(name: str, tooltip: str) -> PlainLabel:
    label = PlainLabel()
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    describe(label, tooltip, name)
    return label
