"""Edit: what is changed in a region of one sequence, for a counterfactual."""

from __future__ import annotations

from dataclasses import dataclass

from napari_ies.admissible import real_number
from napari_ies.errors import CaseError

KINDS = ("fill", "brighten", "darken")
UNITS = ("deviations", "percent")
MOST_AMOUNT, MOST_MARGIN_MM = 1e6, 1000.0
"""More is no image of a head any more."""


@dataclass(frozen=True)
class Edit:
    """A change of one sequence within a region.

    Parameters
    ----------
    sequence
        The sequence that changes; the others stay as they are.
    kind
        ``"fill"``: as the healthy-appearing tissue around, see
        :func:`napari_ies.counterfactual.healthy_fill.healthy_fill`; ``"brighten"`` or ``"darken"``:
        by `amount`.
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
        for name, said, most in (
            ("amount", "The image is to be changed by {}", MOST_AMOUNT),
            ("margin_mm", "The margin is {} mm", MOST_MARGIN_MM),
        ):
            number = real_number(
                getattr(self, name), said, (0.0, most), CaseError, above=name == "amount"
            )
            object.__setattr__(self, name, number)

    @property
    def title(self) -> str:
        """The change in words, such as ``"FLAIR filled as the tissue around"``."""
        if self.kind == "fill":
            return f"{self.sequence} filled as the tissue around"
        word = "brightened" if self.kind == "brighten" else "darkened"
        unit = " %" if self.unit == "percent" else " standard deviations"
        return f"{self.sequence} {word} by {self.amount:g}{unit}"
