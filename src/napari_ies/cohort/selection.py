"""Which lesions of a case are explained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_ies.errors import CohortError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

KINDS = ("TP", "FP", "FN")
"""Marked and in the reference, marked alone, in the reference alone."""


@dataclass(frozen=True)
class Selection:
    """Lesions by their match with the reference and by their volume; every one by default."""

    kinds: tuple[str, ...] = ()
    """Of `KINDS`; all of them, and lesions without a reference, where it is empty."""
    at_least_mm3: float | None = None
    at_most_mm3: float | None = None
    largest: int | None = None
    """As many of the largest that are left, those with the smaller label where two are alike."""

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown:
            raise CohortError(f"There is no kind {unknown[0]} of lesions; expected TP, FP, FN.")
        if self.largest is not None and self.largest < 1:
            raise CohortError("The largest lesions must be at least one.")
        low, high = self.at_least_mm3 or 0, self.at_most_mm3
        if high is not None and not low <= high:
            raise CohortError(
                f"No lesion has at least {low:g} and at most {high:g} mm³; exchange the two."
            )

    def check_references(self, there: Iterable[bool]) -> None:
        """Refuse a cohort without any reference where kinds are asked for.

        Raises
        ------
        CohortError
            If there is none to tell them by.
        """
        if self.kinds and not any(there):
            raise CohortError(
                f"No case has a reference, and nothing else tells which lesions are "
                f"{' or '.join(self.kinds)}; give references, or explain all lesions."
            )

    def chosen(self, lesions: pd.DataFrame) -> list[int]:
        """Return the labels of a table's lesions that are explained, in the table's order.

        Raises
        ------
        CohortError
            If kinds are asked for and there was no reference to tell them by.
        """
        if self.kinds and "match" not in lesions:
            raise CohortError(
                f"Without a reference, nothing tells which lesions are {' or '.join(self.kinds)}; "
                "give the case one, or explain all lesions."
            )
        if self.kinds:
            lesions = lesions[lesions["match"].isin(self.kinds)]
        if self.at_least_mm3 is not None:
            lesions = lesions[lesions["volume_mm3"] >= self.at_least_mm3]
        if self.at_most_mm3 is not None:
            lesions = lesions[lesions["volume_mm3"] <= self.at_most_mm3]
        if self.largest is not None:
            by_volume = lesions.sort_values("volume_mm3", ascending=False, kind="stable")
            lesions = lesions.loc[sorted(by_volume.index[: self.largest])]
        return [int(label) for label in lesions.index]
