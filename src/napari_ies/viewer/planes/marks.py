"""Marks: which side of the patient lies at which border of a plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

AXIAL, CORONAL, SAGITTAL = 0, 1, 2
"""The displayed axis (inferior, posterior, left) that a plane is a slice of."""

PLANE_NAMES = ("Axial", "Coronal", "Sagittal")
UPRIGHT = ((0, 1, 2), (1, 0, 2), (2, 0, 1))
"""Order of the axes of each plane: its depth, its rows (downwards), its columns (rightwards).

The axes run towards inferior, posterior and left, so rows of a coronal or sagittal plane run from
superior down, and columns from the patient's right (axial, coronal) or from anterior (sagittal).
"""

_ENDS = (("S", "I"), ("A", "P"), ("R", "L"))


@dataclass(frozen=True)
class Marks:
    """The letters at the borders of a plane: R/L, A/P, S/I."""

    left: str
    right: str
    top: str
    bottom: str


def marks_of(shown: Sequence[int], orientation: Sequence[str] = ("down", "right")) -> Marks:
    """Return the letters at the borders of a plane.

    Parameters
    ----------
    shown
        Displayed axes of its rows and of its columns: 0 inferior, 1 posterior, 2 left.
    orientation
        Where rows and columns run on the screen: ``"up"`` or ``"down"``, ``"left"`` or
        ``"right"``.
    """
    rows, columns = shown
    top, bottom = _ENDS[rows]
    left, right = _ENDS[columns]
    if orientation[0] == "up":
        top, bottom = bottom, top
    if orientation[1] == "left":
        left, right = right, left
    return Marks(left, right, top, bottom)
