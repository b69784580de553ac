"""All contexts of a folder together: one CSV, the paper's CSV for each network, its two plots."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from napari_ies.cohort.chart import chart_writer
from napari_ies.cohort.context.files import collected
from napari_ies.cohort.context.growth import PAPER
from napari_ies.cohort.context.plots import detected_figure, probability_figure
from napari_ies.cohort.context.table import paper_table
from napari_ies.results.names import label
from napari_ies.results.storage.tables import table_writer
from napari_ies.results.storage.writing import prepare, text_writer, write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_ies.cohort.run import CohortReport
    from napari_ies.results.storage.writing import Writer

CASES = "cases.tsv"
FOLDER = "context"
"""In the folder of results."""
PAPER_FOLDER = "plots_{network}"
"""As the paper's script calls its own."""
PAPER_TABLE = "contextual_info_data.csv"


def write_cases(folder: Path, ended: Sequence[tuple[Path, CohortReport]]) -> Path:
    """Write what came of each case of a run, a row each, with the sentence of one that failed.

    Parameters
    ----------
    folder
        Of the results.
    ended
        The file of the network and the last report of each case.

    Returns
    -------
    ``context/cases.tsv``.
    """
    rows = [
        {
            "subject": report.case.subject,
            "visit": report.case.visit,
            "checkpoint": file.name,
            "status": report.outcome,
            "lesions": report.lesions,
            "problem": report.sentence,
        }
        for file, report in sorted(ended, key=lambda one: (one[0].name, one[1].number))
    ]
    table = pd.DataFrame(rows).set_index("subject")
    files: dict[str, Writer] = {CASES: table_writer(table)}
    (path,) = write(prepare(folder / FOLDER, files, overwrite=True), files)
    return path


def write_together(folder: Path) -> list[Path]:
    """Write what all contexts of a folder of results say, anew.

    Returns
    -------
    In ``context/``: ``context.csv``, a row per case, network, lesion and step; for each growth and
    background two plots (PNG and PDF) with a curve for each network; and, for lesions grown by the
    paper's dilations in all sequences, ``plots_NETWORK/contextual_info_data.csv`` as the paper's
    script writes it.

    Raises
    ------
    ResultsError
        If there are none, or the disk refuses.
    """
    rows = collected(folder)
    place = folder / FOLDER
    files: dict[str, Writer] = {"context.csv": _csv(rows)}
    for (growth, background), its in rows.groupby(["growth", "background"], sort=False):
        curves = {str(name): one for name, one in its.groupby("network", sort=False)}
        stem = f"{growth}_{label(str(background))}"
        for kind, draw in (("probability", probability_figure), ("detected", detected_figure)):
            title = f"Perilesional context: {kind}, {background} to background"
            for ending in ("png", "pdf"):
                files[f"{stem}_{kind}.{ending}"] = chart_writer(partial(draw, curves), title)
    written = write(prepare(place, files, overwrite=True), files)
    paper = rows[(rows["growth"] == PAPER.label) & (rows["background"] == "all")]
    for network, its in paper.groupby("network", sort=False):
        inner = place / PAPER_FOLDER.format(network=network)
        table: dict[str, Writer] = {PAPER_TABLE: _csv(paper_table(its))}
        written += write(prepare(inner, table, overwrite=True), table)
    return written


def _csv(table: pd.DataFrame) -> Writer:
    return text_writer(table.to_csv(index=False, lineterminator="\n"))
