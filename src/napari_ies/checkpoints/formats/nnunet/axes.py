"""Axes: which of an image's axes those of nnU-Net's networks are.

Readers give arrays as z, y, x, which the plans transpose: the axis of the thickest slices is first.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from napari_ies.errors import CheckpointError
from napari_ies.printable import joined

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")

LETTERS = "xyz"
"""Axes of an image as it is stored; of one that is reoriented by the reader, those of RAS."""


def image_axes(plans: Any) -> tuple[int, int, int]:
    """Return which axis of the images each of the network's three is, by nnU-Net's plans."""
    a, b, c = (2 - int(axis) for axis in plans.transpose_forward)
    return a, b, c


def along_image(plans: Any, values: Sequence[T]) -> tuple[T, T, T]:
    """Return values along the network's axes in the order of the image's: x, y, z."""
    by_axis = dict(zip(image_axes(plans), values, strict=True))
    return by_axis[0], by_axis[1], by_axis[2]


def letters(plans: Any, axes: Sequence[int]) -> tuple[str, ...]:
    """Return the names of some of the network's axes along the image, in the image's order."""
    named = image_axes(plans)
    return tuple(sorted(LETTERS[named[axis]] for axis in axes))


def mirrored_axes(plans: Any, wanted: object, trained: Sequence[int]) -> tuple[int, ...]:
    """Return the axes of a window that are mirrored.

    Parameters
    ----------
    plans
        nnU-Net's own.
    wanted
        True for all that it was trained with, False for none, or the names of some of them.
    trained
        Axes of a window that were mirrored in training.

    Raises
    ------
    CheckpointError
        If it is anything else.
    """
    if isinstance(wanted, bool):
        return tuple(trained) if wanted else ()
    allowed = letters(plans, trained)
    if not isinstance(wanted, list | tuple) or not all(one in allowed for one in wanted):
        given = json.dumps(wanted, default=str)[:100]
        along = f"along {joined(allowed)} of the image" if allowed else "along no axis"
        some = " or a list of some of these" if allowed else ""
        raise CheckpointError(
            f"The profile's mirroring is {given}, and the network was trained with mirror images "
            f"{along}: expected true, false{some}."
        )
    named = image_axes(plans)
    return tuple(axis for axis in trained if LETTERS[named[axis]] in wanted)
