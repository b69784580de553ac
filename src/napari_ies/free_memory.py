"""How much memory the machine has left, and what is said where it was not enough."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_ies.errors import NapariIESError

GIB = 2**30
UNKNOWN_FREE = 4 * GIB
"""What is assumed to be free where the system does not say."""

OUT_OF_MEMORY = (
    "out of memory",  # CUDA, MPS, and CUDA's own calls
    "defaultcpuallocator",  # PyTorch on the CPU: "can't allocate memory", "not enough memory"
    "not enough memory",
    "cannot allocate memory",
    "can't allocate memory",
    "unable to allocate",  # NumPy
    "std::bad_alloc",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
)
"""What libraries' errors say, in lower case, where memory ran out: few have a class for it."""


def free_memory() -> int:
    """Return how many bytes the system, and the container or batch job in it, has left."""
    return min(_free_of_system(), _free_of_group())


def resident_memory() -> int | None:
    """Return how many bytes this process holds; None where the system does not say."""
    return dict(numbers_of(Path("/proc/self/status"))).get("VmRSS")


def lacking(needed: float) -> str:
    """Say that so many bytes of memory, which something would take, cannot be had, or nothing.

    Returns
    -------
    Such as ``"needs 17.6 GB of memory, of which 8.2 GB are free"``; empty if it can be had.
    """
    free = free_memory()
    if needed <= free:
        return ""
    return f"needs {_gigabytes(needed)} of memory, of which {_gigabytes(free)} are free"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of Python, NumPy, PyTorch or the system says that memory ran out.

    PyTorch raises a plain RuntimeError on the CPU; on a GPU it has a class of its own for what
    its allocator could not have, and a plain RuntimeError for what CUDA's libraries could not.
    """
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if not isinstance(error, RuntimeError):
        return False
    said = str(error).lower()
    return type(error).__name__ == "OutOfMemoryError" or any(text in said for text in OUT_OF_MEMORY)


def not_enough_memory(to_do: str, instead: str = "") -> str:
    """Say that memory ran out.

    Parameters
    ----------
    to_do
        What for, such as ``"segment this volume"``.
    instead
        What can be done about it besides closing other programs, such as ``"choose the forward
        sliding-window"``.
    """
    advice = f"close other programs, or {instead}" if instead else "close other programs"
    return f"There is not enough memory to {to_do}; {advice}."


@contextmanager
def within_memory(kind: type[NapariIESError], to_do: str, instead: str = "") -> Iterator[None]:
    """Turn any library's error that says that memory ran out into one sentence.

    It is that of :func:`not_enough_memory`, as an error of a kind.

    Raises
    ------
    NapariIESError
        Of that kind, if memory ran out inside this context.
    """
    try:
        yield
    except (MemoryError, RuntimeError, OSError) as error:
        if not is_out_of_memory(error):
            raise
        raise kind(not_enough_memory(to_do, instead)) from error


def _gigabytes(size: float) -> str:
    value = size / 1e9
    return f"{value:.1f} GB" if value < 1e6 else "more than a million GB"


def _free_of_system() -> int:
    for name, value in numbers_of(Path("/proc/meminfo")):
        if name == "MemAvailable":
            return value
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return UNKNOWN_FREE


def _free_of_group() -> int:
    """Return what a container or a batch system leaves this process, where it sets a limit."""
    group = Path("/sys/fs/cgroup")
    try:
        limit = int((group / "memory.max").read_text())
        return max(limit - int((group / "memory.current").read_text()), 0)
    except (OSError, ValueError):
        return sys.maxsize


def numbers_of(file: Path) -> Iterator[tuple[str, int]]:
    """Read what Linux says of memory: lines such as ``VmHWM:  123 kB``, in bytes."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        name, _, value = line.partition(":")
        if value.endswith(" kB"):
            yield name, int(value[:-3]) * 1024
