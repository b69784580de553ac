"""A safetensors file read as what it has to be: a list of tensors, then their numbers.

Eight bytes hold the length of a list in JSON; it says of each tensor its type, its shape and where
its numbers lie behind the list. Nothing in it can run. What it claims is compared with the bytes
that are there before a tensor is made: the places follow each other, from the first byte to the
last, without gap or overlap, as the format asks for.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from napari_ies.checkpoints.file.archive import DamagedError
from napari_ies.checkpoints.file.claims import MOST_AXES
from napari_ies.checkpoints.file.tables import LONGEST_KEY, MOST_TENSORS
from napari_ies.errors import CheckpointError

if TYPE_CHECKING:
    import torch

    from napari_ies.checkpoints.file.groups import Tables

LONGEST_LIST = 100 << 20
"""Bytes of the list, the format's own limit."""

_LENGTH = 8
_MOST_NUMBERS = 2**62
_METADATA = "__metadata__"
_TYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
    "C64": "complex64",
}


def is_safetensors(head: bytes, size: int) -> bool:
    """Return whether a file of so many bytes that begins so, with 9 bytes, can be one.

    Its list begins with a brace. One that claims a longer list than the file, up to 256 TB, is one
    all the same: what is wrong with it is said when it is read.
    """
    return size > _LENGTH and head[_LENGTH - 2 :] == b"\0\0{"


def check_list_length(head: bytes, size: int) -> int:
    """Return the length of the list by the first eight bytes of a file of that size.

    Raises
    ------
    DamagedError
        If the file, or the format, has no room for it.
    """
    length = int.from_bytes(head[:_LENGTH], "little")
    if length > min(LONGEST_LIST, size - _LENGTH):
        raise DamagedError(f"its list of tensors claims {length} bytes")
    return length


def read_safetensors(content: bytes) -> tuple[Tables, dict[str, str]]:
    """Return the tensors of a file, in a table without a name, and its metadata.

    Raises
    ------
    DamagedError
        If the list is none, or does not account for every byte behind it.
    CheckpointError
        In a clause, if there is no end of tensors, or one is of a type that holds no weights.
    """
    import torch

    behind = _LENGTH + check_list_length(content, len(content))
    entries, metadata = _entries(content[_LENGTH:behind])
    places = {name: _place(name, entry) for name, entry in entries.items()}
    at = 0
    for name in sorted(places, key=lambda name: places[name][2]):
        _, _, start, end = places[name]
        if start != at:
            raise DamagedError(f"the tensor {name} begins at byte {start}, where {at} was expected")
        at = end
    if at != len(content) - behind:
        raise DamagedError(f"by what it lists it has {behind + at} bytes")
    table = {}
    for name, (dtype, shape, start, end) in places.items():
        # A copy: the numbers may begin anywhere, and PyTorch asks for multiples of their width.
        numbers = bytearray(content[behind + start : behind + end])
        found = torch.frombuffer(numbers, dtype=dtype) if numbers else torch.empty(0, dtype=dtype)
        table[name] = found.reshape(shape)
    return ({"": table} if table else {}), metadata


def _entries(listed: bytes) -> tuple[dict[str, Any], dict[str, str]]:
    try:
        content = json.loads(listed.decode("utf-8"), object_pairs_hook=_each_once)
    except (ValueError, RecursionError) as error:
        why = str(error) if isinstance(error, _TwiceError) else "its list of tensors is no JSON"
        raise DamagedError(why) from error
    if not isinstance(content, dict):
        raise DamagedError("its list of tensors is no table")
    metadata = content.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(t, str) for t in metadata.values()):
        raise DamagedError("its metadata are no table of texts")
    if len(content) > MOST_TENSORS:
        raise CheckpointError(f"it holds more than {MOST_TENSORS} tensors")
    return content, metadata


def _place(name: str, entry: Any) -> tuple[torch.dtype, tuple[int, ...], int, int]:
    """Return a tensor's type and shape, and the bytes from which to which its numbers lie."""
    import torch

    if len(name) > LONGEST_KEY:
        raise CheckpointError(f"a tensor in it has a name of {len(name)} letters")
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise DamagedError(f"the tensor {name} is not described as a tensor is")
    shape, offsets = entry["shape"], entry["data_offsets"]
    possible = _are_sizes(shape) and _are_sizes(offsets) and len(offsets) == 2
    if not possible or math.prod(size or 1 for size in shape) >= _MOST_NUMBERS:
        raise DamagedError(f"the tensor {name} is of impossible size")
    kind = str(entry["dtype"])[:20]
    if kind not in _TYPES:
        raise CheckpointError(f"it holds numbers of a kind that is not known ({kind})")
    dtype: torch.dtype = getattr(torch, _TYPES[kind])
    start, end = offsets
    if end - start != math.prod(shape) * dtype.itemsize:
        raise DamagedError(
            f"the tensor {name} claims {'×'.join(map(str, shape)) or 'a single'} numbers in "
            f"{end - start} bytes"
        )
    return dtype, tuple(shape), start, end


def _are_sizes(values: Any) -> bool:
    return (
        isinstance(values, list)
        and len(values) <= MOST_AXES
        and all(type(value) is int and 0 <= value < _MOST_NUMBERS for value in values)
    )


class _TwiceError(ValueError):
    """A name is listed twice."""


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _TwiceError("a name stands twice in its list of tensors")
    return found
