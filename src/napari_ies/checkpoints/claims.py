"""What a checkpoint claims of its tensors, compared with the bytes that are there, and made true.

A tensor shares the bytes that were read: making one takes no memory. None claims more numbers than
its record has, and all together not absurdly more than the file.
"""

from __future__ import annotations

import math
import sys
import warnings
from typing import TYPE_CHECKING

import numpy as np

from napari_ies.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from napari_ies.checkpoints.pickled import StorageClaim, TensorClaim

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


def storage_bytes(claim: StorageClaim) -> int:
    """Return how many bytes a storage is said to have.

    Raises
    ------
    CheckpointError
        In a clause, if it is of a kind that holds no weights.
    """
    return claim.count * _dtype(_kind(claim)).itemsize


class Tensors:
    """The tensors of a file, each made once.

    Parameters
    ----------
    records
        Bytes of the storages, by their keys.
    size
        Bytes of the file.
    byteorder
        ``"little"`` or ``"big"``: how its numbers are stored.
    """

    def __init__(
        self, records: Mapping[str, memoryview], size: int, byteorder: str = "little"
    ) -> None:
        self._records, self._size, self._byteorder = records, size, byteorder
        self._made: dict[TensorClaim, torch.Tensor] = {}
        self._claimed = 0

    def of(self, name: str, claim: TensorClaim) -> torch.Tensor:
        """Return a tensor as it is claimed.

        Raises
        ------
        CheckpointError
            In a clause with the tensor's name, if it claims numbers that its record does not
            hold, or far more than the file.
        """
        if claim not in self._made:
            self._made[claim] = self._tensor(name, claim)
        return self._made[claim]

    def _tensor(self, name: str, claim: TensorClaim) -> torch.Tensor:
        import torch

        dtype = _dtype(claim.dtype or _kind(claim.storage))
        width = dtype.itemsize
        first = claim.offset + claim.storage.start
        length = claim.storage.count if claim.storage.view is None else claim.storage.view
        last = claim.storage.start + length
        there = storage_bytes(claim.storage) // max(claim.storage.count, 1) * last // width
        numbers = math.prod(claim.size)
        steps = zip(claim.size, claim.stride, strict=True)
        reach = first + sum((n - 1) * stride for n, stride in steps) + 1 if numbers else first
        if len(claim.size) > MOST_AXES or reach > there or numbers * width > self._size:
            shape = "×".join(map(str, claim.size[:MOST_AXES])) or "a single number"
            raise CheckpointError(
                f"the tensor {name} claims to hold {shape} numbers, more than its record has"
            )
        self._claimed += numbers * width
        if self._claimed > MOST_SHARED * self._size:
            raise CheckpointError(
                f"its tensors claim more than {MOST_SHARED} times as many numbers as it has room "
                "for"
            )
        if not numbers:
            return torch.empty(claim.size, dtype=dtype)
        values = self._values(claim.storage.key, dtype)
        return values.as_strided(claim.size, claim.stride, first)

    def _values(self, key: str, dtype: torch.dtype) -> torch.Tensor:
        import torch

        data: memoryview | bytes = self._records[key]
        width = dtype.itemsize
        data = data[: len(data) // width * width]
        if self._byteorder != sys.byteorder:
            number = width // 2 if dtype.is_complex else width
            data = np.frombuffer(data, dtype=f"u{number}").byteswap().tobytes()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The given buffer is not writable")
            values = torch.frombuffer(data, dtype=dtype)
            if values.data_ptr() % width:
                values = torch.frombuffer(bytearray(data), dtype=dtype)
        return values


def _kind(claim: StorageClaim) -> str:
    if claim.kind not in _KINDS:
        raise CheckpointError(f"it holds quantized or other numbers of a rare kind ({claim.kind})")
    return _KINDS[claim.kind]


def _dtype(name: str) -> torch.dtype:
    import torch

    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype) or not dtype.itemsize:
        raise CheckpointError(f"it holds numbers of a kind that is not known ({name})")
    return dtype
