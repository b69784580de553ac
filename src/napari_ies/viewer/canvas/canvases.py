"""Canvas: where the canvas of a viewer is in the window, and which pixel shows which millimetre."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QPointF, QRectF

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtWidgets import QMainWindow, QWidget


def around(widget: QWidget, kind: type) -> Any | None:
    """Return the widget of a kind that another is in, afloat or not; None if it is in none."""
    parent = widget.parentWidget()
    while parent is not None and not isinstance(parent, kind):
        parent = parent.parentWidget()
    return parent


def qt_viewer_of(window: QMainWindow | None) -> Any | None:
    """Return napari's own view in the middle of a main window, or None."""
    from napari.qt import QtViewer

    middle = None if window is None else window.centralWidget()
    return None if middle is None else middle.findChild(QtViewer)


def shown_axes(dims: Any) -> tuple[int, int]:
    """Return the axes of the rows and the columns of a 2-d view, among the last three."""
    rows, columns = (int(axis) - (dims.ndim - 3) for axis in tuple(dims.displayed)[-2:])
    return rows, columns


def pixel_at(viewer: Any, size: tuple[float, float], position: Sequence[float]) -> QPointF:
    """Return the pixel of a 2-d view that shows a world position.

    Parameters
    ----------
    viewer
        Whose camera looks.
    size
        Width and height of the canvas in pixels.
    position
        World position in mm along the last three axes.
    """
    camera = viewer.scene.camera
    rows, columns = shown_axes(viewer.dims)
    vertical, horizontal = camera.orientation2d
    down = (position[rows] - camera.center[-2]) * camera.zoom
    right = (position[columns] - camera.center[-1]) * camera.zoom
    return QPointF(
        size[0] / 2 + (right if str(horizontal) == "right" else -right),
        size[1] / 2 + (down if str(vertical) == "down" else -down),
    )


def cells(viewer: Any, canvas: Any) -> list[tuple[QRectF, Any]]:
    """Return the parts of a canvas that each show the slice, and what is drawn in each.

    Parameters
    ----------
    viewer
        The viewer, or viewer model, that the canvas shows.
    canvas
        napari's canvas (``QtViewer.canvas``).

    Returns
    -------
    Where a part lies, in pixels of the canvas, and its scene: one for each cell that holds a layer
    in napari's grid, the whole canvas otherwise.
    """
    grid, layers = viewer.canvas.grid, viewer.layers
    if grid.enabled and canvas.grid_views:
        views = zip(grid.iter_viewboxes(layers), canvas.grid_views, strict=False)
        found = [(_rectangle(view), view.scene) for (_, here), view in views if here]
        if found:
            return found
    height, width = canvas.size
    return [(QRectF(0, 0, width, height), canvas.view.scene)]


def _rectangle(view: Any) -> QRectF:
    left, top = view.transform.translate[:2]
    return QRectF(left, top, *view.size)
