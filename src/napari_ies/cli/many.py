"""What ``napari-ies cohort`` does: from its options to cases and settings, and a run to follow."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import typer

from napari_ies.cli.usage import refusing
from napari_ies.printable import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from napari_ies.checkpoints import CheckpointSource
    from napari_ies.cli.options.cohort import Asked
    from napari_ies.cli.terminal import Terminal
    from napari_ies.cohort.cases import CohortCase
    from napari_ies.cohort.expected import Expected
    from napari_ies.cohort.run import CohortReport
    from napari_ies.cohort.settings import CohortSettings
    from napari_ies.network.model import SegmentationModel

logger = logging.getLogger("napari_ies")

WHY_NO_EFFECT = {
    "--data": "the original scripts do not use it either",
    "--num_workers": "one case is loaded at a time, while no other waits",
    "--cache_rate": "no case is kept once it is done",
}
MEBI = 1 << 20


@dataclass(frozen=True)
class Discovery:
    """Where the cases are looked for."""

    paths: Sequence[str]
    prefixes: Sequence[str]
    target_path: str | None
    target_prefix: str | None
    bids: Path | None
    derivatives: Sequence[Path]
    patterns: Mapping[str, Path]
    reference: str | None
    table: Path | None
    nnunet: Path | None
    lesions_from: str | None
    participants: Sequence[str] = ()
    """Of a BIDS dataset, only these,"""
    sessions: Sequence[str] = ()
    """and of them only these sessions."""


def check_one_layout(where: Discovery) -> None:
    """Refuse cases that are laid out in no way, or in several at once."""
    scripts = bool(where.paths or where.prefixes or where.target_path or where.target_prefix)
    given = {
        "--input_val_paths": scripts,
        "--bids": where.bids is not None,
        "--table": where.table is not None,
        "--nnunet": where.nnunet is not None,
    }
    chosen = [name for name, there in given.items() if there]
    if not chosen:
        raise typer.BadParameter(
            "say where the cases are: --input_val_paths with --input_prefixes, --bids, --table or "
            "--nnunet."
        )
    if len(chosen) > 1:
        raise typer.BadParameter(f"{' and '.join(chosen)} exclude each other; give one of them.")
    if scripts and not (where.paths and where.prefixes):
        raise typer.BadParameter("--input_val_paths and --input_prefixes belong together.")
    if where.bids is None and (where.derivatives or where.patterns or where.reference):
        raise typer.BadParameter("--derivatives, --image and --reference are about --bids.")


def network_of(
    terminal: Terminal,
    source: CheckpointSource,
    claimed: str | None,
    input_size: float | None,
) -> SegmentationModel:
    """Load the network, say where it runs and what was assumed, and check what is said of it."""
    from napari_ies.checkpoints import device_label, profile_path
    from napari_ies.cohort.claims import check_claims
    from napari_ies.network.profile import finds_background

    with refusing():
        model, checkpoint = source.load(), source.checkpoint
        notes = check_claims(model, claimed, input_size)
    terminal.note(f"{model.profile.architecture} on {device_label(model.device)}")
    if careful := finds_background(model.profile):
        notes = [careful, *notes]
    if model.profile.guessed:
        beside = profile_path(checkpoint).name
        terminal.note(f"Not told by {checkpoint.name} and assumed ({beside} can state it):")
        notes = [*(f"- {text}" for text in model.profile.guessed), *notes]
    for note in notes:
        terminal.note(note)
    return model


def use_less_memory(terminal: Terminal, model: SegmentationModel) -> None:
    """Have activations recomputed, or say that this network's layers cannot."""
    from napari_ies.cohort.claims import recompute_activations

    if not recompute_activations(model):
        terminal.note(
            f"--use_checkpoint has no effect: the layers of a {model.profile.architecture} cannot "
            "compute their activations again; --memory-gib bounds what is taken."
        )


def cases_of(where: Discovery, model: SegmentationModel) -> list[CohortCase]:
    """Find the cases that a network can take."""
    return cases_with(where, model.profile.sequences)


