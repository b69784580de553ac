"""Tidying: what a session wrote and names no more, or never got to name, is not kept for ever.

Only what is provably the session's own is removed: files that ``session.json`` lists as obsolete
and that still have the content it wrote, folders of writes that a crash cut short, and sessions
that hold nothing but a segmentation that a newer one holds too. Everything else in the folder,
whoever put it there, stays.
"""

from __future__ import annotations

import shutil
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from napari_ies.errors import ResultsError
from napari_ies.regular_files import file_sha256
from napari_ies.results.session.record import (
    SESSION_FILE,
    SessionRecord,
    SessionSummary,
    read_summary,
)
from napari_ies.results.storage import STAGING_PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

STAGING_SECONDS = 3600
"""A write takes seconds: what is older than this was cut short."""
SUPERSEDED_AFTER = timedelta(days=1)
"""A session that nothing was added to for so long is hardly open in another window."""


def remove_obsolete(folder: Path, record: SessionRecord) -> Mapping[str, str]:
    """Remove the files of a session that its record lists as obsolete.

    Parameters
    ----------
    folder
        Where the session lies.
    record
        As its ``session.json`` says on disk: what it names otherwise is never removed.

    Returns
    -------
    What the disk refused to remove: SHA-256 by name, to be tried again.
    """
    refused = {}
    for name, digest in record.obsolete.items():
        path = folder / name
        if name in record.named_files:
            continue
        try:
            # Other content is somebody else's.
            if path.is_file() and file_sha256(path) == digest:
                path.unlink()
        except OSError:
            refused[name] = digest
    return refused


def remove_cut_short(folder: Path) -> None:
    """Remove the folders in which files were being written when a program was killed."""
    for path in folder.glob(f"{STAGING_PREFIX}*"):
        try:
            if path.is_dir() and time.time() - path.stat().st_mtime > STAGING_SECONDS:
                shutil.rmtree(path)
        except OSError:  # to be tried again when the session is opened again
            continue


def discard(folder: Path, record: SessionRecord) -> None:
    """Remove a session that holds nothing but a segmentation, and its folder if empty then.

    Raises
    ------
    ResultsError
        If it holds more, or the disk refuses.
    """
    if record.holds_work:
        raise ResultsError(f"The session in {folder} holds maps or notes; it is kept.")
    remove_obsolete(folder, record)
    remove_cut_short(folder)
    try:
        for name in (SESSION_FILE, *record.own_files, "dataset_description.json"):
            (folder / name).unlink(missing_ok=True)
        if not any(folder.iterdir()):
            folder.rmdir()
    except OSError as error:
        raise ResultsError(
            f"{folder} cannot be removed ({error.strerror or error}); remove it by hand."
        ) from error


def discard_superseded(folder: Path, record: SessionRecord) -> list[Path]:
    """Remove older sessions beside one that hold what it holds, and nothing else.

    Parameters
    ----------
    folder, record
        A session: one beside it is superseded if it has the same images, checkpoint and settings
        of the segmentation, holds no map, note or region, and is older than a day.

    Returns
    -------
    The folders of the sessions that were removed.
    """
    removed = []
    for path in sorted(folder.parent.glob(f"sub-*/{SESSION_FILE}")):
        try:
            other = read_summary(path)
            if path.parent != folder and _superseded(other, record):
                discard(other.folder, other.record)
                removed.append(other.folder)
        except ResultsError:  # someone else's, damaged, or on a disk that refuses: left alone
            continue
    return removed


def _superseded(other: SessionSummary, record: SessionRecord) -> bool:
    old = datetime.now().astimezone() - other.saved_at > SUPERSEDED_AFTER
    return old and not other.record.holds_work and _segmented(other.record) == _segmented(record)


def _segmented(record: SessionRecord) -> tuple[object, ...]:
    """Return what was segmented, how, and what was marked, wherever its files lie."""
    reference = record.reference
    return (
        [(one.sequence, one.file.sha256) for one in record.images],
        # A network without a file is never the same as another.
        [one.file.sha256 if one.file is not None else object() for one in record.checkpoints],
        (record.threshold, record.smallest, record.forward),
        reference and reference.sha256,
        {
            name: digest
            for name, digest in record.segmentation.items()
            if not name.endswith(".json")  # says when and where it was made
        },
    )
