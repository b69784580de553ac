"""Sets of files that appear in one step, whatever stops the program in between.

New files are written into a folder of their own (``.napari-ies-…``) beside their places. Once all
are whole, a journal there says what moves where and what it replaces, by hash; then they move.
Who is stopped before the journal has changed nothing; what was stopped after it is finished by
whoever comes next. A folder is left alone while its writer lives, which holds a lock on it, and
when it comes from another computer or holds anything that the program did not put there.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import stat
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ies.regular_files import file_sha256, read_json, sha256_of
from napari_ies.results.names import is_plain_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

logger = logging.getLogger("napari_ies")

STAGING_PREFIX = ".napari-ies-"
"""Of the folders in which files are written before they are moved to their place."""
WRITER = "writer.json"
"""In such a folder: who writes, and what. Its writer holds a lock on it."""
JOURNAL = "journal.json"
"""In such a folder: the files are whole, and this is where they go."""
_UNFINISHED = "journal.json.part"
_MOST_BYTES = 1 << 20
_LOCKED_BYTE = 1 << 30


class Staging:
    """A folder, in that of the files to come, where they are written; made by :func:`staged`."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.folder = folder
        self._names = names
        self._begun = False

    def publish(self, obsolete: Iterable[str] = ()) -> None:
        """Move the files to their places, in one step as far as any reader can tell.

        `obsolete` are names of files that go with what is replaced.
        """
        place = self.folder.parent
        gone = [name for name in obsolete if (place / name).is_file()]
        if len(self._names) == 1 and not gone:
            (self.folder / self._names[0]).replace(place / self._names[0])
            return
        moves = {
            name: {"SHA256": file_sha256(self.folder / name), "Replaces": _state(place / name)}
            for name in self._names
        }
        content = {"Moves": moves, "Obsolete": {name: _state(place / name) for name in gone}}
        _put_json(self.folder / _UNFINISHED, content)
        (self.folder / _UNFINISHED).replace(self.folder / JOURNAL)
        try:
            self._move(moves, gone)
        except BaseException:
            if self._begun:
                with contextlib.suppress(OSError):
                    self._move(moves, gone)
            raise

    @property
    def half_moved(self) -> bool:
        """Whether some files are at their places and some are not."""
        return self._begun and any((self.folder / name).exists() for name in self._names)

    def _move(self, moves: Mapping[str, Any], obsolete: Sequence[str]) -> None:
        for step in _steps(self.folder, moves, obsolete):
            if step.exists():
                if step.parent == self.folder:
                    step.replace(self.folder.parent / step.name)
                else:
                    step.unlink()
                self._begun = True


