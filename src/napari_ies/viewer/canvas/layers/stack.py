"""LayerStack: a viewer's layers by key, and which of them were made here."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from napari.layers import Layer

from napari_ies.viewer.panel.plain_text import shown_name
from napari_ies.viewer.volumes.layer_data import METADATA_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager


def key_of(layer: Any) -> str:
    """Return what tells a layer from all others, whatever its name."""
    return str(layer.unique_id)


def set_visible(layer: Any, on: bool) -> None:
    """Show or hide a layer, if it is not so already.

    napari slices, arranges and draws all that it shows anew (0.9.2), whether that changes anything
    or not.
    """
    if layer.visible != on:
        layer.visible = on


class LayerStack:
    """The layers of a viewer, as the rest of this room sees them.

    Parameters
    ----------
    viewer
        The napari viewer, or the proxy that plugins get.
    """

    def __init__(self, viewer: Any) -> None:
        self.viewer = viewer
        self._made: dict[str, str] = {}
        self.stays_selected: str | None = None

    def __iter__(self) -> Iterator[Any]:
        return iter(self.viewer.layers)

    def __len__(self) -> int:
        return len(self.viewer.layers)

    def find(self, key: str | None) -> Any | None:
        """Return the layer with a key, or None if it is gone."""
        return next((layer for layer in self.viewer.layers if key_of(layer) == key), None)

    def kind_of(self, layer: Any) -> str:
        """Return what a layer was made as here, empty for any other."""
        return self._made.get(key_of(layer), "")

    def is_made_here(self, layer: Any) -> bool:
        """Whether a layer was made by :meth:`make`."""
        return key_of(layer) in self._made

    def made(self, what: str) -> list[Any]:
        """Return the layers of one kind that were made here and are still there."""
        return [layer for layer in self.viewer.layers if self._made.get(key_of(layer)) == what]

    def make(self, kind: str, what: str, data: Any, **arguments: Any) -> str:
        """Add a layer of our own on top; return its key.

        Parameters
        ----------
        kind
            ``"image"``, ``"labels"`` or ``"surface"``.
        what
            ``"overlay"``, ``"lesions"``, ``"probability"``, ``"resampled"``, ``"head"``,
            ``"space"`` (the surfaces of the lesions), or what a counterfactual shows:
            ``"changed image"``, ``"marked then"``, ``"change of probability"``.
        data, arguments
            Of the layer; `blending` is ``"translucent_no_depth"`` by default.
        """
        arguments.setdefault("blending", "translucent_no_depth")
        metadata = {METADATA_KEY: {"made": what, **arguments.pop("known", {})}}
        name = shown_name(str(arguments.pop("name", kind)))
        layer = Layer.create(data, {**arguments, "name": name, "metadata": metadata}, kind)
        key = key_of(self.viewer.add_layer(layer))
        self._made[key] = what
        kept = self.find(self.stays_selected)
        if kept is not None:
            # napari's controls go on showing something that is there to stay.
            self.viewer.layers.selection.active = kept
        return key

    def remove(self, *keys: str | None) -> None:
        """Remove layers made here that are still there."""
        found = [layer for key in keys if (layer := self.find(key)) is not None]
        with _together(self.viewer.layers) if len(found) > 1 else nullcontext():
            for layer in found:
                self.viewer.layers.remove(layer)
        for key in keys:
            self._made.pop(str(key), None)

    def put_below(self, key: str, others: tuple[str, ...]) -> None:
        """Move a layer under the lowest of our layers of some kinds, if it lies over it."""
        keys = [key_of(layer) for layer in self.viewer.layers]
        lowest = next((i for i, k in enumerate(keys) if self._made.get(k) in others), None)
        if lowest is not None and lowest < keys.index(key):
            self.viewer.layers.move(keys.index(key), lowest)

    def put_at_bottom(self, key: str) -> None:
        """Move a layer under all others."""
        keys = [key_of(layer) for layer in self.viewer.layers]
        if keys.index(key) > 0:
            self.viewer.layers.move(keys.index(key), 0)


def _together(layers: Any) -> AbstractContextManager[Any]:
    """Let napari tidy up once after many layers went, and not after each.

    It collects garbage then (napari 0.9.2, ``VispyCanvas._clean_and_update_scenegraph``): with all
    that PyTorch and napari hold, that is a second on an old computer, and the window stands still.
    """
    # A plugin's proxy gives no context manager.
    update: AbstractContextManager[Any] = getattr(layers, "__wrapped__", layers).batched_update()
    return update


def spare_thumbnail(layer: Any) -> None:
    """Draw no thumbnail of a layer: napari draws one at every slice.

    It is a private method of napari's that is replaced; where it is called otherwise, thumbnails
    are drawn again and cost their time.
    """
    layer._update_thumbnail = lambda: None
