"""ThreePlanes: two planes beside the viewer's own, with one crosshair through all of them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Qt, QTimer, Signal
from qtpy.QtWidgets import QMainWindow, QSplitter

from napari_ies.viewer.canvas.canvases import shown_axes
from napari_ies.viewer.planes.crosshair import Crosshair
from napari_ies.viewer.planes.side_plane import SidePlane

if TYPE_CHECKING:
    from napari_ies.viewer.canvas.legend.legend import Legend
    from napari_ies.viewer.canvas.outlines.outlines import Outlines
    from napari_ies.viewer.canvas.plane_overlay import PlaneOverlay

MAIN_SHARE, SIDE_SHARE = 4, 3
"""How the width is shared between the viewer's own plane and the two beside it."""


class ThreePlanes(QObject):
    """The two planes that the viewer does not show, while they are open.

    Parameters
    ----------
    viewer
        The viewer.
    window
        Its main window; the planes stand beside its canvas.
    overlay
        What is drawn over the viewer's own canvas.
    outlines, legend
        What is outlined, and what is said of what is shown.
    """

    clicked = Signal(object)
    """A click in one of the two planes."""
    hovered = Signal(object, object)
    """The plane that the mouse is over, and the world position under it."""

    def __init__(
        self,
        viewer: Any,
        window: QMainWindow,
        overlay: PlaneOverlay,
        outlines: Outlines,
        legend: Legend,
    ) -> None:
        super().__init__()
        self._viewer, self._overlay = viewer, overlay
        self.crosshair = Crosshair(viewer)
        self._lines = True
        camera = viewer.scene.camera
        self._camera = (camera.zoom, camera.center)
        first, second = self._others()
        self.sides: tuple[SidePlane, ...] = (
            SidePlane(viewer, first, outlines, legend),
            SidePlane(viewer, second, outlines, legend),
        )
        self._splitter = QSplitter(Qt.Orientation.Vertical)
        self._splitter.setObjectName("three_planes")
        middle = window.centralWidget()
        self._row = middle.layout()
        main = self._row.itemAt(0).widget()
        for side in self.sides:
            self._splitter.addWidget(side)
            side.clicked.connect(self.clicked)
            side.hovered.connect(partial(self.hovered.emit, side))
            side.stepped.connect(self.crosshair.step)
            # Keys go to the viewer, wherever the mouse last was.
            side.canvas.setFocusProxy(main)
        self._row.addWidget(self._splitter)
        self._share(MAIN_SHARE, SIDE_SHARE)
        overlay.set_named(True)
        viewer.dims.events.order.connect(self._on_order)
        self.crosshair.moved.connect(self._on_moved)
        self._on_moved()
        QTimer.singleShot(0, self._on_open)

    def set_lines(self, shown: bool) -> None:
        """Show the crosshair, or not."""
        self._lines = shown
        self._on_moved()

    def release(self) -> None:
        """Close the two planes; the viewer's own is as it was before they were opened."""
        self._viewer.dims.events.order.disconnect(self._on_order)
        self.crosshair.moved.disconnect(self._on_moved)
        self.crosshair.release()
        self._overlay.set_named(False)
        self._overlay.set_crosshair(None)
        self._row.removeWidget(self._splitter)
        self._splitter.hide()
        for side in self.sides:
            side.release()
        self._splitter.setParent(None)
        self._splitter.deleteLater()
        self._share(0, 0)
        # First the canvas takes its size: vispy changes the zoom with it.
        self._row.activate()
        zoom, center = self._camera
        self._viewer.scene.camera.zoom = zoom
        self._viewer.scene.camera.center = center
        self.sides = ()

    def _share(self, main: int, side: int) -> None:
        self._row.setStretch(0, main)
        if self._row.count() > 1:
            self._row.setStretch(1, side)

    def _others(self) -> tuple[int, int]:
        """Return the planes that the viewer does not show."""
        shown = shown_axes(self._viewer.dims)
        (depth,) = {0, 1, 2} - set(shown)
        first, second = (plane for plane in (0, 1, 2) if plane != depth)
        return first, second

    def _on_open(self) -> None:
        if self.sides:
            self._viewer.fit_to_view(margin=0.02)

    def _on_order(self, _: Any = None) -> None:
        if min(shown_axes(self._viewer.dims)) < 0:
            return  # an axis of other layers, such as time, is across or down
        for side, plane in zip(self.sides, self._others(), strict=True):
            side.set_plane(plane)
        self._on_moved()

    def _on_moved(self) -> None:
        position = self.crosshair.position
        lines = position if self._lines else None
        self._overlay.set_crosshair(lines)
        for side in self.sides:
            side.show_at(position)
            side.overlay.set_crosshair(lines)
