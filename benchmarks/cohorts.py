"""Many cases: how many an hour with one worker and with two, and what is no engine's time.

    python -m benchmarks.cohorts [--real FOLDER] [--lesions 4] [--samples 50]
        [--markdown docs/performance.md]

With ``--real FOLDER`` the cases are the two real patients, laid out as the original scripts expect;
without it, patients of random noise with balls for lesions and random weights.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from unittest.mock import patch

import nibabel as nib
import numpy as np
import torch
import typer
from rich.console import Console

from benchmarks import reckoned
from benchmarks.report import Report, Result, Target, duration
from benchmarks.subjects import random_case, random_model
from benchmarks.timing import environment
from napari_ies.checkpoints import load_checkpoint
from napari_ies.cohort import one_case
from napari_ies.cohort.cases import CohortCase
from napari_ies.cohort.cluster import (
    NetworkSource,
    network_of_worker,
    on_this_machine,
    running_on,
    workers_of,
)
from napari_ies.cohort.row import explaining
from napari_ies.cohort.run import running
from napari_ies.cohort.selection import Selection
from napari_ies.cohort.settings import CohortSettings
from napari_ies.saliency.request import SaliencyRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from napari_ies.network.model import SegmentationModel

BEGIN, END = "<!-- cohorts: written by benchmarks/cohorts.py -->", "<!-- end of cohorts -->"
SHARE = 3.0
"""Most that may be no engine's time, in per cent of the engine's."""
TYPICAL_MM3 = 1000.0
"""Lesions up to this volume are measured: the confluent one is not what a scan is full of."""
_ENGINE = (
    (one_case, "segment_progressively"),
    (explaining, "explain_together"),
    (explaining, "explain_request"),
)


@dataclass(frozen=True, eq=False)
class Cohort:
    """What is measured on."""

    checkpoint: Path
    cases: Sequence[CohortCase]
    origin: str


@dataclass
class Clock:
    """Where the time of a run goes: seconds on the wall, and of processors."""

    engine: float = 0.0
    engine_processor: float = 0.0
    writing: float = 0.0
    """Of the thread that writes, processor time."""
    whole: float = 0.0
    processor: float = 0.0

    def timed(self, computing: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        """Return an engine's generator that counts the time it is busy."""

        def busy(*arguments: Any, **more: Any) -> Iterator[Any]:
            reports = computing(*arguments, **more)
            while True:
                wall, processor = time.perf_counter(), time.process_time()
                report = next(reports, self)
                self.engine += time.perf_counter() - wall
                self.engine_processor += time.process_time() - processor
                if report is self:
                    return
                yield report
                del report

        return busy

    def written(self, write: Callable[..., Any]) -> Callable[..., Any]:
        """Return what writes, with its processor time counted."""

        def counted(*arguments: Any, **more: Any) -> Any:
            begun = time.thread_time()
            try:
                return write(*arguments, **more)
            finally:
                self.writing += time.thread_time() - begun

        return counted

    @property
    def overhead(self) -> float:
        """What was waited for beyond the engine, in per cent of its time."""
        return 100 * (self.whole / self.engine - 1)

    @property
    def processor_overhead(self) -> float:
        """The same in processor time, with what was written beside; rather too much than less."""
        own = self.processor - self.engine_processor + self.writing
        return 100 * own / self.engine_processor


@contextmanager
def clocked() -> Iterator[Clock]:
    """Count in this context what a run in this process takes, and what of it is the engine's."""
    clock = Clock()
    with ExitStack() as stack:
        for module, name in _ENGINE:
            stack.enter_context(patch.object(module, name, clock.timed(getattr(module, name))))
        save = clock.written(explaining.save_saliency)
        stack.enter_context(patch.object(explaining, "save_saliency", save))
        wall, processor = time.perf_counter(), time.process_time()
        yield clock
        clock.whole = time.perf_counter() - wall
        clock.processor = time.process_time() - processor


def overhead(
    cohort: Cohort, model: SegmentationModel, settings: CohortSettings
) -> Iterator[Result]:
    """Measure what of a run is no engine's time, network loaded."""
    with tempfile.TemporaryDirectory() as folder, clocked() as clock:
        lesions = _lesions(running(model, cohort.cases, settings, Path(folder)))
    count = len(cohort.cases)
    note = f"{count} cases, {lesions} lesions; tables and records with it"
    yield Result(
        "beyond the engine, waited for",
        duration((clock.whole - clock.engine) / count) + " a case",
        f"the engine: {duration(clock.engine / count)} a case",
        clock.overhead,
        Target(SHARE, at_least=False, unit=" %"),
        note,
    )
    own = clock.processor - clock.engine_processor + clock.writing
    yield Result(
        "beyond the engine, processor time",
        duration(own / count) + f" a case, {clock.processor_overhead:.2g} % of the engine's",
        f"the engine: {duration(clock.engine_processor / count)} a case",
        note=f"of it {duration(clock.writing / max(lesions, 1))} for writing a lesion's maps",
    )


def rates(
    cohort: Cohort,
    model: SegmentationModel,
    settings: CohortSettings,
    repetitions: int,
    source: NetworkSource,
) -> Iterator[Result]:
    """Measure cases per hour with one worker and with two in turn, networks loaded."""
    seconds: dict[int, list[float]] = {1: [], 2: []}
    source = replace(source, key=settings.key(model))
    for _ in range(repetitions):
        for workers, times in seconds.items():
            with workers_of(workers, None) as client, tempfile.TemporaryDirectory() as folder:
                own, shared = on_this_machine(source, settings, model.device, workers)
                client.run(_loaded, own)
                begun = time.perf_counter()
                _lesions(running_on(client, own, cohort.cases, shared, Path(folder)))
                times.append(time.perf_counter() - begun)
    cases = len(cohort.cases)
    one, two = (3600 * cases / statistics.median(times) for times in seconds.values())
    yield Result(
        "cases per hour, two workers",
        f"{two:.3g}",
        f"one worker: {one:.3g}",
        two / one,
        note=f"{cases} cases; median of {repetitions} runs of each, in turn; the cores divided",
    )


