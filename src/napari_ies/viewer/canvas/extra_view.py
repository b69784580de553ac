"""Extra view: one more canvas of napari's, beside the viewer's own."""

from __future__ import annotations

from typing import Any

from napari.qt import QtViewer
from napari.utils.action_manager import action_manager

from napari_ies.viewer.canvas.own_context import keep_to_own_context


def extra_view(model: Any) -> Any:
    """Return a canvas that shows a viewer model (napari's ``ViewerModel``), without sliders."""
    # A new QtViewer binds every key anew, to what it does already, and with each of them napari
    # writes the hints for an empty window anew: a quarter of the time that a new canvas takes.
    with action_manager.events.shortcut_changed.blocker():
        view = QtViewer(model)
    view.dims.hide()
    keep_to_own_context(view.canvas)
    return view
