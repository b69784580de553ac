"""Planes: the part that shows marks and outlines, three planes or the 3-d view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QMainWindow

from napari_ies.viewer.canvas.canvases import around, qt_viewer_of, shown_axes
from napari_ies.viewer.canvas.legend.caption_overlay import CaptionOverlay
from napari_ies.viewer.canvas.legend.colour_strip import ColourStrip
from napari_ies.viewer.canvas.outlines.lines import OutlineLines
from napari_ies.viewer.canvas.own_context import keep_to_own_context
from napari_ies.viewer.canvas.plane_overlay import PlaneOverlay
from napari_ies.viewer.canvas.window_close import WindowClose
from napari_ies.viewer.feature import Feature, Place, Placed
from napari_ies.viewer.panel.availability import allow
from napari_ies.viewer.panel.controls import button
from napari_ies.viewer.planes.space import SpaceView
from napari_ies.viewer.planes.three_planes import ThreePlanes
from napari_ies.viewer.work.qt_clock import Soon

if TYPE_CHECKING:
    from napari_ies.viewer.feature import Services


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
        self._attached = False
        self._reopen = False
        lane = self.work.lane("surfaces")
        self._space = SpaceView(self.viewer, self.scene, self.tell, lane)
        self._planes_button = button(
            "3 planes",
            "three_planes_button",
            "Axial, coronal and sagittal with one crosshair. The wheel turns slices, Shift and "
            "the wheel zoom; a click moves the crosshair and picks the lesion under it.",
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
        self.scene.room_taken.connect(self._on_room_taken)
        self._soon = Soon(self._on_window)
        self._refresh()
        self.views = (Placed(Place.VIEW_BUTTON, buttons),)
        self.actions = {"planes": self.toggle}

    def attach(self) -> None:
        """Draw the marks, as soon as the panel has a window."""
        if self._attached:
            return
        self._attached = True
        self.viewer.dims.events.ndisplay.connect(self._on_ndisplay)
        self.viewer.layers.events.inserted.connect(self._refresh)
        self.viewer.layers.events.removed.connect(self._refresh)
        self.link.clicked.connect(self._on_clicked)
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
        self.link.clicked.disconnect(self._on_clicked)
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

    def toggle_space(self) -> None:
        """Show the lesions in space, or the slices as they were before."""
        if self._space.entered:
            self._space.give_up()
            with self.tell.announce("Going back to the slices…"):
                self._space.leave()
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
            self.tell.say("The three planes cannot be shown while another axis is across or down.")
            return
        self.scene.room_taken.emit(self)
        outlines, legend = self.scene.lesions.outlines, self.scene.legend
        self.three = ThreePlanes(self.viewer, window.window, self.overlay, outlines, legend)
        self.three.set_lines(self._cross_button.isChecked())
        self.three.clicked.connect(self._on_side_clicked)

    def _close_planes(self) -> None:
        if self.three is not None:
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
            self.overlay = PlaneOverlay(self.viewer, view.canvas.native)
            keep_to_own_context(view.canvas)
            outlines = self.scene.lesions.outlines
            self.outlines = OutlineLines(self.viewer, view.canvas, outlines)
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
        for part in (self._window, self.overlay, self.outlines, *self._legend):
            if part is not None:
                part.release()
        self._legend = ()
        self._window = self.overlay = self.outlines = None

    def _on_ndisplay(self, _: Any = None) -> None:
        if self.viewer.dims.ndisplay == 2 and self._space.entered:
            self._space.leave()
        self._refresh()

    def _on_clicked(self, position: Any, direction: Any) -> None:
        if self.three is not None and direction is None:
            self.three.crosshair.move(position)

    def _on_side_clicked(self, position: Any) -> None:
        # As a click on the viewer's own canvas: who listens need not know of planes.
        self.link.clicked.emit(position, None)

    def _on_reading(self, _: Any = None) -> None:
        self._space.leave()
        self._refresh()

    def _on_room_taken(self, part: object) -> None:
        if part is not self and self.three is not None:
            self._close_planes()
            self._refresh()
            self.tell.say("The three planes were closed: there is no room beside a second view.")

    def _on_lines(self, shown: bool) -> None:
        if self.three is not None:
            self.three.set_lines(shown)
