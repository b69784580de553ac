"""Saliency: the map of one footprint, with what it was made from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from napari_ies.geometry.box import Box
from napari_ies.saliency.boxed_maps import BoxedMaps

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class NetworkMaps:
    """Maps as they were computed, on the grid of a network that has one of its own.

    Parameters
    ----------
    shape, affine
        That grid: size, and voxel indices to millimetres (RAS+), 4 x 4.
    box
        The part of it outside which the maps are 0.
    cropped
        float32 (C, x, y, z): the maps on that box, a gradient by the value of each of its voxels.
    cropped_standard_error
        float32, same shape, or None.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    box: Box
    cropped: NDArray[np.float32]
    cropped_standard_error: NDArray[np.float32] | None


@dataclass(frozen=True, eq=False)
class Saliency(BoxedMaps):
    """The saliency of one footprint, kept on the box outside which it is exactly 0.

    Parameters
    ----------
    request
        What was asked for; `n_samples` there is the number asked for, `n_used` here the number
        that entered the map.
    sequences
        One name per map; Grad-CAM++ has the single name ``"all"``.
    shape
        Size (X, Y, Z) of the case's grid.
    affine
        The case's affine.
    box
        The part of the grid outside which the maps are 0; any three slices will do.
    cropped
        float32 (C, x, y, z): the maps on that box. SmoothGrad: logit per standard deviation of
        the normalised intensity, signed. Grad-CAM++: logit x activation, not negative.
    cropped_standard_error
        float32, same shape: Monte-Carlo standard error of the mean over noise samples; None for
        Grad-CAM++ and with fewer than two samples.
    footprint
        bool (x, y, z): the footprint on the same box.
    n_used
        Number of noise samples in the map (1 for Grad-CAM++).
    provenance
        Plain values that say how it was made: device, precision, checkpoint, images, versions.
    cropped_spread
        float32, same shape as the maps: standard deviation between the maps of each of the
        network's members alone; None where it is one network.
    in_network
        What the maps were interpolated from, where the network ran on a grid of its own.
    """

    n_used: int
    provenance: Mapping[str, object] = field(default_factory=dict)
    cropped_spread: NDArray[np.float32] | None = None
    in_network: NetworkMaps | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "box", Box.of(self.box))

    def told(self, notes: Sequence[str], **facts: object) -> Saliency:
        """Return this with more in its provenance: notes that are not there yet, and facts."""
        known = self.provenance.get("notes", ())
        before = list(known) if isinstance(known, list | tuple) else []
        more = [note for note in notes if note not in before]
        added = ({"notes": [*before, *more]} if more else {}) | facts
        return replace(self, provenance={**self.provenance, **added}) if added else self

    @cached_property
    def measures(self) -> pd.DataFrame:
        """The numbers read off the maps: see
        :func:`napari_ies.saliency.reading_off.measures.measure`.
        """
        from napari_ies.saliency.reading_off.measures import measure

        return measure(self)
