"""What ``napari-ies context`` does with a case, and what it shows of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from rich import box
from rich.table import Table

from napari_ies.cli import segmenting
from napari_ies.cli.failures import sentence_of
from napari_ies.cohort.context.files import CaseContexts
from napari_ies.cohort.context.lesions import contexts_of, papers_lesions
from napari_ies.cohort.context.perilesional import ContextRequest
from napari_ies.cohort.one_case import opened
from napari_ies.cohort.row import targets
from napari_ies.errors import CohortError, NapariIESError, ResultsError
from napari_ies.patient.identity import Identity
from napari_ies.regular_files import file_sha256
from napari_ies.results import told_apart

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

    from napari_ies.cli.options import Forward
    from napari_ies.cli.terminal import Terminal
    from napari_ies.cohort.cases import CohortCase
    from napari_ies.cohort.context.growth import Growth
    from napari_ies.cohort.row.targets import Target
    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case

SHOWN_MM = (3.0, 7.0, 15.0)
"""Distances that the table shows, those of the shells of a map's measures."""


@dataclass(frozen=True)
class Asked:
    """What is asked of each network."""

    growth: Growth
    sequences: tuple[str, ...]
    """Sequences that become background, each for a curve of its own; ``"all"`` for all."""
    threshold: float | None
    """None for the network's own."""
    forward: Forward
    lesions: tuple[int, ...] = ()
    everything: bool = False
    """Whether every lesion is taken,"""
    papers: bool = False
    """and of them only those that the paper's script takes."""
    masks: tuple[Path, ...] = ()
    labels: Path | None = None
    of_others: bool = False
    reference: Path | None = None

    @property
    def backgrounds(self) -> list[tuple[str, ...]]:
        """The sequences that become background, for each curve."""
        return [() if name == "all" else (name,) for name in self.sequences]

    @property
    def record(self) -> dict[str, Any]:
        """What decides, with network and images, what is computed of a case."""
        files = {"Reference": self.reference, "Labels": self.labels}
        return {
            "Lesions": "paper" if self.papers else "all" if self.everything else self.lesions,
            "Masks": [file_sha256(file.expanduser()) for file in self.masks],
            "Backgrounds": self.sequences,
            **{
                kind: None if file is None else file_sha256(file.expanduser())
                for kind, file in files.items()
            },
        }


def run_contexts(
    terminal: Terminal,
    model: SegmentationModel,
    case: Case,
    out: Path,
    asked: Asked,
    overwrite: bool,
) -> pd.DataFrame:
    """Compute the contexts of a case's lesions and store them; return those of the case."""
    threshold = model.profile.threshold if asked.threshold is None else asked.threshold
    request = ContextRequest((), asked.growth, threshold, asked.forward)
    for names in asked.backgrounds:
        case.select(names or case.sequences)
    store = CaseContexts(out, model, case, request, overwrite=overwrite)
    record = asked.record
    if store.is_finished(record):
        terminal.note(f"{Identity(case.subject, case.visit).text}: there already")
        return store.rows
    wanted, match = _wanted(terminal, model, case, asked, threshold)
    for target in wanted:
        if all(store.known(target, "+".join(names) or "all") for names in asked.backgrounds):
            terminal.note(f"{target.step}: there already")
    reports = contexts_of(model, case, wanted, request, asked.backgrounds, store, match)
    for _ in terminal.follow_each(reports, lambda key: f"{key[0].step}, {key[1].title}"):
        pass
    store.finish(record)
    return store.rows


def run_many(
    terminal: Terminal,
    model: SegmentationModel,
    cases: Sequence[CohortCase],
    out: Path,
    asked: Asked,
    overwrite: bool,
) -> int:
    """Compute the contexts of many cases; return how many failed, each with its sentence."""
    failed = 0
    for number, planned in enumerate(cases, start=1):
        said = f"{number}/{len(cases)} {planned.name}"
        try:
            if planned.trouble:
                raise CohortError(planned.trouble)
            own = replace(asked, reference=planned.reference, labels=planned.lesions)
            case, note = told_apart(out, opened(model, planned))
            if note:
                raise CohortError(
                    f"{out} holds results of other images as {planned.identity.text}; choose "
                    "another folder, or move them away."
                )
            rows = run_contexts(terminal, model, case, out, own, overwrite)
        except (NapariIESError, OSError) as error:
            if isinstance(error, ResultsError) and isinstance(error.__cause__, OSError):
                raise  # the disk, which the next case would meet too
            failed += 1
            terminal.note(f"{said} failed: {sentence_of(error)}")
            continue
        terminal.note(f"{said}: {rows['lesion'].nunique()} lesions")
    return failed


def _wanted(
    terminal: Terminal, model: SegmentationModel, case: Case, asked: Asked, threshold: float
) -> tuple[list[Target], dict[str, str]]:
    """Find the lesions that are asked for, and their matches with the reference by their names."""
    wanted = [targets.region_target(file, case) for file in asked.masks]
    match: dict[str, str] = {}
    if not (asked.lesions or asked.everything):
        return wanted, match
    if asked.labels is None:
        known = segmenting.reference_of(terminal, asked.reference, case)
        segmentation = segmenting.segmented(
            terminal, model, case, threshold, known, forward=asked.forward
        )
        found = targets.found_with(segmentation, known)
        if "match" in segmentation.lesions:
            match = {str(n): str(m) for n, m in segmentation.lesions["match"].items()}
    else:
        found = targets.labels_from(asked.labels, case, model, of_others=asked.of_others)
    if not found.labels.any() and not asked.lesions:
        return wanted, match
    lesions = targets.lesion_targets(found, asked.lesions, asked.everything)
    if asked.papers:
        lesions = papers_lesions(lesions, match)
        terminal.note(f"{len(lesions)} lesions are true positives of 91 to 119 voxels")
    return [*lesions, *wanted], match


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
