"""The session: saved by itself while a case is read, and opened again in one step."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices

from napari_ies.viewer.feature import Feature, Place, Placed
from napari_ies.viewer.panel import dialogs
from napari_ies.viewer.panel.notice import Notice
from napari_ies.viewer.session.autosave import Autosave
from napari_ies.viewer.session.beforehand import Beforehand
from napari_ies.viewer.session.controls import SWITCHED_OFF, SessionControls
from napari_ies.viewer.session.place import saves_itself, session_roots
from napari_ies.viewer.session.reopening import Reopening
from napari_ies.viewer.session.words import first, problems
from napari_ies.viewer.volumes.layer_data import METADATA_KEY
from napari_ies.viewer.work.failures import sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from napari_ies.viewer.feature import Services
    from napari_ies.viewer.session.beforehand import Ahead
    from napari_ies.viewer.session.opening import Reopened
    from napari_ies.viewer.session.saving import Found, Recording
    from napari_ies.viewer.state.reading import Reading

OK = {"OK": ("Hide this.", lambda: None)}


class SessionKeeping(Feature):
    """Saves what the panel holds as it grows, and brings a saved session back."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        state = self.state
        self._lane = self.work.lane("session")
        self.autosave = Autosave(
            state, self._lane, lambda case: session_roots(case.paths[0]), automatic=saves_itself()
        )
        self.beforehand = Beforehand(state, self._lane, session_roots)
        self._declined: set[Path] = set()
        state.guard_by(self._ask_before)
        self.reopening = Reopening(state, self.explaining, self.work, self._lane, self.tell)
        self._topic = ""
        self.notice = Notice("session_notice")
        self.controls = SessionControls(self.autosave.automatic)
        self.controls.open_requested.connect(self._on_open)
        self.controls.place_requested.connect(self._on_choose)
        self.controls.folder_requested.connect(self._on_show_folder)
        self.controls.automatic.toggled.connect(self._on_automatic)
        self.autosave.looked.connect(self._on_looked)
        self.beforehand.known.connect(self._on_ahead)
        self.autosave.saved.connect(self._on_saved)
        self.autosave.refused.connect(self._on_refused)
        self.reopening.shown.connect(self._on_reopened)
        state.reading_changed.connect(self._on_reading)
        state.renamed.connect(self._on_renamed)
        state.network_given.connect(self._on_network)
        state.session_wanted.connect(self._on_wanted)
        state.session_asked.connect(self._on_asked)
        self._refuse: Callable[[str], None] | None = None
        self.link.layers_changed.connect(self._on_layers)
        self.views = (
            Placed(Place.NOTICE, [self.notice]),
            Placed(Place.BUTTON, [self.controls.button]),
            Placed(Place.LINE, [self.controls.place]),
        )

    @property
    def folder(self) -> Path | None:
        """Where the session is saved, once it is."""
        return self.autosave.folder

    @property
    def busy(self) -> bool:
        """Whether something is being saved or read back."""
        return self._lane.busy

    def attach(self) -> None:
        """Look for a session whose images are in the viewer already."""
        self._on_layers()

    def release(self) -> None:
        """Save what is left to save, in the background, and be silent."""
        self.reopening.stop()
        try:
            self.autosave.save()
        except RuntimeError:  # the Qt side of the panel is gone; all but the last was saved
            return
        self._lane.release()

    def open(self, folder: str | Path) -> None:
        """Open a saved session in place of what the panel shows.

        Where that is saved nowhere, a person is asked first.
        """
        self._ask_before(partial(self.reopening.open, folder))

    def _ask_before(self, start: Callable[[], None]) -> None:
        """Do what takes the place of the reading; if that is saved nowhere, ask first."""
        reading = self.state.reading
        if reading is None or not self.autosave.unsaved:
            start()
            return
        whose = reading.case.subject or "the patient on screen"
        question = (
            f"Maps, notes or regions of {whose} are saved nowhere, and are lost when another "
            "session, patient or segmentation takes their place."
        )
        self.tell.ask(question, start, "Go on all the same")

    def save_to(self, root: str | Path) -> None:
        """Go on saving in a new session below another folder, with all there is so far.

        Where other images are chosen than those of the reading, it is their session that will
        begin there.
        """
        reading = self.state.reading
        if reading is None or self.beforehand.chosen is not None:
            self.beforehand.choose(Path(root))
            self.controls.automatic.setChecked(True)
        else:
            # Before it is switched on, which would save in the former folder first.
            self._begin(reading, Path(root))
            self.controls.automatic.setChecked(True)

    # Saving

    def _begin(self, reading: Reading, root: Path | None = None) -> None:
        self._hide("place")
        self.autosave.begin(reading, root)

    def _on_renamed(self, reading: Reading) -> None:
        """Go on saving under another name; what was saved under the one before stays there."""
        before = self.folder
        if self.autosave.recording is None:
            return
        self.reopening.reopened = None
        if not self.autosave.automatic:
            self.autosave.recording = None
            self.controls.show_switched_off(None)
            return
        self._begin(reading)
        if before is not None:
            self.tell.say(
                f"From now on saved as patient {reading.case.subject}; maps and notes that were "
                f"saved before stay in {before}."
            )

    def _on_reading(self, reading: Reading | None) -> None:
        if self.reopening.reopened is not None:
            return
        self.notice.hide()
        if reading is None:
            self.autosave.recording = None
            self.controls.show_nothing()
            return
        root = self.beforehand.take_root()
        if self.autosave.automatic:
            self._begin(reading, root)
        else:
            self.autosave.recording = None
            self.controls.show_switched_off(None)

    def _on_automatic(self, on: bool) -> None:
        self.autosave.automatic = on
        if not on:
            self._hide("place")
            self.controls.show_switched_off(self.folder)

    def _on_ahead(self, ahead: Ahead | None) -> None:
        """Say where the chosen images' session will lie, and offer the one there is."""
        if ahead is None and self.state.reading is not None:
            self._tell_place()
            return
        self._hide("offer")
        if ahead is None:
            self.controls.show_nothing()
            return
        if self.autosave.automatic:
            self.controls.show_planned(ahead.planned)
        else:
            self.controls.show_switched_off(None)
        self.state.looked_ahead.emit(self._offer(ahead.found))

    def _on_looked(self, found: Found) -> None:
        self._tell_place()
        self._offer(found)

    def _offer(self, found: Found) -> bool:
        """Offer the session of the same images that was saved last, unless it was declined."""
        earlier, loaded = found.earlier, self.state.model
        if earlier is None or earlier.folder in self._declined:
            return False
        sha256 = "" if loaded is None else loaded.model.sha256
        checkpoint = earlier.record.checkpoints[0]
        name = checkpoint.name if checkpoint.file is None else checkpoint.file.name
        by = "this checkpoint" if earlier.segmented_by(sha256) else f"the checkpoint {name}"
        told = [
            f"These images were read with {by} before: {earlier.text}. Reopen that session?",
            *first(found.unread),
        ]
        again = f"Go on with the session in {earlier.folder}.", partial(self.open, earlier.folder)
        anew = (
            "Keep it; this one is saved in a folder of its own.",
            partial(self._decline, earlier.folder),
        )
        self._tell("offer", told, {"Reopen": again, "Start anew": anew})
        return True

    def _decline(self, folder: Path) -> None:
        self._declined.add(folder)
        self.state.looked_ahead.emit(False)

    def _on_saved(self, recording: Recording) -> None:
        self._tell_place()
        self._refuse = None
        summary = recording.summary
        if summary is not None and recording.reading is self.state.reading:
            self.state.session_kept.emit(summary.folder, summary.text)
        news = recording.take_news() if self.autosave.automatic else []
        if news:
            choose = "Choose where it is saved.", self._on_choose
            self._tell("place", news, {**OK, "Another folder…": choose})

    def _on_refused(self, error: Exception) -> None:
        text = f"The session is not saved: {sentence(error)}"
        refuse, self._refuse = self._refuse, None
        if refuse is not None:
            refuse(text)
        # Where it was saved until now is not where it is saved.
        self._hide("place")
        if self.controls.text != text:
            self.controls.show_unsaved(text)
            self.tell.warn(text)

    def _tell_place(self) -> None:
        recording = self.autosave.recording
        if recording is None or self.beforehand.chosen is not None:
            return  # what is said is where the session of the images chosen now will lie
        if not self.autosave.automatic:
            self.controls.show_switched_off(recording.folder)
        elif recording.folder is not None:
            self.controls.show_place(recording.folder)
        else:
            self.controls.show_planned(recording.planned)

    # Opening

    def _on_layers(self) -> None:
        """Open the session that images in the viewer belong to, once."""
        for layer in self.viewer.layers:
            known = layer.metadata.get(METADATA_KEY)
            folder = known.get("session") if isinstance(known, dict) else None
            if folder is not None:
                self.reopening.open_once(folder)

    def _on_wanted(self, folder: str, anyway: bool) -> None:
        (self.open if anyway else self.reopening.open_once)(folder)

    def _on_asked(self, refuse: Callable[[str], None]) -> None:
        """Begin the session now, or say why it is not saved."""
        if self.autosave.begin_now():
            self._refuse = refuse
        else:
            refuse(f"The session is not saved: {SWITCHED_OFF}.")

    def _on_reopened(self, reopened: Reopened) -> None:
        self.autosave.resume(reopened)
        self._tell_problems(reopened)

    def _on_network(self, reading: Reading) -> None:
        """Say what was said of the session once more: it is still worth knowing now."""
        reopened, tell = self.reopening.reopened, self.tell
        if reopened is None or reopened.reading is not reading:
            return
        if not tell.text.startswith(reopened.session.text):
            tell.say(f"{reopened.session.text} {tell.text}")
        if self._topic == "reopened" and self.notice.text:
            self._tell_problems(reopened)
        request = reopened.session.record.request
        if request is not None and request.layer is not None:
            self.state.request_restored.emit(request)

    def _tell_problems(self, reopened: Reopened) -> None:
        loaded = self.state.model
        told = problems(reopened.session, "" if loaded is None else loaded.model.sha256)
        if told:
            self._tell("reopened", told, OK)
        else:
            self.notice.hide()

    def _tell(
        self,
        topic: str,
        lines: Sequence[str],
        answers: Mapping[str, tuple[str, Callable[[], None]]],
    ) -> None:
        self._topic = topic
        self.notice.say("\n".join(lines), answers)

    def _hide(self, topic: str) -> None:
        """Take a notice back that is not true any more, if it is the one on show."""
        if self._topic == topic:
            self.notice.hide()

    def _on_open(self) -> None:
        from napari_ies.results.session import is_session

        folder = dialogs.choose_folder(self.controls.button, "Open a session")
        if not folder:
            return
        if is_session(folder):
            self.open(folder)
        else:
            self.tell.fail(
                f"There is no session in {folder}; choose a folder with a session.json that "
                "napari-ies wrote, such as napari-ies/sub-01 beside the images."
            )

    def _on_show_folder(self) -> None:
        if self.folder is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.folder)))

    def _on_choose(self) -> None:
        folder = dialogs.choose_folder(self.controls.button, "Save the session in a folder")
        if folder:
            self.save_to(folder)
