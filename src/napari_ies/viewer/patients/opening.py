"""PatientOpening: one dialog or drop opens a patient; those read last are a click away."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QMenu, QWidget

from napari_ies.demo import demo_checkpoint
from napari_ies.viewer.feature import Feature, Place, Placed
from napari_ies.viewer.panel import dialogs
from napari_ies.viewer.panel.availability import allow
from napari_ies.viewer.panel.controls import button, column, row
from napari_ies.viewer.panel.plain_text import shown_name, tool_tip
from napari_ies.viewer.patients.reading_files import OpenedPatient, open_patient
from napari_ies.viewer.remembered import (
    KnownPatient,
    forget_patients,
    remember_checkpoint,
    remember_folder,
    remember_patient,
    remembered,
)
from napari_ies.viewer.work.job import Job

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_ies.viewer.feature import Services
    from napari_ies.viewer.state.loaded import LoadedModel
    from napari_ies.viewer.state.reading import Reading

USUAL = ("FLAIR", "T1")
"""What is looked for until a checkpoint was loaded once."""
CHECKPOINT = "Choose the checkpoint that segments this patient"
NOBODY = "No patient was read here yet."


class PatientOpening(Feature):
    """Opens all of a patient at once, and remembers whom was read."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        about = (
            "Choose a patient's folder, or its files: images, reference mask and checkpoint are "
            "known by their names. Dropping them on this panel does the same."
        )
        self._open = button("Open patient…", "open_patient", about, self.choose)
        self._recent = button("Recent", "recent_patients", "Patients that were read here last.")
        self._menu = QMenu(self._recent)
        self._menu.setToolTipsVisible(True)
        self._menu.aboutToShow.connect(self._fill)
        self._recent.setMenu(self._menu)
        line = QWidget()
        column(line, row((self._open, 1), self._recent))
        self.views = (Placed(Place.PREPARATION, [line], "Patient"),)
        state = self.state
        state.patient_wanted.connect(self.open)
        state.model_changed.connect(self._on_model)
        state.reading_changed.connect(self._on_reading)
        state.session_kept.connect(self._on_kept)
        self._refresh()

    def choose(self) -> None:
        """Ask for a patient's folder or files."""
        dialogs.choose_patient(self._open, self.open)

    def open(self, paths: Sequence[str], segment: bool = False) -> None:
        """Open a patient's files, or what is needed of a folder, and segment it if that is sure."""
        if len(paths) == 1:
            remember_folder("patient", Path(paths[0]).parent)
        model, last = self.state.model, remembered().checkpoint
        sequences = USUAL if last is None else last.sequences
        if model is not None:
            sequences = model.model.profile.sequences
        checkpoint = "" if model is not None or last is None else last.path
        whose = Path(paths[0]).name if len(paths) == 1 else f"{len(paths)} files"
        work = partial(open_patient, list(paths), sequences, checkpoint)
        opened = partial(self._on_opened, segment)
        # A map of who is read now makes way: nobody waits for it to its end.
        job = Job("patient", f"Opening {whose}", work, opened, brief=True)
        self.state.leave_for(partial(self.work.run, job))

    def _on_opened(self, segment: bool, opened: OpenedPatient) -> None:
        if opened.layers:
            self.state.layers_given.emit(opened.layers)
        self.tell.say(opened.text)
        if opened.checkpoint is not None:
            self.state.checkpoint_wanted.emit(str(opened.checkpoint), "")
        if segment:
            self.state.segment_wanted.emit(False)
            if opened.checkpoint is None and self.state.model is None:
                # Later: this is called by the clock that tells what is done.
                QTimer.singleShot(0, self._ask_for_checkpoint)

    def _ask_for_checkpoint(self) -> None:
        """Ask for the checkpoint where none was ever loaded: nothing is segmented without one."""
        wanted = self.state.checkpoint_wanted
        dialogs.choose_checkpoint(self._open, lambda paths: wanted.emit(paths[0], ""), CHECKPOINT)

    def _on_model(self, loaded: LoadedModel | None) -> None:
        path = None if loaded is None else loaded.model.path
        # The demo's is for no other patient.
        if loaded is not None and path is not None and path != demo_checkpoint():
            remember_checkpoint(path, loaded.model.profile.sequences)

    def _on_reading(self, reading: Reading | None) -> None:
        if reading is not None and all(reading.case.paths):
            self._remember(reading, reading.session)

    def _on_kept(self, folder: Path, told: str) -> None:
        if self.state.reading is not None:
            self._remember(self.state.reading, folder, told)

    def _remember(self, reading: Reading, session: Path | None, told: str = "") -> None:
        case, reference = reading.case, reading.reference
        files = [str(path) for path in case.paths if path is not None]
        files += [str(reference)] if isinstance(reference, Path) else []
        name = f"{case.subject}, visit {case.visit}" if case.visit else case.subject
        remember_patient(
            KnownPatient(
                name=name,
                files=tuple(files) if all(case.paths) else (),
                session="" if session is None else str(session),
                told=told,
            )
        )
        self._refresh()

    def _refresh(self) -> None:
        allow(self._recent, "" if remembered().patients else NOBODY)

    def _fill(self) -> None:
        """List the patients that were read last; each opens its session, or else its images."""
        self._menu.clear()
        for patient in remembered().patients:
            where = patient.session or ", ".join(patient.files)
            folder = Path(patient.files[0]).parent if patient.files else Path(patient.session)
            told = f": {patient.told}" if patient.told else ""
            action = self._menu.addAction(shown_name(f"{patient.name}{told} · {folder}"))
            what = "Go on with the session in" if patient.session else "Open"
            action.setToolTip(tool_tip(f"{what} {where}"))
            action.triggered.connect(partial(self._again, patient))
        self._menu.addSeparator()
        action = self._menu.addAction("Forget these patients")
        action.setToolTip("Empty this list; no file and no session is touched.")
        action.triggered.connect(self._forget)

    def _again(self, patient: KnownPatient, _: bool = False) -> None:
        if patient.session:
            self.state.session_wanted.emit(patient.session, True)
        else:
            self.open(patient.files)

    def _forget(self, _: bool = False) -> None:
        forget_patients()
        self._refresh()
