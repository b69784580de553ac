"""Bootstrap by patient: how far a number would move with other patients.

Lesions of one patient are alike, so patients are drawn, with all their lesions, and not lesions
(Field & Welsh, *J. R. Stat. Soc. B* 69 (2007), 369-390). All numbers here are functions of how
often each patient was drawn, so a draw is a row of counts and costs no copy of the lesions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

DRAWS = 2000
LEVEL = 0.95
MOST_AT_ONCE = 1 << 22
"""Lesions times draws that are held in memory."""


@dataclass(frozen=True, eq=False)
class Draws:
    """Patients drawn with replacement, again and again."""

    patients: tuple[str, ...]
    counts: NDArray[np.float64]
    """(B, P): how often each patient is in each draw."""

    @classmethod
    def of(cls, patients: Sequence[str], number: int = DRAWS, seed: int = 0) -> Draws:
        """Draw as many patients as there are, `number` times."""
        known = tuple(sorted(set(patients)))
        generator = np.random.default_rng(seed)
        size = len(known)
        counts = generator.multinomial(size, np.full(size, 1 / size), size=number)
        return cls(known, counts.astype(np.float64))

    def number(self, patients: Sequence[str]) -> NDArray[np.int64]:
        """Return the number of each lesion's patient."""
        at = {name: number for number, name in enumerate(self.patients)}
        return np.array([at[name] for name in patients], dtype=np.int64)


def interval(values: NDArray[np.float64], patients: int) -> tuple[float, float]:
    """Return the percentile interval of a number over draws; NaN for fewer than two patients.

    Draws in which the number is not there, such as those without any lesion of a group, are left
    out.
    """
    known = values[np.isfinite(values)]
    if patients < 2 or not known.size:
        return float("nan"), float("nan")
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(known, (tail, 100 - tail))
    return float(low), float(high)


def medians(
    values: NDArray[np.float64], whose: NDArray[np.int64], draws: Draws
) -> NDArray[np.float64]:
    """Return the median of a group in each draw, (B,); NaN where none of it is drawn."""
    order = np.argsort(values, kind="stable")
    ranked, patients = values[order], whose[order]
    found = np.empty(len(draws.counts))
    portion = max(MOST_AT_ONCE // len(ranked), 1)
    for start in range(0, len(found), portion):
        part = slice(start, start + portion)
        reached = draws.counts[part][:, patients].cumsum(axis=1)
        half = reached[:, -1:] / 2
        # As numpy has it: between the two middle values where there is an even number.
        lower, upper = (reached >= half).argmax(axis=1), (reached > half).argmax(axis=1)
        middle = (ranked[lower] + ranked[upper]) / 2
        found[part] = np.where(reached[:, -1] > 0, middle, np.nan)
    return found


def means(
    values: NDArray[np.float64], whose: NDArray[np.int64], draws: Draws
) -> NDArray[np.float64]:
    """Return the mean of a group in each draw, (B,); NaN where none of it is drawn."""
    size = len(draws.patients)
    sums = np.bincount(whose, values, minlength=size)
    numbers = np.bincount(whose, minlength=size)
    with np.errstate(invalid="ignore"):
        return np.asarray((draws.counts @ sums) / (draws.counts @ numbers))


def dominance(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    whose: tuple[NDArray[np.int64], NDArray[np.int64]],
    size: int,
) -> NDArray[np.float64]:
    """Return the pairs of two groups by patient, (P, P): those in which the first is larger, less
    those in which it is smaller.
    """
    table = np.zeros((size, size))
    for patient in np.unique(whose[1]):
        ranked = np.sort(second[whose[1] == patient])
        below = np.searchsorted(ranked, first, side="left")
        above = len(ranked) - np.searchsorted(ranked, first, side="right")
        table[:, patient] = np.bincount(whose[0], below - above, minlength=size)
    return table


def cliffs_deltas(
    table: NDArray[np.float64], whose: tuple[NDArray[np.int64], NDArray[np.int64]], draws: Draws
) -> NDArray[np.float64]:
    """Return Cliff's delta of two groups in each draw, (B,); NaN where one is not drawn."""
    sizes = [np.bincount(one, minlength=len(draws.patients)) for one in whose]
    pairs = (draws.counts @ sizes[0]) * (draws.counts @ sizes[1])
    with np.errstate(invalid="ignore"):
        return np.asarray(((draws.counts @ table) * draws.counts).sum(axis=1) / pairs)
