"""Where sessions lie under a root: a folder each, ``sub-XX``, ``sub-XX_ses-YY``, ``sub-XX_2``, …"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ies.errors import ResultsError
from napari_ies.identity import Identity
from napari_ies.results.session.record import SESSION_FILE, SessionSummary, read_summary

if TYPE_CHECKING:
    from collections.abc import Mapping


def new_session_folder(root: str | Path, subject: str, visit: str = "") -> Path:
    """Make a folder for a new session; never one that holds anything.

    Parameters
    ----------
    root
        Made with its parents if it is not there.
    subject, visit
        Labels of patient and visit.

    Raises
    ------
    ResultsError
        If no folder can be made there.
    """
    root, name = Path(root).expanduser(), Identity(subject, visit).stem
    try:
        root.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            folder = root / (name if number == 1 else f"{name}_{number}")
            try:
                folder.mkdir()
            except FileExistsError:
                if not folder.is_dir() or any(folder.iterdir()):
                    continue
            break
    except OSError as error:
        raise ResultsError(
            f"No session can be saved in {root} ({error.strerror or error}); choose a folder where "
            "you may write."
        ) from error
    return folder


def find_session(
    root: str | Path, images: Mapping[str, str], checkpoint: str
) -> SessionSummary | None:
    """Return the session of these images and this checkpoint that was saved last, if any.

    Sessions that hold nothing but a segmentation do not count.

    Parameters
    ----------
    root
        The folder whose folders are sessions.
    images
        SHA-256 of each image, by sequence.
    checkpoint
        SHA-256 of the checkpoint that segments.
    """
    found = []
    for path in sorted(Path(root).expanduser().glob(f"sub-*/{SESSION_FILE}")):
        try:
            summary = read_summary(path)
        except ResultsError:  # someone else's, or damaged: not to be offered
            continue
        if summary.record.holds_work and summary.is_of(images, checkpoint):
            found.append(summary)
    return max(found, key=lambda summary: summary.saved_at, default=None)
