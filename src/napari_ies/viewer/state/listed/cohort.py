"""Cohort: the cases and lesions of a folder of results, and how far a person has read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_ies.viewer.state.event import Event

if TYPE_CHECKING:
    from pathlib import Path

    from napari_ies.cohort.report.content import Report, ReportCase, ReportLesion
    from napari_ies.viewer.state.listed.listing import Listing

MATCHES = ("TP", "FP", "FN")


@dataclass(frozen=True)
class Wanted:
    """Which lesions are listed."""

    text: str = ""
    """Words, each of which is in a cell of the row."""
    matches: frozenset[str] = frozenset()
    """``"TP"``, ``"FP"``, ``"FN"``: one of these; empty for any."""
    smallest: float = 0.0
    """Volume in mm³."""
    largest: float = float("inf")
    """Likewise."""
    case: str = ""
    """Its lesions alone; empty for all."""
    suspicious: bool = False
    """Only those with a reason to look at them."""


class Cohort:
    """A folder of results as it was read.

    Parameters
    ----------
    folder
        Of the results.
    report
        What is known of its cases and lesions, the suspicious first.
    lesions, cases
        The same, listed.
    """

    def __init__(
        self,
        folder: Path,
        report: Report,
        lesions: Listing[ReportLesion],
        cases: Listing[ReportCase],
    ) -> None:
        self.folder, self.notes = folder, report.notes
        self.lesions, self.cases = lesions, cases
        self.image_folders: tuple[Path, ...] = ()
        """Where a person said that images lie now."""
        self.sessions: dict[Path, str] = {}
        """The case of each session that was made of one."""
        self.current: int | None = None
        """Number of the lesion that was opened last, among all."""
        self.asked: int | None = None
        """Of the one asked for last, which may be opening still, or cannot be opened."""
        self.seen: set[int] = set()
        """Numbers of the lesions that were on screen."""
        self.moved: Event[[]] = Event()
        """Another lesion is the current one."""
        rows = lesions.rows
        self._numbers = {(one.case, one.lesion): number for number, one in enumerate(rows)}
        self._cases = np.array([one.case for one in rows], dtype=object)
        self._matches = np.array([one.match for one in rows], dtype=object)
        self._volumes = np.array([one.volume_mm3 for one in rows], dtype=float)
        self._suspicious = np.array([bool(one.suspicion.reasons) for one in rows], dtype=bool)

    @property
    def has_reference(self) -> bool:
        """Whether any lesion is known to be a TP, FP or FN."""
        return bool(np.isin(self._matches, MATCHES).any())

    @property
    def failed(self) -> int:
        """How many cases could not be done."""
        return sum(1 for case in self.cases.rows if case.more.get("status") == "failed")

    @property
    def suspicious(self) -> int:
        """How many lesions are worth a look."""
        return int(self._suspicious.sum())

    def ask_for(self, wanted: Wanted) -> None:
        """List only some lesions."""
        mask = np.ones(len(self._volumes), dtype=bool)
        if wanted.matches:
            mask &= np.isin(self._matches, sorted(wanted.matches))
        if wanted.smallest > 0:
            mask &= self._volumes >= wanted.smallest
        if np.isfinite(wanted.largest):
            mask &= self._volumes <= wanted.largest
        if wanted.case:
            mask &= self._cases == wanted.case
        if wanted.suspicious:
            mask &= self._suspicious
        self.lesions.ask_for(wanted.text, mask)

    def number_of(self, case: str, lesion: int) -> int | None:
        """Return the number of a lesion among all; None for one that was not explained."""
        return self._numbers.get((case, lesion))

    def step(self, by: int) -> int | None:
        """Return the number of the lesion listed next to that asked for last; None at the end.

        Where that one is not listed, or there is none, it is the first or the last.
        """
        listed = self.lesions.listed
        here = None if self.asked is None else self.lesions.place_of(self.asked)
        there = (0 if by > 0 else len(listed) - 1) if here is None else here + by
        return int(listed[there]) if 0 <= there < len(listed) else None

    def give_up(self) -> None:
        """Take note that what was asked for last is not wanted any more."""
        self.asked = self.current

    def look_at(self, number: int) -> None:
        """Take a lesion as the current one: it is on screen."""
        self.current = self.asked = number
        self.seen.add(number)
        self.moved.emit()
