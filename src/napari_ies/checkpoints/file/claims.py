"""What a checkpoint claims of its tensors, compared with the bytes that are there.

None claims more numbers than its record has, and all together not absurdly more than the file: so
much memory at most is taken when PyTorch makes them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_ies.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import torch

MOST_AXES = 16
MOST_SHARED = 32
"""Times of the file's size that all tensors together may claim: the same numbers may be saved under
several names, as DynUNet's are, but a small storage spread over huge tensors is no checkpoint."""

_KINDS = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "UntypedStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
}


@dataclass(frozen=True)
class StorageClaim:
    """Where numbers are said to lie."""

    key: str
    """Name of the record that holds them."""
    kind: str
    """Such as ``"FloatStorage"``."""
    count: int
    """How many numbers there are."""
    start: int = 0
    """First number of the part that is meant."""
    view: int | None = None
    """Number of numbers of that part; None for all."""


class AnyTensor:
    """A tensor as a pickle describes it."""


@dataclass(frozen=True, eq=False)
class TensorClaim(AnyTensor):
    """A tensor that is numbers in a storage."""

    storage: StorageClaim
    """Where its numbers lie."""
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]
    """Which of them are its own."""
    stated: str = ""
    """Such as ``"float8_e5m2"``; empty for the storage's own."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its size, by the name that a tensor has for it."""
        return self.size

    @property
    def dtype(self) -> torch.dtype:
        """The type of its numbers."""
        return _dtype(self.stated or _kind(self.storage))


@dataclass(frozen=True, eq=False)
class OddTensor(AnyTensor):
    """A tensor that is more than numbers in a storage: of which kind, such as ``"sparse"``."""

    kind: str


def storage_bytes(claim: StorageClaim) -> int:
    """Return how many bytes a storage is said to have.

    Raises
    ------
    CheckpointError
        In a clause, if it is of a kind that holds no weights.
    """
    return claim.count * _dtype(_kind(claim)).itemsize


def check_tensors(
    claims: Iterable[AnyTensor],
    names: Mapping[AnyTensor, str],
    room: int,
) -> None:
    """Check all tensors that a file describes, those of no table too: PyTorch makes each.

    Parameters
    ----------
    claims
        The tensors.
    names
        What those of a table are called.
    room
        Bytes of the file, unpacked.

    Raises
    ------
    CheckpointError
        In a clause with the tensor's name, if it is no plain one, or claims numbers that its
        record does not hold, or all together claim far more than the file.
    """
    claimed = 0
    for claim in claims:
        what = f"the tensor {names[claim]}" if claim in names else "a tensor in it"
        if isinstance(claim, OddTensor):
            raise CheckpointError(f"{what} is {claim.kind}, where plain numbers were expected")
        if isinstance(claim, TensorClaim):
            claimed += _claimed(what, claim, room)
        if claimed > MOST_SHARED * room:
            raise CheckpointError(
                f"its tensors claim more than {MOST_SHARED} times as many numbers as it has room "
                "for"
            )


def _claimed(what: str, claim: TensorClaim, most: int) -> int:
    """Return the bytes that one tensor claims, if its storage has them."""
    width = claim.dtype.itemsize
    storage = claim.storage
    there = storage.count if storage.view is None else storage.view
    room = there * _dtype(_kind(storage)).itemsize // width
    numbers = math.prod(claim.size)
    steps = zip(claim.size, claim.stride, strict=True)
    reach = claim.offset + sum((n - 1) * stride for n, stride in steps) + 1
    if (reach if numbers else claim.offset) > room or numbers * width > most:
        shape = "×".join(map(str, claim.size)) or "a single number"
        raise CheckpointError(f"{what} claims to hold {shape} numbers, more than its record has")
    return numbers * width


def _kind(claim: StorageClaim) -> str:
    if claim.kind not in _KINDS:
        raise CheckpointError(f"it holds quantized or other numbers of a rare kind ({claim.kind})")
    return _KINDS[claim.kind]


def _dtype(name: str) -> torch.dtype:
    import torch

    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype) or not dtype.itemsize or name.startswith("q"):
        raise CheckpointError(f"it holds numbers of a kind that is not known ({name})")
    return dtype
