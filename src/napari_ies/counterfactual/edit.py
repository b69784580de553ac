"""Edit: what is changed in a region of one sequence, for a counterfactual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from napari_ies.errors import CaseError
from napari_ies.parameters import Parameter, take

_KIND = Parameter(
    "Erase: each voxel gets what the healthy-appearing tissue 2 to 20 mm around would have there "
    "(interpolated, without noise). Brighten and darken: by a fixed amount.",
    name="edit",
    choices={"fill": "erase: fill as around", "brighten": "brighten by", "darken": "darken by"},
)
_AMOUNT = Parameter(
    "How much brighter or darker.",
    said="The image is to be changed by {}",
    # More is no image of a head any more.
    limits=(0.0, 1e6),
    above=True,
    offered=(0.1, 1000.0),
    decimals=1,
)
_UNIT = Parameter(
    "SD: standard deviations of the sequence over the brain. %: of each voxel's own intensity.",
    choices={"deviations": "SD", "percent": "%"},
)
_MARGIN = Parameter(
    "How far around the region the change reaches: the edge of a lesion fades.",
    said="The margin is {} mm",
    name="margin",
    limits=(0.0, 1000.0),
    offered=(0.0, 20.0),
    step=0.5,
    decimals=1,
    unit=" mm",
)


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
    kind: Annotated[str, _KIND] = "fill"
    amount: Annotated[float, _AMOUNT] = 1.0
    unit: Annotated[str, _UNIT] = "deviations"
    margin_mm: Annotated[float, _MARGIN] = 0.0

    def __post_init__(self) -> None:
        take(self, CaseError)

    @property
    def title(self) -> str:
        """The change in words, such as ``"FLAIR filled as the tissue around"``."""
        if self.kind == "fill":
            return f"{self.sequence} filled as the tissue around"
        word = "brightened" if self.kind == "brighten" else "darkened"
        unit = " %" if self.unit == "percent" else " standard deviations"
        return f"{self.sequence} {word} by {self.amount:g}{unit}"
