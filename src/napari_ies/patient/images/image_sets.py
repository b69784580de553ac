"""Images that nibabel knows by their names: pairs of header and values, MINC, PAR/REC and AFNI.

Their files are read here, each once and to its end; nibabel sees what was read.
"""

from __future__ import annotations

import importlib
import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
from nibabel.brikhead import AFNIImage
from nibabel.fileholders import FileHolder
from nibabel.filename_parser import splitext_addext
from nibabel.minc1 import Minc1Image
from nibabel.minc2 import Minc2File, Minc2Image
from nibabel.parrec import PARRECImage

from napari_ies.free_memory import free_memory
from napari_ies.patient.images.file_stream import FileStream
from napari_ies.patient.images.image_claims import (
    MOST_AFTER,
    Claim,
    check_memory,
    check_size,
    check_volume,
    damaged,
    header_claim,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_KINDS = (
    nib.Nifti1Pair,
    nib.Nifti2Pair,
    nib.Spm2AnalyzeImage,
    nib.Spm99AnalyzeImage,
    nib.AnalyzeImage,
    Minc1Image,
    Minc2Image,
    PARRECImage,
    AFNIImage,
)
"""In nibabel's own order."""

_IN_TEXT = (PARRECImage, AFNIImage)

LARGEST_HEADER = 16 << 20
LARGEST_MATRIX = 1 << 16
"""Bytes of the files beside the values: a header, SPM's 4 x 4 numbers."""

MOST_UNPACKED = 200
"""Bytes that one byte of a compressed file may stand for, where no header says it first."""

_HEAD = 1024


class UnknownSetError(Exception):
    """No format has such a name and such a beginning."""


def kind_of(path: Path) -> Any:
    """Return nibabel's class for a file by its name and by how it, or its header, begins.

    Raises
    ------
    UnknownSetError
        If there is none.
    OSError, ValueError, EOFError, zlib.error
        If it cannot be read so far.
    """
    begun: dict[str, bytes] = {}
    for kind in _KINDS:
        _, ending, _ = splitext_addext(str(path), kind._compressed_suffixes)
        if ending.lower() not in kind.valid_exts:
            continue
        files = kind.filespec_to_file_map(str(path))
        holder = files.get("header", files["image"])
        may_be = getattr(kind.header_class, "may_contain_header", None)
        if may_be is None:
            return kind
        if holder.filename not in begun:
            with FileStream(holder.filename) as stream:
                begun[holder.filename] = stream.head(_HEAD)
        if may_be(begun[holder.filename]):
            return kind
    raise UnknownSetError(path.name)


def open_set(kind: Any, path: Path) -> tuple[Any, Claim, str]:
    """Open an image of one or several files, given any one and what :func:`kind_of` says of it.

    Returns
    -------
    image, claim, sha256
        nibabel's, what it holds, and the hash of the file with the values.

    Raises
    ------
    CaseError
        If it is no single volume, or claims what cannot be.
    Exception
        Whatever nibabel's readers raise on damaged files.
    """
    files = {role: Path(one.filename) for role, one in kind.filespec_to_file_map(str(path)).items()}
    known: dict[str, Any] = {}
    if "header" in files:
        known["header"] = _beside(files["header"], LARGEST_HEADER, text=kind in _IN_TEXT)
    if "mat" in files:
        there = files["mat"].exists()
        known["mat"] = _beside(files["mat"], LARGEST_MATRIX) if there else io.BytesIO()
    claim = None
    if "header" in known and kind not in _IN_TEXT:
        header = kind.header_class.from_fileobj(known["header"], check=False)
        known["header"].seek(0)
        claim = check_volume(header_claim(header, path.name), path.name)
    values = files["image"]
    with FileStream(values) as stream:
        if claim is not None:
            check_size(claim, stream, values.name)
        at_most = _most_of(stream) if claim is None else claim.end + MOST_AFTER
        known["image"] = stream.content(at_most)
        digest = stream.sha256
    image = _image_of(kind, known)
    if claim is None:
        shape = tuple(int(size) for size in image.shape)
        claim = check_volume(Claim(shape, np.dtype(image.get_data_dtype())), path.name)
        check_memory(claim.shape, claim.dtype, 0, path.name)
        there = known["image"].getbuffer().nbytes
        if kind in _IN_TEXT and math.prod(shape) * claim.dtype.itemsize > there:
            raise damaged(values.name, "it holds less than its header says")
    return image, claim, digest


def _beside(file: Path, at_most: int, *, text: bool = False) -> Any:
    with FileStream(file) as stream:
        content = stream.content(at_most)
    return io.StringIO(content.getvalue().decode("latin-1"), newline=None) if text else content


def _most_of(stream: FileStream) -> float:
    """Return how much of a file whose header does not come first may be unpacked."""
    return min(stream.largest, MOST_UNPACKED * stream.size + MOST_AFTER, free_memory() / 4)


def _image_of(kind: Any, known: Mapping[str, Any]) -> Any:
    if kind is Minc2Image:
        return _minc2(known["image"])
    return kind.from_file_map({role: FileHolder(fileobj=one) for role, one in known.items()})


def _minc2(content: io.BytesIO) -> Any:
    """Open MINC 2; nibabel asks for a file's name, h5py takes what was read."""
    h5py = importlib.import_module("h5py")  # not every nibabel comes with it
    kind = Minc2Image
    file = Minc2File(h5py.File(content, "r"))
    header = kind.header_class(file.get_data_dtype(), file.get_data_shape(), file.get_zooms())
    return kind(kind.ImageArrayProxy(file), file.get_affine(), header)
