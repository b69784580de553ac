"""ResultNotes: what must be known with the result on screen, where the result is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFrame, QWidget

from napari_ies.network.trained_grid import is_orientation
from napari_ies.segmentation.subject import Region
from napari_ies.viewer.panel.availability import allow
from napari_ies.viewer.panel.controls import button, column
from napari_ies.viewer.panel.sentence_list import AMBER, SentenceList
from napari_ies.viewer.state.answers import REGION_NOTES
from napari_ies.viewer.state.event import Event
from napari_ies.viewer.state.reading import model_key

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from napari_ies.viewer.feature import Services
    from napari_ies.viewer.state.answers import Answer
    from napari_ies.viewer.state.reading import Reading

TOOLTIP = (
    "What was assumed, converted or found odd in the images and the checkpoint, and what it means "
    "for this result."
)
PLACE_LINES = 2
"""Of the notes, above the table: a click shows them all, over it."""


class ResultNotesView(QFrame):
    """The notes on the lesions and on the map on screen, and what is offered to put right."""

    offer_taken = Signal()
    """The button was pressed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("result_notes_frame")
        self.offered = ""
        self._notes: tuple[str, ...] = ()
        self._on_map: tuple[str, ...] = ()
        self._warning = False
        self.sentences = SentenceList("result_notes", TOOLTIP, PLACE_LINES)
        about = "Set this in the checkpoint's form and segment again."
        self.offer = button("", "offer", about, self.offer_taken)
        self.offer.hide()
        column(self, self.sentences, self.offer, spacing=2, margins=(6, 0, 0, 0))
        self.hide()

    def set_notes(self, notes: Sequence[str], reassuring: Collection[str] = ()) -> None:
        """Show the notes on a result; those that were not on show before are unfolded.

        Parameters
        ----------
        notes
            Plain sentences.
        reassuring
            Those of them that confirm what was assumed: no reason to warn or to unfold.
        """
        self._warning = not set(notes) <= set(reassuring)
        news = not set(notes) <= {*self._notes, *reassuring}
        self._notes, self._on_map = tuple(notes), ()
        self._show(keep_height=False)
        self.sentences.unfold(news or (self._warning and self.sentences.unfolded))
        self.show()

    def set_map_notes(self, notes: Sequence[str]) -> None:
        """Show what is to be said of the map beyond the result; nothing changes its place."""
        on_map = tuple(note for note in notes if note not in self._notes)
        if on_map != self._on_map:
            self._on_map = on_map
            self._show(keep_height=True)

    def set_offer(self, orientation: str, hindrance: str = "") -> None:
        """Offer to segment again in another orientation, or nothing (an empty text)."""
        self.offered = orientation
        self.offer.setText(f"Segment again as {orientation}")
        self.offer.setVisible(bool(orientation))
        allow(self.offer, hindrance)

    def _show(self, *, keep_height: bool) -> None:
        count, more = len(self._notes), len(self._on_map)
        title = f"Notes on this result ({count})" if count else "No notes on this result"
        if more:
            title = f"Notes on this result ({count}), on this map ({more})"
        self.setStyleSheet(
            f"#result_notes_frame {{ border: none; border-left: 4px solid {AMBER}; }}"
            if self._warning or more
            else "#result_notes_frame { border: none; }"
        )
        told = (*self._notes, *(f"This map: {note}" for note in self._on_map))
        self.sentences.set_sentences(
            title, told, keep_height=keep_height, warning=self._warning or bool(more)
        )


class ResultNotes:
    """Shows the notes of the reading and of the map on screen, new or reopened.

    Parameters
    ----------
    services
        The state that is followed.
    why_other_images
        Why the images that are chosen now are not those of a reading, or an empty string.
    """

    def __init__(self, services: Services, why_other_images: Callable[[Reading], str]) -> None:
        self.offer_taken: Event[[str]] = Event()
        """A person wants to segment again in this orientation."""
        self.view = ResultNotesView()
        self._state, self._why_other_images = services.state, why_other_images
        self.view.offer_taken.connect(self._on_offer_taken)
        self._state.reading_changed.connect(self._on_reading)
        self._state.answer_shown.connect(self._on_answer)

    def refresh(self) -> None:
        """Offer the orientation that the network agrees better with, while it is loaded."""
        reading, model = self._state.reading, self._state.model
        found = () if reading is None else reading.segmentation.agreements
        suggested = [one.suggestion for one in found if is_orientation(one.suggestion or "")]
        if reading is None or model is None or model_key(model.model) != model_key(reading.model):
            hindrance = "Load the checkpoint that segmented first."
        else:
            hindrance = self._why_other_images(reading)
        self.view.set_offer(str(suggested[0]) if suggested else "", hindrance)

    def _on_offer_taken(self) -> None:
        if self.view.offered and self.view.offer.isEnabled():
            self.offer_taken.emit(self.view.offered)

    def _on_reading(self, reading: Reading | None) -> None:
        if reading is None:
            self.view.hide()
            return
        agreements = reading.segmentation.agreements
        reassuring = [one.sentence for one in agreements if one.sure and one.best == one.assumed]
        self.view.set_notes(reading.segmentation.notes, reassuring)
        self.refresh()

    def _on_answer(self, answer: Answer) -> None:
        notes: Any = answer.saliency.provenance.get("notes", ())
        told = [str(note) for note in notes]
        reading, subject = self._state.reading, answer.subject
        kept = self._state.answers.get(answer.key) if answer.finished else None
        more: Any = ()
        # Of a region's map, what is kept says how the region was taken; one that runs does not.
        if kept is not None:
            more = kept.saliency.provenance.get(REGION_NOTES, ())
        elif reading is not None and isinstance(subject, Region) and subject in reading.regions:
            more = reading.regions[subject].notes
        self.view.set_map_notes([*told, *(str(note) for note in more if str(note) not in told)])
