"""Growth: how a lesion is to be grown, in millimetres or by the paper's dilations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np

from napari_ies.errors import CaseError
from napari_ies.parameters import Parameter, take

if TYPE_CHECKING:
    from numpy.typing import NDArray

PAPER_DILATIONS = 34
"""Dilations of ``contextual_info_nets_csv.py``: its loop counts from 1 to 34."""
PAPER_VOXELS = (91, 119)
"""The smallest and the largest lesion that script takes: more than 90 and fewer than 120 voxels."""
MOST_STEPS = 1000
"""More are a slip in the step or in how far it goes."""

_STEP = Parameter(
    "How much further the region reaches from one step to the next.",
    said="The step is {} mm",
    name="step",
    limits=(0.0, 1000.0),
    above=True,
    offered=(0.1, 10.0),
    step=0.5,
    decimals=1,
    unit=" mm",
)
_FARTHEST = Parameter(
    "How far around the lesion the last step reaches.",
    said="The last step reaches {} mm",
    name="to",
    limits=(0.0, 1000.0),
    offered=(1.0, 100.0),
    decimals=1,
    unit=" mm",
)
_DILATIONS = Parameter(
    "Grow by so many dilations with the 18-connected structuring element instead, as the paper "
    "does (34); 0 grows by millimetres.",
    said="The number of dilations is {}",
    name="dilations",
    limits=(0, MOST_STEPS),
)


@dataclass(frozen=True)
class Growth:
    """How a lesion is grown.

    Parameters
    ----------
    step_mm, farthest_mm
        Step k keeps all voxels whose centres lie at most k steps from the lesion's border, up to
        the farthest distance. The border is where a viewer draws the outline, see
        :class:`~napari_ies.saliency.reading_off.surroundings.Surroundings`; the lesion's own
        voxels are kept at every step, and step 0 keeps nothing else.
    dilations
        If not 0, step k keeps what k dilations with the 18-connected structuring element reach
        instead (voxels that share a face or an edge), as the paper's script does: k voxels along
        each axis, whatever their size, and up to √2 times as far between the axes.

    Raises
    ------
    CaseError
        If a value is not possible.
    """

    step_mm: Annotated[float, _STEP] = 1.0
    farthest_mm: Annotated[float, _FARTHEST] = 35.0
    dilations: Annotated[int, _DILATIONS] = 0

    def __post_init__(self) -> None:
        take(self, CaseError)
        if self.steps > MOST_STEPS:
            raise CaseError(
                f"Steps of {self.step_mm:g} mm up to {self.farthest_mm:g} mm would be "
                f"{self.steps}, at most {MOST_STEPS} are possible; choose a larger step."
            )

    @property
    def steps(self) -> int:
        """How many steps there are beyond the lesion itself."""
        if self.dilations:
            return self.dilations
        return int(np.floor(self.farthest_mm / self.step_mm + 1e-6))

    @property
    def label(self) -> str:
        """How it is called in names of files, letters and digits only."""
        if self.dilations:
            return f"{self.dilations}dilations"
        ends = (self.step_mm, self.farthest_mm)
        step, farthest = (f"{value:g}".replace(".", "p") for value in ends)
        return f"{step}mmto{farthest}mm"

    def distances(self, spacing: tuple[float, float, float]) -> NDArray[np.float64]:
        """Return how far around the lesion each step reaches, from step 0 on, in mm.

        Of a dilation it is the least distance: that along the axis with the smallest voxels.
        """
        size = min(spacing) if self.dilations else self.step_mm
        # Voxel sizes come through single precision.
        return np.round(np.arange(self.steps + 1, dtype=np.float64) * size, 5)


PAPER = Growth(dilations=PAPER_DILATIONS)
"""As the paper grows them."""