def _loaded(source: NetworkSource) -> None:
    network_of_worker(source)


def _lesions(reports: Iterator[Any]) -> int:
    """Follow a run to its end; return how many lesions it explained."""
    count = 0
    for report in reports:
        if report.outcome == "failed":
            raise SystemExit(f"{report.case.name} failed: {report.sentence}")
        count += report.lesions
    return count


def real_cohort(folder: Path) -> Cohort:
    """Return the two real patients."""
    cases = []
    for number in ("07", "19"):
        at = folder / "data" / "open_ms" / f"patient{number}"
        images = {"FLAIR": at / "FLAIR.nii.gz", "T1": at / "T1.nii.gz"}
        cases.append(CohortCase(f"P{number}", "1", images, at / "consensus_lesions.nii.gz"))
    checkpoint = folder / "checkpoints" / "unet_flair_t1_epoch_31.pth"
    return Cohort(checkpoint, cases, "real patients, trained U-Net")


def synthetic_cohort(
    folder: Path, shape: tuple[int, int, int], sizes: Sequence[int], count: int, **network: Any
) -> Cohort:
    """Write patients of random noise, lesions in the shape of cubes, and a U-Net."""
    profile = {"sequences": ["FLAIR", "T1"], "window": network.pop("window", 96)}
    model = random_model("UNet", "cpu", **network)
    checkpoint = folder / "unet.pth"
    torch.save(model.network.state_dict(), checkpoint)
    checkpoint.with_suffix(".profile.json").write_text(json.dumps(profile))
    case, cases = random_case(shape), []
    for number in range(count):
        place = folder / f"P{number:02d}"
        place.mkdir()
        labels = np.zeros(shape, np.int32)
        for label, size in enumerate(sizes, start=1):
            edge = max(round(size ** (1 / 3)), 1)
            start = [
                n // 3 + (label - 1) * (edge + 2) * (axis == 0) for axis, n in enumerate(shape)
            ]
            labels[tuple(slice(a, a + edge) for a in start)] = label
        images = {}
        shifted = np.roll(case.data, number, axis=1)  # or the cases would be one and the same
        for name, values in (*zip(("FLAIR", "T1"), shifted, strict=True), ("lesions", labels)):
            images[name] = place / f"{name}.nii.gz"
            nib.save(nib.Nifti1Image(values, case.affine), images[name])
        lesions = images.pop("lesions")
        cases.append(CohortCase(f"P{number:02d}", "1", images, lesions=lesions))
    return Cohort(checkpoint, cases, "random noise, random weights")


def tiny_cohort(folder: Path) -> Cohort:
    """Write the smallest that can be measured."""
    arguments = {"channels": (4, 6, 8), "strides": (2, 2)}
    sizes = {"arguments": arguments, "divisor": (4, 4, 4), "window": 16}
    return synthetic_cohort(folder, (22, 20, 18), (1, 8), 2, **sizes)


def settings_of(samples: int, lesions: int | None) -> CohortSettings:
    """Return the scripts' settings, for so many of the larger typical lesions of each case."""
    shared: dict[str, Any] = {"n_samples": samples, "forward": "whole-volume"}
    requests = (SaliencyRequest(method="gradcam++", **shared), SaliencyRequest(**shared))
    return CohortSettings(requests, Selection(at_most_mm3=TYPICAL_MM3, largest=lesions))


def measure(
    cohort: Cohort, settings: CohortSettings, repetitions: int, device: str
) -> Iterator[Result]:
    """Measure all of it."""
    model = load_checkpoint(cohort.checkpoint, device=device)
    yield from overhead(cohort, model, settings)
    if repetitions:
        source = NetworkSource(cohort.checkpoint, device)
        yield from rates(cohort, model, settings, repetitions, source)


def main(
    real: Annotated[Path | None, typer.Option(help="Folder with the real patients.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda:0 or auto.")] = "cpu",
    lesions: Annotated[int, typer.Option(help="Lesions of each case.")] = 4,
    samples: Annotated[int, typer.Option(help="Noise samples of a map.")] = reckoned.SAMPLES,
    repetitions: Annotated[
        int, typer.Option(help="Runs with each number of workers; 0 for none.")
    ] = 2,
    smoke: Annotated[bool, typer.Option("--smoke", help="At its smallest: does it run?")] = False,
    markdown: Annotated[
        Path | None, typer.Option(help="Write the results there, between its marks.")
    ] = None,
) -> None:
    """Measure many cases."""
    console = Console(width=None if sys.stdout.isatty() else 160)
    with tempfile.TemporaryDirectory() as folder:
        if real is not None:
            cohort = real_cohort(real)
        elif smoke:
            cohort, samples, repetitions = tiny_cohort(Path(folder)), 2, 1
        else:
            cohort = synthetic_cohort(Path(folder), (182, 218, 182), (17, 89, 204, 606), 2)
        report = Report(
            environment(torch.device(device)),
            {"cases": cohort.origin, "maps": f"mean and Grad-CAM++, {samples} noise samples"},
            title="Many cases",
            marks=(BEGIN, END),
        )
        for result in measure(cohort, settings_of(samples, lesions), repetitions, device):
            report.results.append(result)
            console.print(" · ".join(cell for cell in result.cells() if cell))
            if markdown is not None:
                report.write(markdown)
    console.print(report.table())
    console.print(reckoned.table())


if __name__ == "__main__":
    typer.run(main)
