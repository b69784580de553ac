"""Case: one patient's sequences on one grid, with their geometry."""

from __future__ import annotations

import gzip
import hashlib
import logging
import zlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine

from napari_ies.errors import CaseError
from napari_ies.identity import identify
from napari_ies.normalisation import scaling

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_ies.midline import Midline

logger = logging.getLogger("napari_ies")

GRID_TOLERANCE_MM = 1e-3
"""Two grids are the same when no corner of the volume lies further apart than this."""


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
        Label of the visit (the BIDS session) for file names; empty if there is none.
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

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along each stored axis."""
        x, y, z = self.data.shape[1:]
        return x, y, z

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size along each stored axis, in mm."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)

    @property
    def orientation(self) -> str:
        """Axis codes of the stored grid, such as ``"LAS"``."""
        return "".join(nib.aff2axcodes(self.affine))

    @cached_property
    def midline(self) -> Midline | None:
        """The plane between the halves of the brain, or None where the images show none."""
        from napari_ies.midline import find_midline  # scipy: only where it is needed

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
            A method of :func:`napari_ies.normalisation.normalise`.

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
                    scaling(statistics, method).apply(volume)
                    for statistics, volume in zip(origin.data, self.data, strict=True)
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
    """Load one patient's sequences from NIfTI files onto the grid of the first one.

    A sequence on another grid is resampled linearly onto the first one's through the two files'
    affines (`nibabel.processing.resample_from_to`), and the case's notes say so.

    Parameters
    ----------
    images
        File (``.nii`` or ``.nii.gz``) of each sequence, by name.
    subject, visit
        Labels of patient and visit; by default taken from the paths, see
        :func:`napari_ies.identity.identify`. An empty visit means that there is none.
    grid
        Size and affine of another grid to bring all of them onto, such as a result's.

    Returns
    -------
    Case

    Raises
    ------
    CaseError
        If a file cannot be used, in one sentence that names it.
    """
    if not images:
        raise CaseError("No image was given; give at least one NIfTI file as NAME=FILE.")
    paths = {name: Path(path).expanduser() for name, path in images.items()}
    volumes = {name: read_volume(path) for name, path in paths.items()}
    first, *others = volumes
    stacked: list[NDArray[np.float32]] = []
    notes: list[str] = []
    if grid is None:
        data, affine = volumes[first]
        stacked, onto = [data], first
    else:
        data, affine = np.empty(grid[0], dtype=np.float32), np.asarray(grid[1], dtype=np.float64)
        onto, others = "the result", list(volumes)
    for name in others:
        aligned, note = _onto_grid(volumes[name], name, (data, affine), onto)
        stacked.append(aligned)
        if note:
            logger.warning(note)
            notes.append(note)
    identity = identify(paths.values(), subject=subject, visit=visit)
    for note in identity.notes:
        logger.warning(note)
    return Case(
        sequences=tuple(volumes),
        data=np.stack(stacked),
        affine=affine,
        subject=identity.subject,
        visit=identity.visit,
        paths=tuple(paths.values()),
        sha256=tuple(_sha256(path) for path in paths.values()),
        notes=(*notes, *identity.notes),
    )


def load_mask(path: str | Path, case: Case) -> NDArray[np.bool_]:
    """Load a mask (a reference segmentation, a region) onto the grid of a case.

    Parameters
    ----------
    path
        NIfTI file; every voxel above 0 belongs to the mask.
    case
        The case whose grid the mask must be on; a mask on another grid is resampled with
        nearest neighbour.

    Returns
    -------
    bool (X, Y, Z)

    Raises
    ------
    CaseError
        If the file cannot be read or does not overlap the case.
    """
    path = Path(path).expanduser()
    data, affine = read_volume(path, constant_is_error=False)
    grid = (np.empty(case.shape, dtype=np.float32), case.affine)
    aligned, note = _onto_grid((data, affine), path.name, grid, case.sequences[0], order=0)
    if note:
        logger.warning(note)
    return np.asarray(aligned > 0)


def read_volume(
    path: Path, *, constant_is_error: bool = True
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Read one 3-d NIfTI volume.

    Parameters
    ----------
    path
        ``.nii`` or ``.nii.gz`` file. A fourth dimension of length 1 is dropped.
    constant_is_error
        Whether a volume with one single value is refused.

    Returns
    -------
    data, affine
        float32 (X, Y, Z) and float64 (4, 4).

    Raises
    ------
    CaseError
        If there is no such file, or it is not one finite, real 3-d volume with a position in
        space.
    """
    image = _open(path)
    what = path.name
    dtype = image.get_data_dtype()
    if dtype.names is not None:
        raise CaseError(f"{what} is a colour (RGB) image; expected a grey-value MR sequence.")
    if np.issubdtype(dtype, np.complexfloating):
        raise CaseError(f"{what} holds complex numbers; expected magnitudes, so convert it first.")
    shape = image.shape
    if len(shape) > 3 and all(size == 1 for size in shape[3:]):
        shape = shape[:3]
    if len(shape) > 3:
        raise CaseError(
            f"{what} holds {int(np.prod(shape[3:]))} volumes; expected one 3-d volume, so "
            "extract the one to use."
        )
    if len(shape) < 3 or min(shape) < 2:
        raise CaseError(
            f"{what} has the size {' x '.join(map(str, shape))}; expected a 3-d volume."
        )
    affine = _affine(image, what)
    try:
        data = np.asarray(image.dataobj, dtype=np.float32).reshape(shape)
    except (OSError, EOFError, ValueError, zlib.error, gzip.BadGzipFile) as error:
        raise CaseError(
            f"{what} is damaged or cut short and cannot be read; copy it again from its source."
        ) from error
    if not np.isfinite(data).all():
        bad = int(np.count_nonzero(~np.isfinite(data)))
        raise CaseError(
            f"{what} holds {bad} voxels that are not finite numbers (NaN or infinity); replace "
            "them, for example by 0, before loading."
        )
    if constant_is_error and data.min() == data.max():
        raise CaseError(
            f"Every voxel of {what} has the same value ({data.flat[0]:g}); expected an MR image."
        )
    return data, affine


