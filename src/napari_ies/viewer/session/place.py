"""Where sessions are saved, and whether they are saved by themselves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from platformdirs import user_data_dir

from napari_ies.viewer.preferences import preferences

FOLDER_VARIABLE = "NAPARI_IES_SESSIONS"
"""Environment variable: a folder for all sessions, before any preference."""


def session_roots(beside: Path | None) -> tuple[Path, ...]:
    """Return the folders whose folders may be sessions of a case, the first choice first.

    Parameters
    ----------
    beside
        The file of the first image, or None where it has none.

    What the environment or the preferences name is the only one; else it is ``napari-ies`` beside
    the first image and, for images without a file or where nothing can be written beside it, a
    folder in the user's own data.
    """
    named = os.environ.get(FOLDER_VARIABLE) or _preferred("autosave_folder", "")
    if named:
        return (Path(named).expanduser(),)
    own = Path(user_data_dir("napari-ies", appauthor=False)) / "sessions"
    return (own,) if beside is None else (beside.absolute().parent / "napari-ies", own)


def saves_itself() -> bool:
    """Whether a panel that opens saves its sessions by itself."""
    return bool(_preferred("autosave", True))


def _preferred(name: str, default: Any) -> Any:
    settings = preferences()
    return getattr(getattr(settings, "session", None), name, default)
