"""LesionList: the table of lesions and regions, kept true to maps and notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_ies.segmentation.subject import Region
from napari_ies.viewer.feature import Feature, Place, Placed
from napari_ies.viewer.lesions.explain_all import ExplainAll
from napari_ies.viewer.lesions.lesion_table import LesionTable
from napari_ies.viewer.state.titles import short_title

if TYPE_CHECKING:
    from napari_ies.saliency.saliency import Saliency
    from napari_ies.segmentation.subject import Subject
    from napari_ies.viewer.feature import Services
    from napari_ies.viewer.state.answers import Answer
    from napari_ies.viewer.state.reading import Reading


class LesionList(Feature):
    """Shows in the table every map that is kept and every note, and passes new notes on."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.table = LesionTable()
        self.explain_all = ExplainAll(services, self.table)
        state = self.state
        self.table.chosen.connect(self.explaining.explain)
        self.table.note_changed.connect(state.set_note)
        state.note_changed.connect(self._on_note)
        state.answer_kept.connect(self._on_answer)
        state.error_guessed.connect(self.table.set_error)
        state.reading_changed.connect(self._on_reading)
        state.selection_changed.connect(self._on_selected)
        self.views = (Placed(Place.LESIONS, [self.table], "Lesions"),)
        self.actions = {
            "next": lambda: self.table.step(1),
            "previous": lambda: self.table.step(-1),
            "note": self.table.view.edit_note,
            "explain_all": self.table.filter.explain_all.click,
        }

    def release(self) -> None:
        """Explain no further lesion."""
        self.explain_all.release()

    def _on_reading(self, reading: Reading | None) -> None:
        if reading is None:
            return
        self.table.set_lesions(reading.segmentation.lesions)
        for answer in self.state.answers:
            self._on_answer(answer)
        for subject in reading.notes:
            self._on_note(subject)

    def _on_selected(self, subject: Subject | None) -> None:
        if subject is not None:
            self.table.select(subject)

    def _on_note(self, subject: Subject) -> None:
        reading = self.state.reading
        if reading is not None:
            self.table.set_note(subject, reading.notes.get(subject, ""))

    def _on_answer(self, answer: Answer) -> None:
        table, subject = self.table, answer.subject
        reading = self.state.reading
        if reading is not None and isinstance(subject, Region):
            box = reading.regions[subject].place.box
            probability = reading.segmentation.probability
            from napari_ies.segmentation.lesions import region_row  # SciPy: not when opening

            row = region_row(reading.mask_of(subject), probability, reading.case, box)
            table.set_region(subject, row)
        latest_first = self.state.answers.of(subject)[::-1]
        words = dict.fromkeys(short_title(kept.request) for kept in latest_first)
        titles = dict.fromkeys(kept.title for kept in latest_first)
        table.set_explained(subject, ", ".join(words), "\n".join(titles))
        unit = f"{answer.title}: value of largest magnitude, in {answer.saliency.unit}."
        table.set_peaks(subject, peaks(answer.saliency), unit)


def peaks(saliency: Saliency) -> dict[str, float]:
    """Return the signed value of largest magnitude of each sequence's map, in its unit."""
    found = {}
    for name, values in zip(saliency.sequences, saliency.cropped, strict=True):
        high, low = float(np.max(values)), float(np.min(values))
        found[name] = high if high >= -low else low
    return found
