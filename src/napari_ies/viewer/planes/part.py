"""Planes: the part that shows marks and outlines, three planes or the 3-d view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QMainWindow

from napari_ies.viewer.canvas.canvases import around, qt_viewer_of, shown_axes
from napari_ies.viewer.canvas.grid_cells import GridCells
from napari_ies.viewer.canvas.legend.caption_overlay import CaptionOverlay
from napari_ies.viewer.canvas.legend.colour_strip import ColourStrip
from napari_ies.viewer.canvas.mouse.mouse import Mouse
from napari_ies.viewer.canvas.outlines.lines import OutlineLines
from napari_ies.viewer.canvas.own_context import keep_to_own_context
from napari_ies.viewer.canvas.plane_overlay import PlaneOverlay
from napari_ies.viewer.canvas.slices import Slices
from napari_ies.viewer.canvas.viewer_link import Hovering
from napari_ies.viewer.canvas.window_close import WindowClose
from napari_ies.viewer.feature import Feature, Place, Placed
from napari_ies.viewer.panel.availability import allow
from napari_ies.viewer.panel.controls import button
from napari_ies.viewer.planes.space import SpaceView
from napari_ies.viewer.planes.three_planes import ThreePlanes
from napari_ies.viewer.planes.under_mouse import UnderMouse
from napari_ies.viewer.planes.zoom import LEAST_MM, LesionZoom
from napari_ies.viewer.work.qt_clock import Soon

if TYPE_CHECKING:
    from napari_ies.viewer.canvas.picking import Click
    from napari_ies.viewer.feature import Services
    from napari_ies.viewer.planes.side_plane import SidePlane
    from napari_ies.viewer.state.loaded import Chosen
    from napari_ies.viewer.state.reading import Reading


class Planes(Feature):
    """Marks and outlines on the viewer's plane; at a button three planes or the 3-d view."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.overlay: PlaneOverlay | None = None
        """What is drawn over the viewer's own canvas, or None while there is no window."""
        self.outlines: OutlineLines | None = None
        """The outlines on the viewer's own canvas, or None while there is no window."""
        self.three: ThreePlanes | None = None
        """The three planes, or None while one is shown."""
        self._legend: tuple[CaptionOverlay | ColourStrip, ...] = ()
        self._window: WindowClose | None = None
        self._cells: GridCells | None = None
        self._mouse: Mouse | None = None
        self._slices: Slices | None = None
        self._under_mouse = UnderMouse(self.state, self.scene)
        self._zoom = LesionZoom()
        self._attached = False
        self._reopen = False
        lane = self.work.lane("surfaces")
        self._space = SpaceView(self.viewer, self.scene, self.tell, lane)
        self._planes_button = button(
            "3 planes",
            "three_planes_button",
            "Axial, coronal and sagittal with one crosshair. The wheel turns slices, Ctrl and the "
            "wheel zoom; a click moves the crosshair and picks the lesion under it.",
            self.toggle,
        )
        about = "Show the crosshair of the three planes, or not."
        self._cross_button = button("Crosshair", "crosshair_button", about)
        about = "The lesions in space, with the saliency of the selected one."
        self._space_button = button("3-D", "space_button", about, self.toggle_space)
        buttons = [self._planes_button, self._cross_button, self._space_button]
        for one in buttons:
            one.setCheckable(True)
        self._cross_button.setChecked(True)
        self._cross_button.toggled.connect(self._on_lines)
        self.state.selection_changed.connect(self._space.colour)
        self.state.reading_changed.connect(self._on_reading)
        self.state.images_chosen.connect(self._on_images)
        self.state.answer_shown.connect(self._under_mouse.refresh)
        self.scene.overlays.changed.connect(self._under_mouse.refresh)
        self.scene.room_taken.connect(self._on_room_taken)
        self._soon = Soon(self._on_window)
        self._refresh()
        self.views = (Placed(Place.VIEW_BUTTON, buttons),)
        self.actions = {"planes": self.toggle, "zoom": self.toggle_zoom}

    def attach(self) -> None:
        """Draw the marks, as soon as the panel has a window."""
        if self._attached:
            return
        self._attached = True
        self.viewer.dims.events.ndisplay.connect(self._on_ndisplay)
        self.viewer.layers.events.inserted.connect(self._refresh)
        self.viewer.layers.events.removed.connect(self._refresh)
        self.viewer.dims.events.point.connect(self._under_mouse.refresh)
        self.link.clicked.connect(self._on_clicked)
        self.link.hovered.connect(self._under_mouse.move)
        self.link.layers_changed.connect(self._keep_to_slices)
        self._mouse = Mouse(self.viewer, on_hover=self._on_hover)
        self._keep_to_slices()
        self._soon.ask()

    def release(self) -> None:
        """Leave the viewer as napari made it."""
        if not self._attached:
            return
        self._attached = False
        self._soon.stop()
        self._close_planes()
        self._space.leave()
        self.viewer.dims.events.ndisplay.disconnect(self._on_ndisplay)
        self.viewer.layers.events.inserted.disconnect(self._refresh)
        self.viewer.layers.events.removed.disconnect(self._refresh)
        self.viewer.dims.events.point.disconnect(self._under_mouse.refresh)
        self.link.clicked.disconnect(self._on_clicked)
        self.link.hovered.disconnect(self._under_mouse.move)
        self.link.layers_changed.disconnect(self._keep_to_slices)
        for part in (self._mouse, self._slices):
            if part is not None:
                part.release()
        self._mouse = self._slices = None
        self._leave_window()

    def toggle(self) -> None:
        """Show three planes instead of one, or one again."""
        if self.three is not None:
            self._close_planes()
        else:
            with self.tell.announce("Opening the three planes…"):
                self._space.leave()
                self._open_planes()
        self._refresh()

    def toggle_zoom(self) -> None:
        """Zoom to the selected lesion or region in all planes, or back to the views before."""
        reading, selected, overlay = self.state.reading, self.state.selected, self.overlay
        place = None if reading is None or selected is None else reading.place_of(selected)
        if reading is None or place is None or self.state.at is None:
            self.tell.hint("Select a lesion first: click it in the image or in the table.")
            return
        dims = self.viewer.dims
        if overlay is None or (dims.ndisplay == 2 and min(shown_axes(dims)) < 0):
            return
        box = reading.frame.reorientation.box_to_displayed(place.box)
        scale, first = np.array(reading.frame.scale), np.array(reading.frame.translate)
        low = self.scene.in_world((np.array(box.start) - 0.5) * scale + first)
        high = self.scene.in_world((np.array(box.stop) - 0.5) * scale + first)
        cell = overlay.cells[0]
        views = [(self.viewer, (cell.width(), cell.height()))]
        for side in () if self.three is None else self.three.sides:
            side.keep_zoom()
            views.append((side.model, (side.canvas.width(), side.canvas.height())))
        least = float(self.scene.in_world((LEAST_MM, 0.0, 0.0))[0])
        if not self._zoom.toggle(views, np.array(low), np.array(high), least):
            return
        # The viewer hears late of a crosshair that moves in its plane.
        told = dims.point[-3:] if self.three is None else self.three.crosshair.position
        if np.any(np.array(told) < low) or np.any(np.array(told) > high):
            there = reading.frame.to_world(self.state.at)
            if self.three is None:
                self.scene.look_at(there)
            else:
                self.three.crosshair.move(self.scene.in_world(there))

    def toggle_space(self) -> None:
        """Show the lesions in space, or the slices as they were before."""
        if self._space.entered:
            self._space.give_up()
            with self.tell.announce("Going back to the slices…"):
                self._space.leave(to_chosen=True)
                if self._reopen:
                    self._open_planes()
        elif len(self.viewer.layers):
            self._reopen = self.three is not None
            with self.tell.announce("Opening the 3-d view…"):
                self._close_planes()
                self._space.enter(self.state.reading)
        self._refresh()

    def _open_planes(self) -> None:
        self._on_window()
        window = self._window
        if self.three is not None or window is None or self.overlay is None:
            return
        if self.viewer.dims.ndim < 3 or not len(self.viewer.layers):
            return
        if self.viewer.dims.ndisplay != 2:
            self.viewer.dims.ndisplay = 2
        if min(shown_axes(self.viewer.dims)) < 0:
            self.tell.fail("The three planes cannot be shown while another axis is across or down.")
            return
        self.scene.room_taken.emit(self)
        outlines, legend = self.scene.lesions.outlines, self.scene.legend
        self.three = ThreePlanes(self.viewer, window.window, self.overlay, outlines, legend)
        self.three.set_lines(self._cross_button.isChecked())
        # As a click on the viewer's own canvas: who listens need not know of planes.
        self.three.clicked.connect(self.link.clicked.emit)
        self.three.hovered.connect(self._on_side_hovered)
        self.three.crosshair.moved.connect(self._under_mouse.refresh)

    def _close_planes(self) -> None:
        if self.three is not None:
            self._under_mouse.forget()
            three, self.three = self.three, None
            three.release()
            three.deleteLater()

    def _refresh(self, _: Any = None) -> None:
        nothing = "" if len(self.viewer.layers) else "Open the images first."
        allow(self._planes_button, nothing)
        allow(self._space_button, nothing)
        allow(self._cross_button, "" if self.three is not None else "Show three planes first.")
        self._planes_button.setChecked(self.three is not None)
        self._space_button.setChecked(self._space.entered)

    def _on_window(self) -> None:
        window = around(self._planes_button, QMainWindow)
        view = qt_viewer_of(window)
        if window is None or view is None or not self._attached or self.overlay is not None:
            return
        if window.isVisible():
            self._window = WindowClose(window, self._on_window_closes)
            self.overlay = PlaneOverlay(self.viewer, view.canvas.native, view.canvas)
            keep_to_own_context(view.canvas)
            outlines = self.scene.lesions.outlines
            self.outlines = OutlineLines(self.viewer, view.canvas, outlines)
            self._cells = GridCells(self.viewer, view.canvas, self.scene.maps_on_images)
            legend = self.scene.legend
            self._legend = CaptionOverlay(view.canvas.native, legend), ColourStrip(view, legend)
            self._refresh()

    def _on_window_closes(self) -> None:
        """Leave the window before it closes: what is drawn there must not outlive it."""
        self._close_planes()
        self._leave_window()
        # A person may have thought better of it.
        self._soon.ask()

    def _leave_window(self) -> None:
        self._under_mouse.forget()
        for part in (self._window, self.overlay, self.outlines, self._cells, *self._legend):
            if part is not None:
                part.release()
        self._legend = ()
        self._window = self.overlay = self.outlines = self._cells = None

    def _on_ndisplay(self, _: Any = None) -> None:
        if self.viewer.dims.ndisplay == 2 and self._space.entered:
            self._space.leave(to_chosen=True)
        self._refresh()

    def _on_clicked(self, click: Click) -> None:
        if self.three is not None and click.direction is None:
            self.three.crosshair.move(click.position)

    def _on_hover(self, position: tuple[float, ...]) -> None:
        if self.overlay is not None:
            self._hovers(self.overlay, self.viewer, position)

    def _on_side_hovered(self, side: SidePlane, position: tuple[float, ...]) -> None:
        self._hovers(side.overlay, side.model, position)

    def _hovers(self, overlay: PlaneOverlay, model: Any, position: tuple[float, ...]) -> None:
        visible = self.scene.overlays.visible_sequences
        self.link.hovered.emit(Hovering(overlay, model, position, visible))

    def _on_reading(self, reading: Reading | None) -> None:
        if not self._space.follow(reading):
            self._space.leave()
        self._under_mouse.forget()
        self._keep_to_slices()
        self._refresh()

    def _on_images(self, _: Chosen | None) -> None:
        self._keep_to_slices()

    def _keep_to_slices(self) -> None:
        """Let the sliders stand on the slices of the first sequence, segmented or yet to be."""
        frame, reading, chosen = None, self.state.reading, self.state.chosen
        if self._attached and reading is not None:
            frame = None if self.scene.lesions.layer is None else reading.frame
        elif self._attached and chosen is not None:
            frame = next(iter(chosen.sources.values())).frame
        if self._slices is not None and self._slices.frame != frame:
            self._slices.release()
            self._slices = None
        if frame is not None and self._slices is None:
            self._slices = Slices(self.viewer, frame)

    def _on_room_taken(self, part: object) -> None:
        if part is not self and self.three is not None:
            self._close_planes()
            self._refresh()
            self.tell.say("The three planes were closed: there is no room beside a second view.")

    def _on_lines(self, shown: bool) -> None:
        if self.three is not None:
            self.three.set_lines(shown)
