"""Keys: what the keyboard does, in the image and in the panel.

Plain letters that neither the viewer nor any kind of layer of napari uses. Every other key of
the panel reaches napari anyway, so one binding serves canvas and panel alike, and fields to
write in keep their letters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True)
class Key:
    """A key and what it does."""

    key: str
    """As napari writes it, such as ``"Shift-N"``."""
    action: str
    """Name of what it does: see ``actions`` of the features."""
    does: str
    """The same in plain words, for the help page."""

    @property
    def shown(self) -> str:
        """The key as a person reads it, such as ``"Shift+N"``."""
        return self.key.replace("-", "+")


KEYS: tuple[Key, ...] = (
    Key("N", "next", "Go to the next lesion listed, and explain it after a short pause."),
    Key("Shift-N", "previous", "Go to the lesion listed before, likewise."),
    Key("W", "explain", "Explain why the selected lesion was marked, with the form's settings."),
    Key("Shift-W", "explain_all", "Explain all lesions listed, in the background; again: stop."),
    Key("H", "overlay", "Hide or show the saliency map."),
    Key("Shift-H", "outline", "Hide or show the outlines of the lesions."),
    Key("K", "fainter", "Make the saliency map more transparent."),
    Key("Shift-K", "stronger", "Make the saliency map less transparent."),
    Key("Q", "sequence", "Show the next sequence: its image, its map and the limits of that."),
    Key("Shift-Q", "sequences", "Show another sequence beside it, or one again."),
    Key("G", "planes", "Show the three planes side by side, or one again."),
    Key("Shift-Z", "zoom", "Zoom to the selected lesion in every plane, or back."),
    Key("U", "next_of_cohort", "Open the lesion that is up next in the list of the cohort."),
    Key("Shift-U", "previous_of_cohort", "Open the lesion before it in the list of the cohort."),
    Key("J", "note", "Write a note on the selected lesion (F2 in the table)."),
    Key("Shift-Y", "agree", "Say yes to the selected lesion: it is one; again: take that back."),
    Key("Shift-R", "reject", "Reject the selected lesion: it is none; again: take that back."),
    Key("Shift-D", "unsure", "Doubt the selected lesion: unsure; again: take that back."),
)


class Keyboard:
    """Binds the keys to the viewer and to each of its layers, and takes them back.

    A layer's own bindings win over the viewer's in napari, so each layer gets them, too. What a
    person had bound before is put back.

    Parameters
    ----------
    viewer
        The napari viewer, or the proxy that plugins get.
    actions
        What keys can do, by name.
    """

    def __init__(self, viewer: Any, actions: Mapping[str, Callable[[], object]]) -> None:
        self._viewer = viewer
        self._bindings = {key.key: _binding(actions[key.action]) for key in KEYS}
        self._bound: dict[str, tuple[Any, dict[str, Any]]] = {}

    def attach(self) -> None:
        """Bind the keys; does nothing if they are bound."""
        if self._bound:
            return
        self._bind("viewer", self._viewer)
        events = self._viewer.layers.events
        events.inserted.connect(self._on_layers)
        events.removed.connect(self._on_layers)
        self._on_layers()

    def release(self) -> None:
        """Take the keys back everywhere."""
        if not self._bound:
            return
        events = self._viewer.layers.events
        events.inserted.disconnect(self._on_layers)
        events.removed.disconnect(self._on_layers)
        for name in list(self._bound):
            self._unbind(name)

    def _on_layers(self, _: Any = None) -> None:
        present = {str(layer.unique_id): layer for layer in self._viewer.layers}
        for gone in set(self._bound) - set(present) - {"viewer"}:
            self._unbind(gone)
        for new in set(present) - set(self._bound):
            self._bind(new, present[new])

    def _bind(self, name: str, owner: Any) -> None:
        before = {
            key: owner.bind_key(key, binding, overwrite=True)
            for key, binding in self._bindings.items()
        }
        self._bound[name] = (owner, before)

    def _unbind(self, name: str) -> None:
        owner, before = self._bound.pop(name)
        for key, binding in before.items():
            ours = owner.bind_key(key, None)
            if ours is not None and ours is not self._bindings[key]:
                # A person bound it anew meanwhile.
                binding = ours
            if binding is not None:
                owner.bind_key(key, binding, overwrite=True)


def _binding(action: Callable[[], Any]) -> Callable[[Any], None]:
    """Return an action as napari calls what is bound: with the viewer or the layer."""
    return lambda _: action()
