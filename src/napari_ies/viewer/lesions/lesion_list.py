"""LesionList: the table of lesions and regions, kept true to maps and notes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, get_args

import numpy as np

from napari_ies.segmentation.subject import Lesion, Region
from napari_ies.segmentation.verdicts import Verdict
from napari_ies.viewer.feature import Feature, Place, Placed
from napari_ies.viewer.lesions.chosen_lesion import NONE_CHOSEN
from napari_ies.viewer.lesions.explain_all import ExplainAll
from napari_ies.viewer.lesions.lesion_columns import PeakKind
from napari_ies.viewer.lesions.lesion_table import LesionTable
from napari_ies.viewer.lesions.threshold_change import ThresholdChange
from napari_ies.viewer.state.answers import (
    distinct_titles,
    kind_of,
    kind_titles,
    short_titles,
)
from napari_ies.viewer.state.titles import capitalised, short_title

if TYPE_CHECKING:
    from collections.abc import Hashable

    from napari_ies.saliency.saliency import Saliency
    from napari_ies.segmentation.subject import Subject
    from napari_ies.viewer.feature import Services
    from napari_ies.viewer.state.answers import Answer, Key
    from napari_ies.viewer.state.reading import Reading


class LesionList(Feature):
    """Shows in the table every map that is kept and every note, and passes new notes on."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.threshold = ThresholdChange(services)
        self.table = LesionTable(over_found=self.threshold.bar)
        self.explain_all = ExplainAll(services, self.table)
        state = self.state
        self.table.chosen.connect(self.explaining.explain)
        self.table.note_changed.connect(state.set_note)
        below = self.table.chosen_lesion
        below.map_chosen.connect(self._on_map_chosen)
        below.judged.connect(self.judge)
        state.note_changed.connect(self._on_note)
        state.verdict_changed.connect(self._on_verdict)
        state.answer_kept.connect(self._on_answer)
        state.answer_shown.connect(self._show_maps)
        state.error_guessed.connect(self.table.set_error)
        state.reading_changed.connect(self._on_reading)
        state.selection_changed.connect(self._on_selected)
        self.views = (Placed(Place.LESIONS, [self.table], "Lesions"),)
        self.actions = {
            "next": partial(self._step, 1),
            "previous": partial(self._step, -1),
            "note": self.table.view.edit_note,
            **{verdict: partial(self.judge, verdict) for verdict in get_args(Verdict)},
            "explain_all": self.table.filter.explain_all.click,
        }

    def release(self) -> None:
        """Explain no further lesion."""
        self.explain_all.release()

    def judge(self, verdict: Verdict) -> None:
        """Give a verdict on the lesion or region that is selected; the same one again takes it
        back.
        """
        subject, reading = self.table.pointed_at, self.state.reading
        if reading is None or subject is None:
            self.tell.hint(NONE_CHOSEN)
            return
        new = None if reading.verdicts.get(subject) == verdict else verdict
        self.state.set_verdict(subject, new)
        self.tell.say(f"{capitalised(subject.called)}: {new or 'no verdict any more'}.")

    def _step(self, by: int) -> None:
        if not self.table.step(by):
            self.tell.hint(f"There is no {'further' if by > 0 else 'earlier'} lesion in the table.")

    def _on_reading(self, reading: Reading | None) -> None:
        if reading is None:
            self.table.set_lesions(None)
            return
        self.table.set_lesions(reading.segmentation.lesions, reading.found)
        for lesion in reading.came_of.keys() & reading.places.keys():
            self.table.set_former(Lesion(lesion), reading.came_of[lesion])
        for answer in self.state.answers:
            self._on_answer(answer)
        for subject in reading.notes:
            self._on_note(subject)
        for judged in reading.verdicts:
            self._on_verdict(judged)

    def _on_selected(self, subject: Subject | None) -> None:
        if subject is not None:
            self.table.select(subject)
        self.table.chosen_lesion.set_subject("" if subject is None else subject.called)
        self._show_said()
        self._show_maps()

    def _on_note(self, subject: Subject) -> None:
        reading = self.state.reading
        if reading is not None:
            self.table.set_note(subject, reading.notes.get(subject, ""))
            self._show_said()

    def _on_verdict(self, subject: Subject) -> None:
        reading = self.state.reading
        if reading is not None:
            self.table.set_verdict(subject, reading.verdicts.get(subject))
            self._show_said()

    def _show_said(self) -> None:
        """Show below the table what a person says of what is selected."""
        reading, subject, below = self.state.reading, self.state.selected, self.table.chosen_lesion
        if reading is None:
            return
        below.set_verdict(None if subject is None else reading.verdicts.get(subject))
        note = "" if subject is None else reading.notes.get(subject, "")
        below.set_note(note, anywhere=bool(reading.notes))

    def _show_maps(self, _: object = None) -> None:
        """List below the table the maps of what is selected, and the one that is computed."""
        state, subject = self.state, self.state.selected
        kept = [] if subject is None else state.answers.of(subject)
        shown, key = state.shown, None
        if shown is not None and shown.subject == subject:
            key = shown.key if shown.finished else None
            if not shown.finished:
                kept = [*kept, shown]
        maps: list[tuple[Hashable, str, str]] = [
            (answer.key, short, title)
            if answer.finished
            else (None, f"{short} …", f"{title}: being computed.")
            for answer, short, title in zip(
                kept, short_titles(kept), distinct_titles(kept), strict=True
            )
        ]
        self.table.chosen_lesion.set_maps(maps, key)

    def _kinds(self) -> dict[Hashable, PeakKind]:
        """Return what is said of each kind of maps that there are."""
        answers = self.state.answers
        one_each = {kind_of(answer): answer for answer in answers}
        return {
            kind: PeakKind(title, one_each[kind].saliency.unit, answers.power(one_each[kind]))
            for kind, title in kind_titles(answers).items()
        }

    def _on_map_chosen(self, key: Key) -> None:
        answer = self.state.answers.get(key)
        if answer is not None:
            self.explaining.show(answer)

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
        table.set_kinds(self._kinds())
        table.forget_peaks(subject, {kind_of(kept) for kept in latest_first})
        unit = f"{answer.title}: value of largest magnitude, in {answer.saliency.unit}."
        table.set_peaks(subject, kind_of(answer), peaks(answer.saliency), unit)
        self._show_maps()


def peaks(saliency: Saliency) -> dict[str, float]:
    """Return the signed value of largest magnitude of each sequence's map, in its unit."""
    found = {}
    for name, values in zip(saliency.sequences, saliency.cropped, strict=True):
        high, low = float(np.max(values)), float(np.min(values))
        found[name] = high if high >= -low else low
    return found
