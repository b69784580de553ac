"""A run over many cases in several processes, here or on a cluster, by ``dask.distributed``.

Cases move by the paths of their files. Each worker loads the network once; the scheduler gives a
lost worker's case to another one, which goes on where the lost one was.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from napari_ies.cohort.jobs.folder_lock import locked
from napari_ies.cohort.run import CohortReport, check_place, working_through
from napari_ies.cohort.tables import write_tables
from napari_ies.errors import CohortError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from napari_ies.cohort.cases import CohortCase
    from napari_ies.cohort.settings import CohortSettings
    from napari_ies.network.model import SegmentationModel


@dataclass(frozen=True)
class NetworkSource:
    """Where each worker gets the network from."""

    checkpoint: Path
    device: str = "auto"
    orientation: str | None = None
    spacing: tuple[float, float, float] | None = None
    less_memory: bool = False
    """Whether activations are computed again and not kept."""
    threads: int | None = None
    """CPU threads of a worker; None leaves them as they are."""


@contextmanager
def workers_of(count: int, scheduler: str | None) -> Iterator[Any]:
    """Give a client of a running cluster, or of workers on this machine, a process each.

    Raises
    ------
    CohortError
        If dask.distributed is not installed, or the scheduler does not answer.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise CohortError(
            "Several workers need dask.distributed; install it with "
            "pip install 'napari-ies[cluster]', or run with one worker."
        ) from error
    if scheduler is not None:
        try:
            client = Client(scheduler, timeout=20)
        except (OSError, ValueError) as error:
            raise CohortError(
                f"No scheduler answers at {scheduler}; give the address that it prints, such as "
                "tcp://10.0.0.1:8786."
            ) from error
        with client:
            yield client
        return
    with (
        LocalCluster(
            n_workers=count, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def threads_of(workers: int, threads: int | None = None) -> int:
    """Return how many CPU threads each of so many workers on this machine has.

    All have so many together, or as many as there are.
    """
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return max((threads or available or os.cpu_count() or 1) // workers, 1)


def running_on(
    client: Any,
    source: NetworkSource,
    cases: Sequence[CohortCase],
    settings: CohortSettings,
    folder: Path,
    sentence_of: Callable[[BaseException], str] = str,
    *,
    alone: bool = True,
) -> Iterator[CohortReport]:
    """Work through cases on a cluster; see :func:`~napari_ies.cohort.run.running`.

    Parameters
    ----------
    client
        Of the cluster; its workers see the files under the same paths.
    source
        The network.
    cases, settings, folder, sentence_of, alone
        See there.

    Yields
    ------
    A report at the end of each case, in the order in which they end.
    """
    from distributed import as_completed

    check_place(folder)
    folder = folder.absolute()
    source = replace(source, checkpoint=source.checkpoint.expanduser().absolute())
    with locked(folder, cases, alone=alone):
        futures = [
            client.submit(
                *(_work, source, CohortReport(case, number, len(cases)), settings),
                *(folder, sentence_of),
                pure=False,
            )
            for number, case in enumerate(cases, start=1)
        ]
        try:
            for _, report in as_completed(futures, with_results=True):
                yield report
        finally:
            client.cancel(futures)
        if alone:
            write_tables(folder, cases)


def _work(
    source: NetworkSource,
    report: CohortReport,
    settings: CohortSettings,
    folder: Path,
    sentence_of: Callable[[BaseException], str],
) -> CohortReport:
    """Do one case in a worker; return its last report."""
    for step in working_through(_network(source), report, settings, folder, sentence_of):
        report = step
    return report


@cache
def _network(source: NetworkSource) -> SegmentationModel:
    """Load the network of this worker, on a graphics card of its own where there are several."""
    import torch

    from napari_ies.checkpoints import load_checkpoint
    from napari_ies.cohort.claims import recompute_activations

    if source.threads is not None:
        torch.set_num_threads(source.threads)
    device = source.device
    if device == "auto" and (cards := torch.cuda.device_count()) > 1:
        from distributed import get_worker

        name = str(get_worker().name)
        device = f"cuda:{int(name) % cards}" if name.isdecimal() else device
    model = load_checkpoint(
        source.checkpoint, device=device, orientation=source.orientation, spacing=source.spacing
    )
    if source.less_memory:
        recompute_activations(model)
    return model
