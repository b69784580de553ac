"""Volume: one image file as what it means, in millimetres; or one sentence on why it is none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.errors import CaseError
from napari_ies.free_memory import not_enough_memory
from napari_ies.geometry.grid import Grid
from napari_ies.patient.images.image_claims import damaged
from napari_ies.patient.images.image_files import Content, open_image
from napari_ies.patient.images.volume_position import position_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Volume:
    """One 3-d image."""

    path: Path | None
    """The file, or None for what came from none, such as a layer of the viewer."""
    data: NDArray[Any]
    """float32 (X, Y, Z), voxels as stored, values with the file's scale and offset applied; of the
    file's own type where that was asked for."""
    grid: Grid
    """Where they lie, in mm."""
    step: float = 0.0
    """Difference between neighbouring values that the file can hold; 0 for floating point."""
    space: int = 1
    """NIfTI's code for what the millimetres refer to: 1 the scanner, 4 the MNI template, …"""
    sha256: str = ""
    """Of the bytes that were read, in hexadecimal."""
    notes: tuple[str, ...] = ()
    """What a reader must know about how the file was taken: plain sentences."""

    @property
    def affine(self) -> NDArray[np.float64]:
        """Voxel indices to mm (RAS+), 4 x 4."""
        return self.grid.affine


def read_volume(
    path: str | Path,
    *,
    constant_is_error: bool = True,
    own_type: bool = False,
    content: bytes = b"",
) -> Volume:
    """Read one 3-d image in a format that nibabel reads.

    Parameters
    ----------
    path
        NIfTI (``.nii``, ``.nii.gz``, ``.img`` with ``.hdr``), FreeSurfer (``.mgz``, ``.mgh``) and
        what else nibabel reads; known by content where that says it, whatever the file's name
        and whether or not it is compressed. Dimensions beyond the third are dropped where their
        length is 1.
    constant_is_error
        Whether a volume with one single value is refused.
    own_type
        Whether whole numbers without a scale, and float64, keep their type: for labels, of which
        float32 tells those above 2**24 apart no more.
    content
        All of the file, where it was read already.

    Raises
    ------
    CaseError
        If there is no such file, or it is not one finite, real 3-d volume with a position in
        space, in one sentence that names it.
    """
    path = expanded(path)
    opened = open_image(path, content)
    position = position_of(opened, path.name)
    data = _values_of(opened, path.name, own_type)
    if constant_is_error and data.min() == data.max():
        raise CaseError(
            f"Every voxel of {path.name} has the same value ({data.flat[0]:g}); expected an MR "
            "image."
        )
    return Volume(
        path=path,
        data=data,
        grid=Grid.of(opened.shape, position.affine),
        step=_step_of(opened.image),
        space=position.space,
        sha256=opened.sha256,
        notes=(*opened.notes, *position.notes),
    )


def expanded(path: str | Path) -> Path:
    """Return a path with its ``~`` replaced by the person's home, where the system knows it."""
    path = Path(path)
    try:
        return path.expanduser()
    except RuntimeError:  # a person of whom the system knows no home
        return path


def _values_of(content: Content, what: str, own_type: bool) -> NDArray[Any]:
    try:
        with np.errstate(all="ignore"):  # what does not fit single precision is told below
            data = np.asarray(content.image.dataobj, dtype=_type_of(content.image, own_type))
        data = data.reshape(content.shape)
    except MemoryError as error:
        raise CaseError(not_enough_memory(f"read {what}")) from error
    # A foreign file makes nibabel's readers fail in whatever way its bytes happen to lead to.
    except Exception as error:
        raise damaged(what) from error
    if not np.isfinite(data).all():
        bad = int(np.count_nonzero(~np.isfinite(data)))
        raise CaseError(
            f"{what} holds {bad} voxels that are not finite numbers (NaN or infinity); replace "
            "them, for example by 0, before loading."
        )
    return data


def _type_of(image: Any, own_type: bool) -> np.dtype[Any]:
    """Return the type to read values in: float32, or the file's own, in this machine's order."""
    own = np.dtype(image.get_data_dtype()).newbyteorder("=")
    slope, intercept = (getattr(image.dataobj, name, None) for name in ("slope", "inter"))
    unscaled = (slope, intercept) == (1.0, 0.0) or (slope is None and intercept is None)
    exact = np.issubdtype(own, np.integer) or own == np.float64
    return own if own_type and exact and unscaled else np.dtype(np.float32)


def _step_of(image: Any) -> float:
    """Return the difference between neighbouring values of a file of whole numbers, else 0."""
    if not np.issubdtype(image.get_data_dtype(), np.integer):
        return 0.0
    slope = getattr(image.dataobj, "slope", 1.0)
    return abs(float(np.max(slope)))


READABLE = (
    ".nii", ".nii.gz", ".mgz", ".mgh", ".mgh.gz", ".img", ".img.gz", ".hdr", ".hdr.gz", ".mnc",
    ".par", ".rec", ".head", ".brik", ".brik.gz",
)  # fmt: skip
"""Endings, in lower case, of files that are read; others are, if their content is NIfTI's."""


def stem_of(path: str | Path) -> str:
    """Return the name of an image file without its ending: ``flair`` of ``flair.nii.gz``."""
    name = Path(path).name
    for ending in sorted(READABLE, key=len, reverse=True):
        if name.lower().endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)]
    return Path(path).stem or name
