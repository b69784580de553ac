"""``napari-ies statistics``: do maps of TP, FP and missed lesions differ?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_ies.cli import options
from napari_ies.cli.terminal import reporting


def statistics(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="A folder of results of cohort or explain."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder for the files (default: statistics in that folder)."
        ),
    ] = None,
    draws: Annotated[
        int,
        typer.Option(metavar="N", min=100, max=100_000, help="Bootstrap draws of patients."),
    ] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Of these draws.")] = 0,
    debug: options.Debug = False,
) -> None:
    """Compare the maps of true positive, false positive and missed lesions.

    Peaks, means and the share of each sequence by Mann-Whitney tests with Benjamini-Hochberg,
    effect sizes with intervals by patient, and the maps against distance: CSV, Markdown, PDF.
    """
    with reporting(debug) as terminal:
        from napari_ies.cohort.statistics.writing import write_statistics_progressively

        reports = write_statistics_progressively(folder, out, draws=draws, seed=seed)
        for path in terminal.follow(reports, "Statistics"):
            terminal.show(str(path))
