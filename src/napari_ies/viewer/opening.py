"""The viewer with a saved session in it, as a command opens it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from napari_ies.viewer.widget import LesionSaliencyWidget


def run_session(folder: Path) -> None:
    """Open the viewer with a session, and wait for the person at the screen."""
    import napari

    show_session(napari.Viewer(title="napari-ies", show=True), folder)
    napari.run()


def show_session(viewer: Any, folder: Path) -> LesionSaliencyWidget:
    """Open the panel with a session in a viewer."""
    _, panel = viewer.window.add_plugin_dock_widget("napari-ies", "Lesion saliency")
    panel.open_session(str(folder))
    return panel  # type: ignore[no-any-return]
