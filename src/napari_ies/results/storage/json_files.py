"""JSON files read back, and what is said of files that are not what they should be."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from napari_ies.errors import ResultsError
from napari_ies.regular_files import read_regular, sha256_of
from napari_ies.results.names import sidecar_name
from napari_ies.results.storage.staging import finish_leftovers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

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
SIDECAR = "the JSON that napari-ies writes beside each image"


def read_object(path: Path, at_most: int, expected: str) -> tuple[dict[str, Any], str]:
    """Read a JSON that napari-ies wrote.

    Parameters
    ----------
    path
        The file.
    at_most
        Bytes beyond which it is none of ours.
    expected
        What should be there, in words.

    Returns
    -------
    What it says, and the SHA-256 of the bytes that say so.

    Raises
    ------
    ResultsError
        If there is none, or it is not readable; its cause is the system's or the parser's.
    """
    try:
        raw = read_regular(path, at_most)
        content = json.loads(raw.decode("utf-8-sig"))
    except FileNotFoundError as error:
        raise ResultsError(f"There is no {path}; expected {expected}.") from error
    except OSError as error:
        raise ResultsError(
            f"{path} cannot be read ({error.strerror or error}); expected {expected}."
        ) from error
    except (ValueError, RecursionError) as error:
        raise ResultsError(
            f"{path} cannot be read as JSON; it is damaged or another kind of file."
        ) from error
    if not isinstance(content, dict):
        raise ResultsError(f"{path} was not written by napari-ies; expected a JSON object.")
    return content, sha256_of(raw)


def read_sidecar(path: Path) -> dict[str, Any]:
    """Read the JSON beside an image (or the JSON itself); see :func:`read_object`."""
    return read_object(path, LARGEST_SIDECAR, SIDECAR)[0]


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
