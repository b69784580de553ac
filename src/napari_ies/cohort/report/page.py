"""The page: one HTML file that needs nothing else, neither network nor folder."""

from __future__ import annotations

import base64
from importlib.resources import files
from io import BytesIO
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, StrictUndefined
from PIL import Image

from napari_ies.cohort.qa.applying import probabilities_in
from napari_ies.cohort.report.content import HEADINGS, MOST_LESIONS, ReportLesion, report_of
from napari_ies.cohort.report.images import Images
from napari_ies.cohort.report.pictures import budget_for, picture_of
from napari_ies.cohort.report.suspicion import FAR, UNCERTAIN
from napari_ies.cohort.report.tables_read import read_cases
from napari_ies.cohort.statistics.rows import lesion_rows
from napari_ies.printable import counted
from napari_ies.progress import Progress, to_its_end
from napari_ies.results.storage.writing import prepare, text_writer, write
from napari_ies.versions import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from napari_ies.cohort.report.content import Report

NAME = "report.html"
CASES = "cohort/cases.tsv"
"""The cohort's table of cases in a folder of results."""
MORE = ("status", "dice", "normalised_dice", "lesion_f1", "problem")
"""Columns of that table that are shown."""
METHOD = (
    "A lesion is worth a look where its map is unlike the usual (a measure with a modified z above "
    f"{FAR:g}, from the median and median absolute deviation of the true positives), has little "
    "support inside (its mean in the lesion is not above that within 3 mm around it), or is "
    f"unstable under noise (a standard error of the peak above {100 * UNCERTAIN:.0f} %). Research "
    "software, not a medical device."
)


def write_report_progressively(
    folder: Path,
    out: Path | None = None,
    *,
    images: Sequence[Path] = (),
    most: int = MOST_LESIONS,
) -> Iterator[Progress[Path]]:
    """Write the report on a folder of results.

    Parameters
    ----------
    folder
        Of the results.
    out
        The page; ``report.html`` in that folder by default. It is replaced.
    images
        Folders in which the patients' images are looked for, besides the places that the results
        name.
    most
        How many lesions are on the page, the most suspicious ones.

    Yields
    ------
    A report per lesion; the last one holds the path of the page.

    Raises
    ------
    ResultsError
        If there is no map of a lesion, or the disk refuses.
    """
    page = folder / NAME if out is None else out
    yield Progress("Reading the maps' tables", 0, 0, "")
    report = report_of(lesion_rows(folder), _cases(folder), most, probabilities_in(folder))
    prepare(page.parent, [page.name], overwrite=True)
    # In the order of the cases, so that the images of each are read once.
    order = sorted(report.lesions, key=lambda one: one.file)
    found, budget = Images(images, folder), budget_for(len(order))
    pictures: dict[str, tuple[str, int, int]] = {}
    missing: list[str] = []
    for number, lesion in enumerate(order):
        drawn, why = picture_of(folder / lesion.file, found, budget)
        if why:
            missing.append(f"{lesion.case}, lesion {lesion.lesion}: {why}")
        else:
            size = Image.open(BytesIO(drawn)).size
            pictures[lesion.file] = (base64.b64encode(drawn).decode("ascii"), *size)
        yield Progress("Drawing", number + 1, len(order) + 1, "lesions")
    text = rendered(report, folder, pictures, missing, images)
    (written,) = write(page.parent, {page.name: text_writer(text)})
    yield Progress("Drawing", len(order) + 1, len(order) + 1, "lesions", written)


write_report = to_its_end("write_report", write_report_progressively)


def rendered(
    report: Report,
    folder: Path,
    pictures: Mapping[str, tuple[str, int, int]],
    missing: Sequence[str] = (),
    images: Sequence[Path] = (),
) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    report
        What it says.
    folder
        Of the results, as it is named on the page.
    pictures
        Of each lesion, by its file: a JPEG as base64, with width and height.
    missing
        Why lesions have none.
    images
        Folders in which the patients' images are looked for.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False)
    template = files("napari_ies.cohort.report").joinpath("page.html.j2").read_text("utf-8")
    shown = {name for case in report.cases for name, value in case.more.items() if value}
    return environment.from_string(template).render(
        title="Lesion saliency of a cohort",
        report=report,
        folder=folder.absolute(),
        images=[place.absolute() for place in images],
        pictures=pictures,
        counted=counted,
        notes=list(missing),
        guessed=any(one.probability_fp == one.probability_fp for one in report.lesions),
        more=[name for name in MORE if name in shown],
        matches=_matches(report.lesions),
        suspicious=sum(1 for one in report.lesions if one.suspicion.reasons),
        headings=HEADINGS,
        number=_number,
        cells=cells,
        method=_about_errors(report.lesions) + METHOD,
        version=__version__,
    )


def cells(lesion: ReportLesion) -> Iterator[tuple[str, list[str]]]:
    """Yield the rows of a lesion's table: a sequence, and its measures in words."""
    nothing = (float("nan"),) * 4
    for number, (sequence, values) in enumerate(lesion.values):
        errors = lesion.uncertainties[number] if lesion.uncertainties else nothing
        texts = [_number(value, "%.3g") for value in values]
        for peak in (0, 1):
            error, spread = errors[2 * peak : 2 * peak + 2]
            if error == error:
                texts[peak] += f" ± {error:.1g}"
            if spread == spread:
                texts[peak] += f" (members ± {spread:.1g})"
        yield sequence, texts


def _about_errors(lesions: Sequence[ReportLesion]) -> str:
    """Say what stands behind peaks, where something does."""
    known = [row for one in lesions for row in one.uncertainties]
    kinds = {
        "± the Monte-Carlo standard error of the noise": (0, 2),
        "members ± the standard deviation between the maps of the network's members": (1, 3),
    }
    said = [
        text for text, at in kinds.items() if any(row[i] == row[i] for row in known for i in at)
    ]
    return f"Largest and smallest: {', '.join(said)}. " if said else ""


def _matches(lesions: Sequence[ReportLesion]) -> list[str]:
    return sorted({one.match for one in lesions}, key="TP FP FN".find)


def _number(value: Any, form: str) -> str:
    return "—" if value != value else form % value


def _cases(folder: Path) -> pd.DataFrame | None:
    path = folder / CASES
    if not path.exists():
        return None
    try:
        return read_cases(path)
    except (OSError, ValueError):
        return None  # the page is about lesions; the table is no part of what it vouches for
