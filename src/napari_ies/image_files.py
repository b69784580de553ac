"""An image file opened by what it holds, not by what it is called."""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from napari_ies.errors import CaseError

if TYPE_CHECKING:
    from collections.abc import Callable

_GZIP_MAGIC = b"\x1f\x8b"
_HEAD = 544
"""Bytes that tell the format: more than a header of NIfTI-1 or NIfTI-2."""

QUATERNION_ROUNDING = 1e-3
"""How far a rotation's stored numbers may exceed a unit quaternion and still be rounding."""

UNREADABLE = (ImageFileError, HeaderDataError, OSError, EOFError, ValueError, zlib.error)
"""What nibabel and the libraries under it raise on damaged files."""

_OTHER_FORMATS: tuple[tuple[Callable[[bytes], bool], str, str], ...] = (
    (lambda head: head[128:132] == b"DICM", "a DICOM file", "dcm2niix"),
    (lambda head: head.startswith(b"NRRD"), "an NRRD file", "3D Slicer or SimpleITK"),
    (
        lambda head: head.lstrip().startswith((b"ObjectType", b"NDims")),
        "a MetaImage (MHA, MHD)",
        "3D Slicer or SimpleITK",
    ),
)

_BY_SUFFIX = {
    (".dcm", ".dicom", ".ima"): ("a DICOM file", "dcm2niix"),
    (".nrrd", ".nhdr"): ("an NRRD file", "3D Slicer or SimpleITK"),
    (".mha", ".mhd"): ("a MetaImage (MHA, MHD)", "3D Slicer or SimpleITK"),
}


class _LenientHeader(nib.Nifti1Header):  # type: ignore[misc]
    quaternion_threshold = -QUATERNION_ROUNDING


class _LenientImage(nib.Nifti1Image):  # type: ignore[misc]
    header_class = _LenientHeader


@dataclass(frozen=True, eq=False)
class Content:
    """An opened image file.

    Parameters
    ----------
    image
        nibabel's; its values are not read yet.
    sha256
        Of the file that holds the values, in hexadecimal.
    notes
        What was mended: plain sentences.
    """

    image: Any
    sha256: str
    notes: tuple[str, ...] = ()


