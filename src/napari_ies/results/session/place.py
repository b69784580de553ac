"""Where sessions lie under a root: a folder each, ``sub-XX``, ``sub-XX_ses-YY``, ``sub-XX_2``, …"""

from __future__ import annotations

import itertools
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ies.errors import ResultsError
from napari_ies.patient.identity import Identity
from napari_ies.regular_files import read_json
from napari_ies.results.session.document import read_summary
from napari_ies.results.session.record import SESSION_FILE, SessionSummary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


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


def shows(
    summary: SessionSummary, files: Mapping[str, str], values: Mapping[str, Callable[[], str]]
) -> bool:
    """Whether a session is of these images, whatever checkpoint segmented them.

    Parameters
    ----------
    summary
        What the session holds.
    files
        SHA-256 of each image's file, by sequence; empty for an image without one.
    values
        For each image what returns the SHA-256 of its values (float32, on the stored grid). It is
        asked for those without a file: a session saved such an image, and the JSON beside its
        lesions names the values that it had.
    """
    own = {image.sequence: image.file for image in summary.record.images}
    if set(own) != set(files):
        return False
    kept = [name for name, file in own.items() if file.made_here and not files[name]]
    if not all(name in kept or files[name] == file.sha256 for name, file in own.items()):
        return False
    saved = _saved_values(summary) if kept else {}
    return all(saved.get(name) == values[name]() for name in kept)


def _saved_values(summary: SessionSummary) -> dict[str, str]:
    """Return the SHA-256 of the values of each image that had no file, by sequence."""
    for name in summary.record.segmentation.files:
        if name.endswith(".json"):
            with suppress(OSError, ValueError, RecursionError, LookupError, TypeError):
                images = read_json(summary.folder / name)["Images"]
                return {one["Sequence"]: one["DataSHA256"] for one in images}
    return {}


def _candidates(root: Path, subject: str, visit: str) -> Iterator[Path]:
    name = Identity(subject, visit).stem
    return (root / (name if n == 1 else f"{name}_{n}") for n in itertools.count(1))


def _is_empty_folder(path: Path) -> bool:
    """Whether a path is a folder that holds nothing, and no link to one."""
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())
