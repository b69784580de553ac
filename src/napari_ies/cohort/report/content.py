"""What a report says: cases, and lesions in the order in which they are to be looked at."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from napari_ies.cohort.report.suspicion import FEWEST, Suspicion, Usual, suspicion_of, usual_of
from napari_ies.cohort.statistics.rows import NO_MATCH, WHO
from napari_ies.patient.identity import Identity
from napari_ies.progress import Progress, to_its_end

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import pandas as pd

MOST_LESIONS = 500
"""More than that nobody looks at, and no page holds."""
PREFERRED = ("max", "mean", "sum", NO_MATCH)
"""Which map of a lesion is shown, by its aggregation: Grad-CAM++, which has none, comes last."""
SHOWN = ("peak_positive", "peak_negative", "mean_inside", "mean_0_3_mm", "share")
"""Measures that are shown of each sequence."""
_TOGETHER = 200
"""Lesions between two reports of progress."""
UNCERTAINTIES = tuple(
    f"{peak}_{kind}" for peak in ("peak_positive", "peak_negative") for kind in ("error", "spread")
)
"""Of the two peaks, the Monte-Carlo standard error, and how far the network's members lie apart."""
HEADINGS = ("largest", "smallest", "mean inside", "mean 0–3 mm", "share")


@dataclass(frozen=True, slots=True)
class ReportLesion:
    """A lesion on the page."""

    subject: str
    visit: str
    lesion: int
    match: str
    volume_mm3: float
    mean_probability: float
    max_probability: float
    title: str
    """Of its map, such as ``"SmoothGrad max"``."""
    values: tuple[tuple[str, tuple[float, ...]], ...]
    """The measures :data:`SHOWN` of each sequence."""
    suspicion: Suspicion
    file: str
    """Its table of measures, as a path in the folder of results."""
    uncertainties: tuple[tuple[float, ...], ...] = ()
    """The measures :data:`UNCERTAINTIES` of each sequence; NaN where one is not known."""
    probability_fp: float = float("nan")
    """That it is a false positive, by a model of errors; NaN where none was asked."""

    @property
    def case(self) -> str:
        """Its patient and visit, as the names of files have them."""
        return Identity(self.subject, self.visit).stem

    def command(self, folder: Path, images: Sequence[Path] = ()) -> str:
        """Return what opens it in napari, where the images are found in some folders."""
        words = ["napari-ies", "open", str(folder), "--case", self.case, "--lesion"]
        words += [str(self.lesion), *(w for one in images for w in ("--images", str(one)))]
        return shlex.join(words)


@dataclass(frozen=True)
class ReportCase:
    """A case on the page."""

    name: str
    lesions: int
    matches: dict[str, int] = field(default_factory=dict)
    suspicious: int = 0
    volume_mm3: float = 0.0
    more: dict[str, str] = field(default_factory=dict)
    """What the cohort's table of cases says of it besides."""


@dataclass(frozen=True, eq=False)
class Report:
    """All that the page says."""

    cases: tuple[ReportCase, ...]
    lesions: tuple[ReportLesion, ...]
    """The most suspicious first."""
    notes: tuple[str, ...]


def report_of_progressively(
    rows: pd.DataFrame,
    cases: pd.DataFrame | None = None,
    most: int = MOST_LESIONS,
    errors: Mapping[str, float] | None = None,
) -> Iterator[Progress[Report]]:
    """Make a report of what was measured.

    Parameters
    ----------
    rows
        See :func:`~napari_ies.cohort.statistics.rows.lesion_rows`.
    cases
        The cohort's table of cases, if there is one: cases without a map are taken from it, too.
    most
        How many lesions are on the page, the most suspicious ones; cases are all there.
    errors
        How probably a lesion is a false positive, by the table of measures of its map: see
        :func:`~napari_ies.cohort.qa.applying.probabilities_in`.

    Yields
    ------
    A report of progress after some lesions each; the last one holds the report on the cohort.
    """
    usual = {
        (str(kind[0]), str(kind[1])): usual_of(its)
        for kind, its in rows.groupby(["method", "aggregation"])
    }
    own: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows.to_dict("records"):
        record = {str(name): value for name, value in row.items()}
        own.setdefault(tuple(record[name] for name in WHO), []).append(record)
    lesions = []
    for number, its in enumerate(own.values()):
        # One of its maps is of the kind that a model is about, and not always the one shown.
        guesses = [errors[one["file"]] for one in its if one["file"] in errors] if errors else []
        guess = guesses[0] if guesses else float("nan")
        lesions.append(replace(_lesion(preferred_map(its), usual), probability_fp=guess))
        if number % _TOGETHER == 0:
            yield Progress("Comparing the maps", number, len(own), "lesions")
    lesions.sort(key=lambda one: (-one.suspicion.weight, one.subject, one.visit, one.lesion))
    notes = _notes(rows, usual)
    if len(lesions) > most:
        notes += (
            f"Of {len(lesions):,} lesions these are the {most:,} to look at first; the others are "
            "counted with their cases.",
        )
    report = Report(tuple(_cases(lesions, cases)), tuple(lesions[:most]), notes)
    yield Progress("Comparing the maps", len(own), len(own), "lesions", report)


