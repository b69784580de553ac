"""Guidance: the hint in the empty panel, the Help button, and the demo."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ies.viewer.feature import Feature, Place, Placed
from napari_ies.viewer.help.first_steps import FirstSteps
from napari_ies.viewer.help.pages import HelpPages
from napari_ies.viewer.keys import KEYS
from napari_ies.viewer.panel.controls import button
from napari_ies.viewer.work import tasks
from napari_ies.viewer.work.job import Job

if TYPE_CHECKING:
    from napari_ies.viewer.feature import Services
    from napari_ies.viewer.volumes.layer_data import LayerDataTuple


class Guidance(Feature):
    """Shows a newcomer what to do, and goes out of the way as soon as something is open."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._pages: HelpPages | None = None
        self.first_steps = FirstSteps()
        about = "What to do, how to read a map, and the keys."
        self._button = button("Help", "help", about, self.show_how_to_read)
        self.first_steps.help_requested.connect(self.show_first_steps)
        self.first_steps.demo_requested.connect(self.load_demo)
        self.link.layers_changed.connect(self._on_layers_changed)
        hint = Placed(Place.WELCOME, [self.first_steps])
        self.views = hint, Placed(Place.BUTTON, [self._button])

    def show_first_steps(self) -> None:
        """Open the help at its first page."""
        self._help().open_page("First steps")

    def show_how_to_read(self) -> None:
        """Open the help where it says how to read a map."""
        self._help().open_page("How to read a map")

    def load_demo(self) -> None:
        """Open the synthetic patient with its reference, and segment it with the demo's network."""
        job = Job("demo", "Making a synthetic patient", tasks.make_demo, self._on_demo)
        self.work.run(job)

    def release(self) -> None:
        """Close the help."""
        if self._pages is not None:
            self._pages.close()

    def _help(self) -> HelpPages:
        if self._pages is None:
            self._pages = HelpPages({key.shown: key.does for key in KEYS}, self._button)
        return self._pages

    def _on_demo(self, demo: tuple[list[LayerDataTuple], str]) -> None:
        layers, checkpoint = demo
        self.state.layers_given.emit(layers)
        self.state.checkpoint_wanted.emit(checkpoint, "")
        self.state.segment_wanted.emit(True)  # once that is loaded, if it is not yet

    def _on_layers_changed(self) -> None:
        self.first_steps.setVisible(not any(True for _ in self.scene.images()))
