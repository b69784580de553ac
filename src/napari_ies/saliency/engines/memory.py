"""How much memory an explanation may take, and how much was held while it ran."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from napari_ies.admissible import real_number
from napari_ies.errors import SaliencyError
from napari_ies.free_memory import GIB, numbers_of
from napari_ies.network.device import free_on as free_memory

SHARE_OF_FREE = 0.5
"""Without a setting this part of what is free may be taken: others need memory too."""
MOST_GIB = 1_000_000.0
"""More than any machine has."""


def memory_limit(device: torch.device, memory_gib: float | None = None) -> int:
    """Return how many bytes an explanation may take beyond the network and one forward.

    It sets how many rows are computed at once, how many rows that several windows predict are
    summed at once, and how many footprints are explained together; one of each is computed
    whatever the limit.

    Parameters
    ----------
    device
        Where the network computes.
    memory_gib
        The limit in GiB; None for half of what is free on the device now.

    Raises
    ------
    SaliencyError
        If the limit is not a positive number.
    """
    if memory_gib is None:
        return int(SHARE_OF_FREE * free_memory(device))
    limit = real_number(
        memory_gib,
        "The memory limit is {} GiB",
        (0.0, MOST_GIB),
        SaliencyError,
        "which no machine has, or none",
        above=True,
    )
    return int(limit * GIB)


class PeakMemory:
    """The most memory that was held at once since this was made, network included.

    On CUDA it is what PyTorch's allocator held on the device. Elsewhere it is the resident memory
    of the whole process, whatever else it does: on Linux since this was made, on other systems
    that say so since the process started.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self.of = "device memory held by PyTorch"
        elif _reset_peak_of_process():
            self.of = "resident memory of the process"
        else:
            self.of = "resident memory of the process since it started"

    @property
    def gib(self) -> float | None:
        """In GiB, rounded; None where the system does not say."""
        if self._device.type == "cuda":
            peak: int | None = torch.cuda.max_memory_allocated(self._device)
        else:
            peak = _peak_of_process()
        return None if peak is None else round(peak / GIB, 3)


def _reset_peak_of_process() -> bool:
    """Let the system count the process's peak memory from now on, if it can."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _peak_of_process() -> int | None:
    for name, value in numbers_of(Path("/proc/self/status")):
        if name == "VmHWM":
            return value
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