def cases_with(where: Discovery, sequences: Sequence[str]) -> list[CohortCase]:
    """Find the cases with these inputs."""
    from napari_ies.cohort.cases import with_lesions_from
    from napari_ies.cohort.discovery import bids, nnunet, scripts, table
    from napari_ies.patient.images.volume import expanded

    with refusing():
        if where.bids is not None:
            cases = bids.find_cases(
                expanded(where.bids),
                sequences,
                derivatives=[expanded(folder) for folder in where.derivatives],
                patterns={name: str(pattern) for name, pattern in where.patterns.items()},
                reference=where.reference,
                participants=where.participants,
                sessions=where.sessions,
            )
        elif where.table is not None:
            cases = table.find_cases(expanded(where.table), sequences)
        elif where.nnunet is not None:
            cases = nnunet.find_cases(expanded(where.nnunet), sequences)
        else:
            cases = scripts.find_cases(
                where.paths, where.prefixes, sequences, where.target_path, where.target_prefix
            )
        if where.lesions_from is not None:
            cases = with_lesions_from(cases, where.lesions_from, expanded)
    return cases


def rehearse(
    terminal: Terminal,
    model: SegmentationModel,
    cases: Sequence[CohortCase],
    settings: CohortSettings,
    folder: Path,
) -> None:
    """Say what a run would do, how long it would take, and how much it would write."""
    from napari_ies.cohort.expected import left_to_do, sampled

    left = left_to_do(model, cases, settings, folder)
    show_cases(terminal, cases, left)
    maps = ", ".join(
        f"{one.method} {one.aggregation}" if one.is_smoothgrad else one.method
        for one in settings.requests
    )
    terminal.show(f"{counted(len(cases), 'case')}, {len(left)} to do; maps of each lesion: {maps}")
    show_expected(terminal, sampled(model, left, settings) if left else None, left, folder)


def show_cases(terminal: Terminal, cases: Sequence[CohortCase], left: Sequence[CohortCase]) -> None:
    """Show which cases there are, and which of them are left to do."""
    todo = {case.name for case in left}
    for case in cases:
        state = "to do" if case.name in todo else "there already"
        mask = "" if case.reference is None else ", with a reference"
        what = case.trouble or f"{', '.join(case.images)}{mask}"
        place = f" ({case.place})" if case.place else ""
        terminal.show(f"{case.name}{place}: {state}; {what}")


def show_expected(
    terminal: Terminal, expected: Expected | None, left: Sequence[CohortCase], folder: Path
) -> None:
    """Say what the cases that are left take, by a sample of one of them."""
    from napari_ies.duration import about

    if expected is not None:
        mebibytes = expected.disk_bytes / MEBI
        terminal.show(
            f"By {expected.case.name} with {counted(expected.lesions, 'lesion')}: "
            f"{about(expected.seconds)} and {mebibytes:.3g} MiB a case; all that is left takes "
            f"{about(expected.seconds * len(left))} and {mebibytes * len(left):.3g} MiB in "
            f"{folder.absolute()}."
        )
    elif left:
        terminal.show("None of the first cases could be tried, so nothing can be said of the time.")


