"""What the readout says: its lines of text, and what each number means."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_ies.printable import counted
from napari_ies.saliency.reading_off.surroundings import SHELLS_MM
from napari_ies.viewer.state.captions import samples_of
from napari_ies.viewer.state.scaled import NONE, number, with_error

if TYPE_CHECKING:
    import pandas as pd

    from napari_ies.viewer.state.answers import Answer

NO_ANSWER = "Explain a lesion to read off the numbers of its map."


@dataclass(frozen=True)
class Row:
    """A row of the table."""

    key: str
    """Column of :func:`napari_ies.saliency.reading_off.measures.measure`."""
    title: str
    """What it is called on the screen."""
    meaning: str
    """What it is, in plain words."""
    kind: str
    """``"peak"`` (a value with its standard error), ``"mean"`` (a value with the bound of its
    error), ``"spread"`` (a value alone) or ``"fraction"``."""


_SIGN = (
    "Where it is positive, raising the intensity raises the network's logit for the lesion; where "
    "it is negative, it lowers it."
)
_SHELL = (
    "Mean over the voxels whose centres lie more than {low:g} and at most {high:g} mm outside the "
    "lesion's border. All of them count, also where the map is 0, outside the head and in other "
    "lesions."
)

ROWS = (
    Row("peak_positive", "Peak, positive", f"Largest value of the map, anywhere. {_SIGN}", "peak"),
    Row("peak_negative", "Peak, negative", f"Lowest value of the map, anywhere. {_SIGN}", "peak"),
    Row("mean_inside", "Mean inside", f"Mean over the lesion's voxels. {_SIGN}", "mean"),
    *(
        Row(
            f"mean_{low:g}_{high:g}_mm",
            f"Mean {low:g}–{high:g} mm",
            _SHELL.format(low=low, high=high),
            "mean",
        )
        for low, high in SHELLS_MM
    ),
    Row(
        "share",
        "Share of total",
        "Sum of the magnitudes of this sequence's map, out of that of all sequences.",
        "fraction",
    ),
    Row(
        "positive_fraction_inside",
        "Positive inside",
        "How many of the lesion's voxels have a value above 0.",
        "fraction",
    ),
)


_SPREAD = (
    "Standard deviation between the maps of the network's members, such as folds, at the voxel of "
    "the {which} value. It says how much another training would change the value; the ± of the "
    "peak, how much other noise would."
)
SPREAD_ROWS = (
    Row("peak_positive_spread", "Members ±, at +", _SPREAD.format(which="largest"), "spread"),
    Row("peak_negative_spread", "Members ±, at −", _SPREAD.format(which="lowest"), "spread"),
)
"""After the peaks, of a network that has members."""


def rows_of(measures: pd.DataFrame) -> tuple[Row, ...]:
    """Return the rows of a map's numbers."""
    apart = SPREAD_ROWS if SPREAD_ROWS[0].key in measures else ()
    return (*ROWS[:2], *apart, *ROWS[2:])


def method_line(answer: Answer, running: bool) -> str:
    """Say which map the numbers are of: subject, method, samples, precision, device.

    Parameters
    ----------
    answer
        The map.
    running
        Whether it is being computed; an unfinished map that is not was stopped.
    """
    saliency = answer.saliency
    parts = [answer.title]
    state, samples = samples_of(answer, running)
    parts += [f"{state}: {samples}" if state else samples] if samples else []
    parts += [str(saliency.provenance[k]) for k in ("precision", "device") if k in _known(answer)]
    return " · ".join(parts)


def share_sentence(answer: Answer, measures: pd.DataFrame) -> str:
    """Say how much of the map's total magnitude each sequence has."""
    if len(measures) == 1:
        return "One map for all sequences together."
    shares = measures["share"]
    if shares.isna().any():
        return "The map is 0 everywhere."
    parts = ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares.items())
    return f"Share of the total magnitude: {parts}."


