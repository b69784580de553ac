"""Saliency: the map of one footprint, with what it was made from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from napari_ies.geometry.box import Box
from napari_ies.saliency.boxed_maps import BoxedMaps

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd


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
    """

    n_used: int
    provenance: Mapping[str, object] = field(default_factory=dict)

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
