"""Beside: another sequence beside the one on show, its image and its map, linked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QMainWindow, QWidget

from napari_ies.viewer.canvas.canvases import around, qt_viewer_of
from napari_ies.viewer.canvas.layers.anatomy import next_of
from napari_ies.viewer.canvas.layers.second_view import LINKED, SecondView
from napari_ies.viewer.canvas.window_close import WindowClose
from napari_ies.viewer.state.captions import caption_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_ies.viewer.canvas.layers import Scene
    from napari_ies.viewer.state.state import State


class Beside:
    """The second view while it is open: the sequence after the one that the viewer shows.

    Parameters
    ----------
    viewer, scene
        Where the first one is shown.
    state
        What is read, and which map is on show.
    """

    def __init__(self, viewer: Any, scene: Scene, state: State) -> None:
        self._viewer, self._scene, self._state = viewer, scene, state
        self.second: SecondView | None = None
        """The second view, or None while there is none."""
        self._window: WindowClose | None = None

    def open(self, panel: QWidget, gone: Callable[[], object]) -> None:
        """Open the second view in the window of a panel.

        Parameters
        ----------
        panel
            A widget of the panel.
        gone
            Called when the window closes.
        """
        window = around(panel, QMainWindow)
        main = qt_viewer_of(window)
        if window is None or main is None:
            return
        self._window = WindowClose(window, gone)
        anatomy = self._scene.anatomy
        images = [anatomy.layer_of(name) for name in anatomy.sequences]
        linked = [one for one in LINKED if one != "visible"]
        outlines = self._scene.lesions.outlines
        self.second = SecondView(self._viewer, main, images, linked, outlines)
        self.show_map()

    def close(self) -> None:
        """Close the second view; everything else is as it was before."""
        for part in (self._window, self.second):
            if part is not None:
                part.release()
        self._window = self.second = None

    def show_map(self) -> None:
        """Show the map that the viewer shows."""
        second, reading, shown = self.second, self._state.reading, self._state.shown
        if second is None or reading is None:
            return
        if shown is not None:
            show, maps = second.overlays.show, shown.saliency
            show(maps, reading.frame, shown.title, shown.limit, ranges=shown.ranges)
        self.follow()

    def follow(self, running: bool = False) -> None:
        """Show the sequence after the viewer's, with the viewer's look, and say so.

        Parameters
        ----------
        running
            Whether the map is being computed.
        """
        second, anatomy, shown = self.second, self._scene.anatomy, self._state.shown
        if second is None or not anatomy.sequences:
            return
        name = next_of(anatomy.sequences, anatomy.shown)
        second.show_image(anatomy.layer_of(name))
        here, there = self._scene.overlays, second.overlays
        there.set_look(here.look)
        there.set_sequence(name)
        there.set_on_show(here.on_show)
        maps = () if shown is None else there.visible_sequences()
        second.legend.set_caption(caption_of(shown, maps, name, running=running))
