"""What a graphics card waits for: Python's time for a chunk of rows, measured without a card.

On PyTorch's ``meta`` device everything runs but the arithmetic. How long a chunk takes there is
what the host needs to plan and to launch it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from benchmarks.usage import Counted
from napari_ies.geometry.box import Box
from napari_ies.saliency.engines.local_network import LocalNetwork
from napari_ies.saliency.engines.moves import landed
from napari_ies.saliency.engines.plan import Seeds
from napari_ies.saliency.reduction import RunningExtremes

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray
    from torch import nn


@dataclass(frozen=True)
class HostTime:
    """What a chunk of rows takes of the host.

    Parameters
    ----------
    rows
        In the chunk.
    seconds
        Of this thread for the chunk once its rows are planned: the least of several.
    first_seconds
        The same with planning, as in the first noise sample.
    launches, operations
        What runs on the device for it; the same, and views.
    """

    rows: int
    seconds: float
    first_seconds: float
    launches: int
    operations: int


def chunk_on_meta(
    network: nn.Module, domain: tuple[int, int, int], voxels: NDArray[np.int64], rows: int
) -> Callable[[bool], None]:
    """Return what computes a chunk of rows into running extremes, but for the arithmetic.

    Parameters
    ----------
    network
        On the meta device, in evaluation mode.
    domain
        Size of the window.
    voxels
        int64 (V, 3), in the window: all that are planned together.
    rows
        So many of them, the first ones, are the chunk.
    """
    span = Box.of_voxels(voxels)
    local = LocalNetwork(network)
    reach = local.reach(span, domain)
    images = torch.empty((1, 2, *reach.shape), device="meta")
    forward = local.linearise(images, span, domain, 1)
    extremes = RunningExtremes((2, *reach.shape), images)
    seeds = Seeds(voxels, torch.ones(len(voxels)))

    def chunk(new: bool) -> None:
        these = Seeds(voxels, seeds.weights) if new else seeds
        for _, values, at in landed(forward.rows(these, slice(0, rows)), reach):
            extremes.add(values, (slice(None), *at))

    return chunk


def host_time(
    network: nn.Module,
    domain: tuple[int, int, int],
    voxels: NDArray[np.int64],
    rows: int = 128,
    repetitions: int = 10,
) -> HostTime:
    """Measure what a chunk of rows takes of the host; parameters as for :func:`chunk_on_meta`."""
    chunk = chunk_on_meta(network, domain, voxels, rows)
    first, again = [], []
    for _ in range(repetitions):
        for taken, new in ((first, True), (again, False)):
            begun = time.thread_time()
            chunk(new)
            taken.append(time.thread_time() - begun)
    with Counted() as counted:
        chunk(False)
    total = sum(counted.operations.values())
    return HostTime(rows, min(again), min(first), counted.launches, total)
