"""The content of a file as one stream: unpacked where it is compressed, and checked to its end.

A file is opened once, looked at and read from its beginning to its end: what is hashed is what was
read, and nothing stays mapped to a file that another program may rewrite.
"""

from __future__ import annotations

import bz2
import hashlib
import io
import os
import zlib
from typing import TYPE_CHECKING, Self

from napari_ies.regular_files import TooLargeError, open_regular

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GZIP_RATIO = 1032
"""How many bytes one byte of gzip can stand for, by its format."""

_PIECE = 1 << 20
_GZIP, _BZIP2 = b"\x1f\x8b", b"BZh"


class FileStream:
    """A regular file that is read once.

    Parameters
    ----------
    path
        The file; links are followed.
    content
        All of the file, where it was read already; it is not opened then.

    Attributes
    ----------
    size
        Bytes on the disk.
    packing
        ``"gzip"``, ``"bzip2"`` or an empty string, by its first bytes.

    Raises
    ------
    OSError, ValueError
        See :func:`napari_ies.regular_files.open_regular`.
    """

    def __init__(self, path: str | Path, content: bytes = b"") -> None:
        self._file = io.BufferedReader(io.BytesIO(content)) if content else open_regular(path)
        self.size = len(content) or os.fstat(self._file.fileno()).st_size
        self._hash = hashlib.sha256()
        start = self._file.peek(4)
        self.packing = (
            "gzip" if start.startswith(_GZIP) else "bzip2" if start.startswith(_BZIP2) else ""
        )
        self._blocks = self._unpacked()
        self._read = io.BytesIO()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    @property
    def largest(self) -> float:
        """Bytes that the content can have at the most."""
        if self.packing == "bzip2":
            return float("inf")
        return self.size * (GZIP_RATIO if self.packing else 1)

    def head(self, count: int) -> bytes:
        """Return the first bytes of the content, fewer only where there are no more.

        Raises
        ------
        OSError, EOFError, zlib.error
            If the file cannot be read or unpacked so far.
        """
        while self._read.tell() < count and (block := next(self._blocks, b"")):
            self._read.write(block)
        return self._read.getvalue()[:count]

    def content(self, at_most: float) -> io.BytesIO:
        """Return all of the content, its checksums verified where it is compressed.

        Parameters
        ----------
        at_most
            Bytes beyond which it is not read.

        Raises
        ------
        TooLargeError
            If there are more.
        OSError, EOFError, zlib.error
            If the file cannot be read, ends too early or is damaged.
        """
        for block in self._blocks:
            self._read.write(block)
            if self._read.tell() > at_most:
                raise TooLargeError(27, "it holds more than its header says")
        if self._read.tell() > at_most:
            raise TooLargeError(27, "it holds more than its header says")
        self._read.seek(0)
        return self._read

    @property
    def sha256(self) -> str:
        """Of the bytes on the disk that were read, in hexadecimal: all of them after `content`."""
        return self._hash.hexdigest()

    def _pieces(self) -> Iterator[bytes]:
        while piece := self._file.read(_PIECE):
            self._hash.update(piece)
            yield piece

    def _unpacked(self) -> Iterator[bytes]:
        if self.packing == "gzip":
            return _gunzipped(self._pieces())
        if self.packing == "bzip2":
            return _bunzipped(self._pieces())
        return self._pieces()


def _gunzipped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Unpack gzip, of one member or several; zlib verifies checksum and length of each."""
    decoder = zlib.decompressobj(wbits=31)
    for piece in pieces:
        data = piece
        while True:
            if decoder.eof:
                # As gzip has it, zeros may fill up blocks after the last member.
                data = data.lstrip(b"\0")
                if not data:
                    break
                decoder = zlib.decompressobj(wbits=31)
            block = decoder.decompress(data, _PIECE)
            data = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
            if block:
                yield block
            elif not data and not decoder.eof:
                break
    if not decoder.eof:
        raise EOFError("the gzip stream ends before its checksum")


def _bunzipped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Unpack bzip2, of one stream or several; the library verifies the checksum of each block."""
    decoder = bz2.BZ2Decompressor()
    begun = False
    for piece in pieces:
        data = piece
        while True:
            if decoder.eof:
                decoder, begun = bz2.BZ2Decompressor(), False
            if not data and not begun:
                break
            begun = True
            block = decoder.decompress(data, _PIECE)
            data = decoder.unused_data if decoder.eof else b""
            if block:
                yield block
            elif not data and (decoder.eof or decoder.needs_input):
                break
    if begun and not decoder.eof:
        raise EOFError("the bzip2 stream ends before its checksum")
