"""Case: one patient's sequences on one grid, with their geometry."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from napari_ies.errors import CaseError
from napari_ies.geometry.grid import Grid
from napari_ies.patient.background import Background, find_background, inside
from napari_ies.patient.normalisation import scaling

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_ies.patient.midline import Midline


@dataclass(frozen=True, eq=False)
class Case:
    """One patient's co-registered sequences, as stored.

    Parameters
    ----------
    sequences
        Names of the sequences, in the order of `data`.
    data
        Intensities (C, X, Y, Z), float32, one channel per sequence, voxels as stored on disk.
    affine
        Maps voxel indices to millimetres (RAS+), 4 x 4; oblique or not.
    subject
        Label of the patient for file names, letters and digits only.
    paths
        The file each sequence came from, or None.
    sha256
        SHA-256 of each of these files in hexadecimal, or an empty string.
    notes
        What was done to the images on loading that a reader must know: plain sentences.
    normalised_as
        The case whose statistics normalise this one, for a copy with changed voxels: a change
        of some voxels then leaves all others as the network saw them. None for its own.
    missing
        Sequences whose image is not there, such as in a reopened session: 0 everywhere, to be
        shown as empty and never computed with.
    visit
        Label of the visit (the BIDS session) for file names, letters and digits only; empty if
        there is none.
    space
        NIfTI's code for what the millimetres refer to: 1 the scanner, 4 the MNI template, …
    backgrounds
        The background of each sequence, found in `data` where it is not given; None for a
        sequence without one.
    """

    sequences: tuple[str, ...]
    data: NDArray[np.float32]
    affine: NDArray[np.float64]
    subject: str = "patient"
    paths: tuple[Path | None, ...] = ()
    sha256: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    normalised_as: Case | None = None
    missing: tuple[str, ...] = ()
    visit: str = ""
    space: int = 1
    backgrounds: tuple[Background | None, ...] = ()
    _normalised: dict[str, NDArray[np.float32]] = field(
        default_factory=dict, init=False, repr=False
    )

    def __post_init__(self) -> None:
        if self.data.ndim != 4 or len(self.sequences) != self.data.shape[0]:
            raise CaseError(
                f"The images have shape {self.data.shape} for {len(self.sequences)} sequence "
                "names; expected one 3-d volume per name."
            )
        if len(set(self.sequences)) != len(self.sequences):
            raise CaseError(
                f"The sequence names {', '.join(self.sequences)} repeat; give each its own name."
            )
        if not self.paths:
            object.__setattr__(self, "paths", (None,) * len(self.sequences))
        if not self.sha256:
            object.__setattr__(self, "sha256", ("",) * len(self.sequences))
        if not self.backgrounds:
            found = tuple(find_background(volume) for volume in self.data)
            object.__setattr__(self, "backgrounds", found)

    @property
    def grid(self) -> Grid:
        """The voxels and where they lie."""
        return Grid(self.shape, self.affine)

    @cached_property
    def inside(self) -> NDArray[np.bool_]:
        """Which voxels of each sequence show the patient and not background, bool (C, X, Y, Z).

        A copy with changed voxels has the background of the case that it was made from.
        """
        values = zip(self.data, self.backgrounds, strict=True)
        return np.stack([inside(volume, background) for volume, background in values])

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along each stored axis."""
        x, y, z = self.data.shape[1:]
        return x, y, z

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size along each stored axis, in mm."""
        return self.grid.spacing

    @property
    def orientation(self) -> str:
        """Axis codes of the stored grid, such as ``"LAS"``."""
        return self.grid.orientation

    @cached_property
    def midline(self) -> Midline | None:
        """The plane between the halves of the brain, or None where the images show none."""
        from napari_ies.patient.midline import find_midline  # scipy: only where it is needed

        return find_midline(self.above_background, self.grid)

    @property
    def above_background(self) -> NDArray[np.float32]:
        """How far the intensities lie above the background, (C, X, Y, Z): 0 in it."""
        if all(one is None or one.is_zero for one in self.backgrounds):
            return self.data
        values = [0.0 if one is None else one.value for one in self.backgrounds]
        offset = np.array(values, dtype=np.float32).reshape(-1, 1, 1, 1)
        return np.where(self.inside, self.data - offset, np.float32(0))

    @property
    def why_incomplete(self) -> str:
        """Why nothing can be computed, or an empty string."""
        if not self.missing:
            return ""
        return (
            f"The image of {' and '.join(self.missing)} is not there as it was, so nothing can be "
            "computed; put it back and open the session again."
        )

    def normalised(self, method: str) -> NDArray[np.float32]:
        """Return the intensities as a network sees them, float32 (C, X, Y, Z), read-only.

        They are computed once per method, of :func:`napari_ies.patient.normalisation.scaling`, and
        kept.

        Raises
        ------
        CaseError
            If an image is missing.
        """
        if self.missing:
            raise CaseError(self.why_incomplete)
        if method not in self._normalised:
            origin = self if self.normalised_as is None else self.normalised_as
            values = np.stack(
                [
                    scaling(statistics, method, known).apply(volume, own)
                    for statistics, known, volume, own in zip(
                        origin.data, origin.inside, self.data, self.inside, strict=True
                    )
                ]
            )
            values.setflags(write=False)
            self._normalised[method] = values
        return self._normalised[method]

    def select(self, sequences: Sequence[str]) -> Case:
        """Return the case with just these sequences, in this order.

        Raises
        ------
        CaseError
            If one of them is not in the case.
        """
        if tuple(sequences) == self.sequences:
            return self
        missing = [name for name in sequences if name not in self.sequences]
        if missing:
            raise CaseError(
                f"The case has no sequence {', '.join(missing)}; it holds "
                f"{', '.join(self.sequences)}. Load the missing image or rename one."
            )
        order = [self.sequences.index(name) for name in sequences]
        return replace(
            self,
            sequences=tuple(sequences),
            data=np.ascontiguousarray(self.data[order]),
            paths=tuple(self.paths[i] for i in order),
            sha256=tuple(self.sha256[i] for i in order),
            backgrounds=tuple(self.backgrounds[i] for i in order),
            normalised_as=None
            if self.normalised_as is None
            else self.normalised_as.select(sequences),
            missing=tuple(name for name in sequences if name in self.missing),
        )
