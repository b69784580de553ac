"""OwnContext: what layers took in OpenGL is freed where it lies, and not in another window.

Seen in napari 0.9.2: when layers go, its canvas frees their textures at once, in whichever OpenGL
context happens to be current (``VispyCanvas._clean_and_update_scenegraph``). Two windows have
contexts of their own that number their textures alike, so closing one viewer, or removing one of
its layers, freed textures of the other, whose next slice then failed with GLError 1282.
"""

from __future__ import annotations

from typing import Any


class OwnContext:
    """Makes the context of a canvas current before napari frees anything there.

    Parameters
    ----------
    viewer
        The viewer, or viewer model, whose layers the canvas shows.
    native
        The canvas, a ``QOpenGLWidget``.
    """

    def __init__(self, viewer: Any, native: Any) -> None:
        self._native = native
        layers = viewer.layers.events
        self._events: tuple[Any, ...] = (layers.removed, layers.end_batch)
        for event in self._events:
            # Before napari's own canvas hears of it.
            event.connect(self._on_removed, position="first")

    def release(self) -> None:
        """Let go of the viewer."""
        for event in self._events:
            event.disconnect(self._on_removed)
        self._events = ()

    def _on_removed(self, _: Any = None) -> None:
        if self._native.isValid():
            self._native.makeCurrent()
