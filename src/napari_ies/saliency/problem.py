"""What the gradients of a case depend on, what is asked of them, and what is known so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import nn

    from napari_ies.orientation import Reorientation
    from napari_ies.saliency.jacobian import Engine
    from napari_ies.windows import Box, Tiling


@dataclass(frozen=True, eq=False)
class Problem:
    """All that the gradients of a case depend on, whatever the footprint.

    Parameters
    ----------
    network
        In evaluation mode, its weights not requiring gradients.
    engine
        Computes the network's gradients.
    device
        Where the network is.
    image
        (C, X, Y, Z) on the CPU: the normalised input without noise.
    tiles
        The windows of the forward.
    class_index
        Output channel whose logit is explained.
    turn
        How the axes here differ from those of the stored grid, on which the noise is drawn.
    precision
        Of the network's convolutions.
    memory
        Bytes that may be taken beyond the network and its forward.
    samples_together
        Noise samples of a mean that run through the network at once; None for the engine's choice.
    """

    network: nn.Module
    engine: Engine
    device: torch.device
    image: torch.Tensor
    tiles: Tiling
    class_index: int
    turn: Reorientation
    precision: str = "float32"
    memory: int = 4 * 2**30
    samples_together: int | None = None


@dataclass(frozen=True, eq=False)
class Target:
    """A footprint and how its gradients are aggregated.

    Parameters
    ----------
    voxels
        int64 (V, 3), in scan order.
    aggregation
        ``"mean"``, ``"sum"`` or ``"max"``.
    """

    voxels: NDArray[np.int64]
    aggregation: str


@dataclass(frozen=True, eq=False)
class Estimate:
    """What is known of a map after some of its work.

    Parameters
    ----------
    done, total
        Steps of work, for progress.
    n_used
        Noise samples that are in the map.
    box
        Part of the grid.
    mean, standard_error
        (C, x, y, z) on `box`; None while there is nothing new to show.
    target
        Number of the target it is about.
    """

    done: int
    total: int
    n_used: int
    box: Box
    mean: torch.Tensor | None = None
    standard_error: torch.Tensor | None = None
    target: int = 0
