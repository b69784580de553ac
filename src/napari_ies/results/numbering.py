"""Whether the number of a map's lesion is that of the segmentation it lies beside."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from napari_ies.errors import ResultsError
from napari_ies.printable import joined
from napari_ies.results.sidecars import SaliencyContent, SegmentationContent, read_content

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

_OWN = "desc-lesions_dseg"
_LABELS = re.compile(r"^(sub-[A-Za-z0-9]+(?:_ses-[A-Za-z0-9]+)?)_")


def maps_of_other_labels(folder: Path, stem: str, labels: NDArray[np.int32]) -> list[int]:
    """Find the maps in a folder whose lesions are not those of a segmentation.

    Parameters
    ----------
    folder
        Where the patient's results lie.
    stem
        What their names begin with, such as ``sub-07_ses-1``.
    labels
        int32 (X, Y, Z): the lesions of the segmentation.

    Returns
    -------
    The numbers of lesions of which a map explains other voxels than the segmentation has under
    that number.
    """
    found: set[int] = set()
    for path in sorted(folder.glob(f"{stem}_lesion-*_desc-footprint_mask.json")):
        try:
            content, _ = read_content(path, SaliencyContent)
            lesion = content.lesion
            if lesion is None or lesion in found or _is_of_others(content, f"{stem}_"):
                continue
            if not np.array_equal(_footprint(path, content), labels == lesion):
                found.add(lesion)
        except ResultsError:  # said to whoever reads it
            continue
    return sorted(found)


def numbered_otherwise(path: Path, content: SaliencyContent) -> str:
    """Say that a map's lesion has another number in the segmentation beside it, or nothing.

    The map is given by a file of it, and what its sidecar says.
    """
    named = _LABELS.match(path.name)
    if content.lesion is None or named is None or _is_of_others(content, named[0]):
        return ""
    sidecar = path.with_name(f"{named[0]}{_OWN}.json")
    if not sidecar.exists():
        return ""
    try:
        beside, _ = read_content(sidecar, SegmentationContent)
        name = beside.files.labels
        labels, _ = beside.image(path.with_name(name), np.int32)
        if np.array_equal(_footprint(path, content), labels == content.lesion):
            return ""
    except ResultsError:  # nothing can be said
        return ""
    return (
        f"This map of lesion {content.lesion} is of another segmentation than {name} beside it, in "
        "which that number means other voxels; explain the lesion again."
    )


def numbers(lesions: Iterable[int]) -> str:
    """Put numbers of lesions in words: ``lesion 3``, ``lesions 2, 5 and 7``."""
    every = list(lesions)
    return f"{'lesion' if len(every) == 1 else 'lesions'} {joined(every)}"


def _footprint(path: Path, content: SaliencyContent) -> NDArray[np.bool_]:
    mask, _ = content.image(path.with_name(content.files.footprint), np.uint8)
    return np.asarray(mask > 0)


def _is_of_others(content: SaliencyContent, beginning: str) -> bool:
    """Whether a map's lesions were given as a file of an expert or of another program."""
    files = content.provenance.get("footprint_from")
    labels = files.get("labels") if isinstance(files, dict) else None
    name = labels.get("Name") if isinstance(labels, dict) else None
    return isinstance(name, str) and name != f"{beginning}{_OWN}.nii.gz"
