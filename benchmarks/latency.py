"""How long the window does not answer: the viewer with the panel, while a map is computed.

Needs a screen, such as ``xvfb-run`` gives::

    python -m benchmarks.latency [--real FOLDER] [--markdown docs/performance.md]

A timer of the GUI thread beats every 5 ms; a gap between two beats is time in which a click or a
key would have waited. Slices are stepped all the while. The baseline is the same viewer with the
same layers and nothing computed; the floor is napari alone with the two images: what it needs to
slice and paint them, whatever plugin is there.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import psutil
import typer
from rich.console import Console

from benchmarks.report import Report, Result, Target, duration
from benchmarks.subjects import real_subjects, synthetic_subjects
from benchmarks.timing import environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.subjects import Subjects
    from napari_ies.viewer.state.reading import Reading

ROOT = Path(__file__).parents[1]

BEAT_MS, STEP_MS = 5, 150
"""Between two beats, and between two slices, in milliseconds."""
SECONDS = 20.0
"""Each part lasts this long."""
STARTS = 3
PERCENTILE, WORST, GROWTH, OPENING = 50.0, 100.0, 5.0, 1.5
"""Targets: gaps at the 99th percentile and at worst in ms, memory in per cent, seconds."""

BEGIN, END = "<!-- latency: written by benchmarks/latency.py -->", "<!-- end of latency -->"

COLD_START = """
import json, time
import napari
from qtpy.QtWidgets import QApplication
def settle():
    for _ in range(5): QApplication.processEvents()
viewer = napari.Viewer(show=True)
settle()
start = time.perf_counter()
viewer.window.add_plugin_dock_widget("napari-ies", "Lesion saliency")
settle()
print(json.dumps(time.perf_counter() - start))
viewer.close()
"""


@dataclass(frozen=True)
class Gaps:
    """Gaps between beats, in milliseconds.

    Parameters
    ----------
    values
        Every gap of a part.
    """

    values: np.ndarray

    @property
    def of_beats_99(self) -> float:
        """The 99th percentile of the gaps."""
        return float(np.percentile(self.values, 99))

    @property
    def worst(self) -> float:
        """The longest."""
        return float(self.values.max())

    def __str__(self) -> str:
        return (
            f"{np.median(self.values):.0f} ms median, {self.of_beats_99:.0f} ms at 99 % of beats, "
            f"{self.worst:.0f} ms worst"
        )


class Bench:
    """A viewer with a reading's images in it, and with the panel and the reading if it is to be.

    Parameters
    ----------
    reading
        What is shown.
    panel
        Whether the panel is there; without it this is napari alone.
    """

    def __init__(self, reading: Reading, *, panel: bool = True) -> None:
        import napari
        from qtpy.QtWidgets import QApplication

        from napari_ies.colour_maps import window_of

        self.viewer: Any = napari.Viewer(show=True)
        self.viewer.window.resize(1500, 950)
        self.app = QApplication.instance()
        if panel:
            name = "Lesion saliency"
            _, self.panel = self.viewer.window.add_plugin_dock_widget("napari-ies", name)
        for volume, name in zip(reading.case.data[::-1], reading.case.sequences[::-1], strict=True):
            self.viewer.add_image(
                reading.frame.reorientation.apply(volume),
                name=name,
                colormap="gray",
                contrast_limits=window_of(volume),
                **reading.frame.placement(),
            )
        if panel:
            self.panel.state.show_reading(reading)
        self.settle(1.0)

    def settle(self, seconds: float = 0.3) -> None:
        """Let everything that waits happen."""
        self.until(lambda: False, seconds)

    def until(self, condition: Callable[[], object], seconds: float) -> None:
        """Answer events until something is so, or the time is over."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end and not condition():
            self.app.processEvents()
            time.sleep(0.001)

    def gaps(self, seconds: float = SECONDS) -> Gaps:
        """Step slices around the lesion and listen to the beats of the GUI thread."""
        from qtpy.QtCore import QEventLoop, Qt, QTimer

        beats: list[float] = []
        loop, beat, step, stop = QEventLoop(), QTimer(), QTimer(), QTimer()
        beat.setTimerType(Qt.TimerType.PreciseTimer)
        beat.timeout.connect(lambda: beats.append(time.perf_counter()))
        middle, turns = self.viewer.dims.current_step[0], 0

        def turn() -> None:
            nonlocal turns
            turns += 1
            self.viewer.dims.set_current_step(0, middle + abs(turns % 20 - 10) - 5)

        step.timeout.connect(turn)
        stop.setSingleShot(True)
        stop.timeout.connect(loop.quit)
        beat.start(BEAT_MS)
        step.start(STEP_MS)
        stop.start(int(1000 * seconds))
        loop.exec()
        beat.stop()
        step.stop()
        return Gaps(1000 * np.diff(beats))

    def ask(self, aggregation: str, samples: int) -> None:
        """Set the form."""
        self.panel.features["explaining"].form.aggregation.setCurrentText(aggregation)
        self.panel.features["explaining"].form.samples.setValue(samples)

    def first_pixels(self, label: int) -> float:
        """Return the seconds from a click on a lesion until its map is painted."""
        shown: list[Any] = []
        self.panel.state.answer_shown.connect(shown.append)
        start = time.perf_counter()
        self.panel.explaining.explain(label)
        self.until(lambda: shown, 120)
        self.app.processEvents()
        seconds = time.perf_counter() - start
        self.panel.state.answer_shown.disconnect(shown.append)
        return seconds

    def memory_after(self, clicks: int, labels: tuple[int, int]) -> int:
        """Click two explained lesions in turn; return the process's memory in bytes."""
        for click in range(clicks):
            self.panel.explaining.explain(labels[click % 2])
            self.app.processEvents()
        self.settle()
        gc.collect()
        return int(psutil.Process().memory_info().rss)


