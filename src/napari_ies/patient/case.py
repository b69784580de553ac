"""Case: one patient's sequences on one grid, with their geometry."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from napari_ies.errors import CaseError
from napari_ies.geometry.grid import Grid
from napari_ies.geometry.resampling import onto
from napari_ies.patient.background import find_background, inside, only_fills
from napari_ies.patient.identity import identify
from napari_ies.patient.image_notes import background_notes
from napari_ies.patient.images.volume import read_volume
from napari_ies.patient.normalisation import scaling
from napari_ies.patient.sequence_names import contradicted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_ies.patient.background import Background
    from napari_ies.patient.images.volume import Volume
    from napari_ies.patient.midline import Midline

logger = logging.getLogger("napari_ies")

LEAST_COVERED = 0.05
"""Share of the first sequence's field of view that another one must cover."""


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

        return find_midline(self)

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
        """Return the intensities as a network sees them; computed once per method and kept.

        Parameters
        ----------
        method
            A method of :func:`napari_ies.patient.normalisation.normalise`.

        Returns
        -------
        float32 (C, X, Y, Z), read-only.

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


def load_case(
    images: Mapping[str, str | Path],
    *,
    subject: str | None = None,
    visit: str | None = None,
    grid: tuple[tuple[int, int, int], NDArray[np.float64]] | None = None,
) -> Case:
    """Load one patient's sequences from image files onto the grid of the first one.

    A sequence on another grid is resampled linearly onto the first one's through the two files'
    affines, and the case's notes say so; one that is only stored in another order is turned,
    exactly.

    Parameters
    ----------
    images
        File of each sequence, by name; see :func:`napari_ies.patient.images.volume.read_volume`.
    subject, visit
        Labels of patient and visit; by default taken from the paths, see
        :func:`napari_ies.patient.identity.identify`. An empty visit means that there is none.
    grid
        Size and affine of another grid to bring all of them onto, such as a result's.

    Returns
    -------
    Case

    Raises
    ------
    CaseError
        If a file cannot be used, or two sequences are given the same one, in one sentence that
        names it.
    """
    if not images:
        raise CaseError("No image was given; give at least one NIfTI file as NAME=FILE.")
    volumes = {name: read_volume(path) for name, path in images.items()}
    case = case_of_volumes(volumes, subject=subject, visit=visit, grid=grid)
    for note in case.notes:
        logger.warning(note)
    return case


def case_of_volumes(
    volumes: Mapping[str, Volume],
    *,
    subject: str | None = None,
    visit: str | None = None,
    grid: tuple[tuple[int, int, int], NDArray[np.float64]] | None = None,
    named: Sequence[Path | None] | None = None,
) -> Case:
    """Make a case of volumes that were read, or of what stands for them; see :func:`load_case`.

    Parameters
    ----------
    volumes
        Of each sequence, by name.
    subject, visit, grid
        As there.
    named
        The files whose paths name the patient; by default those of the volumes.

    Raises
    ------
    CaseError
        If they do not belong together.
    """
    _check_different(volumes)
    first = next(iter(volumes))
    target, onto_name = volumes[first].grid, first
    if grid is not None:
        target, onto_name = Grid.of(*grid), "the result"
    notes = [note for volume in volumes.values() for note in volume.notes]
    found: list[Background | None] = []
    stacked: list[NDArray[np.float32]] = []
    for name, volume in volumes.items():
        background = find_background(volume.data, volume.step)
        data, note = align(volume.data, volume.grid, target, name, onto_name, background)
        notes += [*([note] if note else []), *background_notes(volume.data, background, name)]
        found.append(background)
        stacked.append(data)
    paths = [volume.path for volume in volumes.values()]
    places = paths if named is None else list(named)
    identity = identify(places, subject=subject, visit=visit)
    files = {name: path for name, path in zip(volumes, places, strict=True) if path is not None}
    notes += [*identity.notes, *contradicted(files)]
    return Case(
        sequences=tuple(volumes),
        data=np.stack(stacked),
        affine=target.affine,
        subject=identity.subject,
        visit=identity.visit,
        paths=tuple(paths),
        sha256=tuple(volume.sha256 for volume in volumes.values()),
        notes=tuple(notes),
        space=volumes[first].space,
        backgrounds=tuple(found),
    )


def _unmixed(
    data: NDArray[np.float32], source: Grid, target: Grid, background: Background
) -> NDArray[np.float32]:
    """Interpolate the patient's voxels alone; where they have less than half, it is background."""
    patient = inside(data, background)
    share = onto(patient.astype(np.float32), source, target).data
    values = onto(np.where(patient, data, np.float32(0)), source, target).data
    mean = values / np.maximum(share, np.float32(0.5))
    return np.where(share >= 0.5, mean, np.float32(background.value)).astype(np.float32)


def _check_different(volumes: Mapping[str, Volume]) -> None:
    """Refuse one file, or a copy of it, for two sequences."""
    given: dict[str, str] = {}
    for name, volume in volumes.items():
        other = given.setdefault(volume.sha256 or name, name)
        one, path = volumes[other].path, volume.path
        if other != name and one is not None and path is not None:
            same = path.name if one == path else f"{path.name}, whose content is that of {one.name}"
            raise CaseError(
                f"{other} and {name} are given the same image ({same}); expected a file of its own "
                "for each sequence, so choose another one."
            )


def align(
    data: NDArray[np.float32],
    source: Grid,
    target: Grid,
    name: str,
    first: str,
    background: Background | None,
) -> tuple[NDArray[np.float32], str]:
    """Bring a sequence onto the grid of the first one, and say how.

    Parameters
    ----------
    data, source
        float32 (X, Y, Z), and where it lies.
    target
        Where it is wanted.
    name, first
        Of the sequence, and of what gave the grid, for sentences.
    background
        Of the sequence: the new grid holds its value where the sequence does not reach.

    Returns
    -------
    data, note
        The sequence there, and a plain sentence; empty if it lay there.

    Raises
    ------
    CaseError
        If the sequence covers less than a twentieth of the grid.
    """
    fill = 0.0 if background is None else background.value
    moved = onto(data, source, target, fill=fill)
    if background is not None and moved.how == "linear" and only_fills(data, background):
        moved = replace(moved, data=_unmixed(data, source, target, background))
    if moved.covered < LEAST_COVERED:
        how = "does not overlap" if moved.covered == 0 else f"covers {moved.covered:.1%} of"
        raise CaseError(
            f"The field of view of {name} {how} that of {first}; expected images of "
            "the same patient in one space, so register them first."
        )
    if moved.how == "same":
        return moved.data, ""
    covers = f"it covers {100 * moved.covered:.0f} % of it"
    if moved.how == "turned":
        return moved.data, (
            f"{name} was stored on other voxels ({source.orientation}, {source.words}) and was "
            f"put in the order of {first} ({target.orientation}, {target.words}) exactly, without "
            f"interpolation; {covers}."
        )
    return moved.data, (
        f"{name} lay on another grid ({source.words}) and was resampled (linear) onto that of "
        f"{first} ({target.words}), by the positions in the files; {covers}."
    )
