"""Scales: which values the colours of each sequence stand for, and how their bars are labelled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_ies.colour_maps import colour_limit

if TYPE_CHECKING:
    from matplotlib.colors import Normalize

    from napari_ies.figures.content import FigureContent
    from napari_ies.figures.settings import FigureSettings


@dataclass(frozen=True)
class Scale:
    """What the colours of one or several sequences stand for."""

    sequences: tuple[str, ...]
    """Whose maps."""
    limit: float
    """Magnitude at which the colours end, in the map's unit."""
    signed: bool
    """Whether they begin at minus the limit, or at 0."""
    exceeded: bool
    """Whether a map has values beyond the limit."""
    label: str
    """Of the colour bar: of which sequence, if not of all, and the unit."""

    def norm(self) -> Normalize:
        """Return values to colours, as matplotlib has it."""
        from matplotlib.colors import Normalize

        return Normalize(-self.limit if self.signed else 0.0, self.limit)


def scales_of(content: FigureContent, settings: FigureSettings) -> tuple[Scale, ...]:
    """Return one scale for all sequences shown, or one for each.

    A map that belongs to all sequences, as Grad-CAM++'s, has one scale anyway.

    Raises
    ------
    FigureError
        If a sequence that is to be shown is not there.
    """
    sequences, saliency = content.sequences(settings), content.saliency
    label = f"aliency ({saliency.unit})"
    if settings.limits == "shared" or not content.signed:
        limit = settings.limit or colour_limit(saliency)
        exceeded = bool(np.abs(saliency.cropped).max(initial=0.0) > limit)
        return (Scale(sequences, limit, content.signed, exceeded, f"S{label}"),)
    scales = []
    for name in sequences:
        limit = colour_limit(saliency, saliency.sequences.index(name))
        exceeded = bool(np.abs(content.cropped_map(name)).max(initial=0.0) > limit)
        scales.append(Scale((name,), limit, True, exceeded, f"{name}: s{label}"))
    return tuple(scales)
