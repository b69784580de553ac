"""Assembling: layers of the viewer become one patient's case. Runs in the worker thread."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_ies.errors import CaseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_ies.case import Case
    from napari_ies.geometry.grid import Grid
    from napari_ies.viewer.sources import Source


@dataclass(frozen=True)
class Whose:
    """Whose images these are, as a person typed it; None for what the files' names say.

    Parameters
    ----------
    patient, visit
        Labels for file names; an empty visit means that there is none.
    """

    patient: str | None = None
    visit: str | None = None


NOBODY_TYPED = Whose()


def assemble_case(sources: Mapping[str, Source], whose: Whose = NOBODY_TYPED) -> Case:
    """Make a case of layers, one per sequence, in this order, on the grid of the first.

    Files are read anew, so that what is computed is what the file holds, with its hash; layers
    without a file are taken as they are.

    Parameters
    ----------
    sources
        The layer of each sequence.
    whose
        Labels of patient and visit that were typed.

    Raises
    ------
    CaseError
        If they do not belong together, in one sentence.
    """
    from napari_ies.case import load_case

    paths = {name: source.path for name, source in sources.items() if source.path is not None}
    if len(paths) == len(sources):
        return load_case(paths, subject=whose.patient, visit=whose.visit)
    case = _case_of_layers(sources)
    from napari_ies.identity import identify

    identity = identify(case.paths, subject=whose.patient, visit=whose.visit)
    return replace(
        case,
        subject=identity.subject,
        visit=identity.visit,
        notes=(*case.notes, *identity.notes),
    )


@dataclass(frozen=True, eq=False)
class _Volume:
    """A layer's voxels as stored, from its file where it has one."""

    data: NDArray[np.float32]
    grid: Grid
    step: float
    sha256: str
    notes: tuple[str, ...]


def _case_of_layers(sources: Mapping[str, Source]) -> Case:
    from napari_ies.background import find_background
    from napari_ies.case import Case, align
    from napari_ies.image_notes import background_notes

    volumes = {name: _volume_of(source) for name, source in sources.items()}
    first = next(iter(volumes))
    target = volumes[first].grid
    notes = [note for volume in volumes.values() for note in volume.notes]
    stacked, backgrounds = [], []
    for name, volume in volumes.items():
        background = find_background(volume.data, volume.step)
        data, note = align(volume.data, volume.grid, target, name, first, background)
        notes += [*([note] if note else []), *background_notes(volume.data, background, name)]
        stacked.append(data)
        backgrounds.append(background)
    return Case(
        sequences=tuple(sources),
        data=np.stack(stacked),
        affine=target.affine,
        paths=tuple(source.path for source in sources.values()),
        sha256=tuple(volume.sha256 for volume in volumes.values()),
        notes=tuple(notes),
        backgrounds=tuple(backgrounds),
    )


def _volume_of(source: Source) -> _Volume:
    from napari_ies.volume import read_volume

    if source.path is not None:
        read = read_volume(source.path)
        return _Volume(read.data, read.grid, read.step, read.sha256, read.notes)
    _check(source)
    data = np.asarray(source.stored, dtype=np.float32)
    # Whole numbers are met exactly; floating point has no step.
    step = 1.0 if np.issubdtype(source.array.dtype, np.integer) else 0.0
    return _Volume(data, source.grid, step, "", source.notes)


def _check(source: Source) -> None:
    values = source.array
    if np.issubdtype(values.dtype, np.complexfloating):
        raise CaseError(f"The layer {source.name} holds complex numbers; expected grey values.")
    if not np.isfinite(values).all():
        raise CaseError(
            f"The layer {source.name} holds values that are not finite numbers; replace them, "
            "for example by 0, first."
        )
    if values.min() == values.max():
        raise CaseError(
            f"Every voxel of the layer {source.name} has the same value; expected an MR image."
        )
