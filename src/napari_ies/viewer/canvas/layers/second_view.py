"""SecondView: one more view of the same images, linked to the viewer, with a map of its own."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.components import ViewerModel
from napari.experimental import link_layers, unlink_layers
from napari.layers import Layer
from qtpy.QtCore import QEvent, QObject, Signal
from qtpy.QtWidgets import QMainWindow, QWidget

from napari_ies.viewer.canvas.canvases import around, pixel_at, qt_viewer_of
from napari_ies.viewer.canvas.extra_view import extra_view
from napari_ies.viewer.canvas.layers.overlays import SaliencyOverlays
from napari_ies.viewer.canvas.layers.stack import LayerStack, key_of, set_visible
from napari_ies.viewer.canvas.legend.caption_overlay import CaptionOverlay
from napari_ies.viewer.canvas.legend.colour_strip import ColourStrip
from napari_ies.viewer.canvas.legend.legend import Legend
from napari_ies.viewer.canvas.mouse.mouse import Mouse
from napari_ies.viewer.canvas.outlines.lines import OutlineLines
from napari_ies.viewer.canvas.outlines.outlines import Outlines
from napari_ies.viewer.canvas.picking import ClickPicker
from napari_ies.viewer.canvas.plane_overlay import PlaneOverlay
from napari_ies.viewer.canvas.window_close import WindowClose
from napari_ies.viewer.panel.controls import column
from napari_ies.viewer.volumes.units import share_world_units

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_ies.viewer.volumes.frame import Point

LINKED = ("contrast_limits", "colormap", "gamma", "opacity", "visible")
"""What an image has in common in both views, unless other things are named."""

LEAST_WIDTH, LEAST_SLIDER = 120, 40
"""Of either view, in pixels."""


class SecondView(QWidget):
    """A canvas beside the viewer's own that looks wherever that looks, and the other way round.

    Parameters
    ----------
    viewer
        The viewer.
    main
        napari's own view in its window: the two canvases stand side by side, of one size.
    images
        Its image layers that are shown here, too; they share their data.
    linked
        What an image has in common in both views.
    outlines
        What is outlined here; None for what is set here alone.

    Attributes
    ----------
    overlays
        The saliency shown here.
    outlines
        What is outlined here: a lesion or a region.
    legend
        What is said of it, on the canvas and below.
    """

    clicked = Signal(object)
    """A click of a person's here."""
    hovered = Signal(object)
    """World position under the mouse."""

    def __init__(
        self,
        viewer: Any,
        main: Any,
        images: Iterable[Any],
        linked: Sequence[str] = LINKED,
        outlines: Outlines | None = None,
    ) -> None:
        super().__init__()
        self.setObjectName("second_view")
        self._viewer, self._offset = viewer, np.zeros(3)
        self._busy = False
        sliders = (one.slider for one in main.dims.slider_widgets)
        self._sliders = {slider: slider.minimumWidth() for slider in sliders}
        self.model = ViewerModel()
        self.model.canvas.overlays.scale_bar.visible = True
        self.canvas = extra_view(self.model, viewer)
        native = self.canvas.canvas.native
        self.legend = Legend()
        self.overlay = PlaneOverlay(self.model, native)
        """What is drawn over the canvas."""
        self._drawn = (
            self.overlay,
            CaptionOverlay(native, self.legend),
            ColourStrip(self.canvas, self.legend),
        )
        self._mouse = Mouse(viewer, self.model, on_hover=self.hovered.emit, own_images=True)
        self.model.mouse_drag_callbacks.append(ClickPicker(self.clicked.emit))
        self._below = QWidget()
        column(self, (self.canvas, 1), self._below, spacing=0)
        self._stack = LayerStack(self.model)
        self.overlays = SaliencyOverlays(self._stack, self.legend)
        self.outlines = outlines or Outlines()
        self._lines = OutlineLines(self.model, self.canvas.canvas, self.outlines)
        self._linked = tuple(linked)
        self._links: list[list[Any]] = []
        self._pairs: list[tuple[Any, Any]] = []
        for image in images:
            self._copy(image)
        share_world_units(self.model, viewer)
        self._main, self._row = main, main.parentWidget().layout()
        self._stand_beside()
        for leader, follow in ((viewer, self._on_viewer), (self.model, self._on_here)):
            dims, camera = leader.dims.events, leader.scene.camera.events
            turns, looks = (dims.point, dims.order, dims.ndisplay), (camera.center, camera.zoom)
            self._pairs += [(event, follow) for event in (*turns, *looks, camera.angles)]
        for event, follow in self._pairs:
            event.connect(follow)
        self._on_viewer()
        self._window: WindowClose | None = None

    @classmethod
    def beside(
        cls, viewer: Any, panel: QWidget, gone: Callable[[], object], *content: Any
    ) -> SecondView | None:
        """Open a second view in the window of a panel.

        Parameters
        ----------
        viewer
            The viewer.
        panel
            A widget of the panel.
        gone
            Called when the window closes.
        content
            Images, what is linked, and outlines.

        Returns
        -------
        The view, or None without a window.
        """
        window = around(panel, QMainWindow)
        main = qt_viewer_of(window)
        if window is None or main is None:
            return None
        view = cls(viewer, main, *content)
        view._window = WindowClose(window, gone)
        return view

    @property
    def image_shown(self) -> Any | None:
        """The viewer's image whose copy lies on top here, or None."""
        return next((image for image, copy in reversed(self._links) if copy.visible), None)

    def show_image(self, image: Any) -> None:
        """Show the copy of one of the viewer's images alone."""
        for one, copy in self._links:
            set_visible(copy, key_of(one) == key_of(image))

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

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Leave below this canvas what the sliders take below the viewer's own."""
        if event.type() in (QEvent.Type.Resize, QEvent.Type.Show, QEvent.Type.Hide):
            self._level()
        return bool(super().eventFilter(watched, event))

    def release(self) -> None:
        """Let go of the viewer and close the canvas; the viewer's own has its room again."""
        if self._window is not None:
            self._window.release()
        for event, follow in self._pairs:
            event.disconnect(follow)
        self._pairs = []
        for pair in self._links:
            unlink_layers(pair, self._linked)
        self._links = []
        self.overlays.release()
        self._lines.release()
        self._mouse.release()
        for part in self._drawn:
            part.release()
        self.model.layers.clear()
        self._main.dims.removeEventFilter(self)
        for slider, width in self._sliders.items():
            with suppress(RuntimeError):  # another number of axes made others
                slider.setMinimumWidth(width)
        with self._same_sight():
            self._row.removeWidget(self)
            self.hide()
            self.setParent(None)
            self._main.setMinimumWidth(0)
            self._row.setStretch(0, 0)
        self.canvas.close()
        self.deleteLater()

    def _stand_beside(self) -> None:
        self._main.dims.installEventFilter(self)
        # Keys go to the viewer, wherever the mouse last was.
        self.canvas.setFocusProxy(self._main)
        self._level()
        seen = self._sees_crosshair()
        for slider in self._sliders:
            slider.setMinimumWidth(LEAST_SLIDER)  # or the number of the slice would be cut off
        with self._same_sight():
            self._row.addWidget(self)
            for place, view in enumerate((self._main, self)):
                # Or the sliders would make one wider than the other in a narrow window.
                view.setMinimumWidth(LEAST_WIDTH)
                self._row.setStretch(place, 1)
            self.show()
        if seen and not self._sees_crosshair():
            # What was looked at lay where this view is now.
            dims = self._viewer.dims
            shown = (dims.point[axis] for axis in dims.displayed)
            self._viewer.scene.camera.center = (0.0, *shown)

    def _sees_crosshair(self) -> bool:
        """Whether the place where the viewer's slices meet lies on its canvas."""
        canvas, dims = self._main.canvas.native, self._viewer.dims
        if dims.ndisplay == 3:
            return True
        at = pixel_at(self._viewer, (canvas.width(), canvas.height()), dims.point[-3:])
        return bool(canvas.rect().contains(at.toPoint()))

    @contextmanager
    def _same_sight(self) -> Iterator[None]:
        """Let the viewer look as it did, when its canvas gets another size: napari zooms then."""
        camera = self._viewer.scene.camera
        zoom, centre = camera.zoom, camera.center
        yield
        self._row.activate()
        camera.zoom, camera.center = zoom, centre

    def _level(self) -> None:
        sliders = self._main.dims
        self._below.setFixedHeight(0 if sliders.isHidden() else sliders.height())

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
        link_layers([image, copy], self._linked)
