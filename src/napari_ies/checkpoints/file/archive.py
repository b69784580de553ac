"""The zip archive that `torch.save` writes: its records, each verified before it is used.

The archive is read from bytes that nobody else can change. PyTorch's own reader has its checksums
switched off, and takes a compressed record's bytes for numbers.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections import Counter
from contextlib import suppress
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, cast

from napari_ies.regular_files import open_regular

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

MAGIC = b"PK\x03\x04"
MOST_DIRECTORY = 16 << 20
"""Bytes of an archive's directory: some 200,000 records."""
MOST_UNPACKED, MOST_RATIO = 64 << 20, 20
"""Bytes up to which, and times of the file's size up to which, records may unpack: weights hardly
compress, and zeros unpack to a thousand times their size."""

MOST_PADDING = 1 << 17
"""Bytes around a record: its headers and padding, which a record's header can state up to 64 kB
of."""

_LOCAL = struct.Struct("<4s5H3L2H")
_ENCRYPTED, _UTF8 = 0x1, 0x800
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}


class DamagedError(ValueError):
    """The archive contradicts itself; the text is a clause that says where."""


class PackedError(ValueError):
    """The file is packed in a way that is not read; the text is a clause that says how."""


class _Bounded:
    """A file of which no absurd piece is read, whatever its end says of the directory's size."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        if size > MOST_DIRECTORY:
            raise DamagedError("its directory has no possible size")
        return self._file.read(size)


def directory(file: BinaryIO, size: int) -> list[zipfile.ZipInfo]:
    """Return what an archive of a size in bytes says it holds; only its directory is read.

    Raises
    ------
    DamagedError
        If the directory is damaged, or cannot be true of a file of this size.
    PackedError
        If a record is encrypted, or compressed by another method than deflate, or none has a
        checksum.
    """
    try:
        bounded = cast("BinaryIO", _Bounded(file))
        with zipfile.ZipFile(bounded) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    except DamagedError:
        raise
    # The library's ways to say that a directory makes no sense.
    except (
        zipfile.BadZipFile,
        NotImplementedError,
        ValueError,
        LookupError,
        OverflowError,
        OSError,
        struct.error,
    ) as error:
        raise DamagedError("its end is missing or damaged") from error
    for entry in entries:
        path = PurePosixPath(entry.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in entry.filename:
            raise DamagedError(f"the record {entry.filename} leads out of it")
        if entry.flag_bits & _ENCRYPTED or entry.compress_type not in _METHODS:
            raise PackedError(
                f"its record {entry.filename} is encrypted or compressed in another way than zip "
                "archives usually are"
            )
    names = Counter(entry.filename for entry in entries)
    if len(names) < len(entries):
        raise DamagedError(f"it holds the record {names.most_common(1)[0][0]} twice")
    packed = sum(entry.compress_size for entry in entries)
    unpacked = sum(entry.file_size for entry in entries)
    if packed > size or 2 * packed + MOST_PADDING * (len(entries) + 1) < size:
        raise DamagedError(f"its records have {packed} bytes together")
    if unpacked > max(MOST_UNPACKED, MOST_RATIO * size):
        raise DamagedError(f"its records claim to unpack to {unpacked} bytes")
    # As PyTorch leaves them if told to: no chance makes them 0 in several records.
    if len(filled := [entry for entry in entries if entry.file_size]) > 1 and not any(
        entry.CRC for entry in filled
    ):
        raise PackedError(
            "it was saved without checksums (torch.serialization.set_crc32_options(False)), so "
            "that damage to it could not be noticed"
        )
    return entries


def read_records(content: bytes, wanted: Collection[str] | None = None) -> Mapping[str, memoryview]:
    """Return the records of a whole archive by name, each of the size and checksum it states.

    Parameters
    ----------
    content
        The archive.
    wanted
        Names of records; by default all.

    Raises
    ------
    DamagedError
        If a record is not what the directory says.
    PackedError
        See :func:`directory`.
    """
    entries = sorted(
        directory(io.BytesIO(content), len(content)), key=lambda entry: entry.header_offset
    )
    whole, end = memoryview(content), 0
    records = {}
    for entry in entries:
        start = _data_start(content, entry)
        if entry.header_offset < end:
            raise DamagedError(f"the record {entry.filename} lies over another one")
        end = start + entry.compress_size
        if end > len(content):
            raise DamagedError(f"the record {entry.filename} ends behind it")
        if wanted is not None and entry.filename not in wanted:
            continue
        data = whole[start:end]
        if entry.compress_type == zipfile.ZIP_DEFLATED:
            data = memoryview(_unpacked(data, entry))
        if len(data) != entry.file_size or zlib.crc32(data) != entry.CRC:
            raise DamagedError(f"the record {entry.filename} does not have its checksum")
        records[entry.filename] = data
    return records


def packed_for_pytorch(records: Mapping[str, memoryview | bytes]) -> io.BytesIO:
    """Pack verified records for `torch.load`, uncompressed and each found by its name alone.

    PyTorch's reader looks for names whatever their case, and finds a directory in other ways than
    Python's: of the archive itself it might read other bytes than those that were verified. The
    records are their content by their names, which differ in more than their case.
    """
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as packed:
        for name, data in records.items():
            packed.writestr(zipfile.ZipInfo(name), data)
    file.seek(0)
    return file


def _data_start(content: bytes, entry: zipfile.ZipInfo) -> int:
    """Return where a record's data begin, behind a header that names it."""
    at = entry.header_offset
    try:
        magic, _, flags, *_, name_length, extra_length = _LOCAL.unpack_from(content, at)
    except struct.error as error:
        raise DamagedError(f"the record {entry.filename} begins behind it") from error
    start = at + _LOCAL.size
    name = content[start : start + name_length]
    known = entry.orig_filename.encode("utf-8" if flags & _UTF8 else "cp437", "replace")
    if magic != MAGIC or name != known:
        raise DamagedError(f"the record {entry.filename} is not where its directory says")
    return int(start + name_length + extra_length)


def _unpacked(data: memoryview, entry: zipfile.ZipInfo) -> bytes:
    """Return a compressed record's content, never more than is claimed and one byte."""
    unpacking = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        unpacked = unpacking.decompress(data, entry.file_size + 1)
    except zlib.error as error:
        raise DamagedError(f"the record {entry.filename} cannot be unpacked") from error
    if not unpacking.eof or unpacking.unused_data:
        raise DamagedError(f"the record {entry.filename} does not unpack to its size")
    return unpacked


def holds(path: Path, *endings: str) -> bool:
    """Whether a file is a zip archive with a record of each of these endings."""
    with suppress(OSError, ValueError), open_regular(path) as file:
        if file.read(len(MAGIC)) != MAGIC:
            return False
        file.seek(0)
        entries = directory(file, os.fstat(file.fileno()).st_size)
        names = [entry.filename for entry in entries]
        return all(any(name.endswith(ending) for name in names) for ending in endings)
    return False
