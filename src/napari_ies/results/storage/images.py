"""Images on disk: NIfTI, values and affine as they are, and checked when read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import nibabel as nib
import numpy as np

from napari_ies.errors import CaseError, ResultsError
from napari_ies.geometry.box import Box
from napari_ies.geometry.grid import Grid
from napari_ies.patient.images.image_files import UNREADABLE, Content, open_image
from napari_ies.results.names import sidecar_name
from napari_ies.results.storage.json_files import CHANGED, MISSING
from napari_ies.results.storage.packing import write_packed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_ies.patient.case import Case
    from napari_ies.results.storage.writing import Writer

SCANNER_SPACE = 1
"""NIfTI's code for coordinates of the scanner."""


class OnGrid(NamedTuple):
    """Where the values of an image lie."""

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    space: int
    """NIfTI's code for what its millimetres refer to."""

    @classmethod
    def of(cls, case: Case) -> OnGrid:
        """Return the grid of a case."""
        return cls(case.shape, case.affine, case.space)


def image_writer(values: NDArray[Any], case: Case | OnGrid, box: Box | None = None) -> Writer:
    """Return what writes an array as NIfTI, values and affine unchanged.

    Parameters
    ----------
    values
        (x, y, z), written in their own type.
    case
        Whose grid they lie on; where that says nothing, its millimetres are those of the scanner.
    box
        The part of that grid that they fill; it is 0 around them. All of it by default.
    """

    def writer(path: Path) -> None:
        place = Box.whole(values.shape) if box is None else box
        header = _header(values.dtype, case)
        # Four zeros: no extension of the header follows.
        write_packed(path, header.binaryblock + bytes(4), values, place, case.shape)

    return writer


def _header(dtype: np.dtype[Any], case: Case | OnGrid) -> nib.Nifti1Header:
    affine, space = case.affine, case.space or SCANNER_SPACE
    without_values = np.broadcast_to(np.zeros((), dtype), case.shape)
    image = nib.Nifti1Image(without_values, affine, dtype=dtype)
    image.set_sform(affine, code=space)
    image.set_qform(affine, code=space)
    if not Grid.of(case.shape, image.get_qform()).same_as(Grid.of(case.shape, affine)):
        # A sheared affine has no quaternion form; readers then take the sform alone.
        image.set_qform(None, code=0)
        image.set_sform(affine, code=space)
    image.header.set_xyzt_units("mm")
    image.header.set_slope_inter(1, 0)
    image.header.set_data_offset(image.header.single_vox_offset)
    return image.header


def read_image(
    path: Path, dtype: type[np.generic], shape: Sequence[int], sha256: str = ""
) -> tuple[NDArray[Any], str]:
    """Read an image that napari-ies wrote, with the SHA-256 of the file as it was read.

    Parameters
    ----------
    path
        NIfTI file.
    dtype, shape
        What its sidecar promises.
    sha256
        Of the file, as its sidecar records it; empty for results of before that was written.

    Raises
    ------
    ResultsError
        If it is missing, damaged or another image.
    """
    content = _opened(path)
    if sha256 and content.sha256 != sha256:
        raise ResultsError(CHANGED.format(path=path, sidecar=sidecar_name(path.name)))
    image = content.image
    found, size = image.get_data_dtype(), image.shape
    if found == np.dtype(dtype) and size == tuple(shape):
        data = _values(path, image)
        found = data.dtype
    if found != np.dtype(dtype) or size != tuple(shape):
        raise ResultsError(
            f"{path} holds {found} values of size {size}, its sidecar says {np.dtype(dtype)} of "
            f"size {tuple(shape)}; one of the two was replaced, so compute the result again."
        )
    return np.ascontiguousarray(data), content.sha256


def read_changed_labels(path: Path, grid: Grid) -> tuple[NDArray[np.int32], str]:
    """Read an image of lesions that another program may have saved, with its SHA-256.

    Parameters
    ----------
    path
        NIfTI file; its values may be of any type, as long as they are whole numbers.
    grid
        Where its voxels lie.

    Raises
    ------
    ResultsError
        If it is missing, damaged, lies elsewhere or holds no labels.
    """
    content = _opened(path)
    image = content.image
    if image.shape != grid.shape or not Grid.of(image.shape, image.affine).same_as(grid):
        raise ResultsError(
            f"{path} was changed and does not lie on the voxels it lay on (size {image.shape}, "
            f"before {grid.shape}); save it again in the order and place that it had."
        )
    data = _values(path, image)
    with np.errstate(invalid="ignore"):
        labels = data.astype(np.int32)
    if data.dtype.kind not in "iuf" or not np.array_equal(labels, data):
        raise ResultsError(
            f"{path} was changed and holds values that are no labels; save it again with whole "
            "numbers."
        )
    return np.ascontiguousarray(labels), content.sha256


def _opened(path: Path) -> Content:
    if not os.path.lexists(path):
        raise ResultsError(MISSING.format(path=path))
    try:
        return open_image(path)
    except CaseError as error:
        raise ResultsError(str(error)) from error


def _values(path: Path, image: Any) -> NDArray[Any]:
    try:
        return np.asarray(image.dataobj)
    except UNREADABLE as error:
        raise ResultsError(
            f"{path} is damaged or cut short and cannot be read; copy or compute it again."
        ) from error