def cell_text(row: Row, values: pd.Series, power: int) -> str:
    """Return a number as the table shows it.

    Parameters
    ----------
    row
        Which one.
    values
        A sequence's row of :func:`napari_ies.saliency.reading_off.measures.measure`.
    power
        Values are shown in units of ten to this power.
    """
    value = float(values[row.key])
    if row.kind == "fraction":
        return NONE if math.isnan(value) else f"{100 * value:.0f} %"
    if row.kind == "peak":
        return with_error(value, float(values[f"{row.key}_error"]), power)
    return number(value, power)


def cell_tooltip(row: Row, name: str, values: pd.Series, answer: Answer) -> str:
    """Explain a number in plain words, with its unit, its error and why it is missing if it is."""
    value, unit = float(values[row.key]), answer.saliency.unit
    sentences = [f"{name}: {_said(row, value, unit)}", row.meaning]
    if row.kind == "mean":
        voxels = int(values[row.key.replace("mean", "voxels")])
        sentences.append(
            f"Taken over {voxels:,d} voxels."
            if voxels
            else "No voxel of the image lies there, so there is no mean."
        )
    if row.kind == "fraction" and math.isnan(value):
        sentences.append("The map is 0 everywhere, so there is no share.")
    if row.kind == "peak":
        sentences.append(_error_words(float(values[f"{row.key}_error"]), unit, answer))
    if row.kind == "mean" and not math.isnan(value):
        sentences.append(_bound_words(float(values[f"{row.key}_error_bound"]), unit, answer))
    return "\n".join(sentences)


def copied_text(answer: Answer, measures: pd.DataFrame, running: bool) -> str:
    """Return the whole table as tab-separated text, numbers in full, for a spreadsheet."""
    unit = answer.saliency.unit
    lines = [[method_line(answer, running), "Unit", *map(str, measures.index)]]
    for row in rows_of(measures):
        own = "1" if row.kind == "fraction" else unit
        lines.append([row.title, own, *_plain(measures[row.key])])
        if row.kind == "peak":
            errors = _plain(measures[f"{row.key}_error"])
            lines.append([f"{row.title}, standard error", unit, *errors])
        if row.kind == "mean":
            bounds = _plain(measures[f"{row.key}_error_bound"])
            lines.append([f"{row.title}, standard error at most", unit, *bounds])
            voxels = measures[row.key.replace("mean", "voxels")]
            lines.append([f"{row.title}, voxels", "1", *map(str, voxels)])
    return "\n".join("\t".join(line) for line in lines) + "\n"


def _known(answer: Answer) -> set[str]:
    return {key for key, value in answer.saliency.provenance.items() if value}


def _said(row: Row, value: float, unit: str) -> str:
    if math.isnan(value):
        return f"{NONE}."
    if row.kind == "fraction":
        return f"{100 * value:.1f} %."
    return f"{number(value)} {unit}."


def _error_words(error: float, unit: str, answer: Answer) -> str:
    if not math.isnan(error):
        return (
            f"± {number(error, digits=2)} {unit}: Monte-Carlo standard error at that voxel, over "
            f"{counted(answer.saliency.n_used, 'sample')}. It says how much other noise would "
            "change the value, not how sure the network is."
        )
    return f"No error: {_why_no_error(answer)}"


def _bound_words(bound: float, unit: str, answer: Answer) -> str:
    if not math.isnan(bound):
        return (
            f"Its Monte-Carlo standard error is at most {number(bound, digits=2)} {unit} (the mean "
            "of the voxels' errors; how these go together is not kept)."
        )
    return f"No error: {_why_no_error(answer)}"


def _why_no_error(answer: Answer) -> str:
    if answer.saliency.request.method != "smoothgrad":
        return "Grad-CAM++ has no noise and so no Monte-Carlo error."
    return "an error needs at least two noise samples."


def _plain(values: pd.Series) -> list[str]:
    return ["n/a" if math.isnan(value) else f"{value:.6g}" for value in values]
