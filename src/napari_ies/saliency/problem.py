"""What the gradients of a case depend on, what is asked of them, and what is known so far."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from napari_ies.errors import SaliencyError
from napari_ies.network.finite import where_not_finite
from napari_ies.saliency.arrivals import AtOnce, FromCuda
from napari_ies.saliency.footprint import Piece, pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import nn

    from napari_ies.geometry.box import Box
    from napari_ies.geometry.orientation import Reorientation
    from napari_ies.network.windows import Tiling
    from napari_ies.saliency.arrivals import Arrival
    from napari_ies.saliency.engines.jacobian import Engine


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
        (C, X, Y, Z): the normalised input without noise, on the CPU or the device.
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
    arrival
        How values come from the device to the host; None for the device's own way.
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
    arrival: Callable[[Sequence[torch.Tensor]], Arrival] | None = None

    @property
    def immediate(self) -> bool:
        """Whether values can be looked at where they are, at no cost but the looking."""
        return self.device.type == "cpu" and self.arrival is None

    def settled(self) -> Problem:
        """Return this with what has been found out about its engine by now."""
        return self.changed(engine=self.engine.settled())

    def changed(self, **fields: object) -> Problem:
        """Return this with other fields; what is known of the image is kept."""
        twin = copy.copy(self)
        for name, value in fields.items():
            object.__setattr__(twin, name, value)
        return twin

    def bring(self, values: Sequence[torch.Tensor]) -> Arrival:
        """Have values come from the device to the host."""
        own = FromCuda if self.device.type == "cuda" else AtOnce
        return (self.arrival or own)(values)

    @cached_property
    def intensity_range(self) -> float:
        """Maximum minus minimum of the first sequence."""
        first = self.image[0]
        return float(first.max()) - float(first.min())

    def image_on(self, box: Box) -> torch.Tensor:
        """Return the part of the image on a box, on the device; the last one is kept there."""
        if self.image.device == self.device:
            return self.image[(slice(None), *box)]
        if self._sent.get(box) is None:
            self._sent.clear()
            self._sent[box] = self.image[(slice(None), *box)].to(self.device)
        return self._sent[box]

    @cached_property
    def _sent(self) -> dict[Box, torch.Tensor]:
        return {}

    def check(self, finite: bool, what: str, window: Box) -> None:
        """Refuse what came out of the network if it is not finite.

        Parameters
        ----------
        finite
            Whether it is.
        what
            What it is, such as ``"gradients"``.
        window
            Where it was computed.

        Raises
        ------
        SaliencyError
            If it is not; names the window, and the layer if its output is not either.
        """
        if not finite:
            where = where_not_finite(self.network, self.image, self.tiles, window)
            raise SaliencyError(
                f"The network's {what} are not finite numbers (NaN or infinity) {where}; check the "
                "checkpoint, and the normalisation in its profile."
            )


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
    _pieces: dict[object, tuple[Piece, ...]] = field(default_factory=dict, init=False, repr=False)

    def pieces(self, problem: Problem) -> tuple[Piece, ...]:
        """Return its pieces: cut once, to be counted and to be run."""
        cut_by = problem.tiles, problem.engine
        if cut_by not in self._pieces:
            self._pieces[cut_by] = pieces(self.voxels, problem.tiles, problem.engine.reach)
        return self._pieces[cut_by]


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
    members
        (C, x, y, z) on `box`: the map of each of the network's members; none where there is one
        member, or until all are known.
    """

    done: int
    total: int
    n_used: int
    box: Box
    mean: torch.Tensor | None = None
    standard_error: torch.Tensor | None = None
    target: int = 0
    members: tuple[torch.Tensor, ...] = ()

    @property
    def finished(self) -> bool:
        """Whether it holds the target's map, all of its work done."""
        return self.mean is not None and self.done >= self.total


def too_large() -> SaliencyError:
    """Say that sums of finite gradients are not finite."""
    return SaliencyError(
        "The map's values are too large for float32, though the network's gradients are finite "
        "numbers; check the checkpoint, and the normalisation in its profile."
    )