def carried_out(
    terminal: Terminal,
    model: SegmentationModel,
    checkpoint: Path,
    cases: Sequence[CohortCase],
    settings: CohortSettings,
    out: Path,
    asked: Asked,
    *,
    alone: bool = True,
    threads: int | None = None,
) -> int:
    """Work through the cases, here or with several workers; return how many failed.

    A rehearsal does nothing. `alone` is whether nobody else may write to the folder; `threads` are
    those of the CPU for all workers together, None for all there are.
    """
    from napari_ies.cli.failures import sentence_of
    from napari_ies.cohort.cluster import NetworkSource, on_this_machine, running_on, workers_of
    from napari_ies.cohort.record import FOLDER, records_folder
    from napari_ies.cohort.run import LOG, check_place, running
    from napari_ies.cohort.tables import CASES, LESIONS

    if asked.use_checkpoint:
        use_less_memory(terminal, model)
    folder = out.expanduser()
    with refusing():
        _check_possible(folder, cases, settings, alone)
        if not asked.dry_run:
            check_place(folder)
    if asked.dry_run:
        rehearse(terminal, model, cases, settings, folder)
        return 0
    log = folder / FOLDER / LOG if alone else records_folder(folder) / f"{cases[0].name}.{LOG}"
    counts = {"done": 0, "there already": 0, "failed": 0}
    lesions = 0
    with ExitStack() as stack:
        stack.enter_context(logging_to(log))
        if asked.workers == 1 and asked.scheduler is None:
            reports = running(model, cases, settings, folder, sentence_of, alone=alone)
        else:
            client = stack.enter_context(workers_of(asked.workers, asked.scheduler))
            source = NetworkSource(
                **asdict(asked.source(checkpoint)),
                less_memory=asked.use_checkpoint,
                key=settings.key(model),
            )
            if asked.scheduler is None:
                source, settings = on_this_machine(
                    source, settings, model.device, asked.workers, threads
                )
            reports = running_on(client, source, cases, settings, folder, sentence_of, alone=alone)
        for report, left in followed(terminal, reports):
            counts[report.outcome] += 1
            lesions += report.lesions
            said = f": {report.sentence}" if report.sentence else f", {report.lesions} lesions"
            said += f"; {report.replaced}" if report.replaced else ""
            line = f"{report.number}/{report.total} {report.case.name} {report.outcome}{said}{left}"
            logger.info(line)
            terminal.note(line)
    told = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    tables = f"; tables: {folder / FOLDER / CASES} and {folder / FOLDER / LESIONS}" if alone else ""
    terminal.show(f"{counted(len(cases), 'case')} ({told}), {lesions} lesions explained{tables}")
    return counts["failed"]


def _check_possible(
    folder: Path, cases: Sequence[CohortCase], settings: CohortSettings, alone: bool
) -> None:
    """Refuse what no case can do, and a folder that cannot be used; nothing is written."""
    from napari_ies.cohort.record import refuse_other_noise
    from napari_ies.errors import ResultsError

    if alone:  # else others may have references
        settings.selection.check_references(case.reference is not None for case in cases)
    above = next((one for one in (folder, *folder.absolute().parents) if one.exists()), folder)
    if not above.is_dir():
        raise ResultsError(f"{folder} cannot be a folder: {above} is a file; choose another one.")
    if not settings.overwrite:
        refuse_other_noise(folder, cases, settings.noise_version)


def followed(
    terminal: Terminal, reports: Iterator[CohortReport]
) -> Iterator[tuple[CohortReport, str]]:
    """Show where a run stands, on a bar where there is a terminal.

    Yields
    ------
    Each case's last report, and how long the other cases will take, in a clause.
    """
    from napari_ies.progress import Progress

    started, ended, worked, lesions, left = time.monotonic(), 0, 0, 0, ""
    with terminal.bar() as show:
        for report in reports:
            step = ""
            if report.step is not None:
                share = report.step.done / max(report.step.total, 1)
                step = f", {report.step.step.lower()} {share:.0%}"
            if report.outcome:
                ended += 1
                worked += report.outcome != "there already"
                lesions += report.lesions
                left = _left(time.monotonic() - started, worked, report.total - ended)
            words = f"{report.case.name}{step}; {lesions} lesions{left}"
            show(words, Progress("Cohort", ended, report.total, "cases"))
            if report.outcome:
                yield report, left


def _left(seconds: float, worked: int, cases: int) -> str:
    """Say in a clause how long cases will take as long as those that were worked on."""
    from napari_ies.duration import about

    return f"; {about(seconds / worked * cases)} left" if worked and cases else ""


@contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Write the core's log to a file, and not between the lines of the terminal."""
    file = _QuietFile(path, encoding="utf-8", delay=True)
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    others = logger.handlers[:]
    logger.handlers = [file]
    try:
        yield
    finally:
        logger.handlers = others
        file.close()


class _QuietFile(logging.FileHandler):
    """A log whose own failure, such as a full disk, stops nothing: results say it."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Go on without this line."""
