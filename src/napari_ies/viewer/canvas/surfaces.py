"""Surfaces: what space shows of a reading, computed beside the window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_ies.viewer.state.reading import Reading
    from napari_ies.viewer.volumes.frame import Frame

    Mesh = tuple[NDArray[np.float64], NDArray[np.int64]]
    """Vertices (N, 3) in world mm and triangles (M, 3)."""

COARSE_MM = 3.0
"""Size of the cells of the head's surface: enough for a faint shape."""


@dataclass(frozen=True, eq=False)
class Surfaces:
    """The surfaces of a reading."""

    head: Mesh | None
    """Of the head or, skull-stripped, of the brain; None where there is none."""
    lesions: Mesh | None
    """Of all lesions; None where there is none."""
    labels: NDArray[np.int64]
    """(N,): the lesion of each vertex of `lesions`."""


def surfaces_of(reading: Reading, given_up: Callable[[], bool]) -> Surfaces | None:
    """Compute the surfaces of a reading; a task for a thread.

    Parameters
    ----------
    reading
        Of which patient.
    given_up
        Whether nobody waits for them any more, asked now and then; they are None then.
    """
    frame = reading.frame
    lesions, labels = lesion_surfaces(reading.segmentation.labels, frame, given_up)
    if given_up():
        return None
    return Surfaces(head_surface(reading.case.above_background[0], frame), lesions, labels)


def head_surface(volume: NDArray[np.float32], frame: Frame) -> Mesh | None:
    """Return the surface of the head or, skull-stripped, of the brain.

    Parameters
    ----------
    volume
        (X, Y, Z), as stored; 0 in the background.
    frame
        Where it lies in the viewer.

    Returns
    -------
    Vertices (N, 3) in world mm and triangles (M, 3), or None where there is no surface.
    """
    from scipy import ndimage

    from napari_ies.patient.midline import head_mask

    steps = [max(1, round(COARSE_MM / size)) for size in frame.scale]
    coarse = frame.reorientation.apply(volume)[tuple(slice(None, None, step) for step in steps)]
    parts, count = ndimage.label(ndimage.binary_opening(head_mask(coarse)))
    if count == 0:
        return None
    largest = 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    solid = ndimage.binary_fill_holes(parts == largest)
    vertices, triangles = _surface(solid, 1.0)
    return vertices * np.multiply(steps, frame.scale) + frame.translate, triangles


def lesion_surfaces(
    labels: NDArray[np.int32], frame: Frame, given_up: Callable[[], bool] = lambda: False
) -> tuple[Mesh | None, NDArray[np.int64]]:
    """Return the surfaces of all lesions, and the lesion of each vertex.

    Parameters
    ----------
    labels
        (X, Y, Z), as stored.
    frame
        Where they lie in the viewer.
    given_up
        Whether the rest may be left out.
    """
    from scipy import ndimage

    shown = frame.reorientation.apply(labels)
    vertices: list[Any] = []
    triangles: list[Any] = []
    owners: list[Any] = []
    count = 0
    for label, box in enumerate(ndimage.find_objects(shown), start=1):
        if box is None:
            continue
        if given_up():
            break
        corner, faces = _surface(shown[box] == label, 0.6)
        first = [part.start for part in box]
        vertices.append((corner + first) * frame.scale + frame.translate)
        triangles.append(faces + count)
        owners.append(np.full(len(corner), label))
        count += len(corner)
    if not vertices:
        return None, np.zeros(0, np.int64)
    return (np.concatenate(vertices), np.concatenate(triangles)), np.concatenate(owners)


def _surface(solid: NDArray[np.bool_], smoothing: float) -> Mesh:
    """Return a closed surface around what is true, in voxel indices; smoothing in voxels."""
    from scipy import ndimage
    from skimage.measure import marching_cubes

    soft = ndimage.gaussian_filter(np.pad(solid, 3).astype(np.float32), smoothing)
    # A lesion of a few voxels is smoothed away below a half.
    level = min(0.5, 0.6 * float(soft.max()))
    vertices, triangles, _, _ = marching_cubes(soft, level)
    return vertices - 3.0, triangles.astype(np.int64)
