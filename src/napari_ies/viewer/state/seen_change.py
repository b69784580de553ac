"""SeenChange: what the network marks when a region is changed, ready to be shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_ies.counterfactual.counterfactual import Counterfactual
    from napari_ies.geometry.box import Box
    from napari_ies.viewer.state.reading import KnownRegion


@dataclass(frozen=True, eq=False)
class SeenChange:
    """A counterfactual with what is shown of it."""

    counterfactual: Counterfactual
    """What was computed."""
    region: KnownRegion
    """The region that was asked for."""
    box: Box
    """The part of the stored grid in which the probability changes visibly."""
    difference: NDArray[np.float32]
    """float32: the change of probability on that box."""
    window: tuple[float, float]
    """Limits of the grey values of the changed image."""
