"""Picking: a click on the canvas becomes a lesion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from numpy.typing import NDArray

    from napari_ies.viewer.volumes.frame import Frame, Voxel

CLICK_PIXELS = 4
"""A press and release within this many screen pixels is a click, further apart a drag."""

Pick = tuple[int, "Voxel"]


def pick_lesion(
    labels: NDArray[np.int32],
    frame: Frame,
    position: Sequence[float],
    direction: Sequence[float] | None = None,
) -> Pick | None:
    """Return the lesion that a click hits.

    Parameters
    ----------
    labels
        int (X, Y, Z), as stored.
    frame
        Where that grid lies in the world.
    position
        World position in mm: of a slice's pixel or, in the 3-d view, on the line of sight; further
        leading coordinates are ignored.
    direction
        Where the viewer looks in the 3-d view, in world coordinates: the first lesion that the
        line of sight meets is hit. None in a slice.

    Returns
    -------
    Label and stored voxel, or None on the background or outside.
    """
    voxel = (
        frame.to_stored(position) if direction is None else _met(labels, frame, position, direction)
    )
    if voxel is None or labels[voxel] == 0:
        return None
    return int(labels[voxel]), voxel


def _met(
    labels: NDArray[np.int32], frame: Frame, position: Sequence[float], direction: Sequence[float]
) -> Voxel | None:
    """Return the first stored voxel of a lesion that a line of sight meets."""
    look = np.asarray(direction, dtype=float)[-3:]
    look = look / np.linalg.norm(look)
    shape = np.array(frame.reorientation.displayed_shape)
    step = 0.25 * min(frame.scale)
    middle = np.array(frame.translate) + (shape - 1) / 2 * frame.scale
    reach = float(np.linalg.norm(shape * frame.scale)) / 2 + step
    start = np.asarray(position, dtype=float)[-3:]
    nearest = float((middle - start) @ look)
    along = np.arange(nearest - reach, nearest + reach, step)
    points = start + along[:, None] * look
    indices = frame.displayed_index(points)
    inside = np.all((indices >= 0) & (indices < shape), axis=1)
    indices = indices[inside]
    met = np.flatnonzero(frame.reorientation.apply(labels)[tuple(indices.T)])
    if not met.size:
        return None
    i, j, k = (int(index) for index in indices[met[0]])
    return frame.reorientation.to_stored((i, j, k))


class ClickPicker:
    """Tells clicks from drags on a viewer's canvas, whatever layer is selected.

    Parameters
    ----------
    on_click
        Gets the world position and, in the 3-d view, the direction of sight, else None.
    """

    def __init__(
        self, on_click: Callable[[tuple[float, ...], tuple[float, ...] | None], None]
    ) -> None:
        self._on_click = on_click

    def __call__(self, viewer: Any, event: Any) -> Generator[None, None, None]:
        """Follow one press of the mouse; napari drives this generator."""
        if event.button != 1 or event.modifiers or _is_editing(viewer):
            return
        pressed = np.asarray(event.pos, dtype=float)
        position, direction = tuple(event.position), event.view_direction
        in_3d = len(event.dims_displayed) == 3
        yield
        while event.type == "mouse_move":
            if np.linalg.norm(np.asarray(event.pos, dtype=float) - pressed) > CLICK_PIXELS:
                return
            yield
        self._on_click(position, tuple(direction) if in_3d and direction is not None else None)


def _is_editing(viewer: Any) -> bool:
    """Whether a click belongs to a tool: painting, drawing, adding points."""
    active = viewer.layers.selection.active
    return active is not None and str(active.mode) not in ("pan_zoom", "pick")
