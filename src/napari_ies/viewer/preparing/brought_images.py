"""The images that a patient or a session brought into the viewer; they go when the next one comes.

Who reads one case after another would have all of them in memory, and of one name.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ies.viewer.canvas.layers import key_of
from napari_ies.viewer.volumes.layer_data import METADATA_KEY, file_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_ies.viewer.canvas.layers import Scene
    from napari_ies.viewer.state.loaded import Restored
    from napari_ies.viewer.volumes.layer_data import LayerDataTuple


class BroughtImages:
    """Adds a patient's layers in place of those of the patient before.

    Parameters
    ----------
    scene
        Where they are added.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._keys: set[str] = set()
        self._former: set[str] = set()

    def came_with(self, layer: Any) -> bool:
        """Whether a mask came with a patient's images: from here, or dropped and known by name."""
        known = layer.metadata.get(METADATA_KEY)
        by_name = isinstance(known, dict) and bool(known.get("named"))
        key = key_of(layer)
        return key in self._keys or (by_name and key not in self._former)

    def take(self, layers: Sequence[LayerDataTuple]) -> None:
        """Add images, the last of them on top, and masks, hidden; show their middle slices."""
        scene = self._scene
        scene.remove(*self._keys)
        self._keys, self._former = set(), {key_of(layer) for layer in scene.masks()}
        for data, arguments, kind in layers:
            hidden = {"visible": False} if kind == "labels" else {}
            self._keys.add(scene.add((data, {**arguments, **hidden}, kind)))
        scene.frame_all(self._keys)

    def show(self, restored: Restored) -> tuple[dict[str, str], str | None]:
        """Show what a saved session had open, each file once.

        Returns
        -------
        The key of each sequence's layer, and that of the reference's, if there is one.
        """
        paths = [_path_of(layer) for layer in restored.images.values()]
        scene = self._scene
        # Before others of the same names come.
        scene.remove(
            *(k for k in self._keys if not any(shows(scene.find(k), path) for path in paths))
        )
        before, there = self._keys, {key_of(layer) for layer in scene.images()}
        keys = {s: self._shown(layer) for s, layer in reversed([*restored.images.items()])}
        self._keys = {key for key in keys.values() if key in before or key not in there}
        reference = None if restored.reference is None else self._shown(restored.reference)
        return keys, reference

    def _shown(self, layer_data: LayerDataTuple) -> str:
        """Return the key of a layer that shows the same file, added if there is none."""
        scene, (_, _, kind) = self._scene, layer_data
        path = _path_of(layer_data)
        for layer in scene.images() if kind == "image" else scene.masks():
            if shows(layer, path):
                return key_of(layer)
        return scene.add(layer_data)


def shows(layer: Any, path: Path) -> bool:
    """Return whether a layer was read from a file."""
    shown = None if layer is None else file_of(layer)
    return shown is not None and Path(shown).absolute() == path.absolute()


def _path_of(layer_data: LayerDataTuple) -> Path:
    """Return the file that a layer was read from."""
    return Path(layer_data[1]["metadata"][METADATA_KEY]["path"])
