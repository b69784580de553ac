"""Measure the saliency engine against the loops it replaces, as ratios within one run.

    python -m benchmarks.saliency [--real FOLDER] [--device cpu] [--only max] [--markdown FILE]
    python -m benchmarks.saliency --quick --device cuda:0              # some minutes on a card
    python -m benchmarks.saliency --quick --device cuda:0 --synthetic  # the demo's lesions

Without ``--real`` it needs no data. ``benchmarks/card.py`` measures what is asked for on a card.

Ours and the other are measured in turn, so that a change of the machine's load meets both, and
medians are compared. The method is described in ``docs/performance.md``, which ``--markdown
docs/performance.md`` fills with the results.
"""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import torch
import typer
from rich.console import Console

from benchmarks import choices
from benchmarks.max_maps import confluent_max_map, max_map
from benchmarks.mean_maps import mean_map_rows
from benchmarks.memory import peak_memory
from benchmarks.prediction import first_overlay, segmentation
from benchmarks.report import Report
from benchmarks.rows import host_of_rows, work_per_row
from benchmarks.settings import N, Settings
from benchmarks.subjects import demo_lesions, real_subjects, synthetic_subjects, tiny_subjects
from benchmarks.timing import environment
from benchmarks.window_networks import whole_window_networks
from napari_ies.network.device import exact_float32

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.report import Result
    from benchmarks.subjects import Subjects


class Row(StrEnum):
    """What can be measured on its own."""

    MAX = "max"
    MAX_SLIDING = "max-sliding"
    MEAN = "mean"
    WINDOWS = "windows"
    OVERLAY = "overlay"
    MEMORY = "memory"
    SEGMENTATION = "segmentation"
    WORK = "work"
    HOST = "host"
    PRECISION = "precision"
    SAMPLES = "samples"


def measure(
    rows: list[Row], subjects: Subjects, settings: Settings, real: Path | None, confluent: bool
) -> Iterator[Result]:
    """Measure rows one after the other."""
    for row in rows:
        if row is Row.MAX:
            yield from max_map(subjects, settings, "whole-volume")
            if confluent:
                yield from confluent_max_map(subjects, settings)
        elif row is Row.MAX_SLIDING:
            yield from max_map(subjects, settings, "sliding-window")
        elif row is Row.MEAN:
            yield from mean_map_rows(subjects, settings)
        elif row is Row.WINDOWS:
            yield from whole_window_networks(subjects, settings)
        elif row is Row.OVERLAY:
            yield from first_overlay(subjects, settings)
        elif row is Row.MEMORY:
            yield from peak_memory(subjects, settings, real)
        elif row is Row.SEGMENTATION:
            yield from segmentation(subjects, settings)
        elif row is Row.HOST:
            yield from host_of_rows(subjects)
        elif row is Row.PRECISION:
            yield from choices.precisions(subjects, settings)
        elif row is Row.SAMPLES:
            yield from choices.samples_together(subjects, settings)
        else:
            yield from work_per_row(subjects, settings)


def main(
    real: Annotated[
        Path | None,
        typer.Option(help="Folder with data/open_ms and checkpoints; without it, random noise."),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda:0, mps or auto.")] = "cpu",
    threads: Annotated[int, typer.Option(help="CPU threads; 0 for PyTorch's choice.")] = 0,
    only: Annotated[list[Row] | None, typer.Option(help="Measure this; may be repeated.")] = None,
    confluent: Annotated[
        bool, typer.Option("--confluent", help="Also time rows of the confluent lesion.")
    ] = False,
    synthetic: Annotated[
        bool, typer.Option("--synthetic", help="Take the lesions of the demo's patient instead.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="One repetition, the smallest two lesions.")
    ] = False,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="All at its smallest: does it run?")
    ] = False,
    markdown: Annotated[
        Path | None, typer.Option(help="Write the results there, between its marks if it has them.")
    ] = None,
) -> None:
    """Measure the saliency engine against the loops it replaces."""
    if threads:
        torch.set_num_threads(threads)
    console = Console(width=None if sys.stdout.isatty() else 160)
    settings = Settings().quick() if quick else Settings()
    with exact_float32():
        if smoke:
            subjects = tiny_subjects(device)
        else:
            subjects = synthetic_subjects(device) if real is None else real_subjects(real, device)
        settings = settings.for_device(subjects.model.device)
        settings = settings.smoke() if smoke else settings
        if synthetic:
            subjects = subjects.among(demo_lesions())
        if quick:
            subjects = subjects.smallest(2)
        report = Report(
            environment(subjects.model.device),
            {
                "subjects": subjects.origin,
                "times": f"of a map with {N} noise samples, scaled from fewer; median of "
                f"{settings.repetitions} repetition(s), ours and the other in turn",
            },
        )
        for result in measure(only or list(Row), subjects, settings, real, confluent):
            report.results.append(result)
            console.print(" · ".join(cell for cell in result.cells() if cell))
            if markdown is not None:
                report.write(markdown)
    console.print(report.table())


if __name__ == "__main__":
    typer.run(main)
