"""Colouring: the tab "View", and what it makes of the overlays and outlines."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

from napari_ies.viewer.colouring.view_form import ViewForm
from napari_ies.viewer.feature import Feature, Place, Placed
from napari_ies.viewer.preferences import Preferences, preferred_look
from napari_ies.viewer.state.look import Look
from napari_ies.viewer.work.qt_clock import Soon

if TYPE_CHECKING:
    from napari_ies.viewer.feature import Services

OPACITY_STEP = 0.1


class Colouring(Feature):
    """Lets a person choose how maps look, and shows how they do."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._overlays, self._outlines = self.scene.overlays, self.scene.lesions.outlines
        self._preferred = preferred_look()
        self._overlays.set_look(self._preferred)
        self._preferences = Preferences("colours", {"": self._on_preferred})
        self.view = ViewForm()
        self.view.set_look(self._overlays.look)
        self._soon = Soon(self._show_state, self.view)  # once for many changes at a time
        self.view.look_changed.connect(self._overlays.set_look)
        self.view.overlay_toggled.connect(self._overlays.set_on_show)
        self.view.outlines_toggled.connect(self._outlines.set_shown)
        self.view.follow_requested.connect(self._overlays.follow_look)
        self.link.layers_changed.connect(self._overlays.refresh)
        about = "How maps are coloured, and what is shown."
        self.views = (Placed(Place.TAB, [self.view], "View", about),)
        self.actions = {
            "overlay": self._overlays.toggle,
            "outline": self._outlines.toggle,
            "fainter": lambda: self._overlays.change_opacity(-OPACITY_STEP),
            "stronger": lambda: self._overlays.change_opacity(OPACITY_STEP),
        }

    def attach(self) -> None:
        """Follow the layers."""
        for watched in (self._overlays, self._outlines):
            watched.changed.disconnect(self._soon.ask)
            watched.changed.connect(self._soon.ask)
        self._overlays.attach()
        self._preferences.attach()

    def release(self) -> None:
        """Leave the layers to themselves."""
        for watched in (self._overlays, self._outlines):
            watched.changed.disconnect(self._soon.ask)
        self._soon.stop()
        self._overlays.release()
        self._preferences.release()

    def _on_preferred(self, _: object) -> None:
        """Take what a person prefers now where they chose nothing else since."""
        before, self._preferred = self._preferred, preferred_look()
        untouched = {
            one.name: getattr(self._preferred, one.name)
            for one in fields(Look)
            if getattr(self._overlays.look, one.name) == getattr(before, one.name)
        }
        self._overlays.set_look(replace(self._overlays.look, **untouched), by_person=False)

    def _show_state(self) -> None:
        self.view.set_look(self._overlays.look)
        limit = self._overlays.limit
        if limit is not None:
            self.view.set_limit(limit, self._overlays.unit)
        self.view.set_shown(overlay=self._overlays.on_show, outlines=self._outlines.shown)
        self.view.set_by_hand(self._overlays.by_hand())
