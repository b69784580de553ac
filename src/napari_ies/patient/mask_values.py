"""What the values of a mask or label map mean: one rule for files and layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.errors import CaseError
from napari_ies.geometry.components import instances
from napari_ies.printable import joined

if TYPE_CHECKING:
    from numpy.typing import NDArray

SOFT_THRESHOLD = 0.5
"""From which value on a voxel of a soft mask belongs to it."""

WHOLE = 1e-3
"""How far a value may be from a whole number and still be one, rounded by the file's scale."""

MOST_LABELS = 100_000
"""Labels above this are numbered anew: some of what follows takes memory by the highest one."""

MOST_LESIONS = 10_000
"""More lesions than these are noise: no brain has a tenth of them."""

LARGEST_EXACT = 2.0**53
"""Floating point tells whole numbers apart up to here."""

MOST_CLASSES = 10
"""Up to so many different values are classes or lesions, whatever lies beside what."""

FEW_VALUES = 5
"""So many values are named one by one."""

FEW_LABELS = 3
"""So few labels may be kinds of lesion instead of lesions: their separate parts are counted."""


def mask_of(values: NDArray[Any], name: str) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Say which voxels of an array a person means by it, by the one rule for files and layers.

    Of whole numbers, those above 0: -1 is none, 255 is one. Of others, between 0 and 1, those
    from 0.5 on: a soft mask, or one that a file's scale and offset moved off the whole numbers.

    Parameters
    ----------
    values
        (X, Y, Z), of any type.
    name
        What they are called in sentences.

    Returns
    -------
    mask, notes
        bool (X, Y, Z), and what must be said about it.

    Raises
    ------
    CaseError
        If they are fractions that are not between 0 and 1, or graded whole numbers.
    """
    mask, notes = _marked(values, name)
    return mask, (*notes, *_several(values, mask, name))


def _marked(values: NDArray[Any], name: str) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    if values.dtype == bool:
        return np.asarray(values), ()
    if not np.isfinite(values).all():
        raise CaseError(
            f"{name} holds values that are not finite numbers (NaN or infinity); replace them, for "
            "example by 0, first."
        )
    if not np.issubdtype(values.dtype, np.integer) and np.abs(values).max() > LARGEST_EXACT:
        low, high = float(np.min(values)), float(np.max(values))
        raise CaseError(
            f"{name} holds values from {low:.4g} to {high:.4g}, which are no labels; expected a "
            "mask or a label image."
        )
    if _are_whole(values):
        mask, notes = _above_zero(values, name)
        _refuse_graded(values, mask, name)
        return mask, notes
    low, high = float(np.min(values)), float(np.max(values))
    if high > 1 + 2 * WHOLE or low < -1 - 2 * WHOLE:
        raise CaseError(
            f"{name} holds fractions from {low:.4g} to {high:.4g}; expected a mask of whole "
            "numbers or of probabilities from 0 to 1."
        )
    mask = np.asarray(values >= SOFT_THRESHOLD)
    return mask, (
        f"{name} holds fractions ({low:.4g} to {high:.4g}): its voxels from {SOFT_THRESHOLD:g} "
        f"on were taken, {np.count_nonzero(mask)} of them.",
    )


def lesions_of(values: NDArray[Any], name: str) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """Take an array as a set of lesions: connected components of a mask, or its own labels.

    Parameters
    ----------
    values
        (X, Y, Z), of any type, see :func:`mask_of`.
    name
        What they are called in sentences.

    Returns
    -------
    labels, notes
        int32 (X, Y, Z), 0 for none; and how they were taken.

    Raises
    ------
    CaseError
        As :func:`mask_of` does.
    """
    mask, notes = _marked(values, name)
    marked = _whole_numbers(values[mask])
    present, order = np.unique(marked, return_inverse=True)
    labels = np.zeros(values.shape, dtype=np.int32)
    check_count(len(present), name)
    if not _are_whole(values) or len(present) < 2:
        labels = instances(mask)
        count = int(labels.max(initial=0))
        check_count(count, name)
        said = f"{name} is a mask: its {count} connected parts (18 neighbours) are the lesions."
    elif present[-1] <= MOST_LABELS:
        labels[mask] = marked
        said = _labels_said(labels, present, name)
    else:
        labels[mask] = order + 1
        said = (
            f"{name} holds {len(present)} labels; each is taken as one lesion, numbered anew from "
            f"1 to {len(present)}, since the highest label is {present[-1]}."
        )
    return labels, (*notes, said)


def check_count(count: int, name: str) -> None:
    """Refuse a count of lesions that cannot be; the name says what marks them, for the sentence.

    Raises
    ------
    CaseError
        If there are more than :data:`MOST_LESIONS`.
    """
    if count > MOST_LESIONS:
        raise CaseError(
            f"{name} marks {count:,} separate lesions; expected at most {MOST_LESIONS:,}, so "
            "check whether it is noise or a threshold that is too low."
        )


def _are_whole(values: NDArray[Any]) -> bool:
    if values.dtype == bool or np.issubdtype(values.dtype, np.integer):
        return True
    # A scale and an offset may move 0 and 1 by a hair; labels above that are exact.
    return bool((np.abs(values - np.rint(values)) <= WHOLE).all())


def _whole_numbers(values: NDArray[Any]) -> NDArray[Any]:
    """Return values as integers: exactly where they are some, or else rounded."""
    if np.issubdtype(values.dtype, np.integer):
        return values
    return np.asarray(np.rint(values).astype(np.int64))


def _above_zero(values: NDArray[Any], name: str) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    mask = np.asarray(values > SOFT_THRESHOLD)
    notes = []
    below = values < -SOFT_THRESHOLD
    # Where nothing is 0, a value below is how a program writes "not marked".
    if below.any() and not (below | mask).all():
        count = int(np.count_nonzero(below))
        notes.append(
            f"{name} holds values below 0 in {count} voxels, which were taken as unmarked."
        )
    return mask, tuple(notes)


def _several(values: NDArray[Any], mask: NDArray[np.bool_], name: str) -> tuple[str, ...]:
    """Say which values above 0 a mask has, where there are more than one."""
    if values.dtype == bool or not _are_whole(values):
        return ()
    present = np.unique(_whole_numbers(values[mask]))
    if len(present) < 2:
        return ()
    first, last = present[0], present[-1]
    if last == 255:
        held = "255 beside other values above 0"
    elif len(present) <= FEW_VALUES:
        held = f"the values {joined(present)}"
    elif _numbers_its_parts(_whole_numbers(values), mask, len(present)):
        return ()
    else:
        held = f"{len(present)} different values above 0 ({first} to {last})"
    return (f"{name} holds {held}; all of them were taken as marked.",)


def _numbers_its_parts(values: NDArray[Any], mask: NDArray[np.bool_], count: int) -> bool:
    """Whether the values are the numbers 1 to count of separate parts: they mean no more."""
    parts = instances(mask)
    if int(values.max()) != count or int(parts.max()) != count:
        return False
    # As many pairs as parts: each part has one value, and each value one part.
    return len(np.unique(values[mask].astype(np.int64) * (count + 1) + parts[mask])) == count


def _labels_said(labels: NDArray[np.int32], present: NDArray[Any], name: str) -> str:
    """Say how labels were taken; few of them with many parts may be kinds of lesion."""
    if len(present) <= FEW_LABELS:
        parts = [int(instances(labels == value).max()) for value in present]
        if max(parts) > 1:
            return (
                f"{name} holds {len(present)} labels of {joined(parts)} separate parts; each label "
                "is taken as one lesion, with all its parts."
            )
    return f"{name} holds {len(present)} labels; each is taken as one lesion."


def _refuse_graded(values: NDArray[Any], mask: NDArray[np.bool_], name: str) -> None:
    """Refuse whole numbers that are degrees, such as per cent, and no labels.

    They are many, and most of them lie mostly in voxels with more neighbours of other values than
    of their own; labels, touching each other or not, are solid.
    """
    marked = _whole_numbers(values[mask])
    present, order = np.unique(marked, return_inverse=True)
    if len(present) <= MOST_CLASSES:
        return
    labels = np.zeros(values.shape, dtype=np.int32)
    labels[mask] = order + 1
    graded = _between_others(labels)[mask]
    of_each = np.bincount(order[graded], minlength=len(present)) / np.bincount(order)
    if np.count_nonzero(of_each > 0.5) > len(present) / 2:
        raise CaseError(
            f"{name} holds graded whole numbers from {present[0]} to {present[-1]}, such as a "
            "probability in per cent; expected a mask or labels, so divide it by its maximum or "
            "threshold it."
        )


def _between_others(labels: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return which voxels have more neighbours (6) with other labels than with their own."""
    balance = np.zeros(labels.shape, dtype=np.int8)
    for axis in range(3):
        ahead = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        behind = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        one, other = labels[behind], labels[ahead]
        both = (one > 0) & (other > 0)
        step = np.where(one == other, -1, 1).astype(np.int8) * both
        balance[behind] += step
        balance[ahead] += step
    return np.asarray(balance > 0)
