"""A run over many cases in several processes, here or on a cluster, by ``dask.distributed``.

Cases move by the paths of their files. Each worker loads the network once and keeps it; the
scheduler gives a lost worker's case to another one, which goes on where the lost one was.
"""

from __future__ import annotations

import logging
import os
import platform
import signal
import threading
from collections import Counter
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any

from napari_ies.checkpoints import CheckpointSource
from napari_ies.cohort.jobs.folder_lock import case_locked, locked
from napari_ies.cohort.record import read_record
from napari_ies.cohort.run import CohortReport, check_place, given_up, working_through
from napari_ies.cohort.tables import write_tables
from napari_ies.errors import CohortError
from napari_ies.free_memory import GIB
from napari_ies.saliency.engines.memory import memory_limit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import torch

    from napari_ies.cohort.cases import CohortCase
    from napari_ies.cohort.settings import CohortSettings
    from napari_ies.network.model import SegmentationModel


@dataclass(frozen=True)
class NetworkSource(CheckpointSource):
    """Where each worker gets the network from."""

    less_memory: bool = False
    """Whether activations are computed again and not kept."""
    threads: int | None = None
    """CPU threads of a worker; None leaves them as they are."""
    cards: tuple[str, ...] = ()
    """Graphics cards as ``CUDA_VISIBLE_DEVICES`` names them, of which each worker gets one; none
    where workers are told by others."""
    key: str = ""
    """:meth:`~napari_ies.cohort.settings.CohortSettings.key` with the network that is meant: by
    it a worker knows a checkpoint that was replaced under its name, and another napari-ies."""


