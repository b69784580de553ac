"""What a piece of work uses besides time: operations, and on a card launches and kernels' time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.report import duration
from benchmarks.timing import synchronise

if TYPE_CHECKING:
    from collections.abc import Callable


VIEWS = ("view", "permute", "slice", "select", "expand", "split", "as_strided", "detach", "alias")
"""Operations, or beginnings of their names, that launch nothing on a device."""


@dataclass(frozen=True)
class Usage:
    """What a piece of work uses.

    Parameters
    ----------
    operations
        That PyTorch dispatched, views too.
    launches, busy
        Kernels and copies on a card, and the seconds they take together; None elsewhere.
    elapsed
        Seconds between two events of a card around the work, its waits included; None elsewhere.
    """

    operations: int
    launches: int | None = None
    busy: float | None = None
    elapsed: float | None = None

    def __str__(self) -> str:
        said = f"{self.operations:,} operations"
        if self.launches is None or self.busy is None or self.elapsed is None:
            return said
        return (
            f"{said}, {self.launches:,} launches, {duration(self.busy)} of the card's time, "
            f"{duration(self.elapsed)} between its events"
        )


class Counted(TorchDispatchMode):
    """Counts the operations that PyTorch dispatches inside this context, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = Counter[str]()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self.operations[function.overloadpacket.__name__] += 1
        return function(*args, **(kwargs or {}))

    @property
    def launches(self) -> int:
        """How many of them are no views."""
        return sum(n for name, n in self.operations.items() if not name.startswith(VIEWS))


def used(work: Callable[[], object], device: torch.device) -> Usage:
    """Run a piece of work once more, on a card three times, and see what it uses."""
    with Counted() as counted:
        work()
    total = sum(counted.operations.values())
    if device.type != "cuda":
        return Usage(total)
    began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    began.record()
    work()
    ended.record()
    synchronise(device)
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        work()
        synchronise(device)
    kernels = [
        event.time_range.elapsed_us()
        for event in seen.events() or ()
        if event.device_type == torch.autograd.DeviceType.CUDA
    ]
    return Usage(total, len(kernels), sum(kernels) / 1e6, began.elapsed_time(ended) / 1e3)
