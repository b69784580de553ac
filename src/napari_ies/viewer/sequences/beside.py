"""Beside: another sequence beside the one on show, its image and its map, linked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_ies.viewer.canvas.layers.anatomy import next_of
from napari_ies.viewer.canvas.layers.second_view import LINKED, SecondView
from napari_ies.viewer.state.captions import caption_of, while_awaited

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtWidgets import QWidget

    from napari_ies.saliency.request import SaliencyRequest
    from napari_ies.segmentation.subject import Subject
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

    def open(self, panel: QWidget, gone: Callable[[], object]) -> SecondView | None:
        """Open the second view in the window of a panel; see :meth:`SecondView.beside`."""
        anatomy = self._scene.anatomy
        images = [anatomy.layer_of(name) for name in anatomy.sequences]
        linked = [one for one in LINKED if one != "visible"]
        outlines = self._scene.lesions.outlines
        self.second = SecondView.beside(self._viewer, panel, gone, images, linked, outlines)
        self.show_map()
        return self.second

    def close(self) -> None:
        """Close the second view; everything else is as it was before."""
        if self.second is not None:
            self.second.release()
        self.second = None

    def show_map(self) -> None:
        """Show the map that the viewer shows."""
        second, reading, shown = self.second, self._state.reading, self._state.shown
        if second is not None and reading is not None and shown is not None:
            show, power = second.overlays.show, self._state.answers.power(shown)
            place, ranges = (reading.frame, shown.title), shown.ranges
            show(shown.saliency, *place, shown.limit, ranges=ranges, power=power)

    def follow(
        self, running: bool, computed: tuple[Subject, SaliencyRequest] | None = None
    ) -> None:
        """Show the sequence after the viewer's, with the viewer's look, and say so.

        Parameters
        ----------
        running
            Whether the map is being computed.
        computed
            Of what one is computed that is not on show yet.
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
        parts = caption_of(shown, maps, name, running=running)
        parts = while_awaited(parts, *computed, shown) if computed else parts
        second.legend.set_caption(parts, odd=computed is not None and shown is not None)
