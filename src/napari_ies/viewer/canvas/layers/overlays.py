"""The overlays: one image layer per map of the selected lesion's saliency."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.geometry.box import Box
from napari_ies.viewer.canvas.layers.followed import equal
from napari_ies.viewer.canvas.layers.overlay_layers import BY_LOOK, OverlayLayers, attributes_of
from napari_ies.viewer.canvas.layers.stack import set_visible
from napari_ies.viewer.canvas.legend.bar import Bar
from napari_ies.viewer.panel.plain_text import shown_name
from napari_ies.viewer.state.event import Event
from napari_ies.viewer.state.look import Kind, Look, MapRange, ShownLimits, kind_of
from napari_ies.viewer.state.scaled import common_power

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from napari_ies.saliency.saliency import Saliency
    from napari_ies.viewer.canvas.layers.stack import LayerStack
    from napari_ies.viewer.canvas.legend.legend import Legend
    from napari_ies.viewer.volumes.frame import Frame

_NOWHERE = Box.whole((1, 1, 1))
"""The box of a map of nothing."""
NOTHING = np.zeros((1, 1, 1), np.float32)
EMPTY_NAME = "Saliency on {}"


@dataclass(frozen=True)
class _Shown:
    """The map on screen: whose limits it may share, title, unit and its power of ten, signs, and
    how far it goes.
    """

    kind: Kind
    title: str
    unit: str
    signed: bool
    power: int
    ranges: Mapping[str, MapRange] = field(default_factory=dict)


class SaliencyOverlays:
    """One layer per sequence, used again and again, so that clicks leave no clutter.

    What a person sets on one of these layers stays, whichever map is shown in it: until they
    change the same thing of the look, and for limits until a map of another kind is shown, whose
    values are of another size.

    Parameters
    ----------
    stack
        The viewer's layers.
    legend
        Where the colour bar is shown; None for nowhere.
    """

    def __init__(self, stack: LayerStack, legend: Legend | None = None) -> None:
        self._layers = OverlayLayers(stack, self._on_layer)
        self._limits = ShownLimits()
        self.look = Look()
        """How the maps are coloured; changed by :meth:`set_look` alone."""
        self._shown: _Shown | None = None
        self._common: float | None = None
        self._set_aside: dict[str, tuple[float, ...]] = {}
        self._busy = False
        self._legend = legend
        self._sequence: str | None = None
        self.changed: Event[[]] = Event()
        """A person, or this, changed how an overlay looks."""

    @property
    def limit(self) -> float | None:
        """Magnitude at which the look lets the colours of the map on screen end."""
        if self._shown is None:
            return None
        name = next(iter(self.visible_sequences()), self._sequence or "")
        return self._limits.limit(self.look, self._shown.kind, self._shown.title, name)

    @property
    def unit(self) -> str:
        """Unit of the map on screen, empty without one."""
        return "" if self._shown is None else self._shown.unit

    @property
    def power(self) -> int:
        """The power of ten that numbers of the map on screen are written in."""
        return 0 if self._shown is None else self._shown.power

    @property
    def on_show(self) -> bool:
        """Whether any overlay is visible; while there is none, whether the next one would be."""
        return self._layers.on_show

    def show(
        self,
        saliency: Saliency,
        frame: Frame,
        title: str,
        limit: float,
        *,
        ranges: Sequence[MapRange] = (),
        signed: bool | None = None,
        power: int | None = None,
    ) -> None:
        """Show one overlay per sequence, in place of those of the lesion before.

        The first sequence lies on top. One alone is visible: two maps over each other cannot be
        told apart; see :meth:`set_sequence`.

        Parameters
        ----------
        saliency, frame
            The maps and their place; only the box outside which they are 0 is shown.
        title
            Lesion, method and aggregation, for the layers' names.
        limit
            The map's own limit: the magnitude at which its colours end if the look says so.
        ranges
            How far the values of each map go; empty where that is unknown.
        signed
            Whether values below 0 have a meaning; None for what the method says.
        power
            The power of ten that its numbers are written in; None for one of its own.
        """
        kind = kind_of(saliency.request)
        if self._shown is not None and self._shown.kind != kind:
            self._layers.forget_by_hand(("contrast_limits",))
        signed = saliency.request.method == "smoothgrad" if signed is None else signed
        by_name = dict(zip(saliency.sequences, ranges, strict=bool(ranges)))
        self._limits.enter(kind, title, limit, {n: one.limit for n, one in by_name.items()})
        if power is None:
            ends = [abs(end) for one in ranges for end in (one.lowest, one.highest)]
            power = common_power(max(ends, default=limit))
        self._shown = shown = _Shown(kind, title, saliency.unit, signed, power, by_name)
        on_show = self._sequence if self._sequence in saliency.sequences else saliency.sequences[0]
        with self._quietly():
            self._layers.remove(set(self._layers.names) - set(saliency.sequences))
            for number, name in reversed(list(enumerate(saliency.sequences))):
                data = frame.reorientation.apply(saliency.cropped[number])
                name_on_layer = title if name == "all" else f"{title} · {name}"
                placement = {**frame.placement(saliency.box), "name": shown_name(name_on_layer)}
                wanted = self._wanted(self.look, shown, name)
                self._layers.show(name, data, placement, wanted, first=name == on_show)
        self.refresh()

    def set_power(self, power: int) -> None:
        """Write the numbers of the map on screen in another power of ten."""
        if self._shown is not None and self._shown.power != power:
            self._shown = replace(self._shown, power=power)
            self.refresh()

    def prepare(self, name: str, frame: Frame) -> None:
        """Make a layer before there is a map, empty: the first map then need not wait for it.

        Parameters
        ----------
        name, frame
            A sequence of the case that is to be explained, the first one last, and its place.
        """
        if name in self._layers.present():
            return
        placed = {**frame.placement(_NOWHERE), "name": EMPTY_NAME.format(name)}
        wanted = attributes_of(self.look, limit=1.0, signed=True)
        on_show = self._sequence is None or name == self._sequence
        with self._quietly():
            self._layers.show(name, NOTHING, placed, wanted, first=on_show)
        self.refresh()

    def empty(self, sequences: Sequence[str]) -> bool:
        """Show nothing in the layers that are there; return whether they are for these maps."""
        names = self._layers.present()
        if set(names) != set(sequences):
            return False
        self._limits.clear()
        self._shown = None
        with self._quietly():
            for name, layer in names.items():
                layer.data, layer.name = NOTHING, EMPTY_NAME.format(name)
        self.refresh()
        return True

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
        before, self.look = self.look, look
        if self._shown is None or not by_person:
            self.follow_look(())
            return
        old, new = (
            [self._wanted(one, self._shown, name) for name in self._layers.names]
            for one in (before, look)
        )
        both = list(zip(old, new, strict=True))
        self.follow_look(
            tuple(name for name in BY_LOOK if any(not equal(o[name], n[name]) for o, n in both))
        )

    def follow_look(self, attributes: tuple[str, ...] = BY_LOOK) -> None:
        """Give up what a person set on the layers, and follow the look in these attributes."""
        self._layers.forget_by_hand(attributes)
        shown = self._shown
        if shown is not None:
            with self._quietly():
                self._layers.apply(lambda name: self._wanted(self.look, shown, name))
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
            by_hand, layers = self.by_hand(), self._layers.present()
            self._set_aside = {
                name: tuple(layers[name].contrast_limits)
                for name, attributes in by_hand.items()
                if "contrast_limits" in attributes
            }
        self._common = limit
        self.follow_look(("contrast_limits",))
        if limit is None:
            for name, layer in self._layers.present().items():
                if name in self._set_aside:
                    layer.contrast_limits = self._set_aside[name]

    def by_hand(self) -> dict[str, tuple[str, ...]]:
        """Return what a person set on the layers themselves, by sequence."""
        return self._layers.by_hand()

    def set_on_show(self, on: bool) -> None:
        """Hide the overlays, or show again those that were hidden so."""
        with self._quietly():
            self._layers.set_on_show(on)
        self.refresh()

    def toggle(self) -> None:
        """Hide the overlays, or show again those that were hidden so."""
        self.set_on_show(not self.on_show)

    def change_opacity(self, by: float) -> None:
        """Make the overlays less transparent, or more; opacity lies from 0 to 1."""
        opacity = min(max(self.look.opacity + by, 0.0), 1.0)
        self.set_look(replace(self.look, opacity=round(opacity, 3)))

    def set_sequence(self, name: str) -> None:
        """Show the map of one sequence alone, now and when others are shown; hidden ones stay so.

        A map of all sequences is on show with any of them.
        """
        self._sequence = name
        with self._quietly():
            self._layers.show_only(name)
        self.refresh()

    @property
    def layers(self) -> dict[str, Any]:
        """The layers that are there, by sequence."""
        return self._layers.present()

    def visible_sequences(self) -> tuple[str, ...]:
        """Return the sequences whose overlay is visible, in order."""
        return tuple(name for name, layer in self._layers.present().items() if layer.visible)

    def limits_on_show(self) -> dict[str, float]:
        """Return where the colours of each visible overlay end, whoever set that."""
        layers = self._layers.present().items()
        return {name: float(one.contrast_limits[1]) for name, one in layers if one.visible}

    def set_visible_sequences(self, names: Collection[str]) -> None:
        """Show the overlays of these sequences and no other; without any of them, the first."""
        layers = self._layers.present()
        shown = set(names) & set(layers) or set(list(layers)[:1])
        for name, layer in layers.items():
            set_visible(layer, name in shown)

    def clear(self) -> None:
        """Remove the overlays; what a person set on them is remembered."""
        self._layers.remove(self._layers.names)
        self._limits.clear()
        self._shown = None
        self.refresh()

    def refresh(self) -> None:
        """Show the colour bar of the overlay that lies on top."""
        if not self._layers.attached:
            return
        if self._legend is not None:
            self._legend.keep_room(self.look.colour_bar and bool(self._layers.present()))
            self._legend.set_bar("saliency", self._bar())
        self.changed.emit()

    def _bar(self) -> Bar | None:
        shown, top = self._shown, next(reversed(self._layers.visible()), None)
        if shown is None or not self.look.colour_bar or top is None:
            return None
        name = self._layers.name_of(top)
        title = "Map of all sequences" if name == "all" else f"{name} map"
        known = shown.ranges.get(name)
        ends = {} if known is None else {"lowest": known.lowest, "highest": known.highest}
        return Bar.of_layer(top, title, shown.unit, power=shown.power, **ends)

    def attach(self) -> None:
        """Listen to the layers, as after :meth:`release`."""
        if not self._layers.attached:
            self._layers.attach()
            self.refresh()

    def release(self) -> None:
        """Leave the layers to themselves: nothing of this listens to them any more."""
        self._layers.release()
        if self._legend is not None:
            self._legend.set_bar("saliency", None)

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Change layers without taking it for a person's doing."""
        self._busy = True
        try:
            yield
        finally:
            self._busy = False

    def _on_layer(self, _: Any = None) -> None:
        if not self._busy:
            self._layers.forget_hidden()
            self.refresh()

    def _wanted(self, look: Look, shown: _Shown, name: str) -> dict[str, Any]:
        limit = self._common or self._limits.limit(look, shown.kind, shown.title, name)
        return attributes_of(look, limit, signed=shown.signed)
