"""The session: saved by itself while a case is read, and opened again in one step."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_warning
from qtpy.QtCore import QObject, QUrl
from qtpy.QtGui import QDesktopServices

from napari_ies.errors import ResultsError
from napari_ies.viewer.panel import dialogs
from napari_ies.viewer.panel.notice import Notice
from napari_ies.viewer.reader import METADATA_KEY
from napari_ies.viewer.session.controls import SessionControls
from napari_ies.viewer.session.layers import set_segmentation, show_layers
from napari_ies.viewer.session.maps import SavedMaps
from napari_ies.viewer.session.opening import Reopened, known_maps, open_session
from napari_ies.viewer.session.place import saves_itself, session_roots
from napari_ies.viewer.session.saving import Found, Recording, Snapshot
from napari_ies.viewer.state.reading import model_key
from napari_ies.viewer.work.lane import Background, Errand
from napari_ies.viewer.work.runner import Job, sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from napari_ies.results.session import SavedCheckpoint, Session
    from napari_ies.viewer.state.reading import Reading
    from napari_ies.viewer.widget import LesionSaliencyWidget
    from napari_ies.viewer.work.tasks import LoadedModel

TOLD_PROBLEMS = 6
"""More problems than this are counted, not told one by one."""


INCOMPLETE = (
    "What is saved can be looked at, but nothing new can be computed until this is put right:"
)
LOADED = (
    "The file of the checkpoint is missing or changed, but its network is loaded in this window, "
    "so more can be computed until that is closed:"
)


class SessionKeeping(QObject):
    """Saves what the panel holds as it grows, and brings a saved session back.

    Parameters
    ----------
    host
        The panel.
    """

    def __init__(self, host: LesionSaliencyWidget) -> None:
        super().__init__(host)
        self._host = host
        self._background = Background(self)
        self._recording: Recording | None = None
        self._reopened: Reopened | None = None
        self._noticed: set[str] = set()
        self._topic = ""
        self._maps = SavedMaps(host, self._background)
        self.notice = Notice("session_notice")
        host.add_notice(self.notice)
        self.controls = SessionControls(saves_itself(), self)
        host.add_button(self.controls.button)
        host.add_line(self.controls.line)
        self.controls.open_requested.connect(self._on_open)
        self.controls.place_requested.connect(self._on_choose)
        self.controls.folder_requested.connect(self._on_show_folder)
        self.controls.automatic.toggled.connect(self._on_automatic)
        host.reading_changed.connect(self._on_reading)
        for changed in (host.answer_kept, host.note_changed, host.selection_changed):
            changed.connect(self._on_changed)
        host.model_changed.connect(self._on_model)
        host.session_dropped.connect(self.open)
        host.link.layers_changed.connect(self._on_layers)

    @property
    def folder(self) -> Path | None:
        """Where the session is saved, once it is."""
        return None if self._recording is None else self._recording.folder

    @property
    def busy(self) -> bool:
        """Whether something is being saved or read back."""
        return self._background.busy

    def attach(self) -> None:
        """Look for a session whose images are in the viewer already."""
        self._on_layers()

    def release(self) -> None:
        """Save what is left to save, in the background, and be silent."""
        self._maps.stop()
        if self._recording is not None:
            try:
                self._save()
            except RuntimeError:  # the Qt side of the panel is gone; all but the last was saved
                return
        self._background.release()

    def open(self, folder: str | Path) -> None:
        """Open a saved session in place of what the panel shows."""
        folder = Path(folder)
        self._noticed.add(str(folder))
        from napari_ies.results.session import read_summary

        try:
            # Before what is being computed is given up for it.
            read_summary(folder)
        except ResultsError as error:
            self._host.fail("session", str(error))
            return
        self._host.jobs.cancel("explain")
        title = f"Opening the session in {folder}"
        work = partial(open_session, folder)
        self._host.jobs.submit(Job("session", title, work, self._on_opened, key=str(folder)))

    def open_once(self, folder: str | Path) -> None:
        """Open a saved session, unless it was noticed already."""
        if str(folder) not in self._noticed:
            self.open(folder)

    def save_to(self, root: str | Path) -> None:
        """Go on saving in a new session below another folder, with all there is so far."""
        reading = self._host.reading
        if reading is not None:
            # Before it is switched on, which would save in the former folder first.
            self._begin(reading, Path(root))
            self.controls.automatic.setChecked(True)

    def rename(self, reading: Reading) -> None:
        """Go on saving under another name; what was saved under the one before stays there."""
        before = self.folder
        if self._recording is None:
            return
        self._reopened = None
        if not self.controls.automatic.isChecked():
            self._recording = None
            self.controls.show_switched_off(None)
            return
        self._begin(reading)
        if before is not None:
            self._host.say(
                f"From now on saved as patient {reading.case.subject}; maps and notes that were "
                f"saved before stay in {before}."
            )

    # Saving

    def _begin(self, reading: Reading, root: Path | None = None) -> None:
        """Save from now on in a session of its own, which begins with the first saved work."""
        roots = session_roots(reading.case) if root is None else (root,)
        former = self._recording
        before = former.folder if former is not None and former.reading is reading else None
        recording = Recording(reading, roots, self._host.checkpoint.device, before)
        self._recording = recording
        self._hide("place")
        self._background.add(
            Errand(recording.look, partial(self._on_looked, recording), self._on_not_saved)
        )
        self._save()

    def _save(self) -> None:
        recording = self._recording
        if recording is not None and recording.reading is self._host.reading:
            kept = self.controls.automatic.isChecked()
            work = recording.save if kept else recording.recognise
            self._background.add(
                Errand(
                    partial(work, self._snapshot(recording.reading)),
                    partial(self._on_saved, recording),
                    self._on_not_saved,
                    key=("save" if kept else "recognise", id(recording)),
                )
            )

    def _snapshot(self, reading: Reading) -> Snapshot:
        host = self._host
        models = {model_key(reading.model): reading.model}
        if host.model is not None:
            models[model_key(host.model.model)] = host.model.model
        return Snapshot(
            answers=tuple((answer, models.get(answer.model_key)) for answer in host.answers),
            regions={name: region.mask for name, region in reading.regions.items()},
            notes=dict(reading.notes),
            request=host.saliency.request(),
            selected=host.selected,
        )

    def _on_reading(self, reading: Reading | None) -> None:
        self._maps.stop()
        self._background.drop_later()
        reopened = self._reopened
        if reading is None or (reopened is not None and reading is reopened.reading):
            return
        self._reopened = self._recording = None
        self.notice.hide()
        if self.controls.automatic.isChecked():
            self._begin(reading)
        else:
            self.controls.show_switched_off(None)

    def _on_changed(self, _: Any) -> None:
        self._save()

    def _on_automatic(self, on: bool) -> None:
        recording, reading = self._recording, self._host.reading
        if not on:
            self._hide("place")
            self.controls.show_switched_off(self.folder)
        elif recording is not None and recording.reading is reading:
            self._save()
        elif reading is not None:
            self._begin(reading)

    def _on_looked(self, recording: Recording, found: Found) -> None:
        if recording is not self._recording:
            return
        self._tell_place()
        earlier = found.earlier
        if earlier is None:
            return
        told = [
            f"These images were read with this checkpoint before: {earlier.text}. Reopen that "
            "session?",
            *_first(found.unread),
        ]
        self._tell(
            "offer",
            told,
            {
                "Reopen": (
                    f"Go on with the session in {earlier.folder}.",
                    partial(self.open, earlier.folder),
                ),
                "Start anew": ("Keep it; this one is saved in a folder of its own.", lambda: None),
            },
        )

    def _on_saved(self, recording: Recording, _: bool) -> None:
        if recording is not self._recording:
            return
        self._tell_place()
        news = recording.take_news() if self.controls.automatic.isChecked() else []
        if news:
            self._tell(
                "place",
                news,
                {
                    "OK": ("Hide this.", lambda: None),
                    "Another folder…": ("Choose where it is saved.", self._on_choose),
                },
            )

    def _on_not_saved(self, error: Exception) -> None:
        text = f"The session is not saved: {sentence(error)}"
        # Where it was saved until now is not where it is saved.
        self._hide("place")
        if self.controls.text != text:
            self.controls.show_unsaved(text)
            show_warning(text)

    def _tell_place(self) -> None:
        recording = self._recording
        if recording is None:
            return
        if not self.controls.automatic.isChecked():
            self.controls.show_switched_off(recording.folder)
        elif recording.folder is not None:
            self.controls.show_place(recording.folder)
        else:
            self.controls.show_planned(recording.planned)

    # Opening

    def _on_layers(self) -> None:
        """Open the session that images in the viewer belong to, once."""
        for layer in self._host.viewer.layers:
            known = layer.metadata.get(METADATA_KEY)
            folder = known.get("session") if isinstance(known, dict) else None
            if folder is not None:
                self.open_once(folder)

    def _on_opened(self, reopened: Reopened) -> None:
        host, session = self._host, reopened.session
        self._recording = None
        self._reopened = reopened
        show_layers(host, reopened)
        host.show_reading(reopened.reading)
        self._maps.announce(reopened)
        self._resume(reopened)
        if session.record.request is not None:
            host.saliency.set_request(session.record.request)
        set_segmentation(host, reopened)
        if session.record.selected is not None:
            host.reopen_subject(session.record.selected)
        self._maps.read_next(reopened)
        self._tell_reopened(reopened)
        self._load_checkpoint(session.checkpoints[0], reopened.device)

    def _load_checkpoint(self, checkpoint: SavedCheckpoint, device: str) -> None:
        host = self._host
        loaded = host.model
        if loaded is not None and loaded.model.sha256 == checkpoint.sha256 != "":
            self._on_model(loaded)
        elif checkpoint.path is not None:
            host.checkpoint.prefer_device(device)
            host.checkpoint.choose(str(checkpoint.path))

    def _resume(self, reopened: Reopened) -> None:
        """Go on saving in the session that was opened, as soon as that is switched on."""
        host, session = self._host, reopened.session
        recording = Recording(reopened.reading, (session.folder.parent,), host.checkpoint.device)
        # As on disk, also maps of which another one followed with the same settings.
        recording.known = [(key, None) for key in known_maps(reopened)]
        self._recording = recording
        self._background.add(
            Errand(
                partial(recording.resume, session),
                partial(self._on_saved, recording),
                self._on_not_saved,
            )
        )

    def _on_model(self, loaded: LoadedModel) -> None:
        """Give a reopened reading its network, once that is loaded."""
        reopened, model = self._reopened, loaded.model
        if reopened is None or reopened.reading is not self._host.reading:
            return
        if model.sha256 and model.sha256 == reopened.session.checkpoints[0].sha256:
            self._host.preparing.restore_geometry(reopened.reading.model.profile)
            reopened.reading.model = self._host.model.model if self._host.model else model
            set_segmentation(self._host, reopened)
            # What was said of the session is still worth knowing when its network is there.
            said = self._host.status.text
            if not said.startswith(reopened.session.text):
                self._host.say(f"{reopened.session.text} {said}")
            if self._topic == "reopened" and self.notice.text:
                self._tell_problems(reopened)
            request = reopened.session.record.request
            if request is not None and request.layer is not None:
                self._host.saliency.set_request(request)

    def _tell_reopened(self, reopened: Reopened) -> None:
        self._host.say(reopened.session.text)
        self._tell_problems(reopened)

    def _tell_problems(self, reopened: Reopened) -> None:
        session, checkpoint = reopened.session, reopened.session.checkpoints[0]
        told = [*session.problems, *session.moved, *_unused(session)]
        if not told:
            self.notice.hide()
            return
        lines = _first(told)
        loaded = self._host.model
        network = loaded is not None and loaded.model.sha256 == checkpoint.sha256 != ""
        if not session.complete or (checkpoint.path is None and not network):
            lines.insert(0, INCOMPLETE)
        elif checkpoint.path is None:
            lines.insert(0, LOADED)
        self._tell("reopened", lines, {"OK": ("Hide this.", lambda: None)})

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

        folder = dialogs.choose_folder(self._host, "Open a session")
        if not folder:
            return
        if is_session(folder):
            self.open(folder)
        else:
            self._host.say(
                f"There is no session in {folder}; choose a folder with a session.json that "
                "napari-ies wrote, such as napari-ies/sub-01 beside the images."
            )

    def _on_show_folder(self) -> None:
        if self.folder is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.folder)))

    def _on_choose(self) -> None:
        folder = dialogs.choose_folder(self._host, "Save the session in a folder")
        if folder:
            self.save_to(folder)


def _first(told: Sequence[str]) -> list[str]:
    """Return the first of some sentences, and how many there are besides."""
    more = len(told) - TOLD_PROBLEMS
    return [*told[:TOLD_PROBLEMS], *([f"And {more} more of this kind."] if more > 0 else [])]


def _unused(session: Session) -> list[str]:
    """Name the files of former maps and regions that are left."""
    if not session.unused:
        return []
    count = len(session.unused)
    files = f"{count} files" if count > 1 else "A file"
    count_no_more = "count no more" if count > 1 else "counts no more"
    told = (
        f"{files} of former maps or regions in {session.folder} {count_no_more} and can be removed "
        f"by hand, the first is {session.unused[0]}; session.json lists all under Obsolete."
    )
    if not session.annotated:
        return [told]
    name, *others = session.annotated
    them = f"{name} and {len(others)} more of them were" if others else f"{name} was"
    return [
        told,
        f"{them} changed by hand or given a second name, so look at that before you remove it.",
    ]
