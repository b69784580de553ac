"""``session.json``: read, checked as a whole, and written in the same words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from napari_ies.errors import ResultsError
from napari_ies.regular_files import TooLargeError
from napari_ies.results.session.record import (
    FORMAT,
    FORMAT_VERSION,
    SESSION_FILE,
    SessionEntry,
    SessionSummary,
)
from napari_ies.results.session.schema import checked
from napari_ies.results.storage.json_files import read_object

LARGEST = 32 << 20
"""Bytes of a ``session.json``; ten thousand maps take less."""


def is_session(path: str | Path) -> bool:
    """Whether a folder, or a ``session.json``, is a session of napari-ies; reads that file only."""
    try:
        content, _ = _read(_json_of(path))
    except ResultsError:
        return False
    return bool(content.get("Format") == FORMAT)


def read_summary(path: str | Path) -> SessionSummary:
    """Read what a session holds, without opening or checking its files.

    The path is that of the folder, or of the ``session.json`` in it.

    Raises
    ------
    ResultsError
        If it is no session, is damaged, or was written by a newer version.
    """
    path = _json_of(path)
    content, digest = _read(path)
    if content.get("Format") != FORMAT:
        raise ResultsError(
            f"{path} was not written by napari-ies as a session; choose a folder that napari-ies "
            "saved a session in."
        )
    version = content.get("FormatVersion")
    if type(version) is int and version > FORMAT_VERSION:
        raise ResultsError(
            f"{path} was written by a newer napari-ies (format {version}, this one reads "
            f"{FORMAT_VERSION}); update napari-ies to open it."
        )
    try:
        return SessionSummary(path.parent, checked(content), digest)
    except ValueError as error:
        raise ResultsError(
            f"{path} does not hold what napari-ies writes: {error}; open another session, or "
            "segment the images again."
        ) from error


def session_text(record: SessionEntry) -> str:
    """Return what ``session.json`` says of a record, checked as it is when it is read.

    Raises
    ------
    ResultsError
        If that could not be read back.
    """
    try:
        text = json.dumps(
            record.model_dump(by_alias=True, warnings=False),
            indent=2,
            ensure_ascii=False,
            allow_nan=False,
            default=_plain,
        )
        checked(json.loads(text))
    except (ValueError, TypeError) as error:
        raise ResultsError(
            f"This cannot be kept in a session: {error}; rename or leave out what is named there."
        ) from error
    return f"{text}\n"


def _json_of(path: str | Path) -> Path:
    path = Path(path).expanduser()
    return path if path.name == SESSION_FILE else path / SESSION_FILE


def _read(path: Path) -> tuple[dict[str, Any], str]:
    """Return what a ``session.json`` says, and the SHA-256 of the bytes that say so."""
    try:
        return read_object(path, LARGEST, f"the {SESSION_FILE} that napari-ies writes")
    except ResultsError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise ResultsError(
                f"There is no session in {path.parent}; expected a folder with the {SESSION_FILE} "
                "that napari-ies writes."
            ) from error
        if isinstance(error.__cause__, TooLargeError):
            raise ResultsError(
                f"{path} holds more than {LARGEST >> 20} MB, which no session does; it is damaged "
                "or another kind of file."
            ) from error
        raise


def _plain(value: Any) -> Any:
    """Return a number of numpy's as JSON knows it."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is no kind of value for JSON")
