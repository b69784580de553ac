"""How much memory the machine has left, asked before much of it is taken."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

GIB = 2**30
UNKNOWN_FREE = 4 * GIB
"""What is assumed to be free where the system does not say."""


def free_memory() -> int:
    """Return how many bytes the system, and the container or batch job in it, has left."""
    return min(_free_of_system(), _free_of_group())


def lacking(needed: float) -> str:
    """Say that so much memory cannot be had, or nothing.

    Parameters
    ----------
    needed
        Bytes that something would take.

    Returns
    -------
    Such as ``"needs 17.6 GB of memory, of which 8.2 GB are free"``; empty if it can be had.
    """
    free = free_memory()
    if needed <= free:
        return ""
    return f"needs {_gigabytes(needed)} of memory, of which {_gigabytes(free)} are free"


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
