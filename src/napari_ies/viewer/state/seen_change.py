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
    """A counterfactual with what is shown of it.

    Parameters
    ----------
    counterfactual
        What was computed.
    region
        The region that was asked for.
    box
        The part of the stored grid in which the probability changes visibly.
    difference
        float32: the change of probability on that box.
    window
        Limits of the grey values of the changed image.
    """

    counterfactual: Counterfactual
    region: KnownRegion
    box: Box
    difference: NDArray[np.float32]
    window: tuple[float, float]
