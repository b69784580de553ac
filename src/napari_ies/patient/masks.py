"""What a file or layer of an expert or of another program marks: one rule for all of them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from nibabel.affines import apply_affine

from napari_ies.errors import CaseError
from napari_ies.geometry.components import instances
from napari_ies.geometry.resampling import Resampled, onto
from napari_ies.patient.images.volume import read_volume
from napari_ies.patient.mask_values import check_count, lesions_of, mask_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_ies.geometry.grid import Grid
    from napari_ies.patient.case import Case

__all__ = ["Mask", "check_mask", "lesions_of", "load_mask", "mask_of", "read_lesions", "read_mask"]

logger = logging.getLogger("napari_ies")

MOST_OF_IMAGE = 0.9
"""A mask that covers more of the image than this marks nothing in it."""

MOST_OUTSIDE = 0.5
"""Lesions lie in the brain: no more of them than this share lies outside."""

MOST_OF_BRAIN = 0.5
"""Lesions that cover more of the brain than this are none."""


@dataclass(frozen=True, eq=False)
class Mask:
    """What a file or layer marks, on a case's grid."""

    values: NDArray[Any]
    """bool (X, Y, Z), or int32 (X, Y, Z) lesion labels with 0 for none."""
    notes: tuple[str, ...] = ()
    """How it was taken: plain sentences."""
    sha256: str = ""
    """Of the file, or empty."""
    name: str = ""
    """Of the file, or empty."""


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
    name = Path(path).name
    marked, notes = mask_of(volume.data, name)
    moved, said = _on_case(marked, volume.grid, case, name, reference=lesions)
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
    name = Path(path).name
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
        If it marks (nearly) all of the image, nothing, or more lesions than there can be.
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
    check_count(int(instances(mask).max(initial=0)), name)
    brain = case.inside.any(axis=0)
    marked = int(np.count_nonzero(mask))
    outside = int(np.count_nonzero(mask & ~brain))
    if outside > MOST_OUTSIDE * marked:
        raise CaseError(
            f"{name} marks mostly what lies outside the brain ({100 * outside / marked:.0f} % of "
            "its voxels); expected lesions, so check whether it is an inverted mask or lies "
            "elsewhere."
        )
    of_brain = float(np.count_nonzero(mask & brain)) / max(int(np.count_nonzero(brain)), 1)
    if of_brain > MOST_OF_BRAIN:
        raise CaseError(
            f"{name} marks {100 * of_brain:.0f} % of the brain; expected lesions, so check whether "
            "it is a brain mask or an inverted one."
        )


def placement_notes(
    marked: NDArray[Any],
    moved: Resampled,
    source: Grid,
    target: Grid,
    names: tuple[str, str],
    *,
    reference: bool = False,
) -> tuple[str, ...]:
    """Say how what a file or layer marks came to lie on the grid of a case.

    Parameters
    ----------
    marked
        (X, Y, Z) on `source`: above 0 is marked.
    moved
        The same on `target`.
    source, target
        The grids.
    names
        What the mask and the case's grid are called in sentences.
    reference
        Whether what is found beyond it counts as false.

    Returns
    -------
    Nothing where both are the same grid; else one sentence, which names what was lost too.
    """
    name, there = names
    if moved.how == "same":
        return ()
    counts = int(np.count_nonzero(marked)), int(np.count_nonzero(moved.data))
    axes = source.to_voxels(target)[:3, :3]
    # Every second voxel of a finer grid is none of the same lattice.
    if moved.how != "turned" or abs(np.linalg.det(axes)) != 1:
        said = (
            f"{name} lay on another grid ({source.words}) and was resampled (nearest neighbour) "
            f"onto that of {there} ({target.words}): {counts[0]} of its voxels became {counts[1]}"
        )
    elif not np.array_equal(axes, np.eye(3)):
        said = f"{name} was stored in another order and was turned, exactly"
    else:
        said = (
            f"{name} lies on other voxels ({source.words}) of the same lattice and was placed on "
            f"those of {there} ({target.words}) exactly"
        )
    return (f"{said}{_outside_words(marked, source, target, moved.covered, reference)}.",)


def _outside_words(
    marked: NDArray[Any], source: Grid, target: Grid, covered: float, reference: bool
) -> str:
    """Return what :func:`placement_notes` adds where a mask does not lie in the images entirely.

    Such as ``"; 7 of its 33 marked voxels lie outside the images; it covers 30 % of the image"``,
    or nothing. `covered` is the share of `target` that lies in the field of view of `source`.
    """
    where = apply_affine(target.to_voxels(source), np.argwhere(marked > 0))
    # A hair's breadth more, as in resampling.
    outside = ((where < -0.5 - 1e-6) | (where > np.array(target.shape) - 0.5 + 1e-6)).any(axis=-1)
    count = int(np.count_nonzero(outside))
    words = f"; {count} of its {len(where)} marked voxels lie outside the images" if count else ""
    if covered < 1:
        # Never rounded up to all of it.
        words += f"; it covers {min(100 * covered, 99.9):.3g} % of the image"
        words += ": lesions found outside it count as FP" if reference else ""
    return words


def _on_case(
    values: NDArray[Any], grid: Grid, case: Case, name: str, *, reference: bool = False
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Bring a mask or labels onto the grid of a case with nearest neighbour; say so."""
    as_numbers = values.astype(np.uint8) if values.dtype == bool else values
    moved = onto(as_numbers, grid, case.grid, order=0)
    if moved.covered == 0 or (values.any() and not moved.data.any()):
        raise CaseError(
            f"What {name} marks does not overlap {case.sequences[0]}; expected a mask of the same "
            "patient in the same space."
        )
    names = name, case.sequences[0]
    said = placement_notes(values, moved, grid, case.grid, names, reference=reference)
    # In the order of the case's arrays: what compares both goes through them several times faster.
    return np.ascontiguousarray(moved.data, dtype=values.dtype), said
