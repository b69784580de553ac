"""Planes: the three directions of slicing on screen, and the side of the patient at each border."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST_ASIDE = 0.4
"""Of a letter in space, as a part of how far from the middle it could lie."""

_ENDS = (("S", "I"), ("A", "P"), ("R", "L"))
"""Where the displayed axes (inferior, posterior, left) start and end."""


class Marks(NamedTuple):
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


def marks_in_space(
    sight: Sequence[float], up: Sequence[float], axes: Sequence[int], *, mirrored: bool = False
) -> dict[str, tuple[float, float]]:
    """Return where the sides of the patient lie on a screen that shows space.

    Parameters
    ----------
    sight, up
        Where the screen looks, and which way is up there, as unit vectors along `axes`.
    axes
        The displayed axes as the screen has them: 0 inferior, 1 posterior, 2 left.
    mirrored
        Whether the screen shows a left-handed space.

    Returns
    -------
    How far right and how far down of its middle each letter belongs, both from -1 to 1; letters
    that lie nearly before or behind the middle are left out.
    """
    right = np.cross(sight, up) * (-1 if mirrored else 1)
    found = {}
    for place, axis in enumerate(axes):
        across, down = float(right[place]), -float(up[place])
        if np.hypot(across, down) < LEAST_ASIDE:
            continue
        start, end = _ENDS[axis]
        found[start], found[end] = (-across, -down), (across, down)
    return found


@dataclass(frozen=True)
class Plane:
    """One of the three directions of slicing.

    The axes run towards inferior, posterior and left, so rows of a coronal or sagittal plane run
    from superior down, and columns from the patient's right (axial, coronal) or from anterior
    (sagittal).

    Parameters
    ----------
    name
        For a heading.
    across, down, along
        Displayed axis that the slices follow each other along, that of the rows, of the columns.
    coordinate
        What the slices' position is called in the scanner's coordinates.
    """

    name: str
    across: int
    down: int
    along: int
    coordinate: str

    @property
    def order(self) -> tuple[int, int, int]:
        """Its axes: its depth, its rows (downwards), its columns (rightwards)."""
        return self.across, self.down, self.along

    @property
    def marks(self) -> Marks:
        """Where its borders lie in the patient."""
        return marks_of((self.down, self.along))


AXIAL = Plane("Axial", 0, 1, 2, "z")
CORONAL = Plane("Coronal", 1, 0, 2, "y")
SAGITTAL = Plane("Sagittal", 2, 0, 1, "x")
PLANES = (AXIAL, CORONAL, SAGITTAL)
"""By the displayed axis that each is a slice of."""
