"""``session.json``: read, checked as a whole, and written in the same words."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.errors import ResultsError
from napari_ies.regular_files import TooLargeError, read_regular
from napari_ies.results.session.record import (
    SESSION_FILE,
    CheckpointRecord,
    FileRecord,
    ImageRecord,
    MapRecord,
    SessionRecord,
    SessionSummary,
)
from napari_ies.results.session.schema import FORMAT, FORMAT_VERSION, checked

if TYPE_CHECKING:
    from napari_ies.results.session.schema import FileEntry, SessionEntry

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

    Parameters
    ----------
    path
        The folder, or the ``session.json`` in it.

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
        return SessionSummary(path.parent, _record(checked(content)), digest)
    except ValueError as error:
        raise ResultsError(
            f"{path} does not hold what napari-ies writes: {error}; open another session, or "
            "segment the images again."
        ) from error


def session_folder(path: str | Path) -> Path:
    """Return the absolute folder of a session, given that or the ``session.json`` in it."""
    return _json_of(path).parent.absolute()


def session_text(record: SessionRecord) -> str:
    """Return what ``session.json`` says of a record, checked as it is when it is read.

    Raises
    ------
    ResultsError
        If that could not be read back.
    """
    try:
        text = json.dumps(
            _content(record), indent=2, ensure_ascii=False, allow_nan=False, default=_plain
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
        raw = read_regular(path, LARGEST)
        content = json.loads(raw.decode("utf-8-sig"))
    except FileNotFoundError as error:
        raise ResultsError(
            f"There is no session in {path.parent}; expected a folder with the {SESSION_FILE} "
            "that napari-ies writes."
        ) from error
    except TooLargeError as error:
        raise ResultsError(
            f"{path} holds more than {LARGEST >> 20} MB, which no session does; it is damaged or "
            "another kind of file."
        ) from error
    except OSError as error:
        raise ResultsError(
            f"{path} cannot be read ({error.strerror or error}); expected the {SESSION_FILE} that "
            "napari-ies writes."
        ) from error
    except (ValueError, RecursionError) as error:
        raise ResultsError(
            f"{path} cannot be read as JSON; it is damaged or another kind of file."
        ) from error
    if not isinstance(content, dict):
        raise ResultsError(f"{path} was not written by napari-ies; expected a JSON object.")
    return content, hashlib.sha256(raw).hexdigest()


def _record(entry: SessionEntry) -> SessionRecord:
    segmentation, explanation = entry.segmentation, entry.explanation
    return SessionRecord(
        subject=entry.subject,
        saved=entry.saved,
        images=tuple(ImageRecord(one.sequence, _file_record(one.file)) for one in entry.images),
        checkpoints=tuple(
            CheckpointRecord(one.name, one.device, _file_or_none(one.file))
            for one in entry.checkpoints
        ),
        threshold=float(segmentation.threshold),
        smallest=segmentation.smallest_lesion,
        forward=segmentation.forward,
        reference=_file_or_none(segmentation.reference),
        segmentation=segmentation.files,
        request=None if explanation is None else explanation.request(),
        selected=entry.selected,
        notes=tuple((one.subject, one.text) for one in entry.notes),
        regions=tuple((one.name, one.file, one.sha256) for one in entry.regions),
        maps=tuple(
            MapRecord(one.subject, one.request.request(), one.checkpoint, one.files)
            for one in entry.maps
        ),
        obsolete=entry.obsolete,
        versions=tuple(entry.versions.items()),
        visit=entry.visit or "",
    )


def _file_record(file: FileEntry) -> FileRecord:
    return FileRecord(file.name, file.sha256, file.absolute, file.relative, file.made_here)


def _file_or_none(file: FileEntry | None) -> FileRecord | None:
    return None if file is None else _file_record(file)


def _content(record: SessionRecord) -> dict[str, Any]:
    return {
        "Format": FORMAT,
        "FormatVersion": FORMAT_VERSION,
        "Saved": record.saved,
        "Subject": record.subject,
        "Visit": record.visit or None,
        "Images": [
            {"Sequence": image.sequence, "File": _file_content(image.file)}
            for image in record.images
        ],
        "Checkpoints": [
            {"Name": one.name, "Device": one.device, "File": _file_content(one.file)}
            for one in record.checkpoints
        ],
        "Segmentation": {
            "Threshold": record.threshold,
            "SmallestLesion": record.smallest,
            "Forward": record.forward,
            "Reference": _file_content(record.reference),
            "Files": dict(record.segmentation),
        },
        "Explanation": None if record.request is None else asdict(record.request),
        "Selected": record.selected,
        "Notes": [{"Subject": subject, "Text": text} for subject, text in record.notes],
        "Regions": [
            {"Name": name, "File": file, "SHA256": digest} for name, file, digest in record.regions
        ],
        "Maps": [
            {
                "Subject": one.subject,
                "Checkpoint": one.checkpoint,
                "Request": asdict(one.request),
                "Files": dict(one.files),
            }
            for one in record.maps
        ],
        "Obsolete": dict(record.obsolete),
        "Versions": dict(record.versions),
    }


def _file_content(file: FileRecord | None) -> dict[str, Any] | None:
    if file is None:
        return None
    return {
        "Name": file.name,
        "SHA256": file.sha256,
        "Absolute": file.absolute,
        "Relative": file.relative,
        "MadeHere": file.made_here,
    }


def _plain(value: Any) -> Any:
    """Return a number of numpy's as JSON knows it."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is no kind of value for JSON")
