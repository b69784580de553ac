"""ProfileEditing: what is known of the loaded network, asked and kept in a file."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QApplication, QMainWindow

from napari_ies.checkpoints.sidecar import profiles_folder, stated_profile
from napari_ies.errors import CheckpointError
from napari_ies.viewer.feature import Feature
from napari_ies.viewer.preferences import Preferences
from napari_ies.viewer.profiles.profile_dialog import ProfileDialog
from napari_ies.viewer.work import loading
from napari_ies.viewer.work.job import Job

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_ies.viewer.feature import Services
    from napari_ies.viewer.state.loaded import LoadedModel


class ProfileEditing(Feature):
    """Shows the network's profile, and loads it anew with what is stated."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.dialog: ProfileDialog | None = None
        """Once it was opened."""
        self._preferences = Preferences("computation", {"profiles": self._on_folder})
        self.state.profile_wanted.connect(self.open)

    def attach(self) -> None:
        """Follow the preferences."""
        self._preferences.attach()

    def release(self) -> None:
        """Follow them no more, and ask nothing."""
        self._preferences.release()
        if self.dialog is not None:
            self.dialog.close()

    def open(self) -> None:
        """Ask about the loaded network."""
        loaded = self.state.model
        if loaded is None or loaded.model.path is None:
            return
        model, path = loaded.model, loaded.model.path
        if self.dialog is None:
            self.dialog = ProfileDialog(_window())
            self.dialog.stated.connect(self._on_stated)
        try:
            kept = stated_profile(path, self.state.profiles, lambda _: model.sha256)[1]
        except CheckpointError as error:
            self.tell.fail(str(error))
            return
        self.dialog.show_model(model, "" if kept is None else kept.name)
        self.dialog.show()

    def _on_folder(self, folder: str) -> None:
        self.state.profiles = Path(folder).expanduser() if folder else None

    def _on_stated(self, fields: dict[str, Any], mine: bool) -> None:
        loaded = self.state.model
        if loaded is None or loaded.model.path is None:
            return
        path, folder = loaded.model.path, self.state.profiles
        keep = (folder or profiles_folder()) if mine else None
        trusted = loaded.model.sha256 if loaded.trusted else ""
        asked = (str(path), self.state.device, fields, keep, folder, trusted)
        work = partial(loading.restate, *asked)
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


def _window() -> QWidget | None:
    """Return the window in use, whose theme the dialog has; without a window manager any one."""
    main = (one for one in QApplication.topLevelWidgets() if isinstance(one, QMainWindow))
    return QApplication.activeWindow() or next((one for one in main if one.isVisible()), None)