def reading_of(subjects: Subjects, real: Path | None) -> Reading:
    """Make a reading of the patient of the largest lesion, of the reference mask where real."""
    from scipy import ndimage

    from napari_ies.segmentation.lesions import lesion_table
    from napari_ies.segmentation.segmentation import Segmentation
    from napari_ies.viewer.state.reading import Reading

    case = subjects.lesions[-1].case
    mask = np.zeros(case.shape, bool)
    for lesion in subjects.lesions:
        if lesion.case is case:
            mask |= lesion.mask
    if real is not None:
        import nibabel

        file = real / "data" / "open_ms" / "patient07" / "consensus_lesions.nii.gz"
        reference = np.asarray(nibabel.load(file).dataobj) > 0
        mask = reference if (reference & mask).any() else mask
    labels = ndimage.label(mask, np.ones((3, 3, 3)))[0].astype(np.int32)
    probability = mask.astype(np.float32)
    table = lesion_table(labels, probability, case)
    segmentation = Segmentation(
        probability, labels, table, threshold=0.5, forward="sliding-window", device="cpu"
    )
    return Reading.of(subjects.model, case, segmentation)


def cold_start() -> float:
    """Return the seconds that the panel takes to open, beyond napari's own, in a new process."""
    times = []
    for _ in range(STARTS):
        run = subprocess.run(
            [sys.executable, "-c", COLD_START],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        )
        times.append(float(json.loads(run.stdout.strip().splitlines()[-1])))
    return float(np.median(times))


