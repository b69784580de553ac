"""The columns of the lesion table: what each is called, explained and written like."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from napari_ies.viewer.state.scaled import number, scaled_unit

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
    header: str = ""
    """What its header says, in up to two lines, if that is more than the title."""


@dataclass(frozen=True)
class PeakKind:
    """One kind of maps: what its peaks are called, and what their numbers stand for."""

    title: str
    unit: str = ""
    power: int = 0
    """They are written in units of ten to this power, as on the colour bar and in Readout."""


def place_text(place: Place) -> str:
    """Return a place in short, in mm, such as ``"L 23"``."""
    side, distance = place
    if side == "unknown":
        return "?"
    return "mid" if side == "midline" else f"{side[0].upper()} {distance:.0f}"


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
        LABEL, "#", "Number of the lesion; the same in the image and in every file.", 24, left=True
    ),
    Column("volume_mm3", "mm³", "Volume in cubic millimetres.", 42, "{:,.0f}".format),
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
        38,
        "{:.2f}".format,
    ),
    Column(
        MATCH,
        "Match",
        "TP: overlaps the reference; FP: the network's alone; FN: in the reference alone. Where "
        "p max of an FN is above the threshold, what lies above it is smaller than Smallest.",
        40,
        left=True,
    ),
    Column(
        VERDICT,
        "OK?",
        "Your verdict: ✓ agree, it is a lesion; ✗ reject, it is none; ? unsure. By the buttons "
        "below the table or by key (Help).",
        26,
        SYMBOLS.__getitem__,
        left=True,
    ),
    Column(
        PLACE,
        "Place (mm)",
        "The patient's side (L left, R right) and the distance of the lesion's centre from the "
        "midline plane of the brain, in mm; ? where the images show no such plane.",
        38,
        place_text,
        left=True,
        header="Place\n(mm)",
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


WAS = Column(
    "was",
    "Was",
    "Which lesions it was at the threshold before it changed, by their numbers there; new where "
    "there was none; empty where it did not change, and where it is of the reference alone.",
    40,
    lambda numbers: ", ".join(map(str, numbers)) or "new",
    left=True,
)
"""There once a threshold changed any lesion."""


ERROR = Column(
    "probability_fp",
    "p FP",
    "Probability that the lesion is a false positive, from 0 to 1, by the model chosen with "
    "“Errors…”, from the lesion's map; empty without a map that the model fits.",
    44,
    "{:.2f}".format,
)
"""There from the first lesion on that a model was asked about."""


def peak_column(sequence: str, kind: PeakKind) -> Column:
    """Return the column of the strongest value of a sequence's map, of one kind of maps."""
    of = "the map" if sequence == "all" else f"the map of {sequence}"
    peak = "Peak" if sequence == "all" else f"Peak {sequence}"
    factor = scaled_unit("", kind.power).strip()
    return Column(
        PEAK + sequence,
        f"{peak} ({kind.title})",
        f"Value of largest magnitude in {of}, with its sign, of {kind.title} maps only, in "
        f"{scaled_unit(kind.unit, kind.power)} as on the colour bar and in Readout; empty for a "
        "lesion without such a map. ▾ chooses other maps.",
        64,
        partial(_signed, kind.power),
        header="\n".join((peak, f"{kind.title}, {factor}" if factor else kind.title)),
    )


def _signed(power: int, value: float) -> str:
    return f"+{number(value, power)}" if value > 0 else number(value, power)
