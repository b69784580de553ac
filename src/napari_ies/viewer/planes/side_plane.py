"""SidePlane: one more plane of a viewer: a viewer model, its canvas, its marks and crosshair."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.components import ViewerModel
from qtpy.QtCore import QEvent, QObject, Signal
from qtpy.QtWidgets import QWidget

from napari_ies.geometry.planes import PLANES
from napari_ies.viewer.canvas.canvases import pixel_at, shown_axes
from napari_ies.viewer.canvas.extra_view import extra_view
from napari_ies.viewer.canvas.legend.caption_overlay import CaptionOverlay
from napari_ies.viewer.canvas.mouse.mouse import Mouse
from napari_ies.viewer.canvas.outlines.lines import OutlineLines
from napari_ies.viewer.canvas.picking import ClickPicker
from napari_ies.viewer.canvas.plane_overlay import PlaneOverlay
from napari_ies.viewer.panel.controls import column
from napari_ies.viewer.planes.mirror import LayerMirror
from napari_ies.viewer.work.qt_clock import Soon

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from napari_ies.viewer.canvas.legend.legend import Legend
    from napari_ies.viewer.canvas.outlines.outlines import Outlines


class SidePlane(QWidget):
    """A plane beside the viewer's own.

    Parameters
    ----------
    viewer
        The viewer whose layers are shown.
    plane
        Which: 0 axial, 1 coronal, 2 sagittal.
    outlines, legend
        What is outlined, and what is said of what is shown.
    """

    clicked = Signal(object)
    """A click of a person's."""
    hovered = Signal(object)
    """World position under the mouse."""
    stepped = Signal(int, float)
    """The plane shows another slice: its axis (0 to 2) and where on it, in mm."""

    def __init__(
        self,
        viewer: Any,
        plane: int,
        outlines: Outlines,
        legend: Legend,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.plane = plane
        """Which plane it shows: 0 axial, 1 coronal, 2 sagittal."""
        self._position: tuple[float, ...] = (0.0, 0.0, 0.0)
        self._touched = False
        self._shown = 0
        self.model = ViewerModel(ndisplay=2, order=PLANES[plane].order)
        self.view = extra_view(self.model, viewer)
        self.overlay = PlaneOverlay(self.model, self.canvas)
        self.overlay.set_named(True)
        # The viewer's own canvas says it whole.
        self.caption = CaptionOverlay(self.canvas, legend, most_lines=2)
        self.outlines = OutlineLines(self.model, self.view.canvas, outlines)
        self.mirror = LayerMirror(viewer, self.model)
        self.mirror.changed.connect(self._on_layers)
        hovered = self.hovered.emit
        self._mouse = Mouse(viewer, self.model, on_zoom=self._on_touch, on_hover=hovered)
        self.model.mouse_drag_callbacks.append(ClickPicker(self.clicked.emit))
        self.model.mouse_drag_callbacks.append(self._on_drag)
        self.model.mouse_double_click_callbacks.append(self._on_touch)
        self.model.dims.events.point.connect(self._on_point)
        self.canvas.installEventFilter(self)
        # Later than the change of size: only then does the canvas know it.
        self._fit_soon = Soon(self._on_fit, self)
        column(self, self.view)

    @property
    def canvas(self) -> QWidget:
        """The canvas."""
        return self.view.canvas.native

    def set_plane(self, plane: int) -> None:
        """Show another plane."""
        if plane == self.plane:
            return
        self.plane, self._touched = plane, False
        self.show_at(self._position)
        self._fit_soon.ask()

    def keep_zoom(self) -> None:
        """Stay at what is looked at now, whatever size the canvas takes."""
        self._touched = True

    def show_at(self, position: Sequence[float]) -> None:
        """Show the slice at a world position in mm, the position in sight."""
        self._position = tuple(float(p) for p in position)
        dims = self.model.dims
        if dims.ndim < 3:
            return
        lead = dims.ndim - 3
        order = (*range(lead), *(axis + lead for axis in PLANES[self.plane].order))
        if tuple(dims.order) != order:
            dims.order = order
        with self.model.dims.events.point.blocker(self._on_point):
            dims.set_point(lead + self.plane, self._position[self.plane])
        self._keep_in_sight()

    def release(self) -> None:
        """Close the canvas and let go of the viewer."""
        self._fit_soon.stop()
        self.canvas.removeEventFilter(self)
        self.model.dims.events.point.disconnect(self._on_point)
        self._mouse.release()
        self.outlines.release()
        self.overlay.release()
        self.caption.release()
        self.mirror.release()
        self.view.close()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Fit the plane into a canvas of another size, unless a person zoomed."""
        if event.type() == QEvent.Type.Resize:
            self._fit_soon.ask()
        return bool(super().eventFilter(watched, event))

    def _keep_in_sight(self) -> None:
        width, height = self.canvas.width(), self.canvas.height()
        at = pixel_at(self.model, (width, height), self._position)
        if not (0 <= at.x() <= width and 0 <= at.y() <= height):
            rows, columns = shown_axes(self.model.dims)
            self.model.scene.camera.center = (0.0, self._position[rows], self._position[columns])

    def _on_fit(self) -> None:
        if len(self.model.layers) and not self._touched:
            self.model.fit_to_view(margin=0.02)

    def _on_touch(self, *_: Any) -> None:
        self._touched = True

    def _on_drag(self, _: Any, event: Any) -> Generator[None, None, None]:
        yield
        while event.type == "mouse_move":
            self._touched = True
            yield

    def _on_layers(self) -> None:
        # A first layer or one of more dimensions moves the slices of a viewer model.
        self.show_at(self._position)
        if self._shown != len(self.model.layers):
            self._shown = len(self.model.layers)
            self._fit_soon.ask()

    def _on_point(self, _: Any = None) -> None:
        dims = self.model.dims
        if self.mirror.changing or dims.ndim < 3:
            return
        self.stepped.emit(self.plane, float(dims.point[dims.ndim - 3 + self.plane]))
