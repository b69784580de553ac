"""Preferences: what a person set on napari's settings page for this plugin.

The page and the file behind it are napari's, made of ``configurations`` in the manifest; here its
values reach the forms, when the panel opens and whenever one of them is changed. Colours are where
a panel starts: what a person chose since in the tab "View" stays.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from napari.settings import get_plugin_settings
from qtpy.QtCore import QObject

from napari_ies.viewer.state.look import THRESHOLD_STEP, Look

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_ies.viewer.widget import LesionSaliencyWidget

PLUGIN = "napari-ies"


def preferences() -> Any | None:
    """Return the plugin's settings, a section per heading of the page.

    Returns
    -------
    napari's settings model with the sections ``computation``, ``colours`` and ``session``, or
    None where the plugin is not registered with napari, as when its widget is used alone.
    """
    return get_plugin_settings().get(PLUGIN)


def preferred_look() -> Look:
    """Return how maps are coloured when a panel opens."""
    settings = preferences()
    if settings is None:
        return Look()
    colours = settings.colours
    return Look(
        signed=colours.signed,
        sequential=colours.sequential,
        limits=colours.limits,
        fixed=colours.fixed / 1000,
        threshold=THRESHOLD_STEP * round(colours.threshold / THRESHOLD_STEP),
        opacity=colours.opacity / 100,
    )


class Preferring(QObject):
    """Carries preferences to the forms.

    Parameters
    ----------
    host
        The panel; made anew, its forms show what is preferred.
    """

    def __init__(self, host: LesionSaliencyWidget) -> None:
        super().__init__(host)
        self._host = host
        self._attached = False
        for name in self._setters():
            self._set(name)
        self._look = preferred_look()
        host.scene.overlays.set_look(self._look)

    def attach(self) -> None:
        """Follow changes on the settings page."""
        settings = preferences()
        if settings is not None and not self._attached:
            self._attached = True
            settings.computation.events.connect(self._on_changed)
            settings.colours.events.connect(self._on_colours)

    def release(self) -> None:
        """Follow no changes any more."""
        settings = preferences()
        if settings is not None and self._attached:
            settings.computation.events.disconnect(self._on_changed)
            settings.colours.events.disconnect(self._on_colours)
        self._attached = False

    def _setters(self) -> dict[str, Callable[[Any], None]]:
        host = self._host
        return {
            "device": host.checkpoint.prefer_device,
            "method": host.saliency.set_method,
            "aggregation": host.saliency.set_aggregation,
            "samples": host.saliency.samples.setValue,
            "noise": host.saliency.noise.setValue,
            "precision": host.saliency.precision.setCurrentText,
            "smallest_lesion": host.segmentation.prefer_smallest,
        }

    def _on_changed(self, event: Any) -> None:
        if event.type in self._setters():
            self._set(event.type)

    def _on_colours(self, _: Any) -> None:
        before, self._look = self._look, preferred_look()
        overlays = self._host.scene.overlays
        untouched = {
            one.name: getattr(self._look, one.name)
            for one in fields(Look)
            if getattr(overlays.look, one.name) == getattr(before, one.name)
        }
        overlays.set_look(replace(overlays.look, **untouched), by_person=False)

    def _set(self, name: str) -> None:
        settings = preferences()
        if settings is not None:
            self._setters()[name](getattr(settings.computation, name))
