"""What writes left that were cut short."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

from napari_ies.results.storage import STAGING_PREFIX

if TYPE_CHECKING:
    from pathlib import Path

STAGING_SECONDS = 3600
"""A write takes seconds: what is older than this was cut short."""


def remove_leftovers(folder: Path) -> None:
    """Remove the folders in which files were being written when a program was killed."""
    for path in folder.glob(f"{STAGING_PREFIX}*"):
        try:
            if path.is_dir() and time.time() - path.stat().st_mtime > STAGING_SECONDS:
                shutil.rmtree(path)
        except OSError:  # to be tried again when the session is opened again
            continue
