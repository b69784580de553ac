"""Assembling: layers of the viewer become one patient's case. Runs in the worker thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_ies.errors import CaseError
from napari_ies.viewer.volumes.sources import changed_note, placed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_ies.patient.case import Case
    from napari_ies.patient.images.volume import Volume
    from napari_ies.viewer.volumes.sources import Source


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

    A layer that still shows the file it was read from, values and place, is that file, with its
    hash. What was changed since, and what has no file, counts as it is shown, see
    :func:`napari_ies.viewer.volumes.sources.placed`; the case's notes say so.

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
    from napari_ies.patient.loading import case_of_volumes

    volumes = {name: _volume_of(source) for name, source in placed(sources).items()}
    return case_of_volumes(
        volumes,
        subject=whose.patient,
        visit=whose.visit,
        # A layer that was changed still shows its file's patient.
        named=[source.path for source in sources.values()],
    )


def _volume_of(source: Source) -> Volume:
    _check(source)
    if source.path is not None:
        return _volume_of_file(source, source.path)
    from napari_ies.patient.images.volume import Volume

    data = np.asarray(source.stored, dtype=np.float32)
    return Volume(None, data, source.grid, _step_of(source), notes=source.notes)


def _volume_of_file(source: Source, path: Path) -> Volume:
    """Take the file where its layer still shows it, and else what the layer shows."""
    from napari_ies.patient.images.volume import Volume, read_volume

    read = read_volume(path, constant_is_error=False)
    shown = np.asarray(source.stored, dtype=np.float32)
    same_values = np.array_equal(read.data, shown)
    same_place = not source.moved and (
        source.affine is None or read.grid.same_as(source.grid) or shown.shape != read.data.shape
    )
    if same_values and same_place:
        return read
    changed = [("its values", same_values), ("its place", same_place)]
    note = changed_note(source, " and ".join(what for what, same in changed if not same))
    return Volume(
        None,
        shown,
        source.grid,
        step=read.step if same_values else _step_of(source),
        space=read.space if same_place else 1,
        notes=(*read.notes, *source.notes, note),
    )


def _step_of(source: Source) -> float:
    # Whole numbers are met exactly; floating point has no step.
    return 1.0 if np.issubdtype(source.array.dtype, np.integer) else 0.0


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
