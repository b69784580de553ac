"""What ``napari-ies context`` does with a case, and what it shows of it."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
from rich import box
from rich.table import Table

from napari_ies.cli.failures import sentence_of
from napari_ies.cli.many import followed, logging_to, show_cases, show_expected
from napari_ies.cohort.cluster import shared_out, workers_of
from napari_ies.cohort.context.files import network_label
from napari_ies.cohort.context.one_case import computing
from napari_ies.cohort.context.run import left_to_do, running, running_on, sampled
from napari_ies.cohort.jobs.folder_lock import locked
from napari_ies.cohort.record import FOLDER
from napari_ies.cohort.run import LOG, CohortReport
from napari_ies.printable import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pandas as pd

    from napari_ies.cli.terminal import Terminal
    from napari_ies.cohort.cases import CohortCase
    from napari_ies.cohort.cluster import NetworkSource
    from napari_ies.cohort.context.files import CaseContexts
    from napari_ies.cohort.context.one_case import ContextSettings
    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case
    from napari_ies.progress import Progress

logger = logging.getLogger("napari_ies")

SHOWN_MM = (3.0, 7.0, 15.0)
"""Distances that the table shows, those of the shells of a map's measures."""


def run_contexts(
    terminal: Terminal,
    model: SegmentationModel,
    case: Case,
    out: Path,
    settings: ContextSettings,
) -> pd.DataFrame:
    """Compute the contexts of a case's lesions and store them; return those of the case."""
    stores: list[CaseContexts] = []

    def steps() -> Iterator[tuple[str, Progress[Any]]]:
        stores.append((yield from computing(model, case, out, settings)))

    with locked(out, []):
        for _ in terminal.follow_each(steps(), str):
            pass
    return stores[0].rows


def run_many(
    terminal: Terminal,
    model: SegmentationModel,
    cases: Sequence[CohortCase],
    out: Path,
    settings: ContextSettings,
    source: NetworkSource,
    workers: int,
    scheduler: str | None,
) -> list[CohortReport]:
    """Compute the contexts of many cases; return what came of each."""
    begun = [CohortReport(case, number, len(cases)) for number, case in enumerate(cases, 1)]
    ended = []
    with ExitStack() as stack:
        stack.enter_context(logging_to(out / FOLDER / LOG))
        what = (begun, settings, out, sentence_of)
        if workers == 1 and scheduler is None:
            reports = running(model, *what)
        else:
            client = stack.enter_context(workers_of(workers, scheduler))
            if scheduler is None:
                source = shared_out(source, model.device, workers)
            reports = running_on(client, source, *what)
        for report, left in followed(terminal, reports):
            ended.append(report)
            said = f": {report.sentence}" if report.sentence else f", {report.lesions} lesions"
            line = f"{report.number}/{report.total} {report.case.name} {report.outcome}{said}{left}"
            logger.info(line)
            terminal.note(line)
    return ended


def rehearse(
    terminal: Terminal,
    model: SegmentationModel,
    cases: Sequence[CohortCase],
    out: Path,
    settings: ContextSettings,
) -> None:
    """Say what a run would do, how long it would take, and how much it would write."""
    left = left_to_do(model, cases, settings, out)
    show_cases(terminal, cases, left)
    steps, backgrounds = settings.growth.steps + 1, ", ".join(settings.sequences)
    terminal.show(
        f"{counted(len(cases), 'case')}, {len(left)} to do with {network_label(model)}; "
        f"curves of each lesion: {backgrounds}, {steps} steps each"
    )
    show_expected(terminal, sampled(model, left, settings) if left else None, left, out)


def contexts_table(rows: pd.DataFrame) -> Table:
    """Lay out the contexts of a case: how sure the network is, and from where on it detects."""
    table = Table(
        box=box.SIMPLE_HEAD,
        caption="Mean probability in the lesion when only so much around it is kept.",
        caption_justify="left",
    )
    headings = ["Lesion", "Background", "Alone", *(f"{mm:g} mm" for mm in SHOWN_MM), "Whole image"]
    for heading in (*headings, "Detected from"):
        table.add_column(heading, justify="left" if heading in headings[:2] else "right")
    for (lesion, background), its in rows.groupby(["lesion", "background"], sort=False):
        distance = its["distance_mm"].to_numpy()
        means = its["mean_probability"].to_numpy()
        at = [means[distance <= mm + 1e-6][-1] if distance[-1] >= mm else np.nan for mm in SHOWN_MM]
        values = [means[0], *at, its["whole_probability"].iloc[0]]
        missed = np.flatnonzero(its["detected"].to_numpy() == 0)
        first = int(missed[-1]) + 1 if missed.size else 0
        needed = f"{distance[first]:.1f} mm" if first < len(distance) else "not at the last step"
        table.add_row(
            str(lesion),
            str(background),
            *("—" if np.isnan(value) else f"{value:.2f}" for value in values),
            needed,
        )
    return table
