"""Which lesions are worth a look: maps that are not as those of the true positives are.

The smaller a lesion, the larger is each value of its mean map: a lesion is compared with those of
about its volume, as soon as there are enough of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.cohort.statistics.comparisons import MEASURES

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

FAR = 3.5
"""From this modified z on, a value is an outlier (Iglewicz & Hoaglin, *How to Detect and Handle
Outliers*, 1993)."""
FEWEST = 8
"""Fewer lesions say nothing about what is usual."""
NEAREST = 30
"""With so many lesions, those next to it in the order of their volumes, is one compared."""
UNCERTAIN = 0.2
"""From this relative standard error of its peak on, a map is unstable under noise."""
MOST = 5.0
"""How much one reason may weigh."""
COMPARED = ("peak_positive", "mean_inside", "positive_fraction_inside", "share")


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Why a lesion is worth a look."""

    reasons: tuple[str, ...] = ()
    """In plain sentences, for a person."""
    kinds: tuple[str, ...] = ()
    """What each of them is: ``"unlike"``, ``"outside"``, ``"unstable"``."""
    weight: float = 0.0
    """How much they weigh together; 0 without any."""


QUIET = Suspicion()
"""Nothing is suspicious."""


@dataclass(frozen=True, eq=False)
class Usual:
    """What is usual in the maps of one method and aggregation."""

    known: dict[tuple[str, str], tuple[NDArray[np.float64], NDArray[np.float64]]]
    """Volumes in mm³ in rising order, and the values of these lesions, by sequence and measure."""
    whose: str
    """``"true positives"`` or ``"lesions"``."""
    _spreads: dict[tuple[str, str, int], tuple[float, float]] = field(default_factory=dict)

    def near(self, sequence: str, name: str, volume: float) -> tuple[float, float, bool]:
        """Return what is usual in a sequence and measure for a lesion of a volume in mm³.

        Returns
        -------
        The median, the median absolute deviation from it, and whether they are those of the
        `NEAREST` lesions alone; of all where there are no more, or the volume is not known.
        """
        if (sequence, name) not in self.known:
            return 0.0, 0.0, False
        volumes, values = self.known[sequence, name]
        some = len(values) > NEAREST and math.isfinite(volume)
        start = -1
        if some:
            at = int(np.searchsorted(volumes, volume))
            start = min(max(at - NEAREST // 2, 0), len(values) - NEAREST)
        if (sequence, name, start) not in self._spreads:
            its = values[start : start + NEAREST] if some else values
            middle = float(np.median(its))
            self._spreads[sequence, name, start] = middle, float(np.median(np.abs(its - middle)))
        return *self._spreads[sequence, name, start], some


def usual_of(rows: pd.DataFrame) -> Usual | None:
    """Return what is usual, or None for too few lesions.

    Parameters
    ----------
    rows
        Of one method and aggregation, see
        :func:`~napari_ies.cohort.statistics.rows.lesion_rows`. The true positives count, or all
        lesions where there are too few.
    """
    positives, whose = rows[rows["match"] == "TP"], "true positives"
    if _lesions(positives) < FEWEST:
        positives, whose = rows, "lesions"
    if _lesions(positives) < FEWEST:
        return None
    known = {}
    for sequence, its in positives.groupby("sequence"):
        ordered = its.sort_values("volume_mm3", kind="stable")  # without a volume at the end
        for name in COMPARED:
            pairs = ordered[["volume_mm3", name]].dropna(subset=[name]).to_numpy(dtype=float)
            if len(pairs):
                known[str(sequence), name] = pairs[:, 0], pairs[:, 1]
    return Usual(known, whose)


def suspicion_of(
    rows: pd.DataFrame | Sequence[Mapping[Any, Any]], usual: Usual | None
) -> Suspicion:
    """Return what is suspicious in a lesion's map.

    Parameters
    ----------
    rows
        A row per sequence: a table, or what it gives as records (of thousands of lesions that
        takes a hundredth of the time).
    usual
        What is usual in such maps; None to leave that out.
    """
    records: Sequence[Mapping[Any, Any]]
    records = rows if isinstance(rows, Sequence) else rows.to_dict("records")
    found = [
        *([] if usual is None else _unlike(records, usual)),
        *_outside(records),
        *_unstable(records),
    ]
    if not found:
        return QUIET
    found.sort(key=lambda one: -one[2])
    return Suspicion(
        tuple(sentence for sentence, _, _ in found),
        tuple(dict.fromkeys(kind for _, kind, _ in found)),
        float(sum(min(weight, MOST) for _, _, weight in found)),
    )


def _unlike(rows: Sequence[Mapping[Any, Any]], usual: Usual) -> list[tuple[str, str, float]]:
    found = []
    for row in rows:
        sequence = str(row["sequence"])
        for name in COMPARED:
            volume = float(row.get("volume_mm3", math.nan))
            middle, spread, some = usual.near(sequence, name, volume)
            apart = float(row[name]) - middle
            z = 0.6745 * apart / spread if spread > 0 else 0.0
            if abs(z) > FAR:
                word = "above" if apart > 0 else "below"
                whose = f"{NEAREST} {usual.whose} nearest in volume" if some else usual.whose
                sentence = (
                    f"{sequence}: the {MEASURES[name]} is {row[name]:.3g}, far {word} the median "
                    f"of the {whose}, {middle:.3g} (modified z {z:.1f})."
                )
                found.append((sentence, "unlike", abs(z) / FAR))
    return found


def _lesions(rows: pd.DataFrame) -> int:
    return len(rows.drop_duplicates(["subject", "visit", "lesion"]))


def _outside(rows: Sequence[Mapping[Any, Any]]) -> list[tuple[str, str, float]]:
    """Find little support inside: the map is no larger in the lesion than just around it."""
    strongest = _strongest(rows)
    inside, around = float(strongest["mean_inside"]), float(strongest["mean_0_3_mm"])
    if not (math.isfinite(inside) and math.isfinite(around)) or inside > max(around, 0.0):
        return []
    weight = 1.0 if inside > 0 else 2.0
    sentence = (
        f"{strongest['sequence']}: little support inside: the map's mean is {inside:.3g} in the "
        f"lesion and {around:.3g} within 3 mm around it."
    )
    return [(sentence, "outside", weight)]


def _unstable(rows: Sequence[Mapping[Any, Any]]) -> list[tuple[str, str, float]]:
    strongest = _strongest(rows)
    peak, error = float(strongest["peak_positive"]), float(strongest["peak_positive_error"])
    if not (math.isfinite(error) and peak > 0 and error / peak > UNCERTAIN):
        return []
    sentence = (
        f"{strongest['sequence']}: unstable under noise: the peak of {peak:.3g} has a standard "
        f"error of {error:.2g} ({100 * error / peak:.0f} %)."
    )
    return [(sentence, "unstable", error / peak / UNCERTAIN)]


def _strongest(rows: Sequence[Mapping[Any, Any]]) -> Mapping[Any, Any]:
    """Return the row of the sequence with the largest share; the only one of Grad-CAM++."""
    return max(rows, key=lambda row: 0.0 if math.isnan(row["share"]) else float(row["share"]))
