"""The statistics of a folder of results as files: CSV, Markdown and PDF."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from napari_ies.cohort.statistics.bootstrap import DRAWS, Draws
from napari_ies.cohort.statistics.comparisons import (
    BETWEEN_SEQUENCES,
    MEASURES,
    average_profiles,
    compare,
    summarise,
)
from napari_ies.cohort.statistics.plots import figures
from napari_ies.cohort.statistics.rows import NO_MATCH, lesion_rows, profile_rows
from napari_ies.figures.style import drawing_settings
from napari_ies.progress import Progress, to_its_end
from napari_ies.results.storage.writing import prepare, text_writer, write
from napari_ies.versions import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd

    from napari_ies.results.storage.writing import Writer

FOLDER = "statistics"
"""In the folder of results."""
TABLES = ("lesions.csv", "summary.csv", "comparisons.csv", "profiles.csv")
TEXT, PLOTS = "statistics.md", "statistics.pdf"
METHOD = (
    "Each lesion is one point. Groups are compared by the two-sided Mann-Whitney test; q is p "
    "adjusted by Benjamini and Hochberg over all tests of comparisons.csv. The test takes lesions "
    "as independent, which those of one patient are not. The 95 % intervals do not: they are "
    "percentile bootstrap intervals over {draws} draws of patients (seed {seed}), each with all "
    "lesions and visits. Cliff's delta is the share of pairs in which the first group's lesion has "
    "the larger value, less the share in which it has the smaller one. An interval needs two "
    "patients of each group; of fewer than some twenty it is too narrow."
)
_DRAWN = ("peak_positive", "peak_negative", "share")


def write_statistics_progressively(
    folder: Path, out: Path | None = None, *, draws: int = DRAWS, seed: int = 0
) -> Iterator[Progress[list[Path]]]:
    """Compare the maps of TP, FP and missed lesions of a folder of results, and write it.

    Parameters
    ----------
    folder
        Of the results.
    out
        Folder for the files; ``statistics`` in the folder of results by default.
    draws, seed
        Of the bootstrap.

    Yields
    ------
    A report per step; the last one holds the paths of ``lesions.csv``, ``summary.csv``,
    ``comparisons.csv``, ``profiles.csv``, ``statistics.md`` and ``statistics.pdf``.

    Raises
    ------
    ResultsError
        If there is no map of a lesion, or the disk refuses.
    """
    place = folder / FOLDER if out is None else out
    yield Progress("Reading the maps' tables", 0, 4, "steps")
    rows = lesion_rows(folder)
    prepare(place, [*TABLES, TEXT, PLOTS], overwrite=True)
    yield Progress("Reading the profiles", 1, 4, "steps")
    profiles = profile_rows(folder, rows)
    yield Progress("Comparing", 2, 4, "steps")
    drawn = Draws.of(rows["subject"].astype(str).tolist(), draws, seed)
    summary, compared = summarise(rows, drawn), compare(rows, drawn)
    averaged = average_profiles(profiles, drawn)
    yield Progress("Drawing", 3, 4, "steps")
    text = _markdown(rows, summary, compared, METHOD.format(draws=draws, seed=seed))
    tables = zip(TABLES, (rows, summary, compared, averaged), strict=True)
    files: dict[str, Writer] = {name: _csv(table) for name, table in tables}
    files[TEXT] = text_writer(text)
    files[PLOTS] = partial(_put_pdf, rows, summary, averaged)
    yield Progress("Drawing", 4, 4, "steps", write(place, files))


write_statistics = to_its_end("write_statistics", write_statistics_progressively)


def _markdown(
    rows: pd.DataFrame, summary: pd.DataFrame, compared: pd.DataFrame, method: str
) -> str:
    lesions = rows.drop_duplicates(["subject", "visit", "lesion"])
    counts = lesions["match"].value_counts()
    kinds = ", ".join(f"{counts[name]} {name}" for name in counts.index if name != NO_MATCH)
    patients = rows["subject"].nunique()
    parts = [
        "# Saliency of true positive, false positive and missed lesions",
        f"{len(lesions)} lesions{f' ({kinds})' if kinds else ''} of "
        f"{patients} patient{'' if patients == 1 else 's'}, {len(rows)} maps.",
        method,
    ]
    if compared.empty:
        parts.append(
            "There are no two groups to compare: the results were made without a reference, or all "
            "lesions are of one kind."
        )
    for (kind, aggregation), its in summary.groupby(["method", "aggregation"], sort=True):
        called = kind if aggregation == NO_MATCH else f"{kind}, {aggregation}"
        parts.append(f"## {called}")
        own = compared[(compared["method"] == kind) & (compared["aggregation"] == aggregation)]
        for measure, words in MEASURES.items():
            table = its[its["measure"] == measure]
            if table.empty:
                continue
            parts.append(f"### {words.capitalize()}")
            parts.append(_table(_SUMMARY, table))
            pairs = own[own["measure"] == measure]
            if len(pairs):
                parts.append(_table(_COMPARISON, pairs))
    parts.append(f"napari-ies {__version__}")
    return "\n\n".join(parts) + "\n"


_SUMMARY = {
    "sequence": "{sequence}",
    "match": "{match}",
    "lesions": "{lesions}",
    "patients": "{patients}",
    "median (95 %)": "{median:.4g} ({median_low:.4g} to {median_high:.4g})",
    "quartiles": "{quartile_1:.4g} to {quartile_3:.4g}",
}
_COMPARISON = {
    "sequence": "{sequence}",
    "groups": "{first} and {second}",
    "lesions": "{lesions_first} and {lesions_second}",
    "U": "{u:g}",
    "p": "{p:.3g}",
    "q": "{q:.3g}",
    "Cliff's delta (95 %)": "{cliffs_delta:.2f} ({cliffs_delta_low:.2f} to "
    "{cliffs_delta_high:.2f})",
    "difference of medians (95 %)": "{median_difference:.4g} ({median_difference_low:.4g} to "
    "{median_difference_high:.4g})",
}


def _table(columns: dict[str, str], rows: pd.DataFrame) -> str:
    """Return rows as a table of Markdown."""
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    for row in rows.to_dict("records"):
        named: dict[str, Any] = {str(name): value for name, value in row.items()}
        cells = (
            form.format(**named).replace("(nan to nan)", "(not known)") for form in columns.values()
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _put_pdf(rows: pd.DataFrame, summary: pd.DataFrame, averaged: pd.DataFrame, path: Path) -> None:
    from matplotlib.backends.backend_pdf import PdfPages

    metadata = {
        "Title": "Saliency of true positive, false positive and missed lesions",
        "Creator": f"napari-ies {__version__}",
        "CreationDate": None,
    }
    by = ["method", "aggregation"]
    with drawing_settings(), PdfPages(path, metadata=metadata) as pages:
        for (kind, aggregation), its in rows.groupby(by, sort=True):
            chosen = [
                table[(table["method"] == kind) & (table["aggregation"] == aggregation)]
                for table in (summary, averaged)
            ]
            alone = its["sequence"].nunique() == 1
            measures = [name for name in _DRAWN if not (alone and name in BETWEEN_SEQUENCES)]
            called = kind if aggregation == NO_MATCH else f"{kind}, {aggregation}"
            for heading, figure in figures(its, chosen[0], chosen[1], measures):
                figure.suptitle(f"{called}: {heading}", fontsize=9, ha="left", x=0.02)
                pages.savefig(figure)


def _csv(table: pd.DataFrame) -> Writer:
    return text_writer(table.to_csv(index=False, lineterminator="\n"))
