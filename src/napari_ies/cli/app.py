"""The console command: what stands before a command, and the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_ies.cli.commands.bids_app import bids_app
from napari_ies.cli.commands.cohort import cohort
from napari_ies.cli.commands.context import context
from napari_ies.cli.commands.demo import demo
from napari_ies.cli.commands.explain import explain
from napari_ies.cli.commands.figure import figure
from napari_ies.cli.commands.inspect import inspect
from napari_ies.cli.commands.open_case import open_case
from napari_ies.cli.commands.qa import qa
from napari_ies.cli.commands.report import report
from napari_ies.cli.commands.segment import segment
from napari_ies.cli.commands.statistics import statistics
from napari_ies.cli.examples import EXAMPLES
from napari_ies.cli.original import OneCaseOrOriginal, OriginalSpelling
from napari_ies.cli.terminal import Terminal
from napari_ies.cli.usage import Commands

app = typer.Typer(
    name="napari-ies",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the console command; ends with exit status 0, 1 (the work failed) or 2 (wrong usage)."""
    app(prog_name="napari-ies")


def _show_version(asked: bool) -> None:
    if asked:
        from napari_ies.versions import __version__

        Terminal().show(f"napari-ies {__version__}")
        raise typer.Exit


@app.callback()
def napari_ies(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", callback=_show_version, is_eager=True
        ),
    ] = False,
) -> None:
    """See why a segmentation network marked a lesion: instance-level explanation saliency."""


for command in (inspect, segment, explain, statistics, report, figure, demo):
    app.command(epilog=EXAMPLES[command.__name__])(command)
app.command(cls=OriginalSpelling, epilog=EXAMPLES["cohort"])(cohort)
app.command("bids-app", cls=OriginalSpelling, epilog=EXAMPLES["bids-app"])(bids_app)
app.command(cls=OneCaseOrOriginal, epilog=EXAMPLES["context"])(context)
app.add_typer(qa, name="qa", epilog=EXAMPLES["qa"])
app.command("open", epilog=EXAMPLES["open"])(open_case)