def _open(path: Path) -> Any:
    if not path.exists():
        raise CaseError(f"There is no file {path}; check the path.")
    if path.is_dir():
        raise CaseError(f"{path} is a folder; expected a NIfTI file (.nii or .nii.gz).")
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        raise CaseError(f"{path.name} is not a NIfTI file; expected .nii or .nii.gz.")
    if path.stat().st_size == 0:
        raise CaseError(f"{path.name} is empty; copy it again from its source.")
    try:
        image = nib.load(path)
    except (nib.filebasedimages.ImageFileError, OSError, EOFError, ValueError, zlib.error) as error:
        raise CaseError(
            f"{path.name} cannot be read as NIfTI; it is damaged or another kind of file."
        ) from error
    return image


def _affine(image: Any, what: str) -> NDArray[np.float64]:
    header = image.header
    if int(header.get("sform_code", 0)) == 0 and int(header.get("qform_code", 0)) == 0:
        raise CaseError(
            f"{what} does not say where it lies in space (neither sform nor qform is set); "
            "convert it again from DICOM with its geometry."
        )
    affine = np.asarray(image.affine, dtype=np.float64)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise CaseError(f"The affine of {what} is not invertible; convert the image again.")
    return affine


def _onto_grid(
    moving: tuple[NDArray[np.float32], NDArray[np.float64]],
    name: str,
    grid: tuple[NDArray[np.float32], NDArray[np.float64]],
    first: str,
    order: int = 1,
) -> tuple[NDArray[np.float32], str]:
    """Return a volume on another grid, and a note where that took resampling."""
    data, affine = moving
    reference, reference_affine = grid
    if data.shape == reference.shape and _same_grid(affine, reference_affine, data.shape):
        return data, ""
    from nibabel.processing import resample_from_to  # scipy: only where it is needed

    covered = resample_from_to(
        nib.Nifti1Image(np.ones(data.shape, dtype=np.uint8), affine),
        (reference.shape, reference_affine),
        order=0,
    )
    share = float(np.mean(np.asarray(covered.dataobj) > 0))
    if share == 0:
        raise CaseError(
            f"The field of view of {name} does not overlap that of {first}; expected images of "
            "the same patient in one space, so register them first."
        )
    resampled = resample_from_to(
        nib.Nifti1Image(data, affine), (reference.shape, reference_affine), order=order
    )
    how = "linear" if order else "nearest-neighbour"
    note = (
        f"{name} lay on another grid ({_grid_words(data.shape, affine)}) and was resampled "
        f"({how}) onto that of {first} ({_grid_words(reference.shape, reference_affine)}), by "
        f"the positions in the files; it covers {100 * share:.0f} % of it."
    )
    return np.asarray(resampled.dataobj, dtype=np.float32), note


def _same_grid(
    one: NDArray[np.float64], other: NDArray[np.float64], shape: tuple[int, ...]
) -> bool:
    corners = np.array([[0, 0, 0], *np.diag(shape), shape], dtype=float)
    distance = apply_affine(one, corners) - apply_affine(other, corners)
    return bool(np.linalg.norm(distance, axis=1).max() <= GRID_TOLERANCE_MM)


def _grid_words(shape: tuple[int, ...], affine: NDArray[np.float64]) -> str:
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    sizes = " × ".join(f"{size:.2f}".rstrip("0").rstrip(".") for size in spacing)
    return f"{' × '.join(map(str, shape))} voxels of {sizes} mm"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
