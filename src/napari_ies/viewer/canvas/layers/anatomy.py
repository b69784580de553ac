"""Anatomy: which image layer shows which sequence, and which of them lies on top."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image

from napari_ies.viewer.canvas.layers.stack import key_of, set_visible
from napari_ies.viewer.state.event import Event
from napari_ies.viewer.volumes.layer_data import METADATA_KEY, file_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from napari_ies.viewer.canvas.layers.stack import LayerStack
    from napari_ies.viewer.state.reading import Reading

COVERING = ("translucent", "translucent_no_depth", "opaque")
"""Blendings of an image that hides what lies below it."""
NO_GROUND = ("overlay", "probability", "change of probability")
"""Image layers made here that lie over the anatomy and are none."""


class Anatomy:
    """The images of a reading, by sequence.

    Parameters
    ----------
    stack
        The viewer's layers.
    """

    def __init__(self, stack: LayerStack) -> None:
        self._stack = stack
        self._keys: dict[str, str] = {}
        self._heard: dict[str, Any] = {}
        self.changed: Event[[]] = Event()
        """Another image may lie on top."""

    @property
    def sequences(self) -> tuple[str, ...]:
        """The sequences whose image is there, in order."""
        return tuple(name for name in self._keys if self.layer_of(name) is not None)

    @property
    def shown(self) -> str | None:
        """The sequence that lies on top, or else the name of the image that does, or None."""
        top = on_top(self._stack)
        return None if top is None else self.name_of(top)

    def set_reading(self, reading: Reading) -> None:
        """Know the images of another reading: the layers that were segmented, or show its files."""
        layers = [layer for layer in self._stack if isinstance(layer, Image)]
        files = {Path(file).absolute(): key_of(one) for one in layers if (file := file_of(one))}
        case = reading.case
        paths = dict(zip(case.sequences, case.paths, strict=True))
        found = {
            name: reading.layers.get(name) or (None if path is None else files.get(path.absolute()))
            for name, path in paths.items()
        }
        self.set_layers({name: key for name, key in found.items() if key is not None})

    def set_layers(self, keys: Mapping[str, str]) -> None:
        """Know which layer shows which sequence, by their keys."""
        self._keys = dict(keys)

    def layer_of(self, sequence: str) -> Any | None:
        """Return the image layer of a sequence, or None if it is gone."""
        return self._stack.find(self._keys.get(sequence))

    def name_of(self, layer: Any) -> str:
        """Return the sequence that a layer shows, or else its name."""
        of = (name for name, key in self._keys.items() if key == key_of(layer))
        return next(of, str(layer.name))

    def show(self, sequence: str) -> None:
        """Show the image of a sequence, and none that would hide it or is of another sequence."""
        wanted = self.layer_of(sequence)
        if wanted is None:
            return
        above = False
        for layer in list(self._stack):
            if layer == wanted:
                above = True
                set_visible(layer, True)
            elif is_ground(layer) and self._hides(layer, above=above):
                set_visible(layer, False)

    def attach(self) -> None:
        """Hear of the layers' order; does nothing if it does."""
        reordered = self._stack.viewer.layers.events.reordered
        reordered.disconnect(self._on_layer)
        reordered.connect(self._on_layer)
        self.follow_layers()

    def follow_layers(self) -> None:
        """Hear of images that come, go, or are shown and hidden."""
        present = {key_of(one): one for one in self._stack if isinstance(one, Image)}
        for key in set(self._heard) - set(present):
            self._heard.pop(key).events.visible.disconnect(self._on_layer)
        for key in set(present) - set(self._heard):
            self._heard[key] = present[key]
            present[key].events.visible.connect(self._on_layer)
        self.changed.emit()

    def release(self) -> None:
        """Listen to none of them any more."""
        self._stack.viewer.layers.events.reordered.disconnect(self._on_layer)
        for layer in self._heard.values():
            layer.events.visible.disconnect(self._on_layer)
        self._heard = {}

    def _hides(self, layer: Any, *, above: bool) -> bool:
        covers = above and layer.opacity >= 1 and str(layer.blending) in COVERING
        return covers or key_of(layer) in self._keys.values()

    def _on_layer(self, _: Any = None) -> None:
        self.changed.emit()


def is_ground(layer: Any) -> bool:
    """Whether a layer is an image on show, and no map that lies over one."""
    known = layer.metadata.get(METADATA_KEY)
    made = known.get("made") if isinstance(known, dict) else None
    return isinstance(layer, Image) and bool(layer.visible) and made not in NO_GROUND


def on_top(layers: Iterable[Any]) -> Any | None:
    """Return the image that lies on top among layers, or None."""
    return next((layer for layer in reversed([*layers]) if is_ground(layer)), None)


def next_of(sequences: Sequence[str], shown: str | None) -> str:
    """Return the sequence after the one on show; the first after any other image."""
    return sequences[(sequences.index(shown) + 1) % len(sequences) if shown in sequences else 0]
