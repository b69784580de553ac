"""LayerMirror: a viewer's visible layers, shown a second time in a viewer model of another plane.

A napari layer keeps the slice it shows, so two planes need two layers; they share their data.
A layer is copied when it is first visible, so that hidden ones cost nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels, Layer, Vectors
from qtpy.QtCore import QObject, Signal

from napari_ies.viewer.canvas.layers.stack import key_of, spare_thumbnail
from napari_ies.viewer.volumes.units import share_world_units
from napari_ies.viewer.work.qt_clock import Soon

if TYPE_CHECKING:
    from collections.abc import Callable

_PLACE = ("scale", "translate", "rotate", "shear", "affine")
_LOOK = (
    "visible",
    "opacity",
    "blending",
    "colormap",
    "contrast_limits",
    "gamma",
    "interpolation2d",
    "contour",
    "edge_color",
    "edge_width",
)
_ORDER = (*_PLACE, "data", *_LOOK)
_PAINTED = ("labels_update", "paint")


class LayerMirror(QObject):
    """Keeps the layers of a viewer model like those of a viewer.

    Parameters
    ----------
    viewer
        The viewer whose layers are shown.
    model
        The viewer model that shows them in another plane; its layers belong to this.

    Attributes
    ----------
    changing
        Whether layers are being added right now, which moves a viewer model's slices.
    """

    changed = Signal()
    """Layers came, went or moved."""

    def __init__(self, viewer: Any, model: Any) -> None:
        super().__init__()
        self._viewer, self._model = viewer, model
        self.changing = False
        self._copies: dict[str, _Copy] = {}
        # A refining map changes its place, data and limits: one repaint for all of them.
        self._soon = Soon(self._on_soon, self)
        events = viewer.layers.events
        self._events: tuple[Any, ...] = (events.inserted, events.removed, events.reordered)
        for event in self._events:
            event.connect(self._on_layers)
        self._on_layers()

    def release(self) -> None:
        """Let go of the viewer; the model keeps no layer."""
        for event in self._events:
            event.disconnect(self._on_layers)
        self._events = ()
        self._soon.stop()
        for copy in self._copies.values():
            copy.let_go()
        self._copies.clear()
        # All at once: napari tidies up after each time that layers go.
        self._model.layers.clear()

    def copy_of(self, layer: Any) -> Any | None:
        """Return the layer that shows a layer of the viewer here, or None while it is hidden."""
        copy = self._copies.get(key_of(layer))
        return None if copy is None else copy.layer

    def _on_layers(self, _: Any = None) -> None:
        present = {key_of(layer): layer for layer in self._viewer.layers}
        for key in set(self._copies) - set(present):
            self._copies.pop(key).remove()
        for key in present:
            if key not in self._copies:
                self._copies[key] = _Copy(present[key], self._model, self._soon.ask)
        self._soon.ask()

    def _on_soon(self) -> None:
        self.changing = True
        try:
            for copy in self._copies.values():
                if copy.apply():
                    # A new layer takes its time: the others come after what else is waiting.
                    self._soon.ask()
                    break
            self._sort()
            share_world_units(self._model, self._viewer)
        finally:
            self.changing = False
        self.changed.emit()

    def _sort(self) -> None:
        wanted = [self._copies[key_of(layer)].layer for layer in self._viewer.layers]
        for place, layer in enumerate(layer for layer in wanted if layer is not None):
            here = self._model.layers.index(layer)
            if here != place:
                self._model.layers.move(here, place)


class _Copy:
    """One layer and its copy, and what differs between them."""

    def __init__(self, source: Any, model: Any, changed: Callable[[], None]) -> None:
        self._source, self._model, self._changed = source, model, changed
        self.layer: Any | None = None
        self.dirty: set[str] = set()
        events = source.events
        names = [name for name in (*_ORDER, *_PAINTED) if hasattr(events, name)]
        self._events = [getattr(events, name) for name in names]
        for event in self._events:
            event.connect(self._on_changed)

    def let_go(self) -> None:
        for event in self._events:
            event.disconnect(self._on_changed)
        self._events = []

    def remove(self) -> None:
        self.let_go()
        if self.layer is not None and self.layer in self._model.layers:
            self._model.layers.remove(self.layer)
        self.layer = None

    def apply(self) -> bool:
        """Make the copy like its source; return whether a layer was added for it."""
        if self.layer is None:
            if self._source.visible:
                self._make()
            return self.layer is not None
        dirty, self.dirty = self.dirty, set()
        if dirty & {"data"} and not isinstance(self._source, Image | Labels | Vectors):
            self._model.layers.remove(self.layer)
            self._make()
            return True
        if dirty & set(_PAINTED):
            self.layer.refresh()
        for name in _ORDER:
            if name not in dirty:
                continue
            setattr(self.layer, name, _plain(getattr(self._source, name)))
        return False

    def _make(self) -> None:
        data, state, kind = self._source.as_layer_data_tuple()
        self.layer = Layer.create(data, {k: _plain(v) for k, v in state.items()}, kind)
        spare_thumbnail(self.layer)
        self._model.add_layer(self.layer)
        self.dirty.clear()

    def _on_changed(self, event: Any) -> None:
        self.dirty.add(str(event.type))
        self._changed()


def _plain(value: Any) -> Any:
    """Return what a plugin's proxy of a napari object stands for."""
    return getattr(value, "__wrapped__", value)
