"""The line above the lesions of a cohort: which of them are listed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QLabel, QLineEdit, QWidget

from napari_ies.viewer.panel.availability import describe
from napari_ies.viewer.panel.controls import button, combo, row, tick_box
from napari_ies.viewer.state.listed.cohort import MATCHES, Wanted

if TYPE_CHECKING:
    from collections.abc import Sequence

ALL_CASES = "All cases"
LARGEST = 1e7
"""In mm³, more than any lesion has."""
ANY = "any"
ABOUT = {
    "TP": "List lesions that overlap the reference.",
    "FP": "List lesions that the network alone marks.",
    "FN": "List lesions of the reference alone.",
}


class CohortFilter(QWidget):
    """Words, TP, FP and FN, volumes, a case, and whether only what is worth a look."""

    changed = Signal()
    """Another selection of lesions is asked for."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text = QLineEdit()
        self.text.setPlaceholderText("Filter, such as sub-07 unstable")
        self.text.setClearButtonEnabled(True)
        describe(
            self.text,
            "List only lesions with all of these words in any of their columns.",
            "cohort_filter",
        )
        self.matches = {name: button(name, f"cohort_{name}", ABOUT[name]) for name in MATCHES}
        for one in self.matches.values():
            one.setCheckable(True)
            one.toggled.connect(self.changed)
        self.smallest = self._volume("cohort_smallest", "Smallest volume in mm³.")
        self.largest = self._volume("cohort_largest", "Largest volume in mm³.")
        self.case = combo("cohort_case", "List the lesions of one case, or of all.", [ALL_CASES])
        self.case.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.suspicious = tick_box(
            "Only to look at", "cohort_suspicious", "List only lesions that are worth a look."
        )
        self.count = QLabel()
        describe(self.count, "How many lesions are listed.", "cohort_count")
        self.text.textChanged.connect(self.changed)
        self.case.currentIndexChanged.connect(self.changed)
        self.suspicious.toggled.connect(self.changed)
        line = row(
            (self.text, 3),
            *self.matches.values(),
            QLabel("mm³"),
            self.smallest,
            QLabel("to"),
            self.largest,
            (self.case, 2),
            self.suspicious,
            self.count,
        )
        line.setSpacing(4)
        line.setContentsMargins(0, 0, 0, 0)
        self.setLayout(line)

    @property
    def wanted(self) -> Wanted:
        """What is asked for."""
        largest = self.largest.value()
        return Wanted(
            text=self.text.text(),
            matches=frozenset(name for name, one in self.matches.items() if one.isChecked()),
            smallest=self.smallest.value(),
            largest=largest or float("inf"),
            case=self.case.currentText() if self.case.currentIndex() > 0 else "",
            suspicious=self.suspicious.isChecked(),
        )

    def offer(self, cases: Sequence[str], has_reference: bool) -> None:
        """Begin anew with other cases, and with TP, FP and FN where there was a reference."""
        self.blockSignals(True)
        self.text.clear()
        self.smallest.setValue(0.0)
        self.largest.setValue(0.0)
        self.suspicious.setChecked(False)
        for one in self.matches.values():
            one.setChecked(False)
            one.setVisible(has_reference)
        self.case.clear()
        self.case.addItems([ALL_CASES, *cases])
        self.blockSignals(False)
        self.changed.emit()

    def choose_case(self, name: str) -> None:
        """List the lesions of a case alone."""
        self.case.setCurrentIndex(max(self.case.findText(name), 0))

    def set_count(self, listed: int, total: int) -> None:
        """Say how many lesions are listed."""
        self.count.setText(f"{total:,}" if listed == total else f"{listed:,} of {total:,}")

    def _volume(self, name: str, tooltip: str) -> QDoubleSpinBox:
        made = QDoubleSpinBox()
        made.setRange(0.0, LARGEST)
        made.setDecimals(0)
        made.setSpecialValueText(ANY)
        made.setKeyboardTracking(False)
        describe(made, tooltip, name)
        made.valueChanged.connect(self.changed)
        return made
