"""An image file opened by what it holds, not by what it is called."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from napari_ies.errors import CaseError
from napari_ies.free_memory import not_enough_memory
from napari_ies.patient.images.file_stream import FileStream
from napari_ies.patient.images.image_claims import (
    MOST_AFTER,
    SMALLEST_HEAD,
    Claim,
    check_size,
    check_volume,
    damaged,
    header_claim,
    mgh_claim,
)
from napari_ies.patient.images.image_sets import UnknownSetError, kind_of, open_set
from napari_ies.regular_files import NotRegularError, TooLargeError

if TYPE_CHECKING:
    from io import BytesIO

_HEAD = 544
"""Bytes that tell the format: more than a header of NIfTI-1 or NIfTI-2."""

_HEADER_BYTES = {nib.Nifti1Image: SMALLEST_HEAD, nib.Nifti2Image: 540}

QUATERNION_ROUNDING = 1e-3
"""How far a rotation's stored numbers may exceed a unit quaternion and still be rounding."""

UNREADABLE = (ImageFileError, HeaderDataError, OSError, EOFError, ValueError, zlib.error)
"""What nibabel and the libraries under it raise on damaged files."""

_DICOM = "a DICOM file", "dcm2niix"
_NRRD = "an NRRD file", "3D Slicer or SimpleITK"
_META = "a MetaImage (MHA, MHD)", "3D Slicer or SimpleITK"
_BY_SUFFIX = {
    (".dcm", ".dicom", ".ima"): _DICOM,
    (".nrrd", ".nhdr"): _NRRD,
    (".mha", ".mhd"): _META,
}


class _LenientHeader(nib.Nifti1Header):  # type: ignore[misc]
    quaternion_threshold = -QUATERNION_ROUNDING


class _LenientImage(nib.Nifti1Image):  # type: ignore[misc]
    header_class = _LenientHeader


@dataclass(frozen=True, eq=False)
class Content:
    """An image file as it was read."""

    image: Any
    """nibabel's, of one 3-d volume; its values are in memory, not in the file."""
    shape: tuple[int, int, int]
    """Its three sizes."""
    sha256: str
    """Of the file that holds the values, in hexadecimal."""
    notes: tuple[str, ...] = ()
    """What was mended: plain sentences."""


def open_image(path: Path, content: bytes = b"") -> Content:
    """Read an image file, once and to its end; `content` is all of it where it was read already.

    Raises
    ------
    CaseError
        If there is none, it is none that nibabel reads, or none of one 3-d volume, in one
        sentence that says what it is.
    """
    try:
        with FileStream(path, content) as stream:
            return _content_of(stream, path)
    except MemoryError as error:
        raise CaseError(not_enough_memory(f"read {path.name}")) from error
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise _refusal(path, error) from error


def check_there(*paths: Path | None) -> None:
    """Refuse what is no file that may be read, before work begins that will need it.

    Parameters
    ----------
    paths
        Files; None for one that was not given.

    Raises
    ------
    CaseError
        If one of them cannot be opened, or is no regular file.
    """
    for path in paths:
        if path is not None:
            try:
                FileStream(path).close()
            except (OSError, ValueError) as error:
                raise _refusal(path, error) from error


def is_image(path: Path) -> bool:
    """Whether a file begins as an image that is read here; no more of it is looked at."""
    try:
        with FileStream(path) as stream:
            if _kind(stream.head(_HEAD)) is not None:
                return True
        return kind_of(path) is not None
    except (UnknownSetError, OSError, EOFError, ValueError, zlib.error):
        return False


def _content_of(stream: FileStream, path: Path) -> Content:
    if stream.size == 0:
        raise CaseError(f"{path.name} is empty; copy it again from its source.")
    head = stream.head(_HEAD)
    _check_pointer(head, path.name)
    kind = _kind(head)
    if kind is None:
        return _opened_by_name(path, head)
    claim = check_volume(_claim_of(kind, head, path.name), path.name)
    check_size(claim, stream, path.name)
    content = stream.content(claim.end + MOST_AFTER)
    if content.getbuffer().nbytes < claim.end:
        raise damaged(path.name)
    image, notes = _image_of(content, kind, path.name)
    return Content(image, claim.volume, stream.sha256, (*claim.notes, *notes))


def _refusal(path: Path, error: Exception) -> CaseError:
    """Say why a file cannot be read."""
    if isinstance(error, FileNotFoundError):
        return _missing(path)
    if isinstance(error, NotRegularError):
        if path.is_dir():
            return CaseError(
                f"{path} is a folder; expected an image file (for a folder of DICOM files, make "
                "one with dcm2niix)."
            )
        return CaseError(f"{path.name} cannot be read: {error.strerror}; give an image file.")
    if isinstance(error, TooLargeError):
        return damaged(path.name, str(error.strerror))
    if isinstance(error, OSError) and error.errno is not None and error.strerror:
        said = error.strerror[0].lower() + error.strerror[1:]
        return CaseError(
            f"{path.name} cannot be read ({said}); check its path and that you may open it."
        )
    if isinstance(error, ValueError) and "null" in str(error):
        return CaseError("The name of an image holds a null character, as no file's does.")
    return damaged(path.name)


