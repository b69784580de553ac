"""All that is asked for on a graphics card, in one go of four minutes, with a table to commit.

    python -m benchmarks.card [--real FOLDER] [--device cuda:0] [--markdown docs/performance.md]

Needs a checkout and what napari-ies needs, nothing more. Without ``--real`` lesions of the demo's
patient and a U-Net of the paper's size with random weights stand in for the real ones. What the
time does not suffice for is named in the table. The CUDA tests are another command, best run
first: ``python -m pytest -m cuda tests/saliency tests/segmentation``. ``--smoke`` is the same at
its smallest, in seconds on a CPU: it says that the script runs, and its numbers mean nothing.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from benchmarks.max_maps import max_map
from benchmarks.mean_maps import mean_map_rows
from benchmarks.prediction import first_overlay, segmentation
from benchmarks.report import Report, Result
from benchmarks.rows import host_of_rows, work_per_row
from benchmarks.settings import Settings
from benchmarks.subjects import (
    NETWORKS,
    demo_lesions,
    real_subjects,
    synthetic_subjects,
    tiny_subjects,
)
from benchmarks.timing import environment
from benchmarks.window_networks import whole_window_networks
from napari_ies.network.device import exact_float32

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.subjects import Subjects

MINUTES = 4.0
DEMO_SIZES = (17, 89, 204, 606)
"""Lesions of about these numbers of voxels, those of the real patients."""
BEGIN, END = "<!-- card: written by benchmarks/card.py -->", "<!-- end of card -->"


@dataclass(frozen=True)
class Part:
    """One of the things to measure.

    Parameters
    ----------
    name
        In words.
    measure
        Yields its results.
    """

    name: str
    measure: Callable[[], Iterator[Result]]


def parts(subjects: Subjects, settings: Settings) -> list[Part]:
    """Return what is measured, what matters most first."""
    third = subjects.among(subjects.lesions[2:3])
    ends = subjects.among((*subjects.lesions[:1], *subjects.lesions[-1:]))
    return [
        Part("segmentation", partial(segmentation, subjects, settings)),
        Part("first overlay", partial(first_overlay, subjects, settings)),
        Part("max map", partial(max_map, subjects, settings, "whole-volume")),
        Part("mean map", partial(mean_map_rows, ends, settings)),
        Part("whole windows", partial(whole_window_networks, subjects, settings)),
        Part("sliding-window max map", partial(max_map, third, settings, "sliding-window")),
        Part("host's time for a row", partial(host_of_rows, subjects)),
        Part("one row", partial(work_per_row, subjects, settings)),
    ]


def within(
    todo: list[Part], minutes: float, clock: Callable[[], float] = time.monotonic
) -> Iterator[Result]:
    """Measure until the time is over; say of what is left, and of what failed, that it was not.

    A part that fails does not take the others with it: minutes of a card are few.
    """
    end = clock() + 60 * minutes
    for part in todo:
        if clock() > end:
            yield Result(part.name, note=f"not measured: {minutes:g} minutes were over")
            continue
        try:
            yield from part.measure()
        except Exception as error:
            said = str(error).splitlines() or [""]
            yield Result(part.name, note=f"failed: {type(error).__name__}: {said[0]}")


def subjects_of(real: Path | None, device: str) -> Subjects:
    """Load the real patients, or take the demo's lesions."""
    if real is not None:
        return real_subjects(real, device)
    made = synthetic_subjects(device, shape=(32, 32, 32), sizes=(4,), confluent=8)
    origin = f"lesions of the demo's patient, U-Net {NETWORKS['UNet']['channels']}, random weights"
    return replace(made, lesions=demo_lesions(DEMO_SIZES), origin=origin)


def run(
    subjects: Subjects,
    settings: Settings,
    minutes: float = MINUTES,
    say: Callable[[str], None] = print,
) -> Report:
    """Measure all of it on the subjects' device."""
    report = Report(
        environment(subjects.model.device),
        {
            "subjects": subjects.origin,
            "times": "of a map with 50 noise samples, scaled from those that were run; noise is "
            "drawn on both sides",
        },
        title="On this card",
        marks=(BEGIN, END),
    )
    for result in within(parts(subjects, settings), minutes):
        report.results.append(result)
        say(" · ".join(cell for cell in result.cells() if cell))
    return report


def main(
    real: Annotated[
        Path | None, typer.Option(help="Folder with the real patients and the checkpoint.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where to compute.")] = "cuda:0",
    minutes: Annotated[float, typer.Option(help="Begin nothing new after so long.")] = MINUTES,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="The same at its smallest: does it run?")
    ] = False,
    markdown: Annotated[
        Path | None, typer.Option(help="Write the table there, between its marks if it has them.")
    ] = None,
) -> None:
    """Measure what is asked for on a graphics card."""
    begun = time.monotonic()
    console = Console(width=None if sys.stdout.isatty() else 160)
    with exact_float32():
        subjects = tiny_subjects(device) if smoke else subjects_of(real, device)
        settings = Settings().quick().for_device(subjects.model.device)
        settings = settings.smoke() if smoke else settings
        left = minutes - (time.monotonic() - begun) / 60
        report = run(subjects, settings, left, console.print)
    if markdown is not None:
        report.write(markdown)
    console.print(report.table())
    console.print(f"{time.monotonic() - begun:.0f} s in all")


if __name__ == "__main__":
    typer.run(main)
