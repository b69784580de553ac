"""What ``napari-ies context`` does with a case, and what it shows of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rich import box
from rich.table import Table

from napari_ies.cli import segmenting
from napari_ies.cohort.context.files import CaseContexts, read_contexts
from napari_ies.cohort.context.lesions import contexts_of, papers_lesions
from napari_ies.cohort.context.perilesional import ContextRequest
from napari_ies.cohort.row import targets

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from napari_ies.cli.options import Forward
    from napari_ies.cli.terminal import Terminal
    from napari_ies.cohort.context.growth import Growth
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
    lesions: tuple[int, ...]
    everything: bool
    """Whether every lesion is taken,"""
    papers: bool
    """and of them only those that the paper's script takes."""
    masks: tuple[Path, ...]
    labels: Path | None
    of_others: bool
    reference: Path | None


def run_contexts(
    terminal: Terminal,
    model: SegmentationModel,
    case: Case,
    out: Path,
    asked: Asked,
    overwrite: bool,
) -> pd.DataFrame | None:
    """Compute the contexts of a case's lesions and store them; return those of this case.

    None stands for a case without a lesion that the paper's script takes.
    """
    threshold = model.profile.threshold if asked.threshold is None else asked.threshold
    request = ContextRequest((), asked.growth, threshold, asked.forward)
    backgrounds = [() if name == "all" else (name,) for name in asked.sequences]
    for names in backgrounds:
        case.select(names)
    store = CaseContexts(out, model, case, request, overwrite=overwrite)
    wanted = [targets.region_target(file, case) for file in asked.masks]
    match: dict[str, str] = {}
    if asked.lesions or asked.everything:
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
        lesions = targets.lesion_targets(found, asked.lesions, asked.everything)
        if asked.papers:
            lesions = papers_lesions(lesions, match)
            terminal.note(f"{len(lesions)} lesions are true positives of 91 to 119 voxels")
        wanted = [*lesions, *wanted]
    for target in wanted:
        if all(store.known(target, "+".join(names) or "all") for names in backgrounds):
            terminal.note(f"{target.step}: there already")
    reports = contexts_of(model, case, wanted, request, backgrounds, store, match)
    for _ in terminal.follow_each(reports, lambda key: f"{key[0].step}, {key[1].title}"):
        pass
    if not wanted:
        return None
    rows = read_contexts(store.path)[1]
    return rows[rows["lesion"].isin([target.name for target in wanted])]


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
