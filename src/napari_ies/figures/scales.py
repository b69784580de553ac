"""Scales: which values the colours of each sequence stand for, and how their bars are labelled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.colors import Normalize

    from napari_ies.figures.content import FigureContent
    from napari_ies.figures.settings import FigureSettings
    from napari_ies.figures.slices import Slicing


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


def scales_of(
    content: FigureContent, settings: FigureSettings, slicing: Slicing
) -> tuple[Scale, ...]:
    """Return one scale for all sequences shown, or one for each.

    A map that belongs to all sequences, as Grad-CAM++'s, has one scale anyway.

    Parameters
    ----------
    content, settings
        The maps, and which limits they have.
    slicing
        What is shown of them: limits that are chosen hang on it.

    Raises
    ------
    FigureError
        If a sequence that is to be shown is not there.
    """
    sequences, saliency = content.sequences(settings), content.saliency
    label = f"aliency ({saliency.unit})"
    limit = settings.limit or content.limit_of()
    exceeded = bool(np.abs(saliency.cropped).max(initial=0.0) > limit)
    shared = Scale(sequences, limit, content.signed, exceeded, f"S{label}")
    if settings.limits == "shared" or settings.limit is not None or not content.signed:
        return (shared,)
    own = []
    for name in sequences:
        limit = content.limit_of(name)
        exceeded = bool(np.abs(content.cropped_map(name)).max(initial=0.0) > limit)
        own.append(Scale((name,), limit, True, exceeded, f"{name}: s{label}"))
    if settings.limits == "own":
        return tuple(own)
    strongest = [
        max(float(np.abs(slicing.saliency(name, where)).max()) for where in slicing.slices)
        for name in sequences
    ]
    clear = settings.threshold
    emptied = any(
        clear * each.limit < value <= clear * shared.limit
        for each, value in zip(own, strongest, strict=True)
    )
    return tuple(own) if emptied else (shared,)
