"""Where the voxels of a file lie, in mm, and what its header says that contradicts itself."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine
from nibabel.spatialimages import HeaderDataError

from napari_ies.errors import CaseError
from napari_ies.geometry.grid import Grid, size_words

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_ies.patient.images.image_files import Content

SCANNER = 1
"""NIfTI's code for coordinates of the scanner."""

_SPACES = {1: "the scanner's", 2: "another image's", 3: "Talairach", 4: "MNI", 5: "a template's"}

_MILLIMETRES = {"mm": 1.0, "meter": 1000.0, "micron": 0.001, "unknown": 1.0}
_UNIT_WORDS = {"meter": "metres", "micron": "micrometres"}

SMALLEST_MM, LARGEST_MM = 3.0, 2000.0
"""Extents of the field of view between which a patient's image lies."""

SMALLEST_VOXEL_MM, LARGEST_VOXEL_MM = 1e-3, 1e3
"""Sizes between which voxels lie: from microscopy to a header that counts in other units."""

FARTHEST_VOXELS = 1e6
"""How far from the origin, in voxels, a voxel may lie: single precision tells ten times more."""

LEAST_UPRIGHT = 1e-3
"""Volume of a voxel of unit edges below which its axes are taken to lie in a plane."""


@dataclass(frozen=True, eq=False)
class Position:
    """Where the voxels of a file lie."""

    affine: NDArray[np.float64]
    """Voxel indices to mm (RAS+), 4 x 4."""
    space: int
    """NIfTI's code for what they refer to."""
    notes: tuple[str, ...]
    """What the header says that a reader must know: plain sentences."""


def position_of(content: Content, what: str) -> Position:
    """Return where the voxels of an opened file lie, `what` being its name for sentences.

    Of a NIfTI file's two affines the sform counts if it is set and the qform otherwise, as in
    nibabel.

    Raises
    ------
    CaseError
        If it does not say where it lies.
    """
    header, shape = content.image.header, content.shape
    space, notes = SCANNER, []
    if isinstance(header, nib.Nifti1Header):
        space = int(header["sform_code"]) or int(header["qform_code"])
        notes += _contradiction(header, shape, what)
    elif isinstance(header, nib.AnalyzeHeader) and not _has_matrix(content.image):
        space = 0  # left and right of plain Analyze are anybody's guess
    if space == 0:
        raise CaseError(
            f"{what} does not say where it lies in space (neither sform nor qform is set); "
            "convert it again from DICOM with its geometry."
        )
    affine = np.array(content.image.affine, dtype=np.float64)
    if affine.shape != (4, 4) or not np.isfinite(affine).all() or _is_flat(affine):
        raise CaseError(f"The affine of {what} is not invertible; convert the image again.")
    affine, said = _in_millimetres(header, affine, shape, what)
    _check_sane(Grid.of(shape, affine), what)
    return Position(affine, space, (*notes, *said))


def _is_flat(affine: NDArray[np.float64]) -> bool:
    """Whether the axes of the voxels lie in a plane, or nearly."""
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(lengths).all() or (lengths == 0).any():
        return True
    return abs(float(np.linalg.det(affine[:3, :3] / lengths))) < LEAST_UPRIGHT


def _check_sane(grid: Grid, what: str) -> None:
    """Refuse voxels of no patient, and places that no window and no single precision can hold.

    That is voxels below a micrometre or above a metre, or over a million of them from the origin.
    """
    smallest, largest = min(grid.spacing), max(grid.spacing)
    if smallest < 0.99 * SMALLEST_VOXEL_MM or largest > 1.01 * LARGEST_VOXEL_MM:
        sizes = " × ".join(f"{size:.3g}" for size in grid.spacing)
        raise CaseError(
            f"The voxels of {what} measure {sizes} mm; expected an image of a patient, with voxels "
            f"of {SMALLEST_VOXEL_MM:g} to {LARGEST_VOXEL_MM:g} mm, so convert it again."
        )
    away = float(np.abs(grid.corners).max())
    if away > FARTHEST_VOXELS * smallest:
        raise CaseError(
            f"{what} lies up to {away:.3g} mm from the origin of its coordinates, more than a "
            f"million of its voxels ({smallest:.3g} mm); expected an image in a scanner's "
            "coordinates, so convert it again."
        )


