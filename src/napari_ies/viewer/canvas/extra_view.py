"""Extra view: one more canvas of napari's, beside the viewer's own."""

from __future__ import annotations

from typing import Any

from napari.qt import QtViewer
from napari.utils.action_manager import action_manager

from napari_ies.viewer.canvas.own_context import keep_to_own_context


def extra_view(model: Any, viewer: Any) -> Any:
    """Return a canvas that shows a viewer model (napari's ``ViewerModel``), without sliders.

    It has the theme of the viewer that it stands beside.
    """
    # A new QtViewer binds every key anew, to what it does already, and with each of them napari
    # writes the hints for an empty window anew: a quarter of the time that a new canvas takes.
    with action_manager.events.shortcut_changed.blocker():
        view = QtViewer(model)
    view.dims.hide()
    keep_to_own_context(view.canvas)
    view.theme_beside = _Theme(model, viewer)  # the viewer holds it weakly
    return view


class _Theme:
    """Keeps the theme of a viewer model like that of a viewer."""

    def __init__(self, model: Any, viewer: Any) -> None:
        self._model = model
        model.theme = viewer.theme
        viewer.events.theme.connect(self.follow)

    def follow(self, event: Any) -> None:
        self._model.theme = event.value
