"""The columns of the two lists: what each is called, explained, sorted by and written like."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

from napari_ies.cohort.report.content import SHOWN
from napari_ies.viewer.state.listed.listing import ListColumn

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_ies.cohort.report.content import Report, ReportCase, ReportLesion

T = TypeVar("T")

KINDS = {"unlike": "unlike", "outside": "little inside", "unstable": "unstable"}
"""What a reason to look at a lesion is called in short."""
SEQUENCE_COLUMNS = (
    ("Peak {}", "peak_positive", "{:.3g}", 88, "Largest value of the map of {}, in its unit."),
    ("Inside {}", "mean_inside", "{:.3g}", 80, "Mean of the map of {} over the lesion's voxels."),
    (
        "Share {}",
        "share",
        "{:.0%}",
        78,
        "Magnitudes of the map of {} as a share of those of all sequences.",
    ),
)
STATUS = "done, no lesions, failed, or not done: the column Problem says why."
CASE_NUMBERS = (
    ("Lesions", "lesions", "Lesions that the network marks, and those that it missed."),
    ("Explained", "explained", "Lesions that were chosen and explained."),
    ("TP", "TP", "Lesions that overlap the reference."),
    ("FP", "FP", "Lesions that the network alone marks."),
    ("FN", "FN", "Lesions of the reference alone."),
    ("Dice", "dice", "Dice of the marked lesions and the reference, by voxels."),
    ("F1", "lesion_f1", "2 TP / (2 TP + FP + FN), by lesions."),
)


def lesion_columns(report: Report) -> list[ListColumn[ReportLesion]]:
    """Return the columns of the list of lesions; sequences have some each."""
    sequences = dict.fromkeys(name for one in report.lesions for name, _ in one.values)
    of_maps = [
        ListColumn(
            title.format(name),
            about.format("all sequences together" if name == "all" else name),
            width,
            partial(_measured, name, SHOWN.index(measure)),
            partial(_measured_text, name, SHOWN.index(measure), form),
        )
        for name in sequences
        for title, measure, form, width, about in SEQUENCE_COLUMNS
    ]
    return [
        ListColumn(
            "Look first",
            "Why a lesion is worth a look: its map is unlike those of the true positives, has "
            "little support inside the lesion, or is unstable under noise. The most suspicious "
            "come first, as in the report.",
            126,
            lambda one: one.suspicion.weight or None,
            lambda one: ", ".join(KINDS[kind] for kind in one.suspicion.kinds),
            is_text=True,
            about=lambda one: "\n".join(one.suspicion.reasons),
        ),
        _words("Case", "Patient and visit.", 120, lambda one: one.case),
        ListColumn(
            "#",
            "Number of the lesion; the same in the image and in every file.",
            34,
            lambda one: one.lesion,
            lambda one: str(one.lesion),
        ),
        _words(
            "Match",
            "TP: overlaps the reference; FP: the network's alone; FN: in the reference alone.",
            50,
            lambda one: "" if one.match == "n/a" else one.match,
        ),
        ListColumn(
            "mm³",
            "Volume in cubic millimetres.",
            60,
            lambda one: one.volume_mm3,
            partial(_number, "{:,.0f}", lambda one: one.volume_mm3),
        ),
        ListColumn(
            "p max",
            "Highest probability in the lesion, by the network, from 0 to 1.",
            50,
            lambda one: one.max_probability,
            partial(_number, "{:.2f}", lambda one: one.max_probability),
        ),
        *of_maps,
        _words("Map", "The map that the numbers are of.", 124, lambda one: one.title),
        _words(
            "Why",
            "The first reason to look at it; the others are in its tooltip.",
            300,
            lambda one: next(iter(one.suspicion.reasons), ""),
            lambda one: "\n".join(one.suspicion.reasons),
        ),
    ]


def case_columns(report: Report) -> list[ListColumn[ReportCase]]:
    """Return the columns of the list of cases; numbers that no case has are left out."""
    present = {name for case in report.cases for name, text in case.more.items() if text}
    return [
        _words("Case", "Patient and visit.", 120, lambda one: one.name),
        _words("Status", STATUS, 80, lambda one: one.more.get("status", "")),
        *(
            ListColumn(title, about, 62, partial(_entry, name), partial(_entry_text, name))
            for title, name, about in CASE_NUMBERS
            if name in present
        ),
        ListColumn(
            "To look at",
            "How many of its lesions are worth a look.",
            74,
            lambda one: one.suspicious or None,
            lambda one: str(one.suspicious or ""),
        ),
        _words(
            "Problem",
            "Why the case could not be done.",
            300,
            lambda one: one.more.get("problem", ""),
            lambda one: one.more.get("problem", ""),
        ),
    ]


def _words(
    title: str,
    tooltip: str,
    width: int,
    of: Callable[[T], str],
    about: Callable[[T], str] | None = None,
) -> ListColumn[T]:
    """Return a column of texts."""
    return ListColumn(title, tooltip, width, of, of, is_text=True, about=about)


def _number(form: str, of: Callable[[ReportLesion], float], one: ReportLesion) -> str:
    value = of(one)
    return "" if value != value else form.format(value)


def _measured(sequence: str, measure: int, one: ReportLesion) -> float | None:
    return next((values[measure] for name, values in one.values if name == sequence), None)


def _measured_text(sequence: str, measure: int, form: str, one: ReportLesion) -> str:
    value = _measured(sequence, measure, one)
    return "" if value is None or value != value else form.format(value)


def _entry(name: str, one: ReportCase) -> float | None:
    text = one.more.get(name, "")
    try:
        return float(text)
    except ValueError:
        return None


def _entry_text(name: str, one: ReportCase) -> str:
    return one.more.get(name, "")
