"""Where sessions lie under a root: a folder each, ``sub-XX``, ``sub-XX_ses-YY``, ``sub-XX_2``, …"""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ies.errors import ResultsError
from napari_ies.patient.identity import Identity
from napari_ies.results.session.document import read_summary
from napari_ies.results.session.record import SESSION_FILE, SessionSummary

if TYPE_CHECKING:
    from collections.abc import Iterator


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
    root = Path(root).expanduser()
    try:
        root.mkdir(parents=True, exist_ok=True)
        for folder in _candidates(root, subject, visit):
            try:
                folder.mkdir()
            except FileExistsError:
                if not _is_empty_folder(folder):
                    continue
            break
    except OSError as error:
        raise ResultsError(
            f"No session can be saved in {root} ({error.strerror or error}); choose a folder where "
            "you may write."
        ) from error
    return folder


def next_session_folder(root: str | Path, subject: str, visit: str = "") -> Path | None:
    """Return the folder that :func:`new_session_folder` would make, without making it.

    Returns
    -------
    None if it can be told already that none can be made there.
    """
    root = Path(root).expanduser()
    try:
        above = next(path for path in (root, *root.absolute().parents) if os.path.lexists(path))
        if not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
            return None
        for folder in _candidates(root, subject, visit):
            if not os.path.lexists(folder) or _is_empty_folder(folder):
                break
    except OSError:
        return None
    return folder


def sessions_in(root: str | Path) -> tuple[list[SessionSummary], list[str]]:
    """Read what the sessions under a root, its folders, hold, each apart from the others.

    Returns
    -------
    sessions, problems
        Those that can be read, and a sentence for each that cannot. A folder without a
        ``session.json`` is neither.
    """
    sessions, problems = [], []
    try:
        folders = sorted(Path(root).expanduser().iterdir())
    except OSError:  # not there, or not for us to look into
        return [], []
    for folder in folders:
        if not folder.name.startswith("sub-") or not os.path.lexists(folder / SESSION_FILE):
            continue
        try:
            sessions.append(read_summary(folder))
        except ResultsError as error:
            problems.append(str(error))
    return sessions, problems


def _candidates(root: Path, subject: str, visit: str) -> Iterator[Path]:
    name = Identity(subject, visit).stem
    return (root / (name if n == 1 else f"{name}_{n}") for n in itertools.count(1))


def _is_empty_folder(path: Path) -> bool:
    """Whether a path is a folder that holds nothing, and no link to one."""
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())
