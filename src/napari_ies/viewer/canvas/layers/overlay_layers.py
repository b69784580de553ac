"""OverlayLayers: the layers that overlays are shown in, and what a person set on each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_ies.colour_maps import SEQUENTIAL_MAPS, SIGNED_MAPS
from napari_ies.viewer.canvas import colours
from napari_ies.viewer.canvas.layers.followed import Followed
from napari_ies.viewer.canvas.layers.stack import key_of, set_visible

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from napari_ies.viewer.canvas.layers.stack import LayerStack
    from napari_ies.viewer.state.look import Look

BY_LOOK = ("colormap", "contrast_limits", "opacity")
"""What a look decides of a layer, unless a person set it on the layer itself."""

WATCHED = (*BY_LOOK, "gamma", "visible")


class OverlayLayers:
    """One layer per name, used again and again.

    Parameters
    ----------
    stack
        The viewer's layers.
    on_layer
        Called when what is watched of a layer is changed, by a person or from here.
    """

    def __init__(self, stack: LayerStack, on_layer: Callable[..., object]) -> None:
        self._stack, self._on_layer = stack, on_layer
        self._followed: dict[str, Followed] = {}
        self._off: set[str] | None = None
        self.attached = True

    @property
    def names(self) -> list[str]:
        """Names of all layers that are or were there."""
        return list(self._followed)

    @property
    def on_show(self) -> bool:
        """Whether any layer is visible; while there is none, whether the next one would be."""
        layers = self.present()
        if not layers:
            return self._off is None
        return any(layer.visible for layer in layers.values())

    def key(self, name: str) -> str | None:
        """Return the key of a layer, or None if it is gone."""
        return self._followed[name].key

    def present(self) -> dict[str, Any]:
        """Return the layers that are there, the first sequence first."""
        found = {name: self._stack.find(one.key) for name, one in self._followed.items()}
        return {name: layer for name, layer in reversed(found.items()) if layer is not None}

    def visible(self) -> list[Any]:
        """Return those that are visible, in the viewer's order."""
        keys = {one.key for one in self._followed.values()}
        return [layer for layer in self._stack if key_of(layer) in keys and layer.visible]

    def name_of(self, layer: Any) -> str:
        """Return the name that a layer is found by here."""
        return next(name for name, one in self._followed.items() if one.key == key_of(layer))

    def by_hand(self) -> dict[str, tuple[str, ...]]:
        """Return what a person set on the layers themselves, by name."""
        layers = self.present().items()
        found = {name: self._followed[name].set_by_person(layer) for name, layer in layers}
        return {name: attributes for name, attributes in found.items() if attributes}

    def apply(self, wanted: Callable[[str], Mapping[str, Any]]) -> None:
        """Set attributes, by name, on every layer, but for what a person set there."""
        for name, layer in self.present().items():
            self._followed[name].apply(layer, wanted(name))

    def show_only(self, name: str) -> None:
        """Show one layer and no other, or the first where there is none of that name.

        Hidden ones stay hidden: it is the one that is shown again.
        """
        layers = self.present()
        shown = name if name in layers else next(iter(layers), name)
        if self._off is not None or (layers and not self.on_show):
            self._off = {shown}
        else:
            for one, layer in layers.items():
                set_visible(layer, one == shown)
        for one, followed in self._followed.items():
            if one not in layers:
                followed.visible = one == name

    def set_on_show(self, on: bool) -> None:
        """Hide the layers, or show again those that were hidden so."""
        layers = self.present()
        if on and layers and self.on_show:
            return
        if on:
            names = [name for name in layers if name in (self._off or ())] or list(layers)[:1]
            self._off = None
        else:
            names = [name for name, layer in layers.items() if layer.visible]
            self._off = set(names)
        for name in names:
            set_visible(layers[name], on)

    def forget_hidden(self) -> None:
        """Take the layers for shown again if a person showed one of them."""
        if self._off is not None and self.visible():
            self._off = None

    def show(
        self,
        name: str,
        data: Any,
        placement: dict[str, Any],
        wanted: dict[str, Any],
        *,
        first: bool,
    ) -> None:
        """Show other values in a layer, which is made if it is gone.

        Parameters
        ----------
        name
            What it is found by here.
        data, placement
            Its values, and its place and name in the viewer.
        wanted
            Its other attributes, but for what a person set on it, now or before it went.
        first
            Whether a new one is visible, unless it was shown or hidden before it went.
        """
        followed = self._followed.setdefault(name, Followed())
        layer = self._stack.find(followed.key)
        if layer is None:
            arguments = {**placement, **wanted, **followed.by_hand}
            followed.added(self._make(name, data, arguments, first), wanted)
            return
        if tuple(layer.translate) != placement["translate"]:
            layer.translate = placement["translate"]
        layer.data = data
        if layer.name != placement["name"]:
            layer.name = placement["name"]
        followed.apply(layer, wanted)

    def _make(self, name: str, data: Any, arguments: dict[str, Any], first: bool) -> str:
        followed = self._followed[name]
        visible = first if followed.visible is None else followed.visible
        if self._off is not None and visible:
            self._off.add(name)
            visible = False
        key = self._stack.make(
            "image",
            "overlay",
            data,
            interpolation2d="linear",
            # Signed values in space: what is clear stays clear, and negative is not lost.
            rendering="translucent",
            **arguments,
            visible=visible,
        )
        # The filled lesions, where a person shows them, lie over the overlay's colours.
        self._stack.put_below(key, ("lesions",))
        layer = self._stack.find(key)
        if layer is not None and self.attached:
            self._listen(layer)
        return key

    def remove(self, names: Collection[str]) -> None:
        """Remove layers; what a person set on them is remembered."""
        gone = [one for name, one in self._followed.items() if name in names]
        for name, layer in self.present().items():
            if name in names:
                self._stop_listening(layer)
                visible = layer.visible or name in (self._off or ())
                self._followed[name].removed(layer, visible=visible)
        self._stack.remove(*(one.key for one in gone))
        for one in gone:
            one.key = None

    def forget_by_hand(self, attributes: tuple[str, ...]) -> None:
        """Forget what a person set of these attributes."""
        for one in self._followed.values():
            one.forget(attributes)

    def attach(self) -> None:
        """Listen to the layers, as after :meth:`release`."""
        self.attached = True
        for layer in self.present().values():
            self._listen(layer)

    def release(self) -> None:
        """Listen to none of them any more."""
        self.attached = False
        for layer in self.present().values():
            self._stop_listening(layer)

    def _listen(self, layer: Any) -> None:
        for attribute in WATCHED:
            getattr(layer.events, attribute).connect(self._on_layer)

    def _stop_listening(self, layer: Any) -> None:
        for attribute in WATCHED:
            getattr(layer.events, attribute).disconnect(self._on_layer)


def attributes_of(look: Look, limit: float, *, signed: bool) -> dict[str, Any]:
    """Return what a look says of a layer, in the order of `BY_LOOK`."""
    colormap = (
        colours.diverging(SIGNED_MAPS[look.signed], look.threshold)
        if signed
        else colours.sequential(SEQUENTIAL_MAPS[look.sequential], look.threshold)
    )
    limits = (-limit if signed else 0.0, limit)
    return {"colormap": colormap, "contrast_limits": limits, "opacity": look.opacity}
