"""Whose images these are: patient and visit, as results and sessions are named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QLineEdit, QWidget

from napari_ies.viewer.panel.availability import describe
from napari_ies.viewer.panel.controls import column, row

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable


class PatientForm(QWidget):
    """Two fields, filled from the images' names; what a person types stays for these images.

    Parameters
    ----------
    label
        Makes a label for file names of what is typed in the field of an entity, ``"sub-"`` or
        ``"ses-"``.
    """

    changed = Signal()
    """A person typed another patient or visit."""

    def __init__(self, label: Callable[[str, str], str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._label = label
        self._images: Hashable = None
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
        column(self, row(QLabel("Patient"), (self._patient, 3), QLabel("Visit"), (self._visit, 2)))
        self._patient.editingFinished.connect(self._on_edited)
        self._visit.editingFinished.connect(self._on_edited)
        self._shown = ("", "")
        self._asked: Hashable = None
        self._since: tuple[str | None, str | None] = (None, None)

    @property
    def patient(self) -> str:
        """Label of the patient; empty while there are no images."""
        return self._shown[0]

    @property
    def visit(self) -> str:
        """Label of the visit, or an empty text."""
        return self._shown[1]

    @property
    def typed(self) -> tuple[str | None, str | None]:
        """Patient and visit where they are not what the names say; None where they are."""
        patient, visit = (
            None if shown == guessed else shown
            for shown, guessed in zip(self._shown, self._guessed, strict=True)
        )
        return patient, visit

    def ask(self) -> tuple[str | None, str | None]:
        """Return what was typed, and remember what is typed for these images from now on.

        Text that is still being typed counts.
        """
        self._on_edited()
        self._asked, self._since = self._images, (None, None)
        return self.typed

    def ask_again(self) -> tuple[str | None, str | None]:
        """Return patient and visit where they were typed for the images last asked about, since."""
        self._on_edited()
        return self._since

    def set_guess(self, images: Hashable, patient: str, visit: str) -> None:
        """Show what the names of images say; what was typed for the same images stays.

        Parameters
        ----------
        images
            What tells these images from others.
        patient, visit
            Labels.
        """
        if images != self._images:
            self._images, self._guessed = images, (patient, visit)
            self.show_labels(patient, visit)

    def show_labels(self, patient: str, visit: str) -> None:
        """Show labels, such as those of a saved session, as if they had been typed."""
        self._shown = patient, visit
        self._patient.setText(patient)
        self._visit.setText(visit)

    def _on_edited(self) -> None:
        patient = self._label(self._patient.text(), "sub-") or self._guessed[0]
        labels = patient, self._label(self._visit.text(), "ses-")
        before = self._shown
        self.show_labels(*labels)
        if labels != before:
            if self._images == self._asked:
                patient_since, visit_since = (
                    label if label != shown else known
                    for label, shown, known in zip(labels, before, self._since, strict=True)
                )
                self._since = patient_since, visit_since
            self.changed.emit()
