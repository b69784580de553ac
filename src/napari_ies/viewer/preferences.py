"""Preferences: what a person set on napari's settings page for this plugin.

The page and the file behind it are napari's, made of ``configurations`` in the manifest; here its
values reach the forms, when the panel opens and whenever one of them is changed. Colours are where
a panel starts: what a person chose since in the tab "View" stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.settings import get_plugin_settings

from napari_ies.viewer.state.look import THRESHOLD_STEP, Look

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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


class Preferences:
    """Carries a section of the settings page to what it sets: at once, and whenever it changes.

    Parameters
    ----------
    section
        Name of the section, such as ``"computation"``.
    setters
        What takes the value of each setting, by its name; ``""`` takes none and is called for any.
    """

    def __init__(self, section: str, setters: Mapping[str, Callable[[Any], object]]) -> None:
        self._section, self._setters = section, setters
        self._attached = False
        settings = preferences()
        for name, setter in setters.items():
            if settings is not None and name:
                setter(getattr(getattr(settings, section), name))

    def attach(self) -> None:
        """Follow changes on the settings page."""
        settings = preferences()
        if settings is not None and not self._attached:
            self._attached = True
            getattr(settings, self._section).events.connect(self._on_changed)

    def release(self) -> None:
        """Follow no changes any more."""
        settings = preferences()
        if settings is not None and self._attached:
            getattr(settings, self._section).events.disconnect(self._on_changed)
        self._attached = False

    def _on_changed(self, event: Any) -> None:
        settings = preferences()
        if settings is not None and event.type in self._setters:
            self._setters[event.type](getattr(getattr(settings, self._section), event.type))
        if "" in self._setters:
            self._setters[""](None)
