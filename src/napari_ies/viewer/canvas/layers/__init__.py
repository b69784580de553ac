"""The only room that adds, changes or removes viewer layers.

Layers are found by their unique id, never by name, and only layers made here are ever changed:
a person may rename, reorder, hide or delete any of them at any time. What was deleted is added
again with the next result.
"""

from __future__ import annotations

from napari_ies.viewer.canvas.layers.scene import Scene
from napari_ies.viewer.canvas.layers.stack import key_of

__all__ = ["Scene", "key_of"]
