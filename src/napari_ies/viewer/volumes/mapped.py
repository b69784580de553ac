"""Layers that other readers mapped from a file: read while the file is still whole.

An array that is mapped into memory reads from its file whenever it is looked at; once another
program has cut that file short, looking ends the process.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.errors import CaseError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def held(values: NDArray[Any], name: str) -> NDArray[Any]:
    """Return an array that is in memory: the same one, or a copy of one that a file is mapped to.

    Parameters
    ----------
    values
        Of a layer.
    name
        Of the layer, for the sentence.

    Raises
    ------
    CaseError
        If the file is shorter than it was.
    """
    found = _mapping(values)
    if found is None:
        return values
    mapping, start = found
    # Asked of the open file: another one may have its name by now. Between this and the end of
    # the copying it can still be cut; no program can prevent that but by not mapping.
    if mapping.size() < start + len(mapping):
        raise CaseError(
            f"The file that the layer {name} is read from was cut short since it was opened; "
            "remove the layer and open the file again."
        )
    return np.array(values)


def _mapping(values: NDArray[Any]) -> tuple[mmap.mmap, int] | None:
    """Return what an array is mapped by, and where in the file that begins."""
    start = 0
    base: Any = values
    while base is not None:
        if isinstance(base, np.memmap):
            # A view of a part keeps its whole's place in the file.
            start = base.offset - base.offset % mmap.ALLOCATIONGRANULARITY
        if isinstance(base, mmap.mmap):
            return base, start
        base = base.obj if isinstance(base, memoryview) else getattr(base, "base", None)
    return None
