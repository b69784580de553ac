"""What a file or layer of an expert or of another program marks: one rule for all of them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.errors import CaseError
from napari_ies.geometry.resampling import onto
from napari_ies.mask_values import lesions_of, mask_of
from napari_ies.volume import read_volume

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_ies.case import Case
    from napari_ies.geometry.grid import Grid

__all__ = ["Mask", "check_mask", "lesions_of", "load_mask", "mask_of", "read_lesions", "read_mask"]

logger = logging.getLogger("napari_ies")

MOST_OF_IMAGE = 0.9
"""A mask that covers more of the image than this marks nothing in it."""

MOST_OF_BRAIN = 0.5
"""Lesions that cover more of the brain than this are none."""


@dataclass(frozen=True, eq=False)
class Mask:
    """What a file or layer marks, on a case's grid.

    Parameters
    ----------
    values
        bool (X, Y, Z), or int32 (X, Y, Z) lesion labels with 0 for none.
    notes
        How it was taken: plain sentences.
    sha256
        Of the file, or empty.
    name
        Of the file, or empty.
    """

    values: NDArray[Any]
    notes: tuple[str, ...] = ()
    sha256: str = ""
    name: str = ""


def load_mask(path: str | Path, case: Case) -> NDArray[np.bool_]:
    """Load a mask (a reference segmentation, a region) onto the grid of a case.

    Parameters
    ----------
    path
        An image file. Of whole numbers, every voxel above 0 belongs to the mask; of others, from
        0.5 on.
    case
        The case whose grid the mask must be on; a mask on another grid is resampled with
        nearest neighbour.

    Returns
    -------
    bool (X, Y, Z)

    Raises
    ------
    CaseError
        If the file cannot be read, does not overlap the case, or marks all of it.
    """
    mask = read_mask(path, case)
    for note in mask.notes:
        logger.warning(note)
    return mask.values


def read_mask(path: str | Path, case: Case, *, lesions: bool = False) -> Mask:
    """Read a mask onto the grid of a case, with what is to be said about it.

    Parameters
    ----------
    path, case
        See :func:`load_mask`.
    lesions
        Whether it must mark lesions, such as a reference: no more than half of the brain then.

    Raises
    ------
    CaseError
        As :func:`load_mask` does.
    """
    volume = read_volume(path, constant_is_error=False, own_type=True)
    name = volume.path.name
    marked, notes = mask_of(volume.data, name)
    moved, said = _on_case(marked, volume.grid, case, name)
    check_mask(moved, case, name, lesions=lesions)
    return Mask(moved, (*volume.notes, *notes, *said), volume.sha256, name)


def read_lesions(path: str | Path, case: Case) -> Mask:
    """Read lesions that an expert or another program marked, as labels on the grid of a case.

    Parameters
    ----------
    path
        An image file: a mask, whose 18-connected components are the lesions, or a label image,
        whose labels are.
    case
        The case.

    Returns
    -------
    Mask
        int32 labels (X, Y, Z).

    Raises
    ------
    CaseError
        If the file cannot be read, does not overlap the case, or marks nothing or all of it.
    """
    volume = read_volume(path, constant_is_error=False, own_type=True)
    name = volume.path.name
    labels, notes = lesions_of(volume.data, name)
    moved, said = _on_case(labels, volume.grid, case, name)
    check_mask(moved > 0, case, name, lesions=True, may_be_empty=False)
    return Mask(moved, (*volume.notes, *notes, *said), volume.sha256, name)


def check_mask(
    mask: NDArray[np.bool_],
    case: Case,
    name: str,
    *,
    lesions: bool = False,
    may_be_empty: bool = True,
) -> None:
    """Refuse a mask that cannot be meant.

    Parameters
    ----------
    mask
        bool (X, Y, Z) on the case's grid.
    case, name
        The case, and what the mask is called in the sentence.
    lesions
        Whether it must mark lesions.
    may_be_empty
        Whether it may mark nothing, as the reference of a patient without lesions does.

    Raises
    ------
    CaseError
        If it marks (nearly) all of the image, or nothing.
    """
    if not may_be_empty and not mask.any():
        raise CaseError(f"{name} marks no voxel of the images; choose another file or layer.")
    share = float(mask.mean())
    if share > MOST_OF_IMAGE:
        raise CaseError(
            f"{name} marks {100 * share:.0f} % of the image, so it cannot be a mask of something "
            "in it; check its values (inverted, or all above 0)."
        )
    if not lesions:
        return
    brain = case.inside.any(axis=0)
    of_brain = float(np.count_nonzero(mask & brain)) / max(int(np.count_nonzero(brain)), 1)
    if of_brain > MOST_OF_BRAIN:
        raise CaseError(
            f"{name} marks {100 * of_brain:.0f} % of the brain; expected lesions, so check whether "
            "it is a brain mask or an inverted one."
        )


def _on_case(
    values: NDArray[Any], grid: Grid, case: Case, name: str
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Bring a mask or labels onto the grid of a case with nearest neighbour; say so."""
    as_numbers = values.astype(np.uint8) if values.dtype == bool else values
    moved = onto(as_numbers, grid, case.grid, order=0)
    if moved.covered == 0 or (values.any() and not moved.data.any()):
        raise CaseError(
            f"What {name} marks does not overlap {case.sequences[0]}; expected a mask of the same "
            "patient in the same space."
        )
    data = moved.data.astype(values.dtype, copy=False)
    if moved.how == "same":
        return data, ()
    if moved.how == "turned":
        return data, (f"{name} was stored in another order and was turned, exactly.",)
    counts = int(np.count_nonzero(values)), int(np.count_nonzero(data))
    return data, (
        f"{name} lay on another grid ({grid.words}) and was resampled (nearest neighbour) onto "
        f"that of {case.sequences[0]} ({case.grid.words}): {counts[0]} of its voxels became "
        f"{counts[1]}.",
    )
