"""Naming: patient and visit follow the chosen images, and results follow what is typed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_ies.patient.bids_label import bids_label
from napari_ies.patient.identity import identify
from napari_ies.viewer.preparing.patient_form import PatientForm
from napari_ies.viewer.volumes.layer_data import file_of

if TYPE_CHECKING:
    from napari_ies.patient.case import Case
    from napari_ies.viewer.feature import Services
    from napari_ies.viewer.preparing.images_form import ImagesForm
    from napari_ies.viewer.state.reading import Reading


def typed_label(text: str, entity: str) -> str:
    """Return the label for file names of what is typed, empty for nothing.

    Parameters
    ----------
    text
        With or without the entity.
    entity
        What the field is for: ``"sub-"`` or ``"ses-"``.
    """
    return bids_label(text.strip().removeprefix(entity))


class Naming:
    """Fills the fields for patient and visit, and names results after them.

    Parameters
    ----------
    services
        The state whose reading is named, and the viewer's layers.
    images
        Which of them stand for sequences.
    """

    def __init__(self, services: Services, images: ImagesForm) -> None:
        self._state, self._scene, self._images = services.state, services.scene, images
        self.form = PatientForm(typed_label)
        self.doubts: tuple[str, ...] = ()
        """Why the chosen images may be of two patients or visits: plain sentences."""
        images.changed.connect(self._on_images)
        self._state.reading_changed.connect(self._on_reading)
        self.form.changed.connect(self._on_typed)

    def named(self, case: Case) -> Case:
        """Return a case named as a person typed since it was asked for."""
        subject, visit = (
            own if label is None else label
            for label, own in zip(self.form.ask_again(), (case.subject, case.visit), strict=True)
        )
        if (subject, visit) == (case.subject, case.visit):
            return case
        return replace(case, subject=subject, visit=visit)

    def _on_images(self) -> None:
        keys = tuple(self._images.assignment().values())
        layers = [self._scene.find(key) for key in keys]
        paths = tuple(file_of(layer) for layer in layers if layer is not None)
        self.doubts = ()
        if not paths:
            return
        identity = identify(paths)
        # The rest of each tells the command line's way out of it.
        self.doubts = tuple(
            f"{note.partition('; ')[0]}; check that they are of one patient and visit."
            for note in identity.notes
        )
        # A file that is opened again is the same image; a layer without one is its own.
        images = tuple(path or key for path, key in zip(paths, keys, strict=False))
        self.form.set_guess(images, identity.subject, identity.visit)

    def _on_reading(self, reading: Reading | None) -> None:
        """Show whose a reading is, such as one of a saved session."""
        if reading is not None:
            self.form.show_labels(reading.case.subject, reading.case.visit)

    def _on_typed(self) -> None:
        """Name what was segmented anew; what was saved before keeps its name."""
        reading, typed = self._state.reading, (self.form.patient, self.form.visit)
        if reading is not None and (reading.case.subject, reading.case.visit) != typed:
            self._state.rename(*typed)
