"""The overlays: one image layer per map of the selected lesion's saliency."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.colour_maps import SEQUENTIAL_MAPS, SIGNED_MAPS
from napari_ies.viewer.canvas import colours
from napari_ies.viewer.canvas.layers.colour_bar import ColourBar
from napari_ies.viewer.canvas.layers.followed import Followed, equal
from napari_ies.viewer.canvas.layers.stack import key_of
from napari_ies.viewer.panel.plain_text import shown_name
from napari_ies.viewer.state.event import Event
from napari_ies.viewer.state.look import Kind, Look, ShownLimits, kind_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_ies.saliency.saliency import Saliency
    from napari_ies.viewer.canvas.layers.stack import LayerStack
    from napari_ies.viewer.volumes.frame import Frame

BY_LOOK = ("colormap", "contrast_limits", "opacity")
"""What a look decides of a layer, unless a person set it on the layer itself."""

WATCHED = (*BY_LOOK, "visible")

_NOWHERE = (slice(0, 1), slice(0, 1), slice(0, 1))
"""The box of a map of nothing."""


@dataclass(frozen=True)
class _Shown:
    """The map on screen: whose limits it may share, title, unit, and whether it has signs."""

    kind: Kind
    title: str
    unit: str
    signed: bool


class SaliencyOverlays:
    """One layer per sequence, used again and again, so that clicks leave no clutter.

    What a person sets on one of these layers stays, whichever map is shown in it: until they
    change the same thing of the look, and for limits until a map of another kind is shown, whose
    values are of another size.

    Parameters
    ----------
    stack
        The viewer's layers.
    """

    def __init__(self, stack: LayerStack) -> None:
        self._stack = stack
        self._overlays: dict[str, Followed] = {}
        self._limits = ShownLimits()
        self._look = Look()
        self._shown: _Shown | None = None
        self._common: float | None = None
        self._set_aside: dict[str, tuple[float, ...]] = {}
        self._off: set[str] | None = None
        self._busy = False
        self._attached = True
        self._bar = ColourBar(stack)
        self.changed: Event[[]] = Event()
        """A person, or this, changed how an overlay looks."""

    @property
    def look(self) -> Look:
        """How the maps are coloured."""
        return self._look

    @property
    def limit(self) -> float | None:
        """Magnitude at which the look lets the colours of the map on screen end."""
        if self._shown is None:
            return None
        return self._limits.limit(self._look, self._shown.kind, self._shown.title)

    @property
    def unit(self) -> str:
        """Unit of the map on screen, empty without one."""
        return "" if self._shown is None else self._shown.unit

    @property
    def on_show(self) -> bool:
        """Whether any overlay is visible; while there is none, whether the next one would be."""
        layers = self._layers()
        if not layers:
            return self._off is None
        return any(layer.visible for layer in layers.values())

    def show(
        self,
        saliency: Saliency,
        frame: Frame,
        title: str,
        limit: float,
        *,
        signed: bool | None = None,
    ) -> None:
        """Show one overlay per sequence, in place of those of the lesion before.

        The first sequence lies on top and alone is visible at first: two maps over each other
        cannot be told apart, and the others are one click away in the layer list.

        Parameters
        ----------
        saliency, frame
            The maps and their place; only the box outside which they are 0 is shown.
        title
            Lesion, method and aggregation, for the layers' names.
        limit
            The map's own limit: the magnitude at which its colours end if the look says so.
        signed
            Whether values below 0 have a meaning; None for what the method says.
        """
        kind = kind_of(saliency.request)
        if self._shown is not None and self._shown.kind != kind:
            self._forget_by_hand(("contrast_limits",))
        self._limits.enter(kind, title, limit)
        signed = saliency.request.method == "smoothgrad" if signed is None else signed
        self._shown = _Shown(kind, title, saliency.unit, signed)
        self._busy = True
        try:
            self._remove([name for name in self._overlays if name not in saliency.sequences])
            for number, name in reversed(list(enumerate(saliency.sequences))):
                data = frame.reorientation.apply(saliency.cropped[number])
                name_on_layer = title if name == "all" else f"{title} · {name}"
                placement = {**frame.placement(saliency.box), "name": shown_name(name_on_layer)}
                self._show_one(name, data, placement, first=number == 0)
        finally:
            self._busy = False
        self.refresh()

    def prepare(self, sequences: Sequence[str], frame: Frame) -> None:
        """Make the layers before there is a map, empty: the first map then need not wait for them.

        Parameters
        ----------
        sequences, frame
            Of the case that is to be explained.
        """
        placement = frame.placement(_NOWHERE)
        wanted = _attributes(self._look, limit=1.0, signed=True)
        empty = np.zeros((1, 1, 1), np.float32)
        self._busy = True
        try:
            for number, name in reversed(list(enumerate(sequences))):
                placed = {**placement, "name": f"Saliency on {name}"}
                self._make(name, empty, placed, wanted, first=number == 0)
            # Its first time is the slow one.
            self._bar.show(self._overlays[sequences[0]].key)
            self._bar.show(None)
        finally:
            self._busy = False

    def set_look(self, look: Look, *, by_person: bool = True) -> None:
        """Colour the map on screen and later ones otherwise.

        Parameters
        ----------
        look
            How.
        by_person
            Whether a person asked for it here: then what is different from the look before applies
            to every overlay; the rest leaves what a person set on the layers.
        """
        before, self._look = self._look, look
        if self._shown is None or not by_person:
            self.follow_look(())
            return
        old, new = self._wanted(before, self._shown), self._wanted(look, self._shown)
        self.follow_look(tuple(name for name in BY_LOOK if not equal(old[name], new[name])))

    def follow_look(self, attributes: tuple[str, ...] = BY_LOOK) -> None:
        """Give up what a person set on the layers, and follow the look in these attributes."""
        self._forget_by_hand(attributes)
        self._busy = True
        try:
            for name, layer in self._layers().items():
                if self._shown is not None:
                    self._overlays[name].apply(layer, self._wanted(self._look, self._shown))
        finally:
            self._busy = False
        self.refresh()

    def set_common_limit(self, limit: float | None) -> None:
        """Let the colours end at a limit shared with another view, whatever the look says.

        Parameters
        ----------
        limit
            In the unit of the map; None to follow the look again.
        """
        if limit == self._common:
            return
        if self._common is None:
            by_hand, layers = self.by_hand(), self._layers()
            self._set_aside = {
                name: tuple(layers[name].contrast_limits)
                for name, attributes in by_hand.items()
                if "contrast_limits" in attributes
            }
        self._common = limit
        self.follow_look(("contrast_limits",))
        if limit is None:
            for name, layer in self._layers().items():
                if name in self._set_aside:
                    layer.contrast_limits = self._set_aside[name]

    def by_hand(self) -> dict[str, tuple[str, ...]]:
        """Return what a person set on the layers themselves, by sequence."""
        layers = self._layers().items()
        found = {name: self._overlays[name].set_by_person(layer) for name, layer in layers}
        return {name: attributes for name, attributes in found.items() if attributes}

    def set_on_show(self, on: bool) -> None:
        """Hide the overlays, or show again those that were hidden so."""
        layers = self._layers()
        if on:
            names = [name for name in layers if name in (self._off or ())] or list(layers)[:1]
            self._off = None
        else:
            names = [name for name, layer in layers.items() if layer.visible]
            self._off = set(names)
        self._busy = True
        for name in names:
            layers[name].visible = on
        self._busy = False
        self.refresh()

    def toggle(self) -> None:
        """Hide the overlays, or show again those that were hidden so."""
        self.set_on_show(not self.on_show)

    def change_opacity(self, by: float) -> None:
        """Make the overlays less transparent, or more; opacity lies from 0 to 1."""
        opacity = min(max(self._look.opacity + by, 0.0), 1.0)
        self.set_look(replace(self._look, opacity=round(opacity, 3)))

    def visible_sequences(self) -> set[str]:
        """Return the sequences whose overlay is visible."""
        return {name for name, layer in self._layers().items() if layer.visible}

    def set_visible_sequences(self, names: set[str]) -> None:
        """Show the overlays of these sequences and no other; without any of them, the first."""
        layers = self._layers()
        shown = names & set(layers) or set(list(layers)[:1])
        for name, layer in layers.items():
            layer.visible = name in shown

    def clear(self) -> None:
        """Remove the overlays; what a person set on them is remembered."""
        self._remove(list(self._overlays))
        self._limits.clear()
        self._shown = None
        self.refresh()

    def refresh(self) -> None:
        """Show the colour bar of the overlay that lies on top."""
        if not self._attached:
            return
        top = next((layer for layer in reversed(list(self._visible()))), None)
        if self._shown is None or not self._look.colour_bar or top is None:
            self._bar.show(None)
        else:
            self._bar.show(key_of(top), self._shown.unit)
        self.changed.emit()

    def attach(self) -> None:
        """Listen to the layers, as after :meth:`release`."""
        if not self._attached:
            self._attached = True
            for layer in self._layers().values():
                self._listen(layer)
            self.refresh()

    def release(self) -> None:
        """Leave the layers to themselves: nothing of this listens to them any more."""
        self._attached = False
        for layer in self._layers().values():
            self._stop_listening(layer)
        self._bar.remove()

    def _layers(self) -> dict[str, Any]:
        """Return the layers that are there, the first sequence first."""
        found = {name: self._stack.find(overlay.key) for name, overlay in self._overlays.items()}
        return {name: layer for name, layer in reversed(found.items()) if layer is not None}

    def _visible(self) -> list[Any]:
        keys = {overlay.key for overlay in self._overlays.values()}
        return [layer for layer in self._stack if key_of(layer) in keys and layer.visible]

    def _limit(self, look: Look, shown: _Shown) -> float:
        return self._common or self._limits.limit(look, shown.kind, shown.title)

    def _wanted(self, look: Look, shown: _Shown) -> dict[str, Any]:
        return _attributes(look, self._limit(look, shown), signed=shown.signed)

    def _show_one(self, name: str, data: Any, placement: dict[str, Any], *, first: bool) -> None:
        overlay = self._overlays.setdefault(name, Followed())
        layer = self._stack.find(overlay.key)
        if layer is None:
            self._add(name, data, placement, first=first)
            return
        if tuple(layer.translate) != placement["translate"]:
            layer.translate = placement["translate"]
        layer.data = data
        if layer.name != placement["name"]:
            layer.name = placement["name"]
        if self._shown is not None:
            overlay.apply(layer, self._wanted(self._look, self._shown))

    def _add(self, name: str, data: Any, placement: dict[str, Any], *, first: bool) -> None:
        if self._shown is not None:
            wanted = self._wanted(self._look, self._shown)
            self._make(name, data, placement, wanted, first=first)

    def _make(
        self,
        name: str,
        data: Any,
        placement: dict[str, Any],
        wanted: dict[str, Any],
        *,
        first: bool,
    ) -> None:
        overlay = self._overlays.setdefault(name, Followed())
        visible = first if overlay.visible is None else overlay.visible
        if self._off is not None and visible:
            self._off.add(name)
            visible = False
        arguments = {**placement, **wanted, **overlay.by_hand, "visible": visible}
        key = self._stack.make(
            "image",
            "overlay",
            data,
            blending="translucent_no_depth",
            interpolation2d="linear",
            # Signed values in space: what is clear stays clear, and negative is not lost.
            rendering="translucent",
            **arguments,
        )
        overlay.added(key, wanted)
        # The filled lesions, where a person shows them, lie over the overlay's colours.
        self._stack.put_below(key, ("lesions",))
        layer = self._stack.find(key)
        if layer is not None and self._attached:
            self._listen(layer)

    def _remove(self, names: Sequence[str]) -> None:
        gone = {name: self._overlays[name] for name in names}
        for name, overlay in gone.items():
            layer = self._stack.find(overlay.key)
            if layer is not None:
                self._stop_listening(layer)
                overlay.removed(layer, visible=layer.visible or name in (self._off or ()))
        self._stack.remove(*(overlay.key for overlay in gone.values()))
        for overlay in gone.values():
            overlay.key = None

    def _forget_by_hand(self, attributes: tuple[str, ...]) -> None:
        for overlay in self._overlays.values():
            overlay.forget(attributes)

    def _listen(self, layer: Any) -> None:
        for attribute in WATCHED:
            getattr(layer.events, attribute).connect(self._on_layer)

    def _stop_listening(self, layer: Any) -> None:
        for attribute in WATCHED:
            getattr(layer.events, attribute).disconnect(self._on_layer)

    def _on_layer(self, _: Any = None) -> None:
        if self._busy:
            return
        if self._off is not None and self._visible():
            self._off = None
        self.refresh()


def _attributes(look: Look, limit: float, *, signed: bool) -> dict[str, Any]:
    """Return what a look says of a layer, in the order of `BY_LOOK`."""
    colormap = (
        colours.diverging(SIGNED_MAPS[look.signed], look.threshold)
        if signed
        else colours.sequential(SEQUENTIAL_MAPS[look.sequential], look.threshold)
    )
    limits = (-limit if signed else 0.0, limit)
    return {"colormap": colormap, "contrast_limits": limits, "opacity": look.opacity}
