"""SecondView: one more view of the same images, linked to the viewer, with a map of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.components import ViewerModel
from napari.experimental import link_layers, unlink_layers
from napari.layers import Layer
from napari.qt import QtViewer
from qtpy.QtCore import QEvent, Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_ies.colour_maps import OUTLINE_SELECTED
from napari_ies.outline import outline_segments
from napari_ies.viewer.layers.overlays import SaliencyOverlays
from napari_ies.viewer.layers.stack import LayerStack

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from napari_ies.viewer.frame import Frame, Point, Voxel

LINKED = ("contrast_limits", "colormap", "gamma", "opacity", "visible")
"""What an image has in common in both views."""

OUTLINE_WIDTH_MM = 0.25


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
    """

    closed = Signal()
    """A person closed the dock that holds it."""

    def __init__(self, viewer: Any, images: Iterable[Any]) -> None:
        super().__init__()
        self._viewer, self._offset = viewer, np.zeros(3)
        self._busy = False
        self.model = ViewerModel()
        self.canvas = QtViewer(self.model)
        self.canvas.dims.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.canvas)
        self._stack = LayerStack(self.model)
        self.overlays = SaliencyOverlays(self._stack)
        self._outline: str | None = None
        self._subject: tuple[NDArray[np.bool_], Voxel, Frame] | None = None
        self._links: list[list[Any]] = []
        self._pairs: list[tuple[Any, Any]] = []
        for image in images:
            self._copy(image)
        self._pairs = self._paired_events()
        for event, follow in self._pairs:
            event.connect(follow)
        self._on_viewer()

    def set_title(self, title: str) -> None:
        """Say on the canvas what is shown."""
        text = self.model.canvas.overlays["text"]
        text.text, text.position, text.font_size, text.visible = title, "top_left", 10, True

    def set_offset(self, offset: Point) -> None:
        """Look at another place than the viewer does.

        Parameters
        ----------
        offset
            From the place the viewer shows to the one shown here, in mm along (inferior,
            posterior, left); not 0 for two lesions at different places.
        """
        self._offset = np.asarray(offset, dtype=float)
        self._on_viewer()

    def set_subject(self, mask: NDArray[np.bool_], origin: Voxel, frame: Frame) -> None:
        """Outline a lesion or a region.

        Parameters
        ----------
        mask, origin
            Its voxels in a displayed box, and the displayed index of the box's first voxel.
        frame
            Where the grid lies.
        """
        self._subject = mask, origin, frame
        self._draw()

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
        self.model.layers.clear()
        self.canvas.close()

    def _paired_events(self) -> list[tuple[Any, Any]]:
        pairs: list[tuple[Any, Any]] = []
        for model, follow in ((self._viewer, self._on_viewer), (self.model, self._on_here)):
            dims, camera = model.dims.events, model.scene.camera.events
            turns = dims.point, dims.order, dims.ndisplay
            events = *turns, camera.center, camera.zoom, camera.angles
            pairs.extend((event, follow) for event in events)
        return pairs

    def _on_viewer(self, _: Any = None) -> None:
        self._follow(self._viewer, self.model, self._offset)

    def _on_here(self, _: Any = None) -> None:
        self._follow(self.model, self._viewer, -self._offset)

    def _follow(self, leader: Any, follower: Any, offset: NDArray[np.float64]) -> None:
        if self._busy or leader.dims.ndim < 3 or follower.dims.ndim < 3:
            return
        self._busy = True
        try:
            order = [axis - (leader.dims.ndim - 3) for axis in leader.dims.order[-3:]]
            lead = follower.dims.ndim - 3
            wanted = (*range(lead), *(axis + lead for axis in order))
            turned = follower.dims.ndisplay != leader.dims.ndisplay
            if tuple(follower.dims.order) != wanted:
                follower.dims.order, turned = wanted, True
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
        if turned and follower is self.model:
            self._draw()

    def _copy(self, image: Any) -> None:
        image = getattr(image, "__wrapped__", image)
        data, state, kind = image.as_layer_data_tuple()
        copy = Layer.create(data, {**state, "metadata": {}}, kind)
        self.model.add_layer(copy)
        self._links.append([image, copy])
        link_layers([image, copy], LINKED)

    def _draw(self) -> None:
        self._stack.remove(self._outline)
        self._outline = None
        dims = self.model.dims
        if self._subject is None or dims.ndisplay == 3:
            return
        mask, origin, frame = self._subject
        plane = tuple(axis - (dims.ndim - 3) for axis in dims.displayed)
        self._outline = self._stack.make(
            "vectors",
            "selected",
            outline_segments(mask, plane, origin),
            edge_color=[OUTLINE_SELECTED],
            edge_width=OUTLINE_WIDTH_MM,
            vector_style="line",
            opacity=1.0,
            blending="translucent_no_depth",
            **frame.placement(),
        )
