"""Volumes packed by gzip, quickly: of a map most is zero, and what is not holds no repetitions.

Deflate spends its time on looking for strings that repeat. In the values of a map there are none,
so only runs of one byte are looked for (``Z_RLE``): half to a third of the time, and smaller.
Zeros around the values are not packed at all, but pieces that were packed once.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.geometry.box import Box

if TYPE_CHECKING:
    from collections.abc import Sequence
    from io import BufferedWriter
    from pathlib import Path

    from numpy.typing import NDArray

_BEGIN = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
"""Of a gzip file (RFC 1952): no name and no time, so that equal values give equal bytes."""
_END = b"\x03\x00"
"""An empty last block of deflate."""
_LONGEST = 1 << 20
_ZEROS = memoryview(bytes(_LONGEST))


def write_packed(
    path: Path, header: bytes, values: NDArray[Any], box: Box, shape: Sequence[int]
) -> None:
    """Write a gzip file of a header and a volume, its first axis the fastest as NIfTI has it.

    Parameters
    ----------
    path
        The file.
    header
        What comes before the volume.
    values
        (x, y, z) on the box, written in their own type, bit for bit.
    box
        Where they lie in the volume, which is 0 around them.
    shape
        Size (X, Y, Z) of the volume.
    """
    # By bits: negative zero is a value. And no more than that, whatever the box: it decides bytes.
    bits = values.view(f"u{values.itemsize}")
    inner = Box.around(bits)
    (along, *_), (x, y, z) = shape, inner.shift(box.start)
    size = values.itemsize
    rows = np.ascontiguousarray(bits[inner].T)
    page = np.zeros((rows.shape[1], along), dtype=bits.dtype)
    between = (shape[1] - len(page)) * along * size
    with path.open("wb") as file:
        stream = _Stream(file)
        stream.put(header)
        stream.put_zeros((z.start * shape[1] + y.start) * along * size)
        for number, row in enumerate(rows):
            if number:
                stream.put_zeros(between)
            page[:, x] = row
            stream.put(page.tobytes())
        stream.put_zeros(((shape[2] - z.stop + 1) * shape[1] - y.stop) * along * size)
        stream.end()


class _Stream:
    """What is written one after another, in pieces that know nothing of each other."""

    def __init__(self, file: BufferedWriter) -> None:
        self._file, self._checksum, self._length = file, 0, 0
        file.write(_BEGIN)

    def put(self, content: bytes) -> None:
        self._file.write(_packed(content))
        self._counted(content)

    def put_zeros(self, count: int) -> None:
        while count:
            part = min(count, _LONGEST)
            self._file.write(_packed_zeros(part))
            self._counted(_ZEROS[:part])
            count -= part

    def end(self) -> None:
        self._file.write(_END)
        for number in (self._checksum, self._length & 0xFFFFFFFF):
            self._file.write(number.to_bytes(4, "little"))

    def _counted(self, content: bytes | memoryview) -> None:
        self._checksum = zlib.crc32(content, self._checksum)
        self._length += len(content)


def _packed(content: bytes | memoryview) -> bytes:
    """Return blocks of deflate that end with a byte, and refer to nothing before them."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_RLE)
    return packer.compress(content) + packer.flush(zlib.Z_SYNC_FLUSH)


@lru_cache(maxsize=64)
def _packed_zeros(count: int) -> bytes:
    return _packed(_ZEROS[:count])
