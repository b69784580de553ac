"""State: what the window knows. Parts change it by its methods and follow its events."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_ies.saliency.request import SaliencyRequest
from napari_ies.segmentation.subject import as_subject
from napari_ies.viewer.state.answers import Answers
from napari_ies.viewer.state.curves import Curves
from napari_ies.viewer.state.event import Event
from napari_ies.viewer.state.reading import model_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_ies.network.model import SegmentationModel
    from napari_ies.segmentation.subject import Subject
    from napari_ies.segmentation.verdicts import Verdict
    from napari_ies.viewer.state.answers import Answer
    from napari_ies.viewer.state.curves import Curve
    from napari_ies.viewer.state.loaded import Chosen, LoadedModel, Restored
    from napari_ies.viewer.state.reading import KnownRegion, Reading
    from napari_ies.viewer.volumes.frame import Voxel
    from napari_ies.viewer.volumes.layer_data import LayerDataTuple


class State:
    """The network that is loaded, the patient that is read, and what was asked about it.

    Attributes
    ----------
    model
        The checkpoint that is loaded now.
    device
        The device that was asked for, by name.
    profiles
        The folder of profiles that was asked for, or None for the usual one.
    reading
        What was segmented with what, or None.
    chosen
        The images that would be segmented now, or None while some are missing.
    answers
        The finished maps of the reading.
    curves
        The finished curves of its lesions' contexts.
    selected
        The lesion or region that is selected.
    at
        The stored voxel of it that is looked at: the one that was clicked, else its centre.
    threshold
        What the segmentation's form says now; the reading's own may be another.
    smallest
        Likewise the smallest number of voxels of a lesion.
    shown
        The map on screen, running or finished.
    """

    def __init__(self) -> None:
        self.model: LoadedModel | None = None
        self.device = "auto"
        self.profiles: Path | None = None
        self.reading: Reading | None = None
        self.chosen: Chosen | None = None
        self.answers = Answers()
        self.curves = Curves()
        self.selected: Subject | None = None
        self.threshold: float | None = None
        self.at: Voxel | None = None
        self.shown: Answer | None = None
        self.smallest: int | None = None
        self._ask: Callable[[], SaliencyRequest] = SaliencyRequest
        self._guard: Callable[[Callable[[], None]], None] = lambda following: following()

        self.model_changed: Event[[LoadedModel | None]] = Event()
        """Another checkpoint was loaded, or turned and scaled otherwise, or none could be."""
        self.images_chosen: Event[[Chosen | None]] = Event()
        """Other images, or under another name, would be segmented now."""
        self.reading_changed: Event[[Reading | None]] = Event()
        """Another patient was segmented or reopened."""
        self.selection_changed: Event[[Subject | None]] = Event()
        """Another lesion or region is selected, or another voxel of it."""
        self.answer_shown: Event[[Answer]] = Event()
        """A map is on screen now, running or finished."""
        self.answer_kept: Event[[Answer]] = Event()
        """A map was finished and kept."""
        self.error_guessed: Event[[Subject, float | None, str]] = Event()
        """How probably a lesion is a false positive, or None, and in words why."""
        self.threshold_changed: Event[[float]] = Event()
        """The segmentation's form says another threshold, or smallest lesion, now."""
        self.curve_kept: Event[[Curve]] = Event()
        """A curve was finished, or read back, and kept."""
        self.note_changed: Event[[Subject]] = Event()
        """The note of a lesion or region in ``reading.notes`` is another one now."""
        self.verdict_changed: Event[[Subject]] = Event()
        """The verdict on a lesion or region in ``reading.verdicts`` is another one now."""
        self.renamed: Event[[Reading]] = Event()
        """The patient or the visit of the reading is called otherwise now."""
        self.network_given: Event[[Reading]] = Event()
        """A reopened reading got the network that segmented it."""
        self.request_restored: Event[[SaliencyRequest]] = Event()
        """The form is to ask for this, such as what a reopened session asked for last."""
        self.layers_given: Event[[list[LayerDataTuple]]] = Event()
        """Images and a reference mask are to be opened, such as the demo's."""
        self.segment_wanted: Event[[bool]] = Event()
        """What is open is to be segmented, once the checkpoint that was asked for is loaded:
        whatever there is to look at before, or only where there is nothing."""
        self.update_wanted: Event[[]] = Event()
        """The lesions are to be found at the form's threshold, keeping what stays the same."""
        self.looked_ahead: Event[[bool]] = Event()
        """It is known whether a session of the images chosen now is on offer."""
        self.restored: Event[[Restored]] = Event()
        """Images and settings of a saved session are to be shown and set again."""
        self.checkpoint_wanted: Event[[str, str]] = Event()
        """A checkpoint's file is to be loaded onto a device (empty: the one that is chosen)."""
        self.profile_wanted: Event[[]] = Event()
        """What is known of the loaded network is to be shown, and asked."""
        self.patient_wanted: Event[[list[str]]] = Event()
        """The files of a patient, or the folder that holds them, are to be opened."""
        self.session_wanted: Event[[str, bool]] = Event()
        """A saved session is to be opened; or only if it was not noticed before."""
        self.session_asked: Event[[Callable[[str], None]]] = Event()
        """A session is to be begun now, though nothing is finished yet, as for a figure; what is
        given is told in a sentence why that cannot be."""
        self.session_kept: Event[[Path, str]] = Event()
        """The reading's session lies in a folder and holds something, in words."""
        self.cohort_wanted: Event[[str]] = Event()
        """The cases and lesions of a folder of results are to be listed."""

    @property
    def request(self) -> SaliencyRequest:
        """How the next lesion is explained: what the form asks for now."""
        return self._ask()

    @request.setter
    def request(self, request: SaliencyRequest) -> None:
        self._ask = lambda: request

    def ask_as(self, form: Callable[[], SaliencyRequest]) -> None:
        """Explain as a form asks for at that moment."""
        self._ask = form

    def network(self, key: str) -> SegmentationModel | None:
        """Return the network with a key (:func:`~napari_ies.viewer.state.reading.model_key`).

        The one that is loaded or the one that segmented; None if it is neither.
        """
        loaded = None if self.model is None else self.model.model
        own = None if self.reading is None else self.reading.model
        at_hand = (model for model in (loaded, own) if model is not None)
        return next((model for model in at_hand if model_key(model) == key), None)

    def take_model(self, loaded: LoadedModel | None) -> None:
        """Take a loaded checkpoint in place of the one before, or none."""
        self.model = loaded
        self.model_changed.emit(loaded)

    def choose_images(self, chosen: Chosen | None) -> None:
        """Take what would be segmented now."""
        before = self.chosen
        if (chosen and chosen.identity) != (before and before.identity):
            self.chosen = chosen
            self.images_chosen.emit(chosen)

    def show_reading(self, reading: Reading) -> None:
        """Take a segmented patient in place of the one before."""
        self.reading = reading
        self.answers = Answers(reading.regions, self.answers.revisions)
        self.curves = Curves()
        self.selected = self.shown = self.at = None
        self.reading_changed.emit(reading)
        self.selection_changed.emit(None)

    def close_reading(self) -> None:
        """Hold no patient any more: the images of another one come."""
        if self.reading is not None:
            self.answers = Answers(revisions=self.answers.revisions)
            self.reading, self.curves = None, Curves()
            self.selected = self.shown = self.at = None
            self.reading_changed.emit(None)
            self.selection_changed.emit(None)

    def guard_by(self, guard: Callable[[Callable[[], None]], None]) -> None:
        """Ask a guard before the reading is left: it calls what is to follow, or lets it be."""
        self._guard = guard

    def leave_for(self, following: Callable[[], None]) -> None:
        """Do what takes the place of the reading, unless a person rather keeps what is unsaved."""
        self._guard(following)

    def update_reading(self, reading: Reading) -> None:
        """Take the same patient at another threshold, with what is known of what stays the same.

        A lesion of either number is the same in both. Maps and curves of a lesion that is not
        there now are held until it comes back.
        """
        answers, curves = self.answers.every, [*self.curves.unseen, *self.curves]
        selected, at, shown = self.selected, self.at, self.shown
        self.show_reading(reading)
        for answer in answers:
            if reading.place_of(answer.subject) is not None:
                self.keep(answer)
            else:
                self.answers.set_aside(answer)
        for curve in curves:
            if reading.place_of(curve.subject) is not None:
                self.keep_curve(curve)
            else:
                self.curves.unseen.append(curve)
        if selected is not None and self.select(selected, at):
            kept = None if shown is None else self.answers.get(shown.key)
            if kept is not None and kept.subject == selected:
                self.show(kept)
        elif at is not None and (here := int(reading.segmentation.labels[at])):
            self.select(here, at)  # what became of it
            for kept in self.answers.of(here)[-1:]:
                self.show(kept)

    def give_network(self, model: SegmentationModel) -> None:
        """Give a reopened reading the network that segmented it."""
        if self.reading is not None:
            self.reading.model = model
            self.network_given.emit(self.reading)

    def rename(self, patient: str, visit: str) -> None:
        """Call the patient and the visit of the reading otherwise from now on."""
        if self.reading is not None:
            self.reading.case = replace(self.reading.case, subject=patient, visit=visit)
            self.renamed.emit(self.reading)

    def select(self, subject: Subject | int | str, voxel: Voxel | None = None) -> bool:
        """Select a lesion or region everywhere; return whether there is one of that name.

        Parameters
        ----------
        subject
            A lesion's label or a region's name.
        voxel
            The stored voxel to look at; by default the subject's centre.
        """
        place = None if self.reading is None else self.reading.place_of(subject)
        if place is None:
            return False
        self.selected, self.at = as_subject(subject), voxel or place.centre
        self.selection_changed.emit(self.selected)
        return True

    def add_region(self, region: KnownRegion) -> None:
        """Take a region that is no lesion of the table.

        Maps and curves kept of another region of the same name are forgotten.
        """
        if self.reading is None:
            return
        known = self.reading.regions.get(region.name)
        if known is not None and not (known.mask == region.mask).all():
            self.answers.forget(region.name)
            self.curves.forget(region.name)
        self.reading.regions[region.name] = region

    def show(self, answer: Answer) -> None:
        """Show a map, running or finished, in place of the one before."""
        if self.reading is not None:
            self.shown = answer
            self.answer_shown.emit(answer)

    def keep(self, answer: Answer) -> Answer:
        """Keep a finished map of the reading, as the answer that is returned."""
        kept = self.answers.add(answer)
        self.answer_kept.emit(kept)
        return kept

    def take_threshold(self, threshold: float) -> None:
        """Take what the segmentation's form says now."""
        self.threshold = threshold
        self.threshold_changed.emit(threshold)

    def take_smallest(self, smallest: int) -> None:
        """Take what the segmentation's form says now."""
        self.smallest = smallest
        if self.threshold is not None:
            self.threshold_changed.emit(self.threshold)

    def keep_curve(self, curve: Curve) -> None:
        """Keep a finished curve of the reading."""
        self.curves.add(curve)
        self.curve_kept.emit(curve)

    def set_note(self, subject: Subject | int | str, text: str) -> None:
        """Keep what a person writes about a lesion or a region; an empty text removes it."""
        subject = as_subject(subject)
        if self.reading is None or self.reading.notes.get(subject, "") == text:
            return
        if text:
            self.reading.notes[subject] = text
        else:
            del self.reading.notes[subject]
        self.note_changed.emit(subject)

    def set_verdict(self, subject: Subject | int | str, verdict: Verdict | None) -> None:
        """Keep what a person says of a lesion or a region; None removes it."""
        subject, reading = as_subject(subject), self.reading
        if reading is None or reading.verdicts.get(subject) == verdict:
            return
        if verdict is None:
            del reading.verdicts[subject]
        else:
            reading.verdicts[subject] = verdict
        self.verdict_changed.emit(subject)
