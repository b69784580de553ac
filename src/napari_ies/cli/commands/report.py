"""``napari-ies report``: one page on a cohort, the lesions to look at first on top."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_ies.cli import options
from napari_ies.cli.terminal import reporting


def report(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="A folder of results of cohort or explain."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The page (default: report.html in that folder)."),
    ] = None,
    images: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="Folder of the patients' images, searched with all below it, if the results do "
            "not lead to them; repeat for more. Only the very images are taken (SHA-256).",
        ),
    ] = None,
    most: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="How many lesions, those to look at first."),
    ] = 500,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a page of that name.")
    ] = False,
    debug: options.Debug = False,
) -> None:
    """Write one HTML page on a folder of results: cases, lesions, pictures, what is suspicious.

    It needs nothing else, neither network nor folder; filters work offline, and it prints.
    """
    with reporting(debug) as terminal:
        from napari_ies.cohort.report.page import NAME, write_report_progressively
        from napari_ies.errors import ResultsError

        page = folder / NAME if out is None else out
        if page.exists() and not overwrite:
            raise ResultsError(
                f"{page} is there already; choose another name, or replace it with --overwrite."
            )
        reports = write_report_progressively(folder, page, images=images or (), most=most)
        terminal.show(str(terminal.follow(reports, "Report")))