@contextlib.contextmanager
def staged(place: Path, names: Sequence[str]) -> Iterator[Staging]:
    """Give a folder to write files into that are then moved to a place together.

    Parameters
    ----------
    place
        The folder in which the files will lie. The one given is in it, so that a move is a
        rename within one disk.
    names
        Of the files.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    folder, lock = _locked_folder(place, names)
    staging = Staging(folder, names)
    try:
        yield staging
    finally:
        kept = staging.half_moved  # whoever comes next finishes it
        if not kept:
            _clear(folder, names)
        os.close(lock)
        if not kept:
            _remove_folder(folder)


def finish_leftovers(folder: Path) -> bool:
    """Finish or remove what a program that was stopped left half written in a folder of results.

    Sets of files that were whole are moved to their places, if these are as they were then; all
    others are removed. What is of a writer that lives or of another computer, and what holds or
    would replace anything that the program did not write, stays as it is. Return whether files
    came to their places.
    """
    finished = False
    with contextlib.suppress(OSError):
        for path in sorted(folder.glob(f"{STAGING_PREFIX}*")):
            # What is not as the program writes it is none of its own, and stays.
            with contextlib.suppress(OSError, ValueError, LookupError, TypeError, RecursionError):
                if stat.S_ISDIR(path.lstat().st_mode):
                    finished = _settle(path) or finished
    return finished


def _settle(folder: Path) -> bool:
    """Finish or remove one folder; return whether files came to their places."""
    record = folder / WRITER
    if not _is_own_file(record):
        folder.rmdir()  # only if it is empty: its writer died first or last thing
        return False
    lock = os.open(record, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    try:
        if not _lock(lock):
            return False
        content = read_json(record, _MOST_BYTES)
        names = content["Files"]
        if content["Host"] != _host() or not (isinstance(names, list) and _are_names(names)):
            return False
        if not _holds_only(folder, names):
            return False
        finished = (folder / JOURNAL).exists()
        if finished and not _finish(folder, names):
            return False
        _clear(folder, names)
    finally:
        os.close(lock)
    _remove_folder(folder)
    return finished


def _finish(folder: Path, names: Sequence[str]) -> bool:
    """Move what is left to move, if all is as it was when the program was stopped."""
    journal = read_json(folder / JOURNAL, _MOST_BYTES)
    moves, obsolete = dict(journal["Moves"]), dict(journal["Obsolete"])
    if not _are_names(obsolete) or sorted(moves) != sorted(names):
        return False
    place = folder.parent
    for name, move in moves.items():
        allowed = {move["SHA256"]}
        if (folder / name).exists():
            allowed.add(move["Replaces"])
            if _state(folder / name) != move["SHA256"]:
                return _kept(folder, name)
        if _state(place / name) not in allowed:
            return _kept(folder, name)
    for name, former in obsolete.items():
        if _state(place / name) not in (former, None):
            return _kept(folder, name)
    for step in _steps(folder, moves, tuple(obsolete)):
        if step.exists():
            step.replace(place / step.name) if step.parent == folder else step.unlink()
    return True


def _kept(folder: Path, name: str) -> bool:
    logger.warning(
        "%s was changed after the program that was replacing it had been stopped, so it is left as "
        "it is; the results that were to come lie in %s.",
        folder.parent / name,
        folder,
    )
    return False


def _steps(folder: Path, moves: Iterable[str], obsolete: Sequence[str]) -> list[Path]:
    """Order what is moved and removed so that no moment shows a mixture as one result.

    What describes comes before what it describes: it names the hashes of all, so that nothing
    else passes for it, and a description of the former files is gone before the first of them.
    """
    moved, gone = [folder / name for name in moves], [folder.parent / name for name in obsolete]
    steps = [*moved, *gone]
    return sorted(steps, key=lambda path: path.suffix != ".json")


def _locked_folder(place: Path, names: Sequence[str]) -> tuple[Path, int]:
    """Make a folder that says who writes, under a lock that ends with this program."""
    while True:
        folder = Path(tempfile.mkdtemp(dir=place, prefix=STAGING_PREFIX))
        try:
            file = os.open(folder / WRITER, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except FileNotFoundError:  # somebody found it empty, and removed it
            continue
        try:
            # Locked before it says anything: who reads it unlocked knows that its writer is gone.
            host = _host() if _lock(file) else ""
            os.write(file, json.dumps({"Host": host, "Files": [*names]}).encode())
        except BaseException:
            os.close(file)
            _remove_folder(folder)
            raise
        return folder, file


def _lock(file: int) -> bool:
    """Lock an open file until it is closed; whether that could be done."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        os.lseek(file, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        except OSError:
            return False
        finally:
            os.lseek(file, 0, os.SEEK_SET)
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _host() -> str:
    """Name this computer so that no other has the name: locks tell nothing about others."""
    parts = [platform.node()]
    with contextlib.suppress(OSError):
        parts.append(Path("/etc/machine-id").read_text(encoding="ascii"))
    address = uuid.getnode()
    if not address >> 40 & 1:  # else it is made up anew by each program
        parts.append(str(address))
    return sha256_of("\n".join(parts).encode("utf-8", "surrogateescape"))


def _are_names(names: Iterable[object]) -> bool:
    """Whether these are names of files in a folder, and no paths that lead out of it."""
    return all(
        isinstance(name, str) and is_plain_name(name) and not name.startswith(STAGING_PREFIX)
        for name in names
    )


def _holds_only(folder: Path, names: Iterable[str]) -> bool:
    own = {*names, WRITER, JOURNAL, _UNFINISHED}
    return all(path.name in own and _is_own_file(path) for path in folder.iterdir())


def _is_own_file(path: Path) -> bool:
    """Whether there is a regular file of one name: nothing that a link leads to."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1


def _state(path: Path) -> str | None:
    """Say what lies at a place: the SHA-256 of a file, or where a link leads; None for nothing."""
    try:
        linked = stat.S_ISLNK(path.lstat().st_mode)
    except FileNotFoundError:
        return None
    return f"link to {os.readlink(path)}" if linked else file_sha256(path)  # noqa: PTH115


def _put_json(path: Path, content: Mapping[str, Any]) -> None:
    with path.open("w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())


def _clear(folder: Path, names: Iterable[str]) -> None:
    """Remove what the program wrote into a folder, but for the record of the writer."""
    for name in (JOURNAL, _UNFINISHED, *names):
        with contextlib.suppress(OSError):
            os.unlink(folder / name)  # noqa: PTH108 - a link itself, never what it leads to


def _remove_folder(folder: Path) -> None:
    for remove, path in ((os.unlink, folder / WRITER), (os.rmdir, folder)):
        with contextlib.suppress(OSError):
            remove(path)
