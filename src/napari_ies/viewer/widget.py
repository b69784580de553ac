"""The dock widget "Lesion saliency": wires the small widgets together; computes nothing."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_warning
from qtpy.QtCore import QEvent, QObject, Signal

from napari_ies.errors import CheckpointError, NapariIESError
from napari_ies.viewer.canvas.layers import Scene
from napari_ies.viewer.canvas.picking import pick_lesion
from napari_ies.viewer.canvas.viewer_link import ViewerLink
from napari_ies.viewer.colouring.colouring import Colouring
from napari_ies.viewer.comparing.comparing import Comparing
from napari_ies.viewer.explaining.long_work import LongWork
from napari_ies.viewer.explaining.map_memory import MapMemory
from napari_ies.viewer.figure.figure_making import FigureMaking
from napari_ies.viewer.help.guidance import Guidance
from napari_ies.viewer.keys import Keyboard
from napari_ies.viewer.lesions.explain_all import ExplainAll
from napari_ies.viewer.lesions.lesion_list import LesionList
from napari_ies.viewer.panel.panel import Panel
from napari_ies.viewer.panel.plain_text import said_aloud
from napari_ies.viewer.planes.part import Planes
from napari_ies.viewer.preferences import Preferring
from napari_ies.viewer.preparing.naming import Naming
from napari_ies.viewer.preparing.preparing import Preparing
from napari_ies.viewer.preparing.result_notes import ResultNotes
from napari_ies.viewer.readout import Readout
from napari_ies.viewer.regions.regions import Regions
from napari_ies.viewer.session.keeping import SessionKeeping
from napari_ies.viewer.state.reading import (
    Answer,
    Answers,
    Key,
    Reading,
    Region,
    Subject,
    model_key,
)
from napari_ies.viewer.state.titles import request_title, subject_title
from napari_ies.viewer.work import tasks
from napari_ies.viewer.work.runner import Job, Jobs

if TYPE_CHECKING:
    from napari_ies.network.model import SegmentationModel
    from napari_ies.viewer.volumes.frame import Voxel
    from napari_ies.viewer.work.tasks import LoadedModel

FIRST_STEPS = (
    "Open the images and a checkpoint, press Segment, then click a lesion in the image or in the "
    "table."
)


class LesionSaliencyWidget(Panel):
    """Segment a patient's lesions, click one, and see why the network marked it.

    Parameters
    ----------
    napari_viewer
        The viewer it is docked to.

    Attributes
    ----------
    model
        The checkpoint that is loaded now.
    reading
        What was segmented with what, or None.
    answers
        The finished maps of the reading.
    selected
        The lesion or region that is selected.
    shown
        The map on screen, running or finished.
    """

    reading_changed = Signal(object)
    """The new :class:`~napari_ies.viewer.state.reading.Reading`, or None."""
    selection_changed = Signal(object)
    """The lesion or region that is selected now, or None."""
    answer_shown = Signal(object)
    """The :class:`~napari_ies.viewer.state.reading.Answer` on screen now, running or finished."""
    answer_kept = Signal(object)
    """An :class:`~napari_ies.viewer.state.reading.Answer` that was finished and kept."""
    note_changed = Signal(object)
    """The lesion or region whose note in ``reading.notes`` is another one now."""
    triple_view_requested = Signal()
    """A person asks for the three planes side by side, or for one again."""
    room_taken = Signal(object)
    """The part that takes the room beside the image now; another one that has it gives it back."""
    model_changed = Signal(object)
    """The :class:`~napari_ies.viewer.work.tasks.LoadedModel` that was loaded."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.jobs = Jobs(self)
        self.link = ViewerLink(napari_viewer, self)
        self.scene = Scene(napari_viewer)
        self.model: LoadedModel | None = None
        self.reading: Reading | None = None
        self.answers = Answers()
        self.selected: Subject | None = None
        self.shown: Answer | None = None
        self._wanted: Key | None = None
        self._connect()
        self._parts = self._make_parts()
        # Not a bound method: when this fires, the Qt side of this widget is gone already.
        self.destroyed.connect(partial(_let_go, self.link, self.jobs, self._parts))
        self._attach()
        self.say(FIRST_STEPS)
        self.refresh()

    def explain(
        self, subject: Subject, voxel: Voxel | None = None, *, agreed: bool = False
    ) -> None:
        """Select a lesion or region everywhere and show its saliency, computing it if need be.

        Parameters
        ----------
        subject
            A lesion's label or a region's name.
        voxel
            Stored voxel to move the slices to; by default the subject's centre.
        agreed
            Whether it may take more than an hour; else a person is asked before it starts.
        """
        self.long_work.withdraw()
        reading = self.reading
        place = None if reading is None else reading.place_of(subject)
        if reading is None or place is None:
            return
        self._select(reading, subject, voxel or place.centre)
        self._wanted = None
        try:
            model = self.explained_model(reading)
        except NapariIESError as error:
            self.fail("explain", str(error))
            return
        request = self.saliency.request()
        key = subject, request, model_key(model)
        title = f"{subject_title(subject)}: {request_title(request)}"
        kept = self.answers.get(key)
        if kept is not None:
            self.jobs.cancel("explain")
            self.show_answer(kept)
            self.say(f"Showing {title}, computed before.")
            return
        if self._shows_saved(reading, model, key):
            return
        work = partial(tasks.explain_subject, reading, model, subject, request)
        job = Job(
            "explain",
            f"Explaining {title}",
            partial(work, agreed=True) if agreed else work,
            partial(self._on_answer, reading),
            partial(self._on_running_answer, reading),
            key=(id(reading), *key),
        )
        self.jobs.submit(job)

    def explain_selected(self) -> None:
        """Explain the selected lesion or region with the form's present settings."""
        if self.selected is not None:
            self.explain(self.selected)

    def select(self, subject: Subject) -> None:
        """Select a lesion or region everywhere without explaining it."""
        place = None if self.reading is None else self.reading.place_of(subject)
        if self.reading is not None and place is not None:
            self._select(self.reading, subject, place.centre)

    def reopen_subject(self, subject: Subject) -> None:
        """Select a lesion or region of a reopened session; its latest map is shown once read."""
        self.select(subject)
        if self.selected == subject:
            self._wanted = next(reversed(self.answers.awaited(subject)), None)

    def explain_region(self, region: Region) -> None:
        """Select and explain a region that is no lesion of the table.

        Maps kept of another region of the same name are forgotten.
        """
        if self.reading is None:
            return
        known = self.reading.regions.get(region.name)
        if known is not None and not (known.mask == region.mask).all():
            self.answers.forget(region.name)
        self.reading.regions[region.name] = region
        self.explain(region.name)

    def show_answer(self, answer: Answer) -> None:
        """Show a map over the images, running or finished, in place of the one before."""
        if self.reading is None:
            return
        self.shown = answer
        self.scene.overlays.show(answer.saliency, self.reading.frame, answer.title, answer.limit)
        self.answer_shown.emit(answer)

    def take_model(self, loaded: LoadedModel) -> None:
        """Take a loaded checkpoint in place of the one before."""
        self.model = loaded
        self.model_changed.emit(loaded)

    def show_reading(self, reading: Reading) -> None:
        """Take a segmented patient in place of the one before, and show it."""
        self.reading, self.answers = reading, Answers()
        self.selected = self.shown = None
        self.scene.show_reading(reading)
        self.lesions.set_lesions(reading.segmentation.lesions)
        self.preparation.collapse(animate=False)
        self.reading_changed.emit(reading)
        self.selection_changed.emit(None)
        self.say(reading.summary)

    def set_note(self, subject: Subject, text: str) -> None:
        """Keep what a person writes about a lesion or a region; an empty text removes it."""
        if self.reading is None or self.reading.notes.get(subject, "") == text:
            return
        if text:
            self.reading.notes[subject] = text
        else:
            del self.reading.notes[subject]
        self.note_changed.emit(subject)

    def keep_answer(self, answer: Answer) -> None:
        """Keep a finished map of this reading; it is shown only if a person waits for it."""
        self.answers.add(answer)
        self.answer_kept.emit(answer)
        if answer.key == self._wanted and answer.subject == self.selected:
            self.show_answer(answer)
            self.say(f"Showing {answer.title}, from the session.")

    def explained_model(self, reading: Reading) -> SegmentationModel:
        """Return the loaded network: it may be another one than the one that segmented.

        Raises
        ------
        CheckpointError
            If it takes other sequences than were segmented, or in another order.
        """
        if self.model is None:
            return reading.model
        takes, given = self.model.model.profile.sequences, reading.case.sequences
        if tuple(takes) != tuple(given):
            raise CheckpointError(
                f"The loaded checkpoint takes {', '.join(takes)}, but {', '.join(given)} were "
                "segmented; segment again with it, or load the checkpoint that segmented."
            )
        return reading.own_network(self.model.model)

    def toggle_planes(self) -> None:
        """Show axial, coronal and sagittal instead of one plane, or one again."""
        self._planes.toggle()

    def toggle_space(self) -> None:
        """Show the lesions in space, or the slices as they were before."""
        self._planes.toggle_space()

    def say(self, text: str) -> None:
        """Show a sentence in the status line."""
        self.status.say(text)

    def refresh(self) -> None:
        """Allow what can be done now, and say why the rest cannot."""
        segmented = "" if self.reading is not None else "Segment the images first."
        chosen = "" if self.selected is not None else "Click a lesion or choose its row first."
        unloaded = "" if self.model is not None else "Choose a checkpoint first."
        self.allow_actions(
            segment=unloaded or self.images.why_not_complete,
            explain=segmented or chosen,
            save=segmented,
        )

    def fail(self, kind: str, sentence: str) -> None:
        """Say what went wrong with a job of a kind, in the status line and as a notification."""
        if kind == "checkpoint":
            self.model = None
            self.checkpoint.set_failed()
        self.say(sentence)
        show_error(said_aloud(sentence))

    def save_to(self, folder: str, overwrite: bool = False) -> None:
        """Save the lesions and every finished map to a folder."""
        if self.reading is None:
            return
        work = partial(tasks.save_answers, Path(folder), self.reading, self.answers, overwrite)
        self.jobs.submit(Job("save", f"Saving to {folder}", work, self._on_saved))

    def event(self, event: QEvent) -> bool:
        """Let go of the viewer when the dock is closed, and take hold when docked again."""
        # A closed dock widget only loses its parent: napari calls no closeEvent (napari#8071).
        if event.type() == QEvent.Type.ParentChange:
            if self.parent() is None:
                self._release()
            else:
                self._attach()
        return bool(super().event(event))

    def _make_parts(self) -> list[QObject]:
        """Make what stands on its own: each adds its view and listens to the signals here."""
        self.preparing = Preparing(self)
        self.naming = Naming(self)
        self.session = SessionKeeping(self)
        self.long_work = LongWork(self)
        self._planes = Planes(self)
        return [
            Preferring(self),
            ResultNotes(self),
            LesionList(self),
            ExplainAll(self),
            Readout(self),
            Keyboard(self),
            FigureMaking(self),
            Regions(self),
            Guidance(self),
            Comparing(self),
            Colouring(self),
            MapMemory(self),
            self.session,
            self.long_work,
            self._planes,
        ]

    def _attach(self) -> None:
        self.link.attach()
        for part in self._parts:
            if hasattr(part, "attach"):
                part.attach()

    def _connect(self) -> None:
        self.images.changed.connect(self.refresh)
        self.lesions.chosen.connect(self.explain)
        self.saliency.explain_requested.connect(self.explain_selected)
        self.save_requested.connect(self.save_to)
        self.status.cancel_requested.connect(self.jobs.cancel)
        self.link.clicked.connect(self._on_clicked)
        self.link.view_changed.connect(self._on_view_changed)
        self.link.layers_changed.connect(self.scene.lesions.follow_layers)
        self.jobs.started.connect(self._on_started)
        self.jobs.reported.connect(self.status.show_report)
        self.jobs.noted.connect(_warn)
        self.jobs.failed.connect(self.fail)
        self.jobs.cancelled.connect(self._on_cancelled)
        self.jobs.idle.connect(self._on_idle)

    def _release(self) -> None:
        _let_go(self.link, self.jobs, self._parts)

    def _select(self, reading: Reading, subject: Subject, voxel: Voxel) -> None:
        self.selected = subject
        self.lesions.select(subject)
        self.scene.lesions.select(subject, *reading.displayed(subject))
        self.scene.look_at(reading.frame.to_world(voxel))
        self.refresh()
        self.selection_changed.emit(subject)

    def _shows_saved(self, reading: Reading, model: SegmentationModel, key: Key) -> bool:
        """Show what a reopened session holds; return whether nothing is to be computed."""
        subject = key[0]
        awaited, kept = self.answers.awaited(subject), self.answers.of(subject)
        hindrance = reading.why_not_computable(model)
        if key not in awaited and not hindrance:
            return False
        self.jobs.cancel("explain")
        if key in awaited or (awaited and not kept):
            self._wanted = key if key in awaited else awaited[-1]
            self.say(f"Reading the map of {subject_title(subject)} from the session…")
        elif kept:
            self.show_answer(kept[-1])
            self.say(f"Showing {kept[-1].title}. {hindrance}")
        else:
            self.fail("explain", hindrance)
        return True

    def _on_clicked(self, position: Any, direction: Any) -> None:
        if self.reading is None:
            return
        labels = self.reading.segmentation.labels
        here = self.scene.in_mm(position)
        sight = None if direction is None else self.scene.in_mm(direction)
        pick = pick_lesion(labels, self.reading.frame, here, sight)
        if pick is not None:
            self.explain(*pick)

    def _on_view_changed(self) -> None:
        if self.reading is not None:
            self.scene.lesions.follow_view()

    def _on_running_answer(self, reading: Reading, answer: Answer | tasks.TakesLong) -> None:
        if reading is self.reading and isinstance(answer, Answer):
            self.show_answer(answer)

    def _on_answer(self, reading: Reading, answer: Answer | tasks.TakesLong) -> None:
        if reading is not self.reading:
            return
        if isinstance(answer, tasks.TakesLong):
            self.long_work.ask_about(answer)
            return
        self.keep_answer(answer)
        self.show_answer(answer)
        title = f"{subject_title(answer.subject)}: {request_title(answer.request)}"
        self.say(f"Finished {title}.")

    def _on_saved(self, folder: Path) -> None:
        self.say(f"Saved to {folder}.")

    def _on_started(self, title: str) -> None:
        self.status.set_busy()
        self.say(f"{title}…")

    def _on_cancelled(self, title: str) -> None:
        self.say(f"Cancelled: {title}. A map on screen may be unfinished.")

    def _on_idle(self) -> None:
        self.status.set_idle()
        self.refresh()


def _warn(sentence: str) -> None:
    show_warning(said_aloud(sentence))


def _let_go(link: ViewerLink, jobs: Jobs, parts: list[QObject]) -> None:
    """Leave nothing in the viewer that holds the panel, even if that is being destroyed."""
    for part in parts:
        if hasattr(part, "release"):
            with suppress(RuntimeError):  # its Qt side is gone, and what it had there
                part.release()
    link.detach()
    jobs.release()
