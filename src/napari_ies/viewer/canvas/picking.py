"""Picking: a click on the canvas becomes a lesion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from numpy.typing import NDArray

    from napari_ies.viewer.volumes.frame import Frame, Voxel

CLICK_PIXELS = 4
"""A press and release within this many screen pixels is a click, further apart a drag."""

REACH_MM = 2.0
"""A click this near to a lesion in the slice on show picks it: small ones are hard to hit."""

Pick = tuple[int, "Voxel"]


@dataclass(frozen=True)
class Click:
    """A click on a canvas."""

    position: tuple[float, ...]
    """In the viewer's world: of a slice's pixel or, in the 3-d view, on the line of sight."""
    direction: tuple[float, ...] | None = None
    """Where the viewer looks in the 3-d view, in world coordinates; None in a slice."""
    depth: int | None = None
    """Which of the last three axes the slice lies across; None in the 3-d view, or where an axis
    of other layers, such as time, is across or down."""


def pick_lesion(
    labels: NDArray[np.int32],
    frame: Frame,
    position: Sequence[float],
    direction: Sequence[float] | None = None,
    depth: int | None = None,
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
    depth
        Which axis as displayed the slice lies across: beside a lesion the nearest one in the
        slice is hit, at most `REACH_MM` away. None for only what lies right there.

    Returns
    -------
    Label and stored voxel, or None where no lesion is near.
    """
    voxel = (
        frame.to_stored(position) if direction is None else _met(labels, frame, position, direction)
    )
    if direction is None and depth is not None and (voxel is None or labels[voxel] == 0):
        voxel = _nearest(labels, frame, position, depth)
    if voxel is None or labels[voxel] == 0:
        return None
    return int(labels[voxel]), voxel


def _nearest(
    labels: NDArray[np.int32], frame: Frame, position: Sequence[float], depth: int
) -> Voxel | None:
    """Return the stored voxel of a lesion nearest to a position in a slice, within reach."""
    scale, here = np.array(frame.scale), np.asarray(position, dtype=float)[-3:]
    around = np.where(np.arange(3) == depth, 0, np.ceil(REACH_MM / scale)).astype(int)
    middle, shape = frame.displayed_index(position), frame.reorientation.displayed_shape
    low, high = np.maximum(middle - around, 0), np.minimum(middle + around + 1, shape)
    if np.any(low >= high):
        return None
    part = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    found = np.argwhere(frame.reorientation.apply(labels)[part]) + low
    # To the voxels' borders, which are what is outlined.
    away = np.abs(found * scale + frame.translate - here) - scale / 2
    away[:, depth] = 0.0
    distances = np.linalg.norm(np.maximum(away, 0.0), axis=1)
    if not len(found) or distances.min() > REACH_MM:
        return None
    i, j, k = (int(index) for index in found[distances.argmin()])
    return frame.reorientation.to_stored((i, j, k))


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
        Gets the click.
    """

    def __init__(self, on_click: Callable[[Click], object]) -> None:
        self._on_click = on_click

    def __call__(self, viewer: Any, event: Any) -> Generator[None, None, None]:
        """Follow one press of the mouse; napari drives this generator."""
        if event.button != 1 or event.modifiers or is_editing(viewer):
            return
        pressed = np.asarray(event.pos, dtype=float)
        position, direction, depth = tuple(event.position), event.view_direction, None
        displayed = [axis - len(position) for axis in event.dims_displayed]
        if len(displayed) == 3:
            direction = None if direction is None else tuple(direction)
        elif min(displayed) >= -3:
            direction, (depth,) = None, {0, 1, 2} - {axis + 3 for axis in displayed}
        else:
            direction = None
        yield
        while event.type == "mouse_move":
            if np.linalg.norm(np.asarray(event.pos, dtype=float) - pressed) > CLICK_PIXELS:
                return
            yield
        self._on_click(Click(position, direction, depth))


def is_editing(viewer: Any) -> bool:
    """Whether clicks and drags belong to a tool: painting, drawing, adding points."""
    active = viewer.layers.selection.active
    return active is not None and str(active.mode) not in ("pan_zoom", "pick")
