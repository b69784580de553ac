"""A layer as a mask or as lesions on a case's stored grid: for regions, references and lesions.

What is seen is what is taken: the layer's voxels as they are painted now, where they lie now; what
they mean is said by the one rule for files and layers (:mod:`napari_ies.patient.masks`). Runs in
the worker thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.errors import CaseError, NapariIESError
from napari_ies.viewer.volumes.layer_data import labels_shown
from napari_ies.viewer.volumes.sources import changed_note

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_ies.patient.case import Case
    from napari_ies.viewer.volumes.frame import Frame
    from napari_ies.viewer.volumes.sources import Source

Notes = tuple[str, ...]


def layer_mask(
    source: Source, value: int | None, case: Case, frame: Frame, *, reference: bool = False
) -> tuple[NDArray[np.bool_], Notes]:
    """Return the voxels of a mask's layer on a case's stored grid.

    Parameters
    ----------
    source
        The layer as it is now.
    value
        The label; None for all that it marks, see :func:`napari_ies.patient.masks.mask_of`.
    case, frame
        The stored grid, and where it lies in the viewer.
    reference
        Whether what is found beyond it counts as false.

    Returns
    -------
    mask, notes
        bool (X, Y, Z), and what a reader must know: a layer on the case's grid is taken voxel by
        voxel, one on another grid with nearest neighbour, by the affine of its file where it has
        one and was not moved, and by its place in the viewer otherwise.

    Raises
    ------
    CaseError
        If the layer does not overlap the images, or marks (nearly) all of them.
    """
    from napari_ies.patient.masks import check_mask, mask_of

    marked, notes = (
        mask_of(source.stored, source.name) if value is None else (source.stored == value, ())
    )
    mask, said = _onto_case(marked, source, case, frame, reference=reference)
    check_mask(mask, case, source.name)
    return mask, (*notes, *said)


def reference_mask(
    source: Source, case: Case, frame: Frame
) -> tuple[NDArray[np.bool_], Path | NDArray[np.bool_], Notes]:
    """Return a reference on a case's stored grid, and what is remembered of it.

    Parameters
    ----------
    source
        A layer that was read from a file, or painted.
    case, frame
        The stored grid, and where it lies in the viewer.

    Returns
    -------
    mask, reference, notes
        bool (X, Y, Z); the layer's file where that holds what is seen, and the mask otherwise;
        what a reader must know, in plain sentences.

    Raises
    ------
    CaseError
        If the layer does not overlap the images, or marks no lesions but most of the brain.
    """
    from napari_ies.patient.masks import check_mask, read_mask

    if source.path is not None and _as_in_file(source, source.path):
        known = read_mask(source.path, case, lesions=True)
        return known.values, source.path, known.notes
    mask, notes = layer_mask(source, None, case, frame, reference=True)
    check_mask(mask, case, source.name, lesions=True)
    return mask, mask, notes


def layer_lesions(source: Source, case: Case, frame: Frame) -> tuple[NDArray[np.int32], Notes]:
    """Return the lesions that a layer marks, as labels on a case's stored grid.

    Parameters
    ----------
    source
        A mask, whose connected components are the lesions, or a label map.
    case, frame
        The stored grid, and where it lies in the viewer.

    Returns
    -------
    labels, notes
        int32 (X, Y, Z), 0 for none; what a reader must know, in plain sentences.

    Raises
    ------
    CaseError
        If the layer does not overlap the images, or marks nothing or most of the brain.
    """
    from napari_ies.patient.masks import check_mask, lesions_of, read_lesions

    if source.path is not None and _as_in_file(source, source.path):
        known = read_lesions(source.path, case)
        return known.values, known.notes
    labels, notes = lesions_of(source.stored, source.name)
    moved, said = _onto_case(labels, source, case, frame)
    check_mask(moved > 0, case, source.name, lesions=True, may_be_empty=False)
    return moved, (*notes, *said)


def _as_in_file(source: Source, path: Path) -> bool:
    """Whether a file still holds what its layer shows: it may have been painted in or moved."""
    from napari_ies.patient.images.volume import read_volume

    if source.moved:
        return False
    try:
        volume = read_volume(path, constant_is_error=False)
        values = volume.data
        if values.shape != source.stored_shape or not volume.grid.same_as(source.grid):
            return False
        return np.array_equal(values, source.stored) or np.array_equal(
            labels_shown(values, path.name), source.stored
        )
    except NapariIESError:
        return False


def _onto_case(
    marked: NDArray[Any], source: Source, case: Case, frame: Frame, *, reference: bool = False
) -> tuple[NDArray[Any], Notes]:
    """Bring what a layer marks, axes as stored, onto the case's grid, voxel for voxel if it can."""
    from napari_ies.geometry.resampling import onto
    from napari_ies.patient.masks import placement_notes

    numbers = marked.astype(np.uint8) if marked.dtype == bool else marked
    if source.affine is not None and not source.moved:
        grids = source.grid, case.grid
        moved = onto(numbers, *grids, order=0)
        data = moved.data
    else:
        numbers, grids = source.frame.reorientation.apply(numbers), (source.frame.grid, frame.grid)
        moved = onto(numbers, *grids, order=0)
        data = frame.reorientation.invert(moved.data)
    data = np.ascontiguousarray(data.astype(marked.dtype, copy=False))
    if marked.any() and not data.any():
        raise CaseError(
            f"What is painted in {source.name} does not overlap the images; expected a layer of "
            "the same patient in the same space."
        )
    # Without a file it is no news that a layer is taken where it is shown.
    was_moved = source.moved and source.path is not None
    said = (changed_note(source, "its place"),) if was_moved else ()
    names = source.name, case.sequences[0]
    return data, (*said, *placement_notes(numbers, moved, *grids, names, reference=reference))
