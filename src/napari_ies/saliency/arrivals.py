"""Values that come from a GPU while the host goes on.

Whoever asks a GPU for a value waits for all that was launched before; then the GPU waits for what
is launched next. So values are sent, and looked at once they have come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence


class Arrival(Protocol):
    """Values on their way to the host."""

    @property
    def here(self) -> bool:
        """Whether they have come; does not wait."""
        ...

    def values(self) -> list[torch.Tensor]:
        """Return them, on the CPU; waits until they have come."""
        ...


class AtOnce:
    """Values that are on the host, or are brought there at once."""

    here = True

    def __init__(self, values: Sequence[torch.Tensor]) -> None:
        self._values = [one.cpu() for one in values]

    def values(self) -> list[torch.Tensor]:
        """Return them."""
        return self._values


class FromCuda:
    """Copies from a CUDA device to pinned memory that nobody waits for."""

    def __init__(self, values: Sequence[torch.Tensor]) -> None:
        self._pinned = [torch.empty(one.shape, dtype=one.dtype, pin_memory=True) for one in values]
        for pinned, one in zip(self._pinned, values, strict=True):
            pinned.copy_(one, non_blocking=True)
        self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._event.record(torch.cuda.current_stream(values[0].device))

    @property
    def here(self) -> bool:
        """Whether the copies are done."""
        return bool(self._event.query())  # type: ignore[no-untyped-call]

    def values(self) -> list[torch.Tensor]:
        """Return copies of them: pinned memory is scarce, and goes back."""
        self._event.synchronize()
        return [pinned.clone() for pinned in self._pinned]


def largest(values: torch.Tensor) -> torch.Tensor:
    """Return the largest magnitude: finite exactly if all values are, found in one pass."""
    found: torch.Tensor = torch.linalg.vector_norm(values, ord=float("inf"))
    return found
