"""Checkpoints as PyTorch wrote them before 1.6: pickles, then each storage behind its length.

They have no checksums. What can be checked is that every byte is accounted for.
"""

from __future__ import annotations

import io
import struct
from typing import BinaryIO

from napari_ies.checkpoints.file.archive import DamagedError, PackedError
from napari_ies.checkpoints.file.calls import MalformedError
from napari_ies.checkpoints.file.claims import storage_bytes
from napari_ies.checkpoints.file.pickled import NamesObjectError, Pickled, read_pickle
from napari_ies.errors import CheckpointError

LONGEST_PICKLE = 64 << 20
"""Bytes of all that is no tensor."""

_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001
_COUNT = struct.Struct("<q")


class NoCheckpointError(ValueError):
    """It is something else than a checkpoint."""


def read_old_file(content: bytes) -> Pickled:
    """Return what the pickle of a file of the older kind says; storages are as long as stated.

    The content is the whole file, of the size that :func:`check_old_size` found right.

    Raises
    ------
    NoCheckpointError
        If it is another pickle than PyTorch's.
    MalformedError, NamesObjectError, PackedError
        See :func:`~napari_ies.checkpoints.file.pickled.read_pickle`.
    """
    stream = io.BytesIO(content)
    pickled, keys = _pickles(stream)
    at = stream.tell()
    for key in keys:
        (count,) = _COUNT.unpack_from(content, at)
        if count != pickled.storages[key].count:
            raise MalformedError(f"the storage {key} has not the length that is stated")
        at += _COUNT.size + storage_bytes(pickled.storages[key])
    return pickled


def check_old_size(file: BinaryIO, size: int) -> None:
    """Refuse a file of the older kind that is longer or shorter than what it lists.

    Raises
    ------
    DamagedError
        If it is; only its beginning has been read then.
    """
    head = io.BytesIO(file.read(LONGEST_PICKLE))
    try:
        pickled, keys = _pickles(head)
        lengths = (_COUNT.size + storage_bytes(pickled.storages[key]) for key in keys)
        listed = head.tell() + sum(lengths)
    except PackedError:
        if size > LONGEST_PICKLE:
            raise
        return  # it may be something else; all of it shows that
    except (MalformedError, NamesObjectError, NoCheckpointError, CheckpointError):
        if size > LONGEST_PICKLE:
            raise DamagedError("its beginning is not that of a checkpoint") from None
        return  # what is wrong is found, and said, when all of it is read
    if listed != size:
        raise DamagedError(f"by what it lists it has {listed} bytes")


def _pickles(stream: BinaryIO) -> tuple[Pickled, list[str]]:
    if read_pickle(stream).content != _MAGIC:
        raise NoCheckpointError
    if read_pickle(stream).content != _VERSION:
        raise MalformedError("it is of a version that is not known")
    read_pickle(stream)
    pickled = read_pickle(stream)
    keys = read_pickle(stream).content
    texts = isinstance(keys, list) and all(isinstance(key, str) for key in keys)
    if not texts or sorted(keys) != sorted(pickled.storages):
        raise MalformedError("it does not hold the storages that its tensors need")
    return pickled, keys
