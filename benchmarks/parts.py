"""What a piece of work takes at least: its operations, each on its own at the best that there is.

Products of matrices and convolutions take what one of that very shape takes alone, again and again
on the same numbers; all else takes what a copy takes that reads and writes as much. What only lays
numbers out anew counts as nothing, nor does Python. Nothing is faster on this machine with these
operations; the work itself has them one after another, on numbers that have to come from memory.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

if TYPE_CHECKING:
    from collections.abc import Callable

PRODUCTS = {
    *("mm", "addmm", "addmm_", "bmm", "baddbmm", "baddbmm_"),
    *("convolution", "mkldnn_convolution", "convolution_backward"),
}
LAYOUT = {
    *("copy_", "clone", "_to_copy", "cat", "index", "slice_backward"),
    *("fill_", "zero_", "zeros", "new_zeros"),
}
ENOUGH = 2e-3
"""Seconds that are measured at once."""
LARGEST = 2**28
"""Bytes above which a copy takes as long for each."""


@dataclass(frozen=True)
class Shape:
    """A tensor by all that decides how long an operation on it takes."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    kind: torch.dtype

    @classmethod
    def of(cls, tensor: torch.Tensor) -> Shape:
        """Return that of a tensor."""
        return cls(tuple(tensor.shape), tuple(tensor.stride()), tensor.dtype)

    @property
    def nbytes(self) -> int:
        """How many bytes lie behind it: what is repeated counts once."""
        numbers = 1
        for size, stride in zip(self.size, self.stride, strict=True):
            numbers *= size if stride else 1
        return numbers * self.kind.itemsize

    def made(self) -> torch.Tensor:
        """Return a tensor like it."""
        made = torch.empty_strided(self.size, self.stride, dtype=self.kind)
        return made.fill_(0.5) if all(self.stride) or not self.size else made


class Parts(TorchDispatchMode):
    """Counts the operations that run inside it, by what they are given and give."""

    def __init__(self) -> None:
        super().__init__()
        self.products: Counter[tuple[Any, ...]] = Counter()
        self.copies: Counter[int] = Counter()
        self._calls: dict[tuple[Any, ...], tuple[Any, Any, Any]] = {}
        self._least: dict[object, float] = {}

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        given = function(*args, **(kwargs or {}))
        name = function.overloadpacket.__name__
        if name in LAYOUT or function.is_view or name.startswith(("empty", "resolve")):
            return given
        call = tree_map_only(torch.Tensor, Shape.of, (args, kwargs or {}))
        if name in PRODUCTS:
            key = function, str(call)
            self._calls[key] = function, *call
            self.products[key] += 1
            return given
        flat = tree_flatten((args, kwargs or {}, given))[0]
        tensors = {(t.data_ptr(), t.nbytes): Shape.of(t) for t in flat if _is_tensor(t)}
        self.copies[sum(shape.nbytes for shape in tensors.values())] += 1
        return given

    def measure(self) -> None:
        """Time each part once more, on its own; what is kept is the least."""
        for key, (function, *given) in self._calls.items():
            args, kwargs = tree_map_only(Shape, Shape.made, tuple(given))
            self._keep(key, partial(function, *args, **kwargs))
        for power in {_power(size) for size in self.copies}:
            one = torch.ones(max(min(2**power, LARGEST) // 8, 1))
            self._keep(power, partial(torch.empty_like(one).copy_, one))

    def _keep(self, key: object, work: Callable[[], object]) -> None:
        self._least[key] = min(self._least.get(key, float("inf")), fastest(work))

    def products_seconds(self) -> float:
        """Return what the products take at least."""
        return sum(count * self._least[key] for key, count in self.products.items())

    def copies_seconds(self) -> float:
        """Return what all else takes at least."""
        return sum(
            count * size / min(2 ** _power(size), LARGEST) * self._least[_power(size)]
            for size, count in self.copies.items()
        )


def fastest(work: Callable[[], object], repetitions: int = 2) -> float:
    """Return the processor time of a piece of work, the least of several times; in seconds."""
    least, times = float("inf"), 1
    for _ in range(repetitions):
        start = time.process_time()
        for _ in range(times):
            work()
        once = (time.process_time() - start) / times
        times = max(int(ENOUGH / max(once, 1e-7)), 1)
        least = min(least, once)
    return least


def _power(size: int) -> int:
    return max(size - 1, 7).bit_length()


def _is_tensor(value: object) -> bool:
    return isinstance(value, torch.Tensor)
