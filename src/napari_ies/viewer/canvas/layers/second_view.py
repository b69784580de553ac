"""SecondView: one more view of the same images, linked to the viewer, with a map of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.components import ViewerModel
from napari.experimental import link_layers, unlink_layers
from napari.layers import Layer
from qtpy.QtCore import QEvent, Signal
from qtpy.QtWidgets import QWidget

from napari_ies.viewer.canvas.extra_view import extra_view
from napari_ies.viewer.canvas.layers.overlays import SaliencyOverlays
from napari_ies.viewer.canvas.layers.stack import LayerStack
from napari_ies.viewer.canvas.outlines.lines import OutlineLines
from napari_ies.viewer.canvas.outlines.outlines import Outlines
from napari_ies.viewer.panel.controls import column
from napari_ies.viewer.panel.plain_text import shown_name
from napari_ies.viewer.volumes.units import share_world_units

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from napari_ies.viewer.volumes.frame import Point

LINKED = ("contrast_limits", "colormap", "gamma", "opacity", "visible")
"""What an image has in common in both views."""


class SecondView(QWidget):
    """A canvas beside the viewer's own that looks wherever that looks, and the other way round.

    Parameters
    ----------
    viewer
        The viewer.
    images
        Its image layers that are shown here, too; they share their data.

    Attributes
    ----------
    overlays
        The saliency shown here.
    outlines
        What is outlined here: a lesion or a region.
    """

    closed = Signal()
    """A person closed the dock that holds it."""

    def __init__(self, viewer: Any, images: Iterable[Any]) -> None:
        super().__init__()
        self._viewer, self._offset = viewer, np.zeros(3)
        self._busy = False
        self.model = ViewerModel()
        self.canvas = extra_view(self.model)
        column(self, self.canvas)
        self._stack = LayerStack(self.model)
        self.overlays = SaliencyOverlays(self._stack)
        self.outlines = Outlines()
        self._lines = OutlineLines(self.model, self.canvas.canvas, self.outlines)
        self._links: list[list[Any]] = []
        self._pairs: list[tuple[Any, Any]] = []
        for image in images:
            self._copy(image)
        share_world_units(self.model, viewer)
        for leader, follow in ((viewer, self._on_viewer), (self.model, self._on_here)):
            dims, camera = leader.dims.events, leader.scene.camera.events
            turns, looks = (dims.point, dims.order, dims.ndisplay), (camera.center, camera.zoom)
            self._pairs += [(event, follow) for event in (*turns, *looks, camera.angles)]
        for event, follow in self._pairs:
            event.connect(follow)
        self._on_viewer()

    def set_title(self, title: str) -> None:
        """Say on the canvas what is shown."""
        text = self.model.canvas.overlays["text"]
        text.text, text.position = shown_name(title), "top_left"
        text.font_size, text.visible = 10, True

    def set_offset(self, offset: Point) -> None:
        """Look at another place than the viewer does.

        Parameters
        ----------
        offset
            From the place the viewer shows to the one shown here, in the viewer's world along
            (inferior, posterior, left); not 0 for two lesions at different places.
        """
        self._offset = np.asarray(offset, dtype=float)
        self._on_viewer()

    def event(self, event: QEvent) -> bool:
        """Say that the dock was closed: its widget then loses its parent (napari#8071)."""
        done = bool(super().event(event))
        if event.type() == QEvent.Type.ParentChange and self.parent() is None and self._pairs:
            self.closed.emit()
        return done

    def release(self) -> None:
        """Let go of the viewer and close the canvas."""
        for event, follow in self._pairs:
            event.disconnect(follow)
        self._pairs = []
        for pair in self._links:
            unlink_layers(pair, LINKED)
        self._links = []
        self.overlays.release()
        self._lines.release()
        self.model.layers.clear()
        self.canvas.close()

    def _on_viewer(self, _: Any = None) -> None:
        self._follow(self._viewer, self.model, self._offset)

    def _on_here(self, _: Any = None) -> None:
        self._follow(self.model, self._viewer, -self._offset)

    def _follow(self, leader: Any, follower: Any, offset: NDArray[np.float64]) -> None:
        if self._busy or leader.dims.ndim < 3 or follower.dims.ndim < 3:
            return
        order = [axis - (leader.dims.ndim - 3) for axis in leader.dims.order[-3:]]
        if min(order) < 0:
            return  # an axis of other layers, such as time, is among the last three
        self._busy = True
        try:
            lead = follower.dims.ndim - 3
            wanted = (*range(lead), *(axis + lead for axis in order))
            if tuple(follower.dims.order) != wanted:
                follower.dims.order = wanted
            if follower.dims.ndisplay != leader.dims.ndisplay:
                follower.dims.ndisplay = leader.dims.ndisplay
            point = np.asarray(leader.dims.point[-3:]) + offset
            follower.dims.set_point(range(lead, lead + 3), point.tolist())
            shown = order[-leader.dims.ndisplay :]
            centre = np.asarray(leader.scene.camera.center, dtype=float)
            centre[-len(shown) :] += offset[shown]
            camera = follower.scene.camera
            camera.center, camera.zoom = tuple(centre), leader.scene.camera.zoom
            camera.angles = leader.scene.camera.angles
        finally:
            self._busy = False

    def _copy(self, image: Any) -> None:
        image = getattr(image, "__wrapped__", image)
        data, state, kind = image.as_layer_data_tuple()
        copy = Layer.create(data, {**state, "metadata": {}}, kind)
        self.model.add_layer(copy)
        self._links.append([image, copy])
        link_layers([image, copy], LINKED)
