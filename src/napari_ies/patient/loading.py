"""Loading: from image files, or volumes that were read, to a case on the grid of the first one."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_ies.errors import CaseError
from napari_ies.geometry.grid import Grid
from napari_ies.geometry.resampling import onto
from napari_ies.patient.background import Background, find_background, inside, only_fills
from napari_ies.patient.case import Case
from napari_ies.patient.identity import identify
from napari_ies.patient.image_notes import background_notes
from napari_ies.patient.images.volume import Volume, read_volume
from napari_ies.patient.sequence_names import contradicted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray


logger = logging.getLogger("napari_ies")

LEAST_COVERED = 0.05
"""Share of the first sequence's field of view that another one must cover."""


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
