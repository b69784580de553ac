"""Peak memory of the max map of the confluent lesion, beyond the network and the patient.

Run in a process of its own, so that nothing else has been allocated before; prints one number,
bytes::

    python -m benchmarks.memory --rows 64 [--real FOLDER] [--device cpu]

Memory does not grow with the number of rows, so two short runs stand for the whole: the first
rows of the complete lesion, and all rows of a thinned lesion that touches the same windows.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import psutil
import torch
import typer

from benchmarks.maps import settle
from benchmarks.report import Result, Target
from benchmarks.subjects import Lesion, real_subjects, synthetic_subjects
from napari_ies import explain_progressively
from napari_ies.network.device import exact_float32
from napari_ies.network.inference import network_input

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.settings import Settings
    from benchmarks.subjects import Subjects
    from napari_ies.network.model import SegmentationModel

ROOT = Path(__file__).parents[1]


class PeakMemory:
    """The most memory a process held inside this context, above what it held on entering.

    On a GPU what its allocator held, otherwise the process's resident memory, read every 5 ms.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._process = psutil.Process()
        self._stop = threading.Event()
        self.bytes = 0

    def __enter__(self) -> PeakMemory:
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self._device)
            self._before = torch.cuda.memory_allocated(self._device)
            return self
        # What was freed on the way here must not pass for memory that is still held.
        with suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        self._before = self._process.memory_info().rss
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._device.type == "cuda":
            self.bytes = torch.cuda.max_memory_allocated(self._device) - self._before
            return
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.005):
            self.bytes = max(self.bytes, self._process.memory_info().rss - self._before)


def in_own_process(rows: int, real: Path | None, device: str) -> int:
    """Measure in a fresh process; return bytes."""
    command = [sys.executable, "-m", "benchmarks.memory", "--rows", str(rows), "--device", device]
    command += ["--threads", str(torch.get_num_threads())]
    if real is not None:
        command += ["--real", str(real.resolve())]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return int(done.stdout.split()[-1])


def peak_of_max_map(model: SegmentationModel, lesion: Lesion, rows: int) -> int:
    """Return the peak of the two short runs, in bytes."""
    network_input(model, lesion.case)
    settle(model)
    with PeakMemory(model.device) as peak:
        _run(model, lesion, rows)
        _run(model, lesion.thinned(rows), rows)
    return peak.bytes


def peak_memory(subjects: Subjects, settings: Settings, real: Path | None) -> Iterator[Result]:
    """Measure the peak memory of the confluent lesion's max map."""
    device = subjects.model.device
    peak = in_own_process(settings.rows, real, str(device)) / 1e9
    yield Result(
        what=f"peak memory beyond the network, max map, {subjects.confluent.name}",
        ours=f"{peak:.2f} GB",
        value=peak,
        target=Target(4, at_least=False, unit=" GB"),
        note=f"the first {settings.rows} rows of the lesion, and {settings.rows} rows spread over "
        "all of it: memory does not grow with rows",
    )


def _run(model: SegmentationModel, lesion: Lesion, rows: int) -> None:
    reports = explain_progressively(model, lesion.case, lesion.mask, aggregation="max", n_samples=1)
    for report in reports:
        if report.done >= rows and report.done < report.total:
            break
    reports.close()


def main(
    rows: Annotated[int, typer.Option(help="Rows of each of the two runs.")] = 64,
    real: Annotated[Path | None, typer.Option(help="Folder with the real patients.")] = None,
    device: Annotated[str, typer.Option(help="Where to compute.")] = "cpu",
    threads: Annotated[int, typer.Option(help="CPU threads; 0 for PyTorch's choice.")] = 0,
) -> None:
    """Print the peak memory in bytes."""
    if threads:
        torch.set_num_threads(threads)
    subjects = synthetic_subjects(device) if real is None else real_subjects(real, device)
    with exact_float32():
        print(peak_of_max_map(subjects.model, subjects.confluent, rows))


if __name__ == "__main__":
    typer.run(main)