@contextmanager
def workers_of(count: int, scheduler: str | None) -> Iterator[Any]:
    """Give a client of a running cluster, or of workers on this machine, a process each.

    Raises
    ------
    CohortError
        If dask.distributed is not installed, or the scheduler does not answer.
    """
    try:
        import dask
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
    # Dask has its workers give back each piece of memory that they free. Theirs are tables; tensors
    # come and go so fast that taking the memory anew tripled the time of the system.
    as_ever = dask.config.set({"distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None})
    with _interrupts_for_us_alone(), as_ever:
        cluster = LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            memory_limit=None,  # what is computed knows its share, see `on_this_machine`
        )
    nanny = logging.getLogger("distributed.nanny")
    told = nanny.level
    try:
        with cluster, Client(cluster) as client:
            _leave_undisturbed(client, tries=count + 1)
            try:
                yield client
            finally:
                # At the end it is no news that a worker was slow to end and had to be killed.
                nanny.setLevel(logging.ERROR)
    finally:
        nanny.setLevel(told)


def _leave_undisturbed(client: Any, tries: int) -> None:
    """Give all workers the plugin; one that is lost meanwhile does not end the run.

    Whoever comes in its place gets it from the scheduler.
    """
    for left in reversed(range(tries)):
        try:
            client.register_plugin(_undisturbed(), name="napari-ies-undisturbed")
        except OSError:  # Dask's CommClosedError is one
            if not left:
                raise
        else:
            return


@contextmanager
def _interrupts_for_us_alone() -> Iterator[None]:
    """Keep Ctrl-C, which a terminal sends to all, from workers that are started here or later.

    Each would answer it with a traceback. They end when the command that has them does.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Processes and threads have the mask of the thread that starts them. The tracker lifts it in
    # the thread that needs it first.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _undisturbed() -> Any:
    """Make a plugin by which workers go on at a Ctrl-C, whoever started their processes."""
    from distributed import WorkerPlugin

    class Undisturbed(WorkerPlugin):  # type: ignore[misc]
        def setup(self, worker: Any) -> None:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, signal.SIG_IGN)

    return Undisturbed()


def on_this_machine(
    source: NetworkSource,
    settings: CohortSettings,
    device: torch.device,
    workers: int,
    threads: int | None = None,
) -> tuple[NetworkSource, CohortSettings]:
    """Divide CPU threads, graphics cards and memory among so many workers on this machine.

    Parameters
    ----------
    source, settings
        As for one worker.
    device
        Where the network was loaded here.
    workers
        Their number.
    threads
        Of the CPU for all workers together; None for all there are.
    """
    source = shared_out(source, device, workers, threads)
    if settings.memory_gib is None:
        sharing = -(-workers // max(len(source.cards), 1))
        settings = replace(settings, memory_gib=memory_limit(device) / GIB / sharing)
    return source, settings


def shared_out(
    source: NetworkSource, device: torch.device, workers: int, threads: int | None = None
) -> NetworkSource:
    """Divide CPU threads and graphics cards alone; see :func:`on_this_machine`."""
    cards = visible_cards() if source.device in ("auto", "cuda") and device.type == "cuda" else ()
    return replace(source, threads=threads_of(workers, threads), cards=cards)


def threads_of(workers: int, threads: int | None = None) -> int:
    """Return how many CPU threads each of so many workers on this machine has.

    All have so many together, or as many as there are.
    """
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return max((threads or available or os.cpu_count() or 1) // workers, 1)


def visible_cards() -> tuple[str, ...]:
    """Return the graphics cards that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them.

    That variable itself may leave out some, or put them in another order.
    """
    import torch

    count = torch.cuda.device_count()
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = [name.strip() for name in named.split(",") if name.strip()]
    return tuple(names[:count]) if names else tuple(map(str, range(count)))


def card_of(worker: object, cards: Sequence[str]) -> str | None:
    """Return the graphics card of a worker by its name, which is its number here, from 0."""
    return cards[int(str(worker)) % len(cards)] if cards and str(worker).isdecimal() else None


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
    from distributed import CancelledError, KilledWorker, as_completed

    check_place(folder)
    folder = folder.absolute()
    source = replace(source, checkpoint=source.checkpoint.expanduser().absolute())
    begun = [CohortReport(case, number, len(cases)) for number, case in enumerate(cases, 1)]
    asked: dict[str, tuple[Any, CohortReport]] = {}
    losses: Counter[str] = Counter()

    def submitted(report: CohortReport) -> Any:
        job = (_work, source, report, settings, folder, sentence_of)
        future = client.submit(*job, locking=alone, pure=False)
        asked[future.key] = (future, report)
        return future

    with locked(folder, cases, alone=alone):
        try:
            ended = as_completed([submitted(report) for report in begun])
            for future in ended:
                _, report = asked.pop(future.key)
                try:
                    report = future.result()
                except KilledWorker:
                    losses[report.case.name] += 1
                    # Those that only waited for the lost worker's turn are given up with its own.
                    if not _was_begun(folder, report.case) and losses[report.case.name] <= _AGAIN:
                        ended.add(submitted(report))
                        continue
                    report = given_up(report, folder, _LOST)
                future.release()  # or it would be done again if its worker is lost later
                yield report
        except CancelledError as error:
            raise CohortError(
                "The cluster's scheduler was lost; start it, give the same command again, and the "
                "run goes on where it was."
            ) from error
        finally:
            client.cancel([future for future, _ in asked.values()])
        if alone:
            write_tables(folder, cases)


_AGAIN = 3
"""How often a case is tried again that was given up without having been begun."""
_LOST = (
    "The workers that did it were lost, one after another, as when memory runs out; give the same "
    "command again with fewer workers or with --memory-gib."
)


def _was_begun(folder: Path, case: CohortCase) -> bool:
    record = read_record(folder, case)
    return record is not None and record.state == "running"


def _work(
    source: NetworkSource,
    report: CohortReport,
    settings: CohortSettings,
    folder: Path,
    sentence_of: Callable[[BaseException], str],
    *,
    locking: bool,
) -> CohortReport:
    """Do one case in a worker; return its last report."""
    # A worker that was started with several threads would share one network among them.
    with _ONE_CASE, case_locked(folder, report.case) if locking else nullcontext():
        model = network_of_worker(source)
        if settings.key(model) != source.key:
            raise CohortError(
                f"A worker on {platform.node()} has another network or another version of "
                "napari-ies than this command; the checkpoint, what lies beside it and the "
                "installation must be the same for all."
            )
        for step in working_through(model, report, settings, folder, sentence_of):
            report = step
    return report


_ONE_CASE = threading.Lock()


@lru_cache(maxsize=1)
def network_of_worker(source: NetworkSource) -> SegmentationModel:
    """Load the network of this worker, on a graphics card of its own where there are several."""
    import torch

    from napari_ies.cohort.claims import recompute_activations

    if source.cards:
        from distributed import get_worker

        card = card_of(get_worker().name, source.cards)
        if card is not None:  # before CUDA looks for it, and then never again
            os.environ["CUDA_VISIBLE_DEVICES"] = card
    if source.threads is not None:
        torch.set_num_threads(source.threads)
    model = source.load()
    if source.less_memory:
        recompute_activations(model)
    return model
