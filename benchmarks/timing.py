"""Times that can be compared on a machine that others use too."""

from __future__ import annotations

import platform
import statistics
import time
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from napari_ies.network.device import device_label, exact_float32
from napari_ies.versions import versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


def synchronise(device: torch.device) -> None:
    """Wait until a device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Return how long a piece of work takes, in seconds."""
    synchronise(device)
    start = time.perf_counter()
    work()
    synchronise(device)
    return time.perf_counter() - start


def interleaved(
    contestants: Mapping[str, Callable[[], float]], repetitions: int
) -> dict[str, float]:
    """Measure contestants in turn, so that a change of the machine's load meets all of them.

    Parameters
    ----------
    contestants
        Each returns its time in seconds, by name.
    repetitions
        How often each is measured.

    Returns
    -------
    The median of each.
    """
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(repetitions):
        for name, measure in contestants.items():
            times[name].append(measure())
    return {name: statistics.median(values) for name, values in times.items()}


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute with a number of threads inside this context."""
    former = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(former)


def matrix_product_peak(device: torch.device, size: int, repetitions: int = 6) -> float:
    """Return the fastest float32 matrix product seen, in floating-point operations per second."""
    one = torch.randn(size, size, device=device)
    other = torch.randn(size, size, device=device)
    with exact_float32():
        torch.mm(one, other)
        fastest = min(seconds(lambda: torch.mm(one, other), device) for _ in range(repetitions))
    return 2 * size**3 / fastest


def environment(device: torch.device) -> dict[str, str]:
    """Say on what a run was made, in words."""
    known = versions()
    return {
        "date": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        "processor": _processor(),
        "threads": str(torch.get_num_threads()),
        "device": device_label(device),
        "torch": str(torch.__version__),
        **{name: known[name] for name in ("monai", "napari-ies") if name in known},
    }


def _processor() -> str:
    description = Path("/proc/cpuinfo")
    if description.exists():
        for line in description.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
