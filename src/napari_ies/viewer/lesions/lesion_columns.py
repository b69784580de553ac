"""The columns of the lesion table: what each is called, explained and written like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

LABEL, PLACE, MATCH, EXPLAINED, NOTE = "label", "place", "match", "explained", "note"
VERDICT = "verdict"
SYMBOLS = {"agree": "✓", "reject": "✗", "unsure": "?"}
"""Verdicts as they stand in the narrow column."""
PEAK = "peak "
"""What the names of the columns of peaks begin with; the sequence follows."""

Place = tuple[str, float]
"""Hemisphere and distance to the midline in mm, as in the lesion table of the core."""


@dataclass(frozen=True)
class Column:
    """How one kind of value is shown."""

    name: str
    """What it is in a row."""
    title: str
    """Of the header."""
    tooltip: str
    """Of the header, too."""
    width: int
    """In pixels; a panel of 340 pixels shows what is not hidden."""
    text: Callable[[Any], str] = str
    """A value as text."""
    hidden: bool = False
    """Whether it is hidden until a person asks for it."""
    left: bool = False
    """Whether it is text, which is aligned left."""


def place_text(place: Place) -> str:
    """Return a place in short, such as ``"L 23 mm"``."""
    side, distance = place
    if side == "unknown":
        return "?"
    return "midline" if side == "midline" else f"{side[0].upper()} {distance:.0f} mm"


def place_words(place: Place) -> str:
    """Return a place in words."""
    side, distance = place
    if side == "unknown":
        return "The images show no plane of symmetry, so the side is not known."
    if side == "midline":
        return "On the midline plane of the brain, or within 2 mm of it."
    return (
        f"Its centre lies {distance:.0f} mm from the midline plane of the brain, on the patient's "
        f"{side}."
    )


COLUMNS = (
    Column(
        LABEL, "#", "Number of the lesion; the same in the image and in every file.", 28, left=True
    ),
    Column("volume_mm3", "mm³", "Volume in cubic millimetres.", 46, "{:,.0f}".format),
    Column(
        "voxels", "Voxels", "Number of voxels of the images' own grid.", 54, "{:,d}".format, True
    ),
    Column(
        "mean_probability",
        "p mean",
        "Mean probability over the lesion's voxels, by the network, from 0 to 1.",
        54,
        "{:.2f}".format,
        True,
    ),
    Column(
        "max_probability",
        "p max",
        "Highest probability in the lesion, by the network, from 0 to 1.",
        44,
        "{:.2f}".format,
    ),
    Column(
        MATCH,
        "Match",
        "TP: overlaps the reference; FP: the network's alone; FN: in the reference alone.",
        44,
        left=True,
    ),
    Column(
        VERDICT,
        "OK?",
        "Your verdict: ✓ agree, it is a lesion; ✗ reject, it is none; ? unsure. By the buttons "
        "below the table or by key (Help).",
        30,
        SYMBOLS.__getitem__,
        left=True,
    ),
    Column(
        PLACE,
        "Place",
        "The patient's side (L left, R right) and the distance of the lesion's centre from the "
        "midline plane of the brain, in mm; ? where the images show no such plane.",
        58,
        place_text,
        left=True,
    ),
    Column(
        EXPLAINED,
        "Maps",
        "How it was explained so far, the latest first; a click shows the latest map at once.",
        54,
        left=True,
    ),
    Column(NOTE, "Note", "Your note: double-click it, or press F2.", 30, left=True),
)


ERROR = Column(
    "probability_fp",
    "p FP",
    "Probability that the lesion is a false positive, from 0 to 1, by the model chosen with "
    "“Errors…”, from the lesion's map; empty without a map that the model fits.",
    44,
    "{:.2f}".format,
)
"""There from the first lesion on that a model was asked about."""


def peak_column(sequence: str, kind: str) -> Column:
    """Return the column of the strongest value of a sequence's map, of one kind of maps."""
    of = "the map" if sequence == "all" else f"the map of {sequence}"
    peak = "Peak" if sequence == "all" else f"Peak {sequence}"
    return Column(
        PEAK + sequence,
        f"{peak} ({kind})",
        f"Value of largest magnitude in {of}, with its sign, of {kind} maps only; empty for a "
        "lesion without such a map. The unit is given with each value. ▾ chooses other maps.",
        78,
        "{:+.2g}".format,
    )
