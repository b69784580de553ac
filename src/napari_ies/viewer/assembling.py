"""Assembling: layers of the viewer become one patient's case. Runs in the worker thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_ies.errors import CaseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_ies.case import Case
    from napari_ies.viewer.sources import Source


def assemble_case(sources: Mapping[str, Source]) -> Case:
    """Make a case of layers, one per sequence, in this order.

    Files are read anew, so that what is computed is what the file holds, with its hash; layers
    without a file are taken as they are.

    Raises
    ------
    CaseError
        If they do not belong together, in one sentence.
    """
    from napari_ies.case import load_case

    paths = {name: source.path for name, source in sources.items() if source.path is not None}
    if len(paths) == len(sources):
        return load_case(paths)
    return _case_of_arrays(sources)


def _case_of_arrays(sources: Mapping[str, Source]) -> Case:
    from napari_ies.case import Case

    first_name, first = next(iter(sources.items()))
    for name, source in sources.items():
        same = source.stored_shape == first.stored_shape and np.allclose(
            source.stored_affine, first.stored_affine, atol=1e-3
        )
        if not same:
            raise CaseError(
                f"The layers {first.name} and {source.name} do not lie on one grid; expected "
                f"{first_name} and {name} on the same one, so open both from their NIfTI files."
            )
        _check_finite(source)
    return Case(
        sequences=tuple(sources),
        data=np.stack([np.asarray(s.stored, dtype=np.float32) for s in sources.values()]),
        affine=first.stored_affine,
        paths=tuple(source.path for source in sources.values()),
        notes=tuple(note for source in sources.values() for note in source.notes),
    )


def _check_finite(source: Source) -> None:
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