def _missing(path: Path) -> CaseError:
    try:
        target = str(path.readlink())
    except (OSError, ValueError):
        return CaseError(f"There is no file {path}; check the path.")
    if ".git/annex/objects" in target.replace("\\", "/"):
        return CaseError(
            f"{path.name} is a git-annex link whose content is not on this computer; fetch it "
            "with git annex get or datalad get."
        )
    return CaseError(f"{path.name} is a link to {target}, which is not there; mend the link.")


def _check_pointer(raw: bytes, what: str) -> None:
    """Refuse the few bytes that stand for a file that was not fetched."""
    for start, kind, fetching in (
        (b"/annex/objects/", "git-annex", "git annex get or datalad get"),
        (b"version https://git-lfs", "Git LFS", "git lfs pull"),
    ):
        if raw.startswith(start):
            raise CaseError(
                f"{what} is a {kind} pointer whose content is not on this computer; fetch it with "
                f"{fetching}."
            )


def _kind(head: bytes) -> Any:
    """Return nibabel's class for a file that holds header and values, by its first bytes."""
    if head[344:348] == b"n+1\0":
        return nib.Nifti1Image
    if head[4:8] == b"n+2\0" and len(head) >= _HEADER_BYTES[nib.Nifti2Image]:
        return nib.Nifti2Image
    # FreeSurfer's files begin with the version, 1, and have three sizes and a count next.
    if head[:4] == b"\0\0\0\1" and all(
        b"\0\0\0\0" < head[i : i + 4] < b"\x80" for i in (4, 8, 12, 16)
    ):
        return nib.MGHImage
    return None


def _claim_of(kind: Any, head: bytes, what: str) -> Claim:
    if kind is nib.MGHImage:
        if len(head) < _HEAD:
            raise damaged(what)
        return mgh_claim(head, what)
    return header_claim(kind.header_class(head[: _HEADER_BYTES[kind]], check=False), what)


def _opened_by_name(path: Path, head: bytes) -> Content:
    """Let nibabel find out by the name; say what the file is where it cannot."""
    if head[128:132] == b"DICM":
        raise _convert(path.name, *_DICOM)
    if head.startswith(b"NRRD"):
        raise _convert(path.name, *_NRRD)
    if head.lstrip().startswith((b"ObjectType", b"NDims")):
        raise _convert(path.name, *_META)
    try:
        image, claim, digest = open_set(kind_of(path), path)
    except (CaseError, MemoryError):
        raise
    # A foreign file makes nibabel's readers fail in whatever way its bytes happen to lead to.
    except Exception as error:
        raise _not_read(path, error) from error
    return Content(image, claim.volume, digest, claim.notes)


def _not_read(path: Path, error: Exception) -> CaseError:
    for endings, (what, converter) in _BY_SUFFIX.items():
        if path.name.lower().endswith(endings):
            return _convert(path.name, what, converter)
    if isinstance(error, ModuleNotFoundError):
        return CaseError(
            f"{path.name} needs {error.name}, which is not installed; convert it to NIfTI."
        )
    beside = getattr(error, "filename", None)
    if isinstance(error, OSError) and beside is not None and str(beside) != str(path):
        said = "is not there" if isinstance(error, FileNotFoundError) else str(error.strerror)
        return CaseError(
            f"{path.name} cannot be read as NIfTI or what its name says: the file that belongs to "
            f"it, {Path(beside).name}, {said}; the two must lie beside each other."
        )
    if not isinstance(error, UnknownSetError):
        return damaged(path.name)
    if path.name.lower().endswith((".nii", ".nii.gz", ".mgz", ".mgh", ".img", ".hdr")):
        return CaseError(
            f"{path.name} cannot be read as NIfTI or what its name says; it is damaged, a part "
            "of it is missing or it is another kind of file."
        )
    return CaseError(
        f"{path.name} is not a NIfTI file (.nii, .nii.gz) or another image that nibabel "
        "reads; convert it to NIfTI."
    )


def _convert(name: str, what: str, converter: str) -> CaseError:
    return CaseError(
        f"{name} is {what}, which is not read here; convert it to NIfTI with {converter}."
    )


def _image_of(content: BytesIO, kind: Any, what: str) -> tuple[Any, tuple[str, ...]]:
    try:
        return kind.from_stream(content), ()
    except MemoryError:
        raise
    # As above: nibabel's checks of a header fail in many ways, each of them on a damaged file.
    except Exception as error:
        # A quaternion longer than 1 has no rotation: by rounding, that is mended.
        if kind is not nib.Nifti1Image:
            raise damaged(what) from error
    note = (
        f"The rotation stored in {what} (quaternion) is longer than 1 by rounding and was "
        "scaled to 1."
    )
    try:
        content.seek(0)
        return _LenientImage.from_stream(content), (note,)
    except Exception as error:
        raise damaged(what) from error
