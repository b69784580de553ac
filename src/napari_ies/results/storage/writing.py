"""Files that are whole or not there: a folder is prepared, then all of a set appear at once."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from napari_ies.errors import ResultsError
from napari_ies.results.names import LONGEST_NAME
from napari_ies.results.storage.staging import finish_leftovers, staged

Writer = Callable[[Path], object]
"""What writes one file to a path that it is given."""
PROBE_BYTES = 1 << 16
"""Written and let go, to see that the disk is not full."""


def prepare(folder: str | Path, files: Iterable[str], *, overwrite: bool = False) -> Path:
    """Make and return the folder of results, and make sure that these files may be written there.

    Parameters
    ----------
    folder
        Where results go; made with its parents if it is not there.
    files
        Names of the files to come, or their paths in the folder.
    overwrite
        Whether files of these names may be there already.

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
            finish_leftovers(place)
            _check_writable(place)
        existing = [] if overwrite else [name for name in files if (folder / name).exists()]
    if existing:
        raise ResultsError(
            f"{folder / existing[0]} is there already; choose another folder, or allow overwriting."
        )
    return folder


def write(folder: Path, files: Mapping[str, Writer], *, obsolete: Sequence[str] = ()) -> list[Path]:
    """Write files into a folder: all of them appear, whole, in one step, or none.

    Where the program is stopped in that step, whoever prepares this folder next, or fails to read
    what is in it, finishes the step (:mod:`~napari_ies.results.storage.staging`). The paths written
    are returned, in order.

    Parameters
    ----------
    folder
        An existing folder, see :func:`prepare`.
    files
        For each file name, what writes it to a path that it is given.
    obsolete
        Names of files that these replace; removed where they exist.

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


def json_writer(content: Mapping[str, Any]) -> Writer:
    """Return what writes a sidecar, UTF-8 and indented."""
    return text_writer(
        json.dumps(plain(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    )


def text_writer(text: str) -> Writer:
    """Return what writes a text as UTF-8."""

    def writer(path: Path) -> None:
        path.write_text(text, encoding="utf-8")

    return writer


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