def measure(bench: Bench, seconds: float) -> list[Result]:
    """Measure one viewer."""
    from napari_ies.viewer.work import tasks

    reading = bench.panel.state.reading
    sizes = reading.segmentation.lesions["voxels"].sort_values()
    small, large = int(sizes.index[-2]), int(sizes.index[-1])
    results = []
    bench.ask("mean", 2)
    # As it is done in the background once the result is on screen.
    request = bench.panel.features["explaining"].form.request()
    for _ in tasks.prepare(reading, reading.model, request):
        pass
    first = bench.first_pixels(small)
    bench.until(lambda: not bench.panel.services.work.busy, 300)
    again = bench.first_pixels(large)
    bench.until(lambda: not bench.panel.services.work.busy, 300)
    note = "the first map of a session, and the next"
    results.append(Result("click to first pixels", duration(first), duration(again), note=note))
    for planes in (False, True):
        if planes:
            bench.panel.features["planes"].toggle()
            bench.settle(3.0)
        bench.panel.explaining.explain(large)
        bench.settle()
        baseline = bench.gaps(seconds)
        bench.ask("max", 50)
        bench.panel.explaining.explain(large)
        bench.until(lambda: bench.panel.state.shown.request.aggregation == "max", 300)
        ours = bench.gaps(seconds)
        busy = bench.panel.services.work.busy
        bench.panel.services.work.cancel()
        bench.until(lambda: not bench.panel.services.work.busy, 60)
        bench.ask("mean", 2)
        where = "three planes" if planes else "one plane"
        note = "" if busy else "the map was finished before the end"
        against = str(baseline)
        results += [
            Result(
                f"gap at the 99th percentile, {where}",
                str(ours),
                against,
                ours.of_beats_99,
                Target(PERCENTILE, at_least=False, unit=" ms"),
                f"{ours.of_beats_99 / baseline.of_beats_99:.2f} × the baseline. {note}",
            ),
            Result(
                f"longest gap, {where}",
                f"{ours.worst:.0f} ms",
                f"{baseline.worst:.0f} ms",
                ours.worst,
                Target(WORST, at_least=False, unit=" ms"),
                f"{ours.worst / baseline.worst:.2f} × the baseline. {note}",
            ),
        ]
    bench.panel.features["planes"].toggle()
    bench.settle(1.0)
    early = bench.memory_after(20, (small, large))
    late = bench.memory_after(180, (small, large))
    growth = 100 * (late / early - 1)
    results.append(
        Result(
            "memory after 200 clicks against 20",
            f"{late / 2**20:.0f} MiB",
            f"{early / 2**20:.0f} MiB",
            growth,
            Target(GROWTH, at_least=False, unit=" %"),
        )
    )
    return results


def main(
    real: Annotated[
        Path | None,
        typer.Option(help="Folder with data/open_ms and checkpoints; without it, random noise."),
    ] = None,
    seconds: Annotated[float, typer.Option(help="How long each part lasts.")] = SECONDS,
    markdown: Annotated[
        Path | None, typer.Option(help="Write the results there, between its marks if it has them.")
    ] = None,
) -> None:
    """Measure how long the window does not answer."""
    subjects = synthetic_subjects("cpu") if real is None else real_subjects(real, "cpu")
    reading = reading_of(subjects, real)
    report = Report(
        environment(subjects.model.device),
        {
            "subject": f"{subjects.origin}, {' × '.join(map(str, reading.case.shape))} voxels, "
            f"{len(reading.places)} lesions",
            "baseline": "the same slices stepped with the same layers, nothing computed",
        },
        title="The window while a max map is computed",
        marks=(BEGIN, END),
    )
    opening = cold_start()
    target = Target(OPENING, at_least=False, unit=" s")
    report.results.append(
        Result("panel open from a cold start", duration(opening), "", opening, target)
    )
    alone = Bench(reading, panel=False)
    floor = alone.gaps(seconds)
    alone.viewer.close()
    report.results.append(Result("gaps of napari alone, the two images", "", str(floor)))
    bench = Bench(reading)
    try:
        report.results += measure(bench, seconds)
    finally:
        bench.viewer.close()
    if markdown is not None:
        report.write(markdown)
    Console(width=None if sys.stdout.isatty() else 160).print(report.table())


if __name__ == "__main__":
    typer.run(main)
