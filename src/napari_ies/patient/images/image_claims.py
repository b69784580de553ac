"""What an image file claims, compared with its size and free memory before it is read."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np

from napari_ies.errors import CaseError
from napari_ies.free_memory import lacking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_ies.patient.images.file_stream import FileStream

MOST_AFTER = 16 << 20
"""Bytes that may follow the values: padding, and the tags and colour tables of FreeSurfer."""

SMALLEST_HEAD = 348
"""Bytes of the shortest header."""

_MGH_TYPES = {0: "u1", 1: "i4", 3: "f4", 4: "i2", 10: "u2"}
_MGH_VALUES_AT = 284


@dataclass(frozen=True)
class Claim:
    """What a header says of the values."""

    shape: tuple[int, ...]
    """All sizes, whatever they are."""
    dtype: np.dtype[Any]
    """Of the values."""
    start: int = 0
    """Where they begin in the unpacked file."""
    notes: tuple[str, ...] = ()
    """What the header says that contradicts itself: plain sentences."""

    @property
    def volume(self) -> tuple[int, int, int]:
        """The three sizes, see :func:`check_volume`."""
        return self.shape[0], self.shape[1], self.shape[2]

    @property
    def end(self) -> int:
        """Bytes from the beginning of the file to the end of the values."""
        return self.start + math.prod(self.shape) * self.dtype.itemsize


def header_claim(header: Any, what: str) -> Claim:
    """Return what a header of NIfTI or Analyze, nibabel's and unchecked, claims.

    `what` is the file's name, here and below, for sentences.

    Raises
    ------
    CaseError
        If no values can be as it says.
    """
    axes = int(header["dim"][0])
    if not 1 <= axes <= 7:
        raise damaged(what, f"its header counts {axes} dimensions")
    shape = tuple(int(size) for size in header["dim"][1 : 1 + axes])
    start = float(header["vox_offset"])
    if not math.isfinite(start) or start < 0:
        raise damaged(what, f"its values would begin at byte {start:g}")
    least = header.single_vox_offset if getattr(header, "is_single", False) else 0
    if start < least:
        raise CaseError(
            f"The header of {what} says that its values begin at byte {start:g}, within the "
            f"header itself ({least} bytes), so where they begin is not known; write the image "
            "again with the program that it comes from."
        )
    try:
        dtype = np.dtype(header.get_data_dtype())
    except (KeyError, ValueError, nib.spatialimages.HeaderDataError) as error:
        raise damaged(what, f"the type of its values is {int(header['datatype'])}") from error
    stated = int(header["bitpix"])
    notes: tuple[str, ...] = ()
    if stated != 8 * dtype.itemsize:
        notes = (
            f"The header of {what} contradicts itself ({dtype.name}, but {stated} bits for each "
            f"voxel); it was read as {dtype.name}.",
        )
    return Claim(shape, dtype, int(start), notes)


def mgh_claim(head: bytes, what: str) -> Claim:
    """Return what the header of a FreeSurfer image claims; see :func:`header_claim`."""
    *sizes, kind = struct.unpack(">5i", head[4:24])
    if kind not in _MGH_TYPES:
        raise damaged(what, f"the type of its values is {kind}")
    shape = tuple(sizes[:3] if sizes[3] == 1 else sizes)
    return Claim(shape, np.dtype(f">{_MGH_TYPES[kind]}"), _MGH_VALUES_AT)


def check_volume(claim: Claim, what: str) -> Claim:
    """Return a claim of one 3-d volume of real numbers.

    It is the header's, without dimensions of length 1 beyond the third.

    Raises
    ------
    CaseError
        If it is another kind of image.
    """
    dtype, shape = claim.dtype, claim.shape
    if dtype.names is not None:
        raise CaseError(f"{what} is a colour (RGB) image; expected a grey-value MR sequence.")
    if dtype.kind == "c":
        raise CaseError(f"{what} holds complex numbers; expected magnitudes, so convert it first.")
    if dtype.kind not in "biuf":
        raise CaseError(f"{what} holds no numbers but {dtype.name}; expected an MR sequence.")
    if len(shape) > 3 and all(size == 1 for size in shape[3:]):
        shape = shape[:3]
    if len(shape) < 3 or min(shape) < 1 or min(shape[:3]) < 2:
        raise CaseError(
            f"{what} has the size {' x '.join(map(str, shape))}; expected a 3-d volume."
        )
    if len(shape) > 3:
        raise CaseError(
            f"{what} holds {math.prod(shape[3:])} volumes; expected one 3-d volume, so "
            "extract the one to use."
        )
    return Claim(shape, dtype, claim.start, claim.notes)


def check_size(claim: Claim, stream: FileStream, what: str) -> None:
    """Compare what a header claims with the file and with the memory there is.

    The stream is the file that holds the values; no more than its head is read.

    Raises
    ------
    CaseError
        If the file cannot hold so much, holds much more, or there is not memory enough.
    """
    on_disk = f"{_size_words(stream.size)} on the disk"
    if claim.end > stream.largest:
        raise damaged(what, f"its header claims {_claim_words(claim)}, and it has {on_disk}")
    # Compressing adds a little to what cannot be compressed.
    if stream.size > 1.01 * claim.end + MOST_AFTER:
        raise damaged(what, f"its header claims no more than {_claim_words(claim)} of {on_disk}")
    check_memory(claim.shape, claim.dtype, claim.end, what)


def check_memory(shape: Sequence[int], dtype: np.dtype[Any], content: float, what: str) -> None:
    """Refuse an image for which there is not memory enough; the content is the unpacked file's.

    Raises
    ------
    CaseError
        If the file, so many bytes, its values and what a case keeps of them do not fit.
    """
    # As stored and scaled; in single precision as read, beside the others and normalised.
    needed = content + math.prod(shape) * (dtype.itemsize + 16)
    if without := lacking(needed):
        raise CaseError(
            f"{what} with its {' × '.join(map(str, shape))} voxels {without}; close other "
            "programs, or resample the image to fewer voxels."
        )


def damaged(what: str, why: str = "") -> CaseError:
    """Return the error for a file that is not as it was written; `why` says what shows it."""
    said = f" ({why})" if why else ""
    return CaseError(
        f"{what} is damaged or cut short and cannot be read{said}; copy it again from its source."
    )


def _claim_words(claim: Claim) -> str:
    return f"{' × '.join(map(str, claim.shape))} voxels of {claim.dtype.name}"


def _size_words(size: float) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size:.0f} bytes"
