"""Edit: what is changed in a region of one sequence, for a counterfactual."""

from __future__ import annotations

import math
from dataclasses import dataclass

from napari_ies.errors import CaseError

KINDS = ("fill", "brighten", "darken")
UNITS = ("deviations", "percent")


@dataclass(frozen=True)
class Edit:
    """A change of one sequence within a region.

    Parameters
    ----------
    sequence
        The sequence that changes; the others stay as they are.
    kind
        ``"fill"``: as the healthy-appearing tissue around, see
        :func:`napari_ies.healthy_fill.healthy_fill`; ``"brighten"`` or ``"darken"``: by `amount`.
    amount
        Brighten and darken only, above 0.
    unit
        Brighten and darken only: ``"deviations"``, standard deviations of the sequence over its
        nonzero voxels, or ``"percent"`` of each voxel's own magnitude.
    margin_mm
        How far around the region the change reaches, in mm: the edge of a lesion fades.

    Raises
    ------
    CaseError
        If one of them is not possible.
    """

    sequence: str
    kind: str = "fill"
    amount: float = 1.0
    unit: str = "deviations"
    margin_mm: float = 0.0

    def __post_init__(self) -> None:
        for name, value, allowed in (("edit", self.kind, KINDS), ("unit", self.unit, UNITS)):
            if value not in allowed:
                raise CaseError(
                    f"There is no {name} {value!r}; expected one of {', '.join(allowed)}."
                )
        if not (math.isfinite(self.amount) and self.amount > 0):
            raise CaseError(
                f"The image is to be changed by {self.amount:g}; expected an amount above 0."
            )
        if not (math.isfinite(self.margin_mm) and self.margin_mm >= 0):
            raise CaseError(f"The margin is {self.margin_mm:g} mm; expected 0 mm or more.")

    @property
    def title(self) -> str:
        """The change in words, such as ``"FLAIR filled as the tissue around"``."""
        if self.kind == "fill":
            return f"{self.sequence} filled as the tissue around"
        word = "brightened" if self.kind == "brighten" else "darkened"
        unit = " %" if self.unit == "percent" else " standard deviations"
        return f"{self.sequence} {word} by {self.amount:g}{unit}"
