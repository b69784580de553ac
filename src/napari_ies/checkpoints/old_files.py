"""Checkpoints as PyTorch wrote them before 1.6: pickles, then each storage behind its length.

They have no checksums. What can be checked is that every byte is accounted for.
"""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any

from napari_ies.checkpoints.archive import DamagedError
from napari_ies.checkpoints.claims import Tensors, storage_bytes
from napari_ies.checkpoints.pickled import (
    MalformedError,
    NamesObjectError,
    StorageClaim,
    read_pickle,
)
from napari_ies.errors import CheckpointError

if TYPE_CHECKING:
    from typing import BinaryIO

LONGEST_PICKLE = 64 << 20
"""Bytes of all that is no tensor."""

_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001
_COUNT = struct.Struct("<q")


class NoCheckpointError(ValueError):
    """It is something else than a checkpoint."""


def read_old_file(content: bytes) -> tuple[Any, Tensors]:
    """Read a file of the older kind.

    Parameters
    ----------
    content
        The whole file, of the size that :func:`check_old_size` found right.

    Returns
    -------
    What its pickle says, and the tensors that it may name.

    Raises
    ------
    NoCheckpointError
        If it is another pickle than PyTorch's.
    MalformedError, NamesObjectError
        See :func:`~napari_ies.checkpoints.pickled.read_pickle`.
    """
    stream = io.BytesIO(content)
    found, claims, keys = _pickles(stream)
    at, whole, storages = stream.tell(), memoryview(content), {}
    for key in keys:
        (count,) = _COUNT.unpack_from(content, at)
        at += _COUNT.size
        if count != claims[key].count:
            raise MalformedError(f"the storage {key} has not the length that is stated")
        end = at + storage_bytes(claims[key])
        storages[key] = whole[at:end]
        at = end
    return found, Tensors(storages, len(content))


def check_old_size(file: BinaryIO, size: int) -> None:
    """Refuse a file of the older kind that is longer or shorter than what it lists.

    Raises
    ------
    DamagedError
        If it is; only its beginning has been read then.
    """
    head = io.BytesIO(file.read(LONGEST_PICKLE))
    try:
        _, claims, keys = _pickles(head)
        listed = head.tell() + sum(_COUNT.size + storage_bytes(claims[key]) for key in keys)
    except (MalformedError, NamesObjectError, NoCheckpointError, CheckpointError):
        if size > LONGEST_PICKLE:
            raise DamagedError("its beginning is not that of a checkpoint") from None
        return  # what is wrong is found, and said, when all of it is read
    if listed != size:
        raise DamagedError(f"by what it lists it has {listed} bytes")


def _pickles(stream: BinaryIO) -> tuple[Any, dict[str, StorageClaim], list[str]]:
    claims: list[StorageClaim] = []
    if read_pickle(stream, []) != _MAGIC:
        raise NoCheckpointError
    if read_pickle(stream, []) != _VERSION:
        raise MalformedError("it is of a version that is not known")
    read_pickle(stream, [])
    found = read_pickle(stream, claims)
    keys = read_pickle(stream, [])
    by_key = {claim.key: claim for claim in claims}
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(by_key):
        raise MalformedError("it does not hold the storages that its tensors need")
    if any(by_key[claim.key].count != claim.count for claim in claims):
        raise MalformedError("a storage has two lengths")
    return found, by_key, [str(key) for key in keys]
