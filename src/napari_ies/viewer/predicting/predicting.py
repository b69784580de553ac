"""Predicting: the button "Errors…", which chooses the model behind the column p FP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QMenu

from napari_ies.viewer.feature import Feature, Place, Placed
from napari_ies.viewer.panel import dialogs
from napari_ies.viewer.panel.controls import button
from napari_ies.viewer.panel.plain_text import tool_tip
from napari_ies.viewer.predicting.guessing import Guessing
from napari_ies.viewer.preferences import Preferences, preferences

if TYPE_CHECKING:
    from napari_ies.viewer.feature import Services

MODELS = "Models of errors (*.json);;All files (*)"
ABOUT = (
    "Choose a model that napari-ies qa fit wrote: it says of each lesion, from its map, how "
    "probably it is a false positive."
)


class Predicting(Feature):
    """Chooses a model of errors, and remembers it in the preferences."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        lane = self.work.lane("errors", gives_way=True)
        self.guessing = Guessing(self.state, lane, self.tell)
        self.button = button("Errors…", "errors", ABOUT)
        menu = QMenu(self.button)
        menu.setToolTipsVisible(True)
        menu.addAction("Choose a model…", self._on_choose).setToolTip(ABOUT)
        self.none = menu.addAction("Use no model", self._on_none)
        self.button.setMenu(menu)
        self._preferences = Preferences("errors", {"model": self._take})
        if not self.guessing.path:
            self._take("")
        # In this row there is room: the one below would make the panel wider.
        self.views = (Placed(Place.VIEW_BUTTON, [self.button]),)

    def attach(self) -> None:
        """Follow the preferences."""
        self._preferences.attach()

    def release(self) -> None:
        """Follow them no more."""
        self._preferences.release()

    def choose(self, path: str) -> None:
        """Take the model in a file from now on, or none, in every panel that opens."""
        settings = preferences()
        if settings is None or settings.errors.model == path:
            self._take(path)  # also one that was fitted again under the same name
        else:
            settings.errors.model = path

    def _take(self, path: str) -> None:
        self.guessing.choose(path)
        self.none.setEnabled(bool(path))
        self.button.setToolTip(tool_tip(f"{ABOUT} Now: {path}." if path else ABOUT))

    def _on_choose(self) -> None:
        path = dialogs.choose_file(self.button, "Choose a model of errors", MODELS)
        if path:
            self.choose(path)

    def _on_none(self) -> None:
        self.choose("")
