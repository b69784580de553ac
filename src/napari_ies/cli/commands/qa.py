"""``napari-ies qa``: which lesions are false positives, guessed from their maps."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_ies.cli import options
from napari_ies.cli.examples import EXAMPLES
from napari_ies.cli.terminal import reporting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_ies.cli.terminal import Terminal

WRONG_INPUT = 2
"""Exit status where there is nothing to learn from, or a model is about other maps."""

qa = typer.Typer(
    help="Guess from their maps which lesions are false positives. Research software, not a "
    "medical device.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@qa.command(epilog=EXAMPLES["qa"])
def fit(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDER…", help="Folders of results of cohort, computed with a reference."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for the files (default: qa in the first folder)."),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="smoothgrad or gradcam++, where the folders hold maps of both."
        ),
    ] = None,
    aggregation: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="mean, sum or max, where there are maps of several."),
    ] = None,
    draws: Annotated[
        int,
        typer.Option(metavar="N", min=100, max=100_000, help="Bootstrap draws of patients."),
    ] = 2000,
    seed: Annotated[
        int, typer.Option(min=0, max=2**31 - 1, help="Of these draws and of the folds.")
    ] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a model that is there.")
    ] = False,
    debug: options.Debug = False,
) -> None:
    """Fit a model that tells false from true positives by their maps.

    Cross-validated by patient; writes the model (JSON), a report (Markdown, CSV), and plots of what
    a threshold costs and of whether probabilities come true.
    """
    with _refusing(debug) as terminal:
        from napari_ies.cohort.qa.writing import fit_progressively

        reports = fit_progressively(
            folders,
            out,
            method=method,
            aggregation=aggregation,
            draws=draws,
            seed=seed,
            overwrite=overwrite,
        )
        for path in terminal.follow(reports, "Fitting"):
            terminal.show(str(path))


@qa.command(epilog=EXAMPLES["qa"])
def apply(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="A folder of results of cohort or explain."),
    ],
    model: Annotated[
        Path, typer.Option(metavar="FILE", help="The model.json that napari-ies qa fit wrote.")
    ],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a table that is there.")
    ] = False,
    debug: options.Debug = False,
) -> None:
    """Write how probably each lesion of a folder is a false positive: qa/errors.tsv in it.

    A model is about maps of the method, aggregation, sequences, network and settings that it was
    fitted for; others are refused. napari-ies report shows the probabilities afterwards.
    """
    with _refusing(debug) as terminal:
        from napari_ies.cohort.qa.applying import apply_progressively

        reports = apply_progressively(folder, model, overwrite=overwrite)
        for path in terminal.follow(reports, "Applying"):
            terminal.show(str(path))


@contextmanager
def _refusing(debug: bool) -> Iterator[Terminal]:
    """Give a terminal; what is given and cannot be used ends with status 2."""
    with reporting(debug) as terminal:
        from napari_ies.errors import CohortError

        try:
            yield terminal
        except CohortError as error:
            if debug:
                terminal.show_trace(error)
            terminal.note(f"Error: {error}")
            raise typer.Exit(WRONG_INPUT) from error