def _has_matrix(image: Any) -> bool:
    """Whether an Analyze image came with a matrix of SPM in a file beside it."""
    holder = image.file_map.get("mat")
    return holder is not None and holder.fileobj.seek(0, io.SEEK_END) > 0


def _in_millimetres(
    header: Any, affine: NDArray[np.float64], shape: tuple[int, int, int], what: str
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    unit = _unit_of(header) if isinstance(header, nib.Nifti1Header) else "mm"
    scaled = np.diag([*[_MILLIMETRES[unit]] * 3, 1.0]) @ affine
    stated, converted = Grid.of(shape, affine), Grid.of(shape, scaled)
    if unit in _UNIT_WORDS and _is_patient(stated) and not _is_patient(converted):
        return affine, (
            f"{what} states its sizes in {_UNIT_WORDS[unit]}, which would make its voxels "
            f"{' × '.join(f'{size:g}' for size in converted.spacing)} mm; they were taken as mm.",
        )
    if unit in _UNIT_WORDS:
        return scaled, (
            f"{what} states its sizes in {_UNIT_WORDS[unit]}; they were converted to mm (voxels "
            f"of {size_words(converted.spacing)} mm).",
        )
    if not _is_patient(stated):
        return affine, (
            f"{what} {'has no unit of length' if unit == 'unknown' else 'is in mm'} and its field "
            f"of view would be {size_words(np.multiply(shape, stated.spacing))} mm: volumes and "
            "distances may be wrong; check its voxel size.",
        )
    return affine, ()


def _is_patient(grid: Grid) -> bool:
    extent = float(np.multiply(grid.shape, grid.spacing).max())
    return SMALLEST_MM <= extent <= LARGEST_MM


def _contradiction(header: Any, shape: tuple[int, int, int], what: str) -> list[str]:
    """Say where the two affines of a NIfTI file disagree."""
    try:
        sform, sform_code = header.get_sform(coded=True)
        qform, qform_code = header.get_qform(coded=True)
    except (HeaderDataError, ValueError):
        return []
    if sform is not None and qform is None and np.isfinite(sform).all():
        return _sizes_contradiction(header, sform, shape, what)
    if sform is None or qform is None or not np.isfinite([sform, qform]).all():
        return []
    if abs(np.linalg.det(sform[:3, :3])) < 1e-30 or abs(np.linalg.det(qform[:3, :3])) < 1e-30:
        return []
    if Grid.of(shape, sform).same_as(Grid.of(shape, qform)):
        return []
    spaces = [_SPACES.get(int(code), "unknown") for code in (sform_code, qform_code)]
    said = f"sform ({spaces[0]} coordinates) and qform ({spaces[1]} coordinates)"
    axes = [nib.aff2axcodes(one) for one in (sform, qform)]
    if any({a, b} == {"L", "R"} for a, b in zip(*axes, strict=True)):
        return [
            f"LEFT AND RIGHT ARE CONTRADICTORY in {what}: its {said} swap them; the sform counts "
            "here, so check with another program which of them is true before trusting any side."
        ]
    ends = np.array([[0, 0, 0], *np.diag(shape), shape], dtype=float)
    away = np.linalg.norm(apply_affine(sform, ends) - apply_affine(qform, ends), axis=1).max()
    away *= _MILLIMETRES[_unit_of(header)]
    return [f"In {what}, {said} disagree by up to {away:.3g} mm; the sform counts here."]


def _unit_of(header: Any) -> str:
    """Return NIfTI's word for the unit of length."""
    try:
        return str(header.get_xyzt_units()[0])
    except KeyError:  # a code that NIfTI does not know
        return "unknown"


def _sizes_contradiction(
    header: Any, sform: NDArray[np.float64], shape: tuple[int, int, int], what: str
) -> list[str]:
    """Say where the voxel sizes beside an sform without a qform are others than its own."""
    stated, own = np.array(header["pixdim"][1:4], dtype=float), Grid.of(shape, sform).spacing
    if (stated <= 0).any() or np.allclose(stated, own, rtol=0.01):
        return []
    return [
        f"In {what}, the voxel sizes beside the sform ({size_words(stated)}) are others than its "
        f"own ({size_words(own)}); the sform counts here."
    ]
