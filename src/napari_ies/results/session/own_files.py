"""Files that a session wrote since it was begun or opened: nothing else is ever removed.

What a ``session.json`` says is no evidence: whoever wrote it may have named anything in it. So
what was written is remembered by this object, by name and content, and a file that was changed,
replaced, linked or moved since then is somebody else's and stays.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

from napari_ies.regular_files import file_sha256

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


class OwnFiles:
    """What was written into one folder, as long as this object lives; at first, nothing was."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._digests: dict[str, str] = {}
        self._place = _identity_of(folder)

    def wrote(self, digests: Mapping[str, str]) -> None:
        """Remember files that were written just now: SHA-256 by name."""
        self._digests.update(digests)

    def remove(self, names: Iterable[str]) -> None:
        """Remove files that belong together, if all that lie there are as they were written here.

        Else all of them stay, so that what somebody keeps is not parted from what describes it.
        The reason may be any: other content, a link, a second name, a folder that is a link or
        another one now, or a disk that refuses.
        """
        there = [name for name in names if os.path.lexists(self._folder / name)]
        if not all(map(self._is_own, there)):
            return
        for name in there:
            # Looked at once more: in a large result, the first look was a while ago.
            if not self._is_own(name):
                return
            with contextlib.suppress(OSError):
                (self._folder / name).unlink()
                del self._digests[name]

    def remove_all(self) -> None:
        """Remove each of the files that were written here; see :meth:`remove`."""
        for name in list(self._digests):
            self.remove([name])

    def _is_own(self, name: str) -> bool:
        if self._place is None or name not in self._digests:
            return False
        same = _identity_of(self._folder) == self._place
        return same and is_as_written(self._folder / name, self._digests[name])


def _identity_of(folder: Path) -> tuple[int, int] | None:
    """Return what tells a folder from others; None if it, or the one it lies in, is a link."""
    try:
        # Absolute, so that a folder that is given as "." has one that it lies in.
        own, above = folder.absolute().lstat(), folder.absolute().parent.lstat()
    except OSError:
        return None
    real = stat.S_ISDIR(own.st_mode) and stat.S_ISDIR(above.st_mode)
    return (own.st_dev, own.st_ino) if real else None


def is_as_written(path: Path, digest: str) -> bool:
    """Whether a path is a plain file of one name, with this SHA-256."""
    try:
        before = path.lstat()
        if not stat.S_ISREG(before.st_mode) or before.st_nlink != 1:
            return False
        same = file_sha256(path) == digest
        return same and os.path.samestat(before, path.lstat())
    except OSError:
        return False
