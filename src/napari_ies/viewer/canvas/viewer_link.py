"""ViewerLink: everything the panel listens to in a viewer, taken back in one call.

napari does not tell a docked widget when it is closed (napari#8071), so whoever listens to the
viewer must be able to let go at once and completely.
"""

from __future__ import annotations

from typing import Any

from napari_ies.viewer.canvas.picking import Click, ClickPicker
from napari_ies.viewer.state.event import Event
from napari_ies.viewer.work.qt_clock import Soon


class ViewerLink:
    """Clicks on the canvas, and layers that come, go or change their names."""

    def __init__(self, viewer: Any) -> None:
        self.clicked: Event[[Click]] = Event()
        """A person clicked on the canvas, or on one that shows another plane of it."""
        self.layers_changed: Event[[]] = Event()
        """Layers came, went or were renamed; said once for many changes at a time."""
        self.view_changed: Event[[]] = Event()
        """The slices show another plane, or the view became 3-d or 2-d."""
        self._viewer = viewer
        self._picker = ClickPicker(self.clicked.emit)
        self._attached = False
        self._named: dict[object, Any] = {}
        self._soon = Soon(self.layers_changed.emit)
        # Later than the event: only then have the layers taken the new plane, too.
        self._view_soon = Soon(self.view_changed.emit)

    def attach(self) -> None:
        """Start to listen; does nothing if it already does."""
        if self._attached:
            return
        self._attached = True
        self._viewer.mouse_drag_callbacks.append(self._picker)
        self._viewer.layers.events.inserted.connect(self._on_layers)
        self._viewer.layers.events.removed.connect(self._on_layers)
        self._viewer.dims.events.order.connect(self._on_view)
        self._viewer.dims.events.ndisplay.connect(self._on_view)
        self._on_layers()

    def detach(self) -> None:
        """Stop to listen, and leave nothing behind in the viewer."""
        if not self._attached:
            return
        self._attached = False
        self._soon.stop()
        self._view_soon.stop()
        if self._picker in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._picker)
        self._viewer.layers.events.inserted.disconnect(self._on_layers)
        self._viewer.layers.events.removed.disconnect(self._on_layers)
        self._viewer.dims.events.order.disconnect(self._on_view)
        self._viewer.dims.events.ndisplay.disconnect(self._on_view)
        for layer in self._named.values():
            layer.events.name.disconnect(self._on_name)
        self._named = {}

    def _on_layers(self, _: Any = None) -> None:
        present = {layer.unique_id: layer for layer in self._viewer.layers}
        for unique_id in set(self._named) - set(present):
            self._named.pop(unique_id).events.name.disconnect(self._on_name)
        for unique_id in set(present) - set(self._named):
            self._named[unique_id] = present[unique_id]
            present[unique_id].events.name.connect(self._on_name)
        self._on_name()

    def _on_view(self, _: Any = None) -> None:
        self._view_soon.ask()

    def _on_name(self, _: Any = None) -> None:
        if self._attached:
            self._soon.ask()
