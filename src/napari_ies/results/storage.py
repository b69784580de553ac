"""Files that are whole or not there, and images and sidecars that are checked when read."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import nibabel as nib
import numpy as np

from napari_ies.errors import CaseError, ResultsError
from napari_ies.geometry.grid import Grid
from napari_ies.patient.images.image_files import UNREADABLE, Content, open_image
from napari_ies.regular_files import read_json
from napari_ies.results.names import sidecar_name
from napari_ies.results.staging import (
    STAGING_PREFIX,
    finish_leftovers,
    remove_leftovers,
    staged,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_ies.patient.case import Case

__all__ = [
    "CHANGED",
    "FOREIGN",
    "STAGING_PREFIX",
    "disk_errors",
    "expected_content",
    "finishing",
    "image_writer",
    "json_writer",
    "plain",
    "prepare",
    "read_changed_labels",
    "read_hashed_image",
    "read_image",
    "read_sidecar",
    "remove_leftovers",
    "sidecar_of",
    "space_code",
    "text_writer",
    "write",
]

Read = TypeVar("Read")

FOREIGN = (
    "{path} does not hold what napari-ies writes ({reason}); choose a result of napari-ies or "
    "compute it again."
)
"""What is said of a sidecar that is not what it should be."""
CHANGED = (
    "{path} is not the file that {sidecar} describes (its SHA-256 differs): it was changed, "
    "replaced or cut short; copy all files of the result again or compute it again (lesions that "
    "you corrected by hand: give a copy of their image that has another name)."
)
"""What is said of a file whose content is another than was written."""
MISSING = "{path} is missing; the files of one result belong together, so copy them all."
LARGEST_SIDECAR = 16 << 20
"""Bytes; a result's takes some tens of thousands."""
LONGEST_NAME = 255
"""Bytes of a name that file systems take."""
PROBE_BYTES = 1 << 16
"""Written and let go, to see that the disk is not full."""
SCANNER_SPACE = 1
"""NIfTI's code for coordinates of the scanner."""


