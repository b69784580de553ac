"""Colouring: the tab "View", and what it makes of the overlays and outlines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer

from napari_ies.viewer.colouring.view_form import ViewForm

if TYPE_CHECKING:
    from napari_ies.viewer.state.look import Look


class Colouring(QObject):
    """Lets a person choose how maps look, and shows how they do.

    Parameters
    ----------
    host
        The dock widget.
    """

    def __init__(self, host: Any) -> None:
        super().__init__(host)
        self._overlays, self._outlines = host.scene.overlays, host.scene.lesions.outlines
        self.view = ViewForm()
        self.view.set_look(self._overlays.look)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._show_state)
        host.add_tab("View", self.view, "How maps are coloured, and what is shown.")
        self.view.look_changed.connect(self._on_look)
        self.view.overlay_toggled.connect(self._overlays.set_on_show)
        self.view.outlines_toggled.connect(self._outlines.set_shown)
        self.view.follow_requested.connect(self._on_follow)
        host.link.layers_changed.connect(self._overlays.refresh)

    def attach(self) -> None:
        """Follow the layers."""
        for watched in (self._overlays, self._outlines):
            if self._on_layers not in watched.watchers:
                watched.watchers.append(self._on_layers)
        self._overlays.attach()

    def release(self) -> None:
        """Leave the layers to themselves."""
        for watched in (self._overlays, self._outlines):
            if self._on_layers in watched.watchers:
                watched.watchers.remove(self._on_layers)
        self._soon.stop()
        self._overlays.release()

    def _on_look(self, look: Look) -> None:
        self._overlays.set_look(look)

    def _on_follow(self) -> None:
        self._overlays.follow_look()

    def _on_layers(self) -> None:
        # Once for many changes at a time.
        self._soon.start(0)

    def _show_state(self) -> None:
        self.view.set_look(self._overlays.look)
        limit = self._overlays.limit
        if limit is not None:
            self.view.set_limit(limit, self._overlays.unit)
        self.view.set_shown(overlay=self._overlays.on_show, outlines=self._outlines.shown)
        self.view.set_by_hand(self._overlays.by_hand())
