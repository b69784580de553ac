"""LesionList: keeps the table true to what was explained and noted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject

from napari_ies.viewer.state.titles import short_title

if TYPE_CHECKING:
    from napari_ies.saliency.saliency import Saliency
    from napari_ies.viewer.state.reading import Answer, Reading, Subject


class LesionList(QObject):
    """Shows in the table every map that is kept and every note, and passes new notes on.

    Parameters
    ----------
    host
        The panel.
    """

    def __init__(self, host: Any) -> None:
        super().__init__(host)
        self._host = host
        host.lesions.note_changed.connect(host.set_note)
        host.note_changed.connect(self._on_note)
        host.answer_kept.connect(self._on_answer)
        host.reading_changed.connect(self._on_reading)

    def _on_reading(self, reading: Reading | None) -> None:
        if reading is None:
            return
        for answer in self._host.answers:
            self._on_answer(answer)
        for subject in reading.notes:
            self._on_note(subject)

    def _on_note(self, subject: Subject) -> None:
        self._host.lesions.set_note(subject, self._host.reading.notes.get(subject, ""))

    def _on_answer(self, answer: Answer) -> None:
        table, subject = self._host.lesions, answer.subject
        reading = self._host.reading
        if isinstance(subject, str):
            box = reading.regions[subject].place.box
            probability = reading.segmentation.probability
            from napari_ies.segmentation.lesions import (
                region_row,  # brings SciPy along: not when opening
            )

            row = region_row(reading.mask_of(subject), probability, reading.case, box)
            table.set_region(subject, row)
        latest_first = self._host.answers.of(subject)[::-1]
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
