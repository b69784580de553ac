"""Guidance: the hint in the empty panel, the Help button, and the demo."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject
from qtpy.QtWidgets import QPushButton

from napari_ies.viewer.help import HelpPages
from napari_ies.viewer.keys import KEYS
from napari_ies.viewer.panel.availability import describe
from napari_ies.viewer.work import tasks
from napari_ies.viewer.work.runner import Job

if TYPE_CHECKING:
    from napari_ies.viewer.reader import LayerDataTuple
    from napari_ies.viewer.widget import LesionSaliencyWidget


class Guidance(QObject):
    """Shows a newcomer what to do, and goes out of the way as soon as something is open.

    Parameters
    ----------
    host
        The panel.
    """

    def __init__(self, host: LesionSaliencyWidget) -> None:
        super().__init__(host)
        self._host = host
        self._pages: HelpPages | None = None
        self._button = QPushButton("Help")
        describe(self._button, "What to do, how to read a map, and the keys.", "help")
        host.add_button(self._button)
        self._button.clicked.connect(self.show_how_to_read)
        host.first_steps.help_requested.connect(self.show_first_steps)
        host.first_steps.demo_requested.connect(self.load_demo)
        host.link.layers_changed.connect(self._on_layers_changed)

    def show_first_steps(self) -> None:
        """Open the help at its first page."""
        self._help().open_page("First steps")

    def show_how_to_read(self) -> None:
        """Open the help where it says how to read a map."""
        self._help().open_page("How to read a map")

    def load_demo(self) -> None:
        """Open the synthetic patient and load the demo's network."""
        job = Job("demo", "Making a synthetic patient", tasks.make_demo, self._on_demo)
        self._host.jobs.submit(job)

    def release(self) -> None:
        """Close the help."""
        if self._pages is not None:
            self._pages.close()

    def _help(self) -> HelpPages:
        if self._pages is None:
            self._pages = HelpPages({key.shown: key.does for key in KEYS}, self._host)
        return self._pages

    def _on_demo(self, demo: tuple[list[LayerDataTuple], str]) -> None:
        layers, checkpoint = demo
        self._host.preparing.open_layers(layers)
        self._host.checkpoint.choose(checkpoint)

    def _on_layers_changed(self) -> None:
        host = self._host
        host.first_steps.setVisible(not any(True for _ in host.scene.images()))
