"""Saving: the button "Save…", and what it writes."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ies.viewer.feature import Feature, Place, Placed
from napari_ies.viewer.panel import dialogs
from napari_ies.viewer.panel.availability import allow
from napari_ies.viewer.panel.controls import button
from napari_ies.viewer.work import tasks
from napari_ies.viewer.work.job import Job

if TYPE_CHECKING:
    from napari_ies.viewer.feature import Services


class Saving(Feature):
    """Saves the lesions, every finished map and every finished curve to a folder."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        about = "Save the lesions, every finished map and every finished curve to a folder."
        self.button = button("Save…", "save", about, self._on_button)
        self.state.reading_changed.connect(self._refresh)
        self._refresh()
        self.views = (Placed(Place.BUTTON, [self.button]),)

    def save_to(self, folder: str, overwrite: bool = False) -> None:
        """Save to a folder; files that are there are replaced only if that is said."""
        state = self.state
        if state.reading is not None:
            curves = [(curve, state.network(curve.model_key)) for curve in state.curves]
            what = (state.reading, state.answers, overwrite, curves)
            work = partial(tasks.save_answers, Path(folder), *what)
            self.work.run(Job("save", f"Saving to {folder}", work, self._on_saved))

    def _on_button(self) -> None:
        folder = dialogs.choose_folder(self.button, "Save lesions and maps to a folder")
        if not folder:
            return
        used = any(Path(folder).glob("sub-*"))
        if not used or dialogs.may_replace(self.button, folder):
            self.save_to(folder, used)

    def _on_saved(self, folder: Path) -> None:
        self.tell.say(f"Saved to {folder}.")

    def _refresh(self, _: object = None) -> None:
        segmented = self.state.reading is not None
        allow(self.button, "" if segmented else "Segment the images first.")
