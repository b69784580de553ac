"""Naming: patient and visit follow the chosen images, and results follow what is typed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_ies.patient.bids_label import bids_label
from napari_ies.patient.identity import identify
from napari_ies.viewer.reader import METADATA_KEY

if TYPE_CHECKING:
    from napari_ies.viewer.state.reading import Reading
    from napari_ies.viewer.widget import LesionSaliencyWidget


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


class Naming(QObject):
    """Fills the fields for patient and visit, and names results after them.

    Parameters
    ----------
    host
        The panel.
    """

    def __init__(self, host: LesionSaliencyWidget) -> None:
        super().__init__(host)
        self._host, self._form = host, host.patient
        host.images.changed.connect(self._on_images)
        host.reading_changed.connect(self._on_reading)
        self._form.changed.connect(self._on_typed)

    def _on_images(self) -> None:
        keys = tuple(self._host.images.assignment().values())
        layers = [self._host.scene.find(key) for key in keys]
        paths = tuple(_path_of(layer) for layer in layers if layer is not None)
        if not paths:
            return
        identity = identify(paths)
        # A file that is opened again is the same image; a layer without one is its own.
        images = tuple(path or key for path, key in zip(paths, keys, strict=False))
        self._form.set_guess(images, identity.subject, identity.visit)

    def _on_reading(self, reading: Reading | None) -> None:
        """Show whose a reading is, such as one of a saved session."""
        if reading is not None:
            self._form.show_labels(reading.case.subject, reading.case.visit)

    def _on_typed(self) -> None:
        """Name what was segmented anew; what was saved before keeps its name."""
        host, reading = self._host, self._host.reading
        if reading is None:
            return
        patient, visit = self._form.patient, self._form.visit
        if (reading.case.subject, reading.case.visit) == (patient, visit):
            return
        reading.case = replace(reading.case, subject=patient, visit=visit)
        host.session.rename(reading)


def _path_of(layer: Any) -> str | None:
    known = layer.metadata.get(METADATA_KEY)
    path = known.get("path") if isinstance(known, dict) else None
    return None if path is None else str(path)
