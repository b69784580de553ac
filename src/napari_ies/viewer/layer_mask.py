"""A Labels layer as a mask on a case's stored grid: for regions and for references alike.

What is seen is what is taken: the layer's voxels as they are painted now, where they lie now.
Runs in the worker thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_ies.errors import CaseError, NapariIESError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_ies.case import Case
    from napari_ies.viewer.frame import Frame
    from napari_ies.viewer.sources import Source

GRID_TOLERANCE_MM = 1e-3


def layer_mask(
    source: Source, value: int | None, case: Case, frame: Frame
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Return the voxels of a Labels layer on a case's stored grid.

    Parameters
    ----------
    source
        The layer as it is now.
    value
        The label; None for all of them.
    case, frame
        The stored grid, and where it lies in the viewer.

    Returns
    -------
    mask, notes
        bool (X, Y, Z), and what a reader must know: a layer on the case's grid is taken voxel by
        voxel, one on another grid with nearest neighbour, by the affine of its file where it has
        one and by its place in the viewer otherwise.

    Raises
    ------
    CaseError
        If the layer does not overlap the images.
    """
    shown = source.displayed != 0 if value is None else source.displayed == value
    if _same_display(source, frame):
        return np.ascontiguousarray(frame.reorientation.invert(shown)), ()
    if source.affine is not None:
        mask = _by_affine(source.frame.reorientation.invert(shown), source.affine, case)
    else:
        mask = _by_display(shown, source, frame)
    if shown.any() and not mask.any():
        raise CaseError(
            f"What is painted in {source.name} does not overlap the images; expected a layer of "
            "the same patient in the same space."
        )
    note = (
        f"{source.name} lies on another grid than {case.sequences[0]} and was brought to it with "
        f"nearest neighbour: {np.count_nonzero(shown)} of its voxels became "
        f"{np.count_nonzero(mask)}."
    )
    return mask, (note,)


def reference_mask(
    source: Source, case: Case, frame: Frame
) -> tuple[NDArray[np.bool_], Path | NDArray[np.bool_], tuple[str, ...]]:
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
        If the layer does not overlap the images.
    """
    from napari_ies.masks import read_mask

    if source.path is not None and _as_in_file(source, source.path):
        known = read_mask(source.path, case, lesions=True)
        return known.values, source.path, known.notes
    mask, notes = layer_mask(source, None, case, frame)
    return mask, mask, notes


def _as_in_file(source: Source, path: Path) -> bool:
    """Whether a file still holds what its layer shows: it may have been painted in since."""
    from napari_ies.volume import read_volume

    try:
        values = read_volume(path, constant_is_error=False).data
    except NapariIESError:
        return False
    return np.array_equal(values > 0, source.stored > 0)


def _same_display(source: Source, frame: Frame) -> bool:
    return (
        source.displayed.shape == frame.reorientation.displayed_shape
        and np.allclose(source.place.scale, frame.scale, rtol=0, atol=1e-6)
        and np.allclose(source.place.translate, frame.translate, rtol=0, atol=GRID_TOLERANCE_MM)
    )


def _by_affine(
    stored: NDArray[np.bool_], affine: NDArray[np.float64], case: Case
) -> NDArray[np.bool_]:
    import nibabel as nib
    from nibabel.processing import resample_from_to

    image = nib.Nifti1Image(stored.astype(np.uint8), affine)
    moved = resample_from_to(image, (case.shape, case.affine), order=0)
    return np.asarray(np.asarray(moved.dataobj) > 0)


def _by_display(shown: NDArray[np.bool_], source: Source, frame: Frame) -> NDArray[np.bool_]:
    """Look up each displayed voxel of the case where it lies in the layer."""
    indices, inside = [], []
    for axis, size in enumerate(frame.reorientation.displayed_shape):
        world = frame.translate[axis] + np.arange(size) * frame.scale[axis]
        first, step = source.place.translate[axis], source.place.scale[axis]
        index = np.floor((world - first) / step + 0.5).astype(int)
        inside.append((index >= 0) & (index < shown.shape[axis]))
        indices.append(np.clip(index, 0, shown.shape[axis] - 1))
    mask = shown[np.ix_(*indices)]
    mask &= inside[0][:, None, None] & inside[1][:, None] & inside[2]
    return np.ascontiguousarray(frame.reorientation.invert(mask))
