"""ProfileEditing: what is known of the loaded network, asked and kept in a file."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QWidget

from napari_ies.checkpoints.sidecar import profiles_folder, stated_profile
from napari_ies.errors import CheckpointError
from napari_ies.network.profile import questions
from napari_ies.printable import counted
from napari_ies.viewer.feature import Feature, Place, Placed
from napari_ies.viewer.panel.availability import allow
from napari_ies.viewer.panel.controls import button, column, row, words
from napari_ies.viewer.preferences import Preferences
from napari_ies.viewer.profiles.profile_dialog import ProfileDialog
from napari_ies.viewer.work import loading
from napari_ies.viewer.work.job import Job

if TYPE_CHECKING:
    from napari_ies.viewer.feature import Services
    from napari_ies.viewer.state.loaded import LoadedModel


class ProfileEditing(Feature):
    """Shows how much of the network's profile is open, and loads it anew with what is stated."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        about = (
            "What the network expects and gives, and what its file leaves open: state it, and the "
            "checkpoint is loaded anew."
        )
        self._edit = button("Edit profile…", "edit_profile", about, self.open)
        self._said = words("profile_open", "How much the checkpoint's file leaves open.")
        line = QWidget()
        column(line, row((self._said, 1), self._edit))
        self.dialog: ProfileDialog | None = None
        """Once it was opened."""
        self._preferences = Preferences("computation", {"profiles": self._on_folder})
        self.views = (Placed(Place.PREPARATION, [line], "Profile"),)
        self.state.model_changed.connect(self._on_model)
        self._on_model(self.state.model)

    def attach(self) -> None:
        """Follow the preferences."""
        self._preferences.attach()

    def release(self) -> None:
        """Follow them no more."""
        self._preferences.release()

    def open(self) -> None:
        """Ask about the loaded network."""
        loaded = self.state.model
        if loaded is None or loaded.model.path is None:
            return
        model, path = loaded.model, loaded.model.path
        if self.dialog is None:
            self.dialog = ProfileDialog(self._edit)
            self.dialog.stated.connect(self._on_stated)
        try:
            kept = stated_profile(path, self.state.profiles, lambda _: model.sha256)[1]
        except CheckpointError as error:
            self.tell.fail(str(error))
            return
        self.dialog.show_profile(model.profile, "" if kept is None else kept.name)
        self.dialog.show()

    def _on_folder(self, folder: str) -> None:
        self.state.profiles = Path(folder).expanduser() if folder else None

    def _on_stated(self, fields: dict[str, Any], mine: bool) -> None:
        loaded = self.state.model
        if loaded is None or loaded.model.path is None:
            return
        path, folder = loaded.model.path, self.state.profiles
        keep = (folder or profiles_folder()) if mine else None
        work = partial(loading.restate, str(path), self.state.device, fields, keep, folder)
        title = f"Loading {path.name}"
        failed = self._on_not_loaded
        self.work.run(Job("checkpoint", title, work, self._on_restated, on_failed=failed))

    def _on_restated(self, loaded: LoadedModel) -> None:
        if self.dialog is not None:
            self.dialog.accept()
        self.state.take_model(loaded)
        again = " It counts when you segment again." if self.state.reading is not None else ""
        self.tell.say(f"Loaded {loaded.model.profile.name} with another profile.{again}")

    def _on_not_loaded(self) -> None:
        if self.dialog is not None:
            self.dialog.say("It cannot be loaded with this profile: the panel says why.")

    def _on_model(self, loaded: LoadedModel | None) -> None:
        allow(self._edit, "" if loaded else "Choose a checkpoint first.")
        if loaded is None:
            self._said.setText("No network yet.")
            return
        count = len(questions(loaded.model.profile.guessed))
        self._said.setText(f"{counted(count, 'choice')} open." if count else "Nothing is open.")