report_of = to_its_end("report_of", report_of_progressively)


def preferred_map(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of the map that stands for a lesion, of all that it has."""
    present = {row["aggregation"] for row in rows}
    best = next((name for name in PREFERRED if name in present), rows[0]["aggregation"])
    return [row for row in rows if row["aggregation"] == best]


def _lesion(
    rows: Sequence[dict[str, Any]], usual: dict[tuple[str, str], Usual | None]
) -> ReportLesion:
    first = rows[0]
    method, aggregation = str(first["method"]), str(first["aggregation"])
    smooth = method == "smoothgrad"
    return ReportLesion(
        subject=str(first["subject"]),
        visit=str(first["visit"]),
        lesion=int(first["lesion"]),
        match=str(first.get("match", NO_MATCH)),
        volume_mm3=float(first.get("volume_mm3", float("nan"))),
        mean_probability=float(first.get("mean_probability", float("nan"))),
        max_probability=float(first.get("max_probability", float("nan"))),
        title=f"SmoothGrad {aggregation}" if smooth else "Grad-CAM++",
        values=tuple(
            (str(row["sequence"]), tuple(float(row[name]) for name in SHOWN)) for row in rows
        ),
        suspicion=suspicion_of(rows, usual[method, aggregation]),
        file=str(first["file"]),
        uncertainties=tuple(
            tuple(float(row.get(name, float("nan"))) for name in UNCERTAINTIES) for row in rows
        ),
    )


def _cases(lesions: Sequence[ReportLesion], table: pd.DataFrame | None) -> list[ReportCase]:
    more: dict[str, dict[str, str]] = {}
    if table is not None:
        for row in table.to_dict("records"):
            visit = row.get("visit")
            name = Identity(str(row["subject"]), "" if visit != visit else str(visit)).stem
            more[name] = {str(key): _cell(value) for key, value in row.items()}
    by_case: dict[str, list[ReportLesion]] = {name: [] for name in more}
    for lesion in lesions:
        by_case.setdefault(lesion.case, []).append(lesion)
    found = []
    for name, own in sorted(by_case.items()):
        matches: dict[str, int] = {}
        for lesion in own:
            matches[lesion.match] = matches.get(lesion.match, 0) + 1
        found.append(
            ReportCase(
                name,
                len(own),
                matches,
                sum(1 for lesion in own if lesion.suspicion.reasons),
                sum(lesion.volume_mm3 for lesion in own),
                more.get(name, {}),
            )
        )
    return found


def _cell(value: Any) -> str:
    if value is None or value != value:
        return ""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _notes(rows: pd.DataFrame, usual: dict[tuple[str, str], Usual | None]) -> tuple[str, ...]:
    notes = []
    if (rows["match"] == NO_MATCH).all():
        notes.append("There was no reference: no lesion is known to be a TP, FP or FN.")
    for (method, aggregation), known in usual.items():
        called = method if aggregation == NO_MATCH else f"{method}, {aggregation}"
        if known is None:
            notes.append(
                f"{called}: fewer than {FEWEST} lesions, too few to say what is usual; maps are "
                "not compared with one another."
            )
        elif known.whose != "true positives":
            notes.append(
                f"{called}: fewer than {FEWEST} true positives; maps are compared with all lesions."
            )
    return tuple(notes)
