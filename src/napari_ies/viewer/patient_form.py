"""Whose images these are: patient and visit, as results and sessions are named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QWidget

from napari_ies.viewer.availability import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable


class PatientForm(QWidget):
    """Two fields, filled from the images' names; what a person types stays for these images.

    Parameters
    ----------
    label
        Makes a label for file names of what is typed.
    """

    changed = Signal()
    """Another patient or visit."""

    def __init__(self, label: Callable[[str], str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._label = label
        self._of: Hashable = None
        self._guessed = ("", "")
        self._patient, self._visit = QLineEdit(), QLineEdit()
        describe(
            self._patient,
            "Label of the patient: results and sessions are named after it. It is taken from the "
            "names of the images; a name typed here counts for these images.",
            "patient",
        )
        describe(
            self._visit,
            "Label of the visit, such as 01; empty if there is only one. It is taken from the "
            "names of the images; a label typed here counts for these images.",
            "visit",
        )
        self._visit.setPlaceholderText("none")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(QLabel("Patient"))
        layout.addWidget(self._patient, 3)
        layout.addWidget(QLabel("Visit"))
        layout.addWidget(self._visit, 2)
        self._patient.editingFinished.connect(self._on_edited)
        self._visit.editingFinished.connect(self._on_edited)

    @property
    def patient(self) -> str:
        """Label of the patient, letters and digits only; empty where nothing is known."""
        return str(self._patient.text())

    @property
    def visit(self) -> str:
        """Label of the visit, or an empty text."""
        return str(self._visit.text())

    def set_guess(self, images: Hashable, patient: str, visit: str) -> None:
        """Show what the names of images say; what was typed for the same images stays.

        Parameters
        ----------
        images
            What tells these images from others.
        patient, visit
            Labels.
        """
        if images == self._of:
            return
        self._of, self._guessed = images, (patient, visit)
        self._show(patient, visit)

    def _on_edited(self) -> None:
        patient = self._label(self._patient.text()) or self._guessed[0]
        self._show(patient, self._label(self._visit.text()))
        self.changed.emit()

    def _show(self, patient: str, visit: str) -> None:
        self._patient.setText(patient)
        self._visit.setText(visit)
