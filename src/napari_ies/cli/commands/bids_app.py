"""``napari-ies bids-app``: a BIDS dataset by the arguments that all BIDS Apps take."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from napari_ies.cli import options
from napari_ies.cli.options.cohort import CASES, CHECKPOINT, Asked, asking, settings_of
from napari_ies.cli.terminal import reporting
from napari_ies.cli.usage import refusing
from napari_ies.printable import counted

if TYPE_CHECKING:
    from napari_ies.cli.many import Discovery
    from napari_ies.cli.terminal import Terminal

Level = Literal["participant", "group"]


@asking
def bids_app(
    *,
    bids_dir: Annotated[Path, typer.Argument(metavar="IN", help="The BIDS dataset.")],
    output_dir: Annotated[
        Path,
        typer.Argument(metavar="OUT", help="Folder for the results, BIDS derivatives."),
    ],
    level: Annotated[
        Level,
        typer.Argument(
            metavar="participant|group",
            help="participant explains the lesions of each; several such jobs may write into one "
            "OUT at once. group makes tables, statistics and report of all that is there.",
        ),
    ],
    participant_label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL...",
            help="Only these participants, with sub- or without (default: all).",
            rich_help_panel=CASES,
        ),
    ] = None,
    session_label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL...",
            help="Only these sessions, with ses- or without (default: all).",
            rich_help_panel=CASES,
        ),
    ] = None,
    skip_bids_validation: Annotated[
        bool,
        typer.Option(
            "--skip-bids-validation",
            "--skip-bids-validator",
            help="Do not ask for a dataset_description.json in IN. What is read is checked in any "
            "case; the rest of the standard checks bids-validator-deno.",
            rich_help_panel=CASES,
        ),
    ] = False,
    model_checkpoint: Annotated[Path | None, CHECKPOINT] = None,
    asked: Asked,
    n_cpus: Annotated[
        int | None,
        typer.Option(
            "--n-cpus",
            "--nprocs",
            "--nthreads",
            metavar="N",
            min=1,
            help="CPU threads of the job, all workers together (default: all there are).",
        ),
    ] = None,
    mem_mb: Annotated[
        float | None,
        typer.Option(
            "--mem-mb",
            "--mem",
            metavar="MB",
            min=1,
            help="Memory of the job: maps are computed in portions that fit what program and "
            "network leave of it; one forward comes on top. Of no effect on a graphics card.",
        ),
    ] = None,
    work_dir: Annotated[
        Path | None,
        typer.Option(
            "--work-dir",
            "-w",
            metavar="DIR",
            help="Has no effect: nothing but the results is kept, beside which files are whole "
            "before they appear.",
        ),
    ] = None,
) -> None:
    """Explain a BIDS dataset: each participant alone or all, then tables and report of the group.

    participant goes on where it was when it is given again. It writes what the command cohort
    writes, but for the tables: those are made by group, from whatever participants are done.
    """
    from napari_ies.cli.many import Discovery

    where = Discovery(
        paths=(),
        prefixes=(),
        target_path=None,
        target_prefix=None,
        bids=bids_dir,
        derivatives=asked.derivatives or (),
        patterns=options.parse_images(asked.image or []),
        reference=asked.reference,
        table=None,
        nnunet=None,
        lesions_from=asked.lesions_from,
        participants=participant_label or (),
        sessions=session_label or (),
    )
    if level == "participant" and model_checkpoint is None:
        raise typer.BadParameter("give the network's weights: --model-checkpoint FILE.")
    with reporting(asked.debug) as terminal:
        from napari_ies.cohort.discovery.bids import check_dataset

        with refusing():
            check_dataset(bids_dir.expanduser(), output_dir.expanduser(), skip_bids_validation)
        if work_dir is not None:
            terminal.note(f"--work-dir {work_dir} has no effect: nothing is kept but the results.")
        if level == "group" or model_checkpoint is None:
            if participant_label or session_label:
                terminal.note("The group is all who are there: labels have no effect.")
                where = replace(where, participants=(), sessions=())
            failed = _group(terminal, where, output_dir.expanduser())
        else:
            failed = _participants(
                terminal, where, model_checkpoint, output_dir, asked, n_cpus, mem_mb
            )
        if failed:
            raise typer.Exit(1)


def _participants(
    terminal: Terminal,
    where: Discovery,
    checkpoint: Path,
    out: Path,
    asked: Asked,
    n_cpus: int | None,
    mem_mb: float | None,
) -> int:
    """Explain participants, as one job of several; return how many failed."""
    import torch

    from napari_ies.cli import many

    if n_cpus is not None:
        torch.set_num_threads(n_cpus)
    network = many.network_of(terminal, asked.source(checkpoint), None, None)
    if mem_mb is not None and network.device.type == "cpu":
        asked = replace(asked, memory_gib=_left_of(mem_mb, asked))
    elif mem_mb is not None:
        terminal.note(
            f"--mem-mb has no effect on {network.device}; --memory-gib bounds its memory."
        )
    settings = settings_of(network, asked)
    cases = many.cases_of(where, network)
    run = (terminal, network, checkpoint, cases, settings, out, asked)
    return many.carried_out(*run, alone=False, threads=n_cpus)


def _left_of(mem_mb: float, asked: Asked) -> float:
    """Return in GiB what a job of so much memory has left for maps, a worker's share of it."""
    from napari_ies.free_memory import GIB, resident_memory

    if asked.memory_gib is not None:
        raise typer.BadParameter("--mem-mb and --memory-gib exclude each other; give one of them.")
    taken = resident_memory() or 0
    left = mem_mb * 1e6 / asked.workers - taken
    if left <= 0:
        each = "" if asked.workers == 1 else f" for each of {asked.workers} workers"
        raise typer.BadParameter(
            f"--mem-mb {mem_mb:g}{each} is too little: program and network alone take "
            f"{taken / 1e6:.0f} MB; give more."
        )
    return left / GIB


def _group(terminal: Terminal, where: Discovery, folder: Path) -> int:
    """Make tables, statistics and report of what participants' jobs left; return how many lack."""
    from napari_ies.cli import many
    from napari_ies.cohort.jobs.folder_lock import locked
    from napari_ies.cohort.jobs.group import put_together, recorded
    from napari_ies.cohort.report.page import write_report_progressively
    from napari_ies.cohort.statistics.writing import write_statistics_progressively

    with refusing():
        found = recorded(folder)
        expected = many.cases_with(where, found.sequences) if found.sequences else []
    with locked(folder, ()):
        written, unfinished = put_together(folder, found, expected)
        for path in written:
            if path.suffix == ".tsv":
                terminal.show(str(path))
        if any(folder.glob("sub-*/**/*_measures.tsv")):
            for path in terminal.follow(write_statistics_progressively(folder), "Statistics"):
                terminal.show(str(path))
            terminal.show(str(terminal.follow(write_report_progressively(folder), "Report")))
        else:
            terminal.note("No lesion was explained, so there are no statistics and no report.")
    if unfinished:
        some = ", ".join(unfinished[:5]) + (" and more" if len(unfinished) > 5 else "")
        terminal.note(f"Not done: {counted(len(unfinished), 'case')} ({some}); cases.tsv says why.")
    return len(unfinished)
