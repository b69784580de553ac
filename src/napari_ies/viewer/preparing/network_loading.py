"""A checkpoint is loaded; where it would run what it holds, a person is asked first, each time."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ies.network.absent import why_absent
from napari_ies.viewer.panel import dialogs
from napari_ies.viewer.work import loading
from napari_ies.viewer.work.job import Job

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_ies.viewer.feature import Services
    from napari_ies.viewer.preparing.checkpoint_form import CheckpointForm
    from napari_ies.viewer.state.loaded import LoadedModel
    from napari_ies.viewer.state.reading import Reading


class NetworkLoading:
    """Loads the checkpoint that a form chooses.

    Parameters
    ----------
    services
        Of the feature.
    form
        Chooses it.
    not_loaded
        Called where it is not loaded.
    """

    def __init__(
        self, services: Services, form: CheckpointForm, not_loaded: Callable[[], object]
    ) -> None:
        self._state, self._work, self._tell = services.state, services.work, services.tell
        self._form, self._not_loaded = form, not_loaded
        self._trusted = ""
        self._reopened: tuple[Reading | None, str] = (None, "")
        form.chosen.connect(self.load)
        self._state.checkpoint_wanted.connect(self._on_wanted)

    def load(self, path: str, device: str = "auto") -> None:
        """Load a checkpoint onto a device."""
        self._state.device = device
        trust, self._trusted = path == self._trusted, ""
        self._work.run(
            Job(
                "checkpoint",
                f"Loading {Path(path).name}",
                partial(loading.load_model, path, device, trust, self._state.profiles),
                partial(self._on_loaded, self._take_reopened()),
                brief=True,
                on_failed=self._not_loaded,
            )
        )

    def _on_wanted(self, _path: str, _device: str) -> None:
        """Keep what was just said of a session whose network is to be loaded."""
        self._reopened = self._state.reading, self._tell.text

    def _take_reopened(self) -> str:
        """Return what was said of the session that is being opened, if one is."""
        (reading, said), self._reopened = self._reopened, (None, "")
        lacking = reading is not None and why_absent(reading.model)
        return f"{said} " if said and lacking and reading is self._state.reading else ""

    def _on_loaded(self, reopened: str, loaded: LoadedModel | loading.Untrusted) -> None:
        if not isinstance(loaded, loading.Untrusted):
            self._state.take_model(loaded)
            return
        self._not_loaded()
        name = Path(loaded.path).name
        self._tell.say(f"{reopened}{name} is not loaded yet: it runs only if you trust it.")

        def trusted() -> None:
            self._trusted = loaded.path
            self._reopened = self._state.reading, reopened.strip()
            self._form.choose(loaded.path)

        def refused() -> None:
            self._tell.say(f"{reopened}{name} was not loaded: it is not trusted.")

        text = (
            f"{loaded.why}.\n\nIf you trust it, whatever else it holds may run as well, with all "
            "your rights. Trust it only if you know where it comes from; you are asked each time."
        )
        dialogs.ask_to_start(self._form, text, trusted, "Trust and load", refused)
