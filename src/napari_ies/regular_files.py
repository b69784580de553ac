"""Files opened, then looked at: only regular ones are read, and never more of them than is asked.

A pipe would wait for ever and ``/dev/zero`` never end, under whatever name or link they come.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from io import BufferedReader

LARGEST_TEXT = 64 << 20
"""Bytes of a JSON or a table beyond which it is none of this program's."""

_KINDS: Mapping[int, str] = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class NotRegularError(OSError):
    """A path leads to a folder, pipe, device or socket; ``strerror`` says so."""


class TooLargeError(OSError):
    """A file holds more than may be read of it; ``strerror`` says so."""


def open_regular(path: str | Path) -> BufferedReader:
    """Open a file for reading, if it is a regular one.

    Parameters
    ----------
    path
        The file; links are followed.

    Returns
    -------
    The open file. What is asked of it (its size by ``os.fstat``) concerns what is read, whatever
    becomes of the name meanwhile.

    Raises
    ------
    NotRegularError
        If it is a folder, pipe, device or socket; nothing of it is read.
    OSError
        If there is none, or it may not be read.
    ValueError
        If the name cannot be one, as with a null character in it.
    """
    path = os.fspath(path)
    flags = os.O_RDONLY
    for name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY"):
        flags |= getattr(os, name, 0)
    try:
        number = os.open(path, flags)
    except OSError:
        # Windows opens no folder, nothing opens a socket: say what it is, if it is there.
        _check_kind(Path(path).stat().st_mode, path)
        raise
    try:
        _check_kind(os.fstat(number).st_mode, path)
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise


def read_regular(path: str | Path, at_most: int | None = None) -> bytes:
    """Read a regular file to its end.

    Parameters
    ----------
    path
        The file.
    at_most
        Bytes beyond which it is not read; None for any number.

    Raises
    ------
    TooLargeError
        If it holds more.
    OSError, ValueError
        See :func:`open_regular`.
    """
    with open_regular(path) as file:
        content = file.read() if at_most is None else file.read(at_most + 1)
    if at_most is not None and len(content) > at_most:
        raise TooLargeError(27, f"it holds more than {at_most >> 20} MB", str(path))
    return content


def read_text(path: str | Path, at_most: int = LARGEST_TEXT) -> str:
    """Read a text in UTF-8, with or without the mark some editors put at its beginning.

    Raises
    ------
    OSError, ValueError
        See :func:`read_regular`; ValueError also if it is not UTF-8.
    """
    return read_regular(path, at_most).decode("utf-8-sig")


def read_json(path: str | Path, at_most: int = LARGEST_TEXT) -> Any:
    """Read a JSON.

    Raises
    ------
    OSError, ValueError, RecursionError
        See :func:`read_text`; ValueError also if it is no JSON, RecursionError if it is nested
        deeper than anything that was written for people.
    """
    return json.loads(read_text(path, at_most))


def file_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a regular file in hexadecimal, read piece by piece.

    Raises
    ------
    OSError, ValueError
        See :func:`open_regular`.
    """
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of(content: bytes) -> str:
    """Return the SHA-256 of bytes in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _check_kind(mode: int, path: str) -> None:
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise NotRegularError(22, f"it is {kind}, not a regular file", path)