def prepare(folder: str | Path, files: Iterable[str], *, overwrite: bool = False) -> Path:
    """Make the folder of results, and make sure that these files may be written there.

    Parameters
    ----------
    folder
        Where results go; made with its parents if it is not there.
    files
        Names of the files to come, or their paths in the folder.
    overwrite
        Whether files of these names may be there already.

    Returns
    -------
    The folder.

    Raises
    ------
    ResultsError
        If the folder cannot be made, or one of the files is there and must not be overwritten.
    """
    folder, files = Path(folder).expanduser(), list(files)
    with disk_errors(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except ValueError as error:
            raise ResultsError(f"{folder} cannot be the name of a folder ({error}).") from error
        for name in files:
            _check_length(name)
        for place in {folder, *((folder / name).parent for name in files)}:
            remove_leftovers(place)
            _check_writable(place)
        existing = [] if overwrite else [name for name in files if (folder / name).exists()]
    if existing:
        raise ResultsError(
            f"{folder / existing[0]} is there already; choose another folder, or allow overwriting."
        )
    return folder


def write(
    folder: Path, files: Mapping[str, Callable[[Path], None]], *, obsolete: Sequence[str] = ()
) -> list[Path]:
    """Write files into a folder: all of them appear, whole, in one step, or none.

    Where the program is stopped in that step, whoever prepares this folder next, or fails to read
    what is in it, finishes the step (:mod:`~napari_ies.results.staging`).

    Parameters
    ----------
    folder
        An existing folder, see :func:`prepare`.
    files
        For each file name, what writes it to a path that it is given.
    obsolete
        Names of files that these replace; removed where they exist.

    Returns
    -------
    The paths written, in order.

    Raises
    ------
    ResultsError
        If the disk refuses.
    """
    # Each file has its final name there (nibabel compresses by it) and usual permissions.
    with disk_errors(folder), staged(folder, list(files)) as staging:
        for name, writer in files.items():
            writer(staging.folder / name)
            _flush(staging.folder / name)
        staging.publish(obsolete)
    return [folder / name for name in files]


def image_writer(
    data: NDArray[Any], affine: NDArray[np.float64], space: int
) -> Callable[[Path], None]:
    """Return what writes an array as NIfTI, values and affine unchanged.

    Parameters
    ----------
    data
        (X, Y, Z), written in its own type.
    affine
        Of the case, in mm.
    space
        NIfTI's code for what the millimetres refer to, see :func:`space_code`.
    """

    def writer(path: Path) -> None:
        image = nib.Nifti1Image(data, affine, dtype=data.dtype)
        image.set_sform(affine, code=space)
        image.set_qform(affine, code=space)
        if not Grid.of(data.shape, image.get_qform()).same_as(Grid.of(data.shape, affine)):
            # A sheared affine has no quaternion form; readers then take the sform alone.
            image.set_qform(None, code=0)
            image.set_sform(affine, code=space)
        image.header.set_xyzt_units("mm")
        nib.save(image, path)

    return writer


def json_writer(content: Mapping[str, Any]) -> Callable[[Path], None]:
    """Return what writes a sidecar, UTF-8 and indented."""
    return text_writer(
        json.dumps(plain(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    )


def text_writer(text: str) -> Callable[[Path], None]:
    """Return what writes a text as UTF-8."""

    def writer(path: Path) -> None:
        path.write_text(text, encoding="utf-8")

    return writer


def read_image(
    path: Path,
    dtype: type[np.generic],
    shape: Sequence[int],
    sha256: str = "",
) -> NDArray[Any]:
    """Read an image that napari-ies wrote.

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
    return read_hashed_image(path, dtype, shape, sha256)[0]


def read_hashed_image(
    path: Path, dtype: type[np.generic], shape: Sequence[int], sha256: str = ""
) -> tuple[NDArray[Any], str]:
    """Read an image as :func:`read_image` does, with the SHA-256 of the file as it was read."""
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


def read_sidecar(path: Path) -> dict[str, Any]:
    """Read the JSON beside an image (or the JSON itself) that napari-ies wrote.

    Raises
    ------
    ResultsError
        If there is none, or it is not readable.
    """
    try:
        content = read_json(path, LARGEST_SIDECAR)
    except FileNotFoundError as error:
        raise ResultsError(
            f"There is no {path}; expected the JSON that napari-ies writes beside each image."
        ) from error
    except OSError as error:
        raise ResultsError(
            f"{path} cannot be read ({error.strerror or error}); expected the JSON that napari-ies "
            "writes beside each image."
        ) from error
    except (ValueError, RecursionError) as error:
        raise ResultsError(
            f"{path} cannot be read as JSON; it is damaged or another kind of file."
        ) from error
    if not isinstance(content, dict):
        raise ResultsError(f"{path} was not written by napari-ies; expected a JSON object.")
    return content


def sidecar_of(path: Path) -> Path:
    """Return the JSON beside a file of a result (or that JSON itself).

    Raises
    ------
    ResultsError
        If the path is none of a file.
    """
    if not path.name:
        raise ResultsError(f"{str(path)!r} names no file; expected a file of a result.")
    return path.with_name(sidecar_name(path.name))


def finishing(folder: Path, reading: Callable[[], Read]) -> Read:
    """Read a result; where that fails and a write was cut short, finish this and read again."""
    try:
        return reading()
    except ResultsError:
        if not finish_leftovers(folder):
            raise
    return reading()


@contextmanager
def expected_content(path: Path) -> Iterator[None]:
    """Turn a sidecar's missing or impossible entries into a :class:`ResultsError`."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ResultsError(FOREIGN.format(path=path, reason=reason)) from error


def space_code(case: Case) -> int:
    """Return NIfTI's code for what the case's millimetres refer to (1 scanner, 4 MNI, …)."""
    return case.space or SCANNER_SPACE


def _check_length(name: str) -> None:
    longest = max(Path(name).parts, key=lambda part: len(os.fsencode(part)), default="")
    if len(os.fsencode(longest)) > LONGEST_NAME:
        raise ResultsError(
            f"{longest} has {len(os.fsencode(longest))} letters, and names of files have "
            f"{LONGEST_NAME} at most; give the patient, the sequence or the region a shorter name."
        )


def _check_writable(place: Path) -> None:
    """Find out before hours of computing, not after, whether files can be written to a folder.

    The folder is made only when they are; till then the nearest that is there stands for it.
    """
    while not os.path.lexists(place):
        place = place.parent
    with tempfile.TemporaryFile(dir=place) as file:
        file.write(bytes(PROBE_BYTES))
        file.flush()


def _flush(path: Path) -> None:
    """Bring a file's content to the disk: after its move, a loss of power leaves it whole."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn what the disk refuses into a :class:`ResultsError` about a folder of results."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        remedy = (
            "give patient, visit, region and folder shorter names"
            if error.errno == errno.ENAMETOOLONG
            else "choose a folder with space where you may write"
        )
        raise ResultsError(
            f"Results cannot be written to {folder} ({reason}); {remedy}."
        ) from error


def plain(value: Any) -> Any:
    """Return a value as JSON knows it; numbers that are not finite become null."""
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float):
        return value
    # Names of files may hold bytes that are no text.
    return str(value).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