def open_image(path: Path) -> Content:
    """Open an image file.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    CaseError
        If there is none, or it is none that nibabel reads, in one sentence that says what it is.
    """
    _check_there(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise CaseError(
            f"{path.name} cannot be read ({error.strerror or error}); check that you may open it."
        ) from error
    digest = hashlib.sha256(raw).hexdigest()
    _check_pointer(raw, path.name)
    packed = raw.startswith(_GZIP_MAGIC)
    try:
        head = gzip.GzipFile(fileobj=io.BytesIO(raw)).read(_HEAD) if packed else raw[:_HEAD]
        kind = _kind(head)
        if kind is None:
            image = _opened_by_name(path, head)
            return Content(image, _values_digest(image, digest))
        content = _unpacked(raw, kind, head) if packed else raw
        image, notes = _image_of(content, kind, path.name)
    except UNREADABLE as error:
        raise CaseError(
            f"{path.name} is damaged or cut short and cannot be read; copy it again from its "
            "source."
        ) from error
    return Content(image, digest, notes)


def _check_there(path: Path) -> None:
    if path.is_symlink() and not path.exists():
        target = str(path.readlink())
        if ".git/annex/objects" in target.replace("\\", "/"):
            raise CaseError(
                f"{path.name} is a git-annex link whose content is not on this computer; fetch it "
                "with git annex get or datalad get."
            )
        raise CaseError(f"{path.name} is a link to {target}, which is not there; mend the link.")
    if not path.exists():
        raise CaseError(f"There is no file {path}; check the path.")
    if path.is_dir():
        raise CaseError(
            f"{path} is a folder; expected an image file (for a folder of DICOM files, make one "
            "with dcm2niix)."
        )
    if not path.is_file():
        raise CaseError(f"{path} is no regular file; expected an image file.")
    if path.stat().st_size == 0:
        raise CaseError(f"{path.name} is empty; copy it again from its source.")


def _check_pointer(raw: bytes, what: str) -> None:
    """Refuse the few bytes that stand for a file that was not fetched."""
    if raw.startswith(b"/annex/objects/"):
        raise CaseError(
            f"{what} is a git-annex pointer whose content is not on this computer; fetch it with "
            "git annex get or datalad get."
        )
    if raw.startswith(b"version https://git-lfs"):
        raise CaseError(
            f"{what} is a Git LFS pointer whose content is not on this computer; fetch it with "
            "git lfs pull."
        )


def _kind(head: bytes) -> Any:
    """Return nibabel's class for a file that holds header and values, by its first bytes."""
    if head[344:348] == b"n+1\0":
        return nib.Nifti1Image
    if head[4:8] == b"n+2\0":
        return nib.Nifti2Image
    # FreeSurfer's files begin with the version, 1, and have three sizes and a count next.
    if head[:4] == b"\0\0\0\1" and all(head[i : i + 4] > b"\0\0\0\0" for i in (4, 8, 12, 16)):
        return nib.MGHImage
    return None


def _opened_by_name(path: Path, head: bytes) -> Any:
    """Let nibabel find out by the name; say what the file is where it cannot."""
    for matches, what, converter in _OTHER_FORMATS:
        if matches(head):
            raise _convert(path.name, what, converter)
    try:
        # No memory map: another program may rewrite the file while it is looked at.
        return nib.load(path, mmap=False) if _is_pair(path) else nib.load(path)
    except UNREADABLE as error:
        for endings, (what, converter) in _BY_SUFFIX.items():
            if path.name.lower().endswith(endings):
                raise _convert(path.name, what, converter) from error
        if path.name.lower().endswith((".nii", ".nii.gz", ".mgz", ".mgh", ".img", ".hdr")):
            raise CaseError(
                f"{path.name} cannot be read as NIfTI or what its name says; it is damaged, a part "
                "of it is missing or it is another kind of file."
            ) from error
        raise CaseError(
            f"{path.name} is not a NIfTI file (.nii, .nii.gz) or another image that nibabel "
            "reads; convert it to NIfTI."
        ) from error


def _is_pair(path: Path) -> bool:
    return path.name.lower().endswith((".hdr", ".img", ".hdr.gz", ".img.gz"))


def _values_digest(image: Any, digest: str) -> str:
    """Return the SHA-256 of the file of a pair that holds the values."""
    holder = image.file_map.get("image")
    name = None if holder is None else holder.filename
    if name is None:
        return digest
    with Path(name).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _convert(name: str, what: str, converter: str) -> CaseError:
    return CaseError(
        f"{name} is {what}, which is not read here; convert it to NIfTI with {converter}."
    )


def _unpacked(raw: bytes, kind: Any, head: bytes) -> bytes:
    """Return the content of a compressed file, its checksum verified at the end of the stream.

    No more is kept than its own header claims; what follows is read and let go.
    """
    stream = gzip.GzipFile(fileobj=io.BytesIO(raw))
    if kind is nib.MGHImage:
        return stream.read()
    header = kind.header_class.from_fileobj(io.BytesIO(head), check=False)
    count = 1
    for size in header["dim"][1 : 1 + max(int(header["dim"][0]), 0)]:
        count *= max(int(size), 1)
    claimed = int(header["vox_offset"]) + count * int(header["bitpix"]) // 8
    content = stream.read(max(claimed, len(head)))
    while stream.read(1 << 20):
        pass
    return content


def _image_of(content: bytes, kind: Any, what: str) -> tuple[Any, tuple[str, ...]]:
    try:
        return kind.from_bytes(content), ()
    except ValueError:
        # A quaternion longer than 1 has no rotation: by rounding, that is mended.
        if kind is not nib.Nifti1Image:
            raise
        note = (
            f"The rotation stored in {what} (quaternion) is longer than 1 by rounding and was "
            "scaled to 1."
        )
        return _LenientImage.from_bytes(content), (note,)
