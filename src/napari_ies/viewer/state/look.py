"""Look: how saliency maps are coloured, whichever map is on screen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_ies.colour_maps import colour_limit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_ies.saliency.request import SaliencyRequest
    from napari_ies.saliency.saliency import Saliency

LIMITS = ("own", "sequence", "shared", "fixed")
"""Where the colours end: one limit for a lesion's maps of all sequences, each sequence's own, one
for all lesions shown so far, or a number."""

THRESHOLD_STEP, HIGHEST_THRESHOLD = 5, 60
"""Of the threshold, in percent of the limit."""

Kind = tuple[str, str]


@dataclass(frozen=True)
class Look:
    """How maps are coloured."""

    signed: str = "Blue–red"
    """Colour map of signed maps: a key of :data:`~napari_ies.colour_maps.SIGNED_MAPS`."""
    sequential: str = "Inferno"
    """Colour map of maps without negative values: a key of ``SEQUENTIAL_MAPS`` there."""
    limits: str = "own"
    """One of :data:`LIMITS`."""
    fixed: float = 1.0
    """Magnitude at which the colours end where `limits` is ``"fixed"``; in the map's unit."""
    threshold: int = 10
    """Magnitude up to which the overlay is clear, in percent of the limit."""
    opacity: float = 1.0
    """Of the overlay, from 0 to 1."""
    colour_bar: bool = True
    """Whether a colour bar is shown on the canvas."""


@dataclass(frozen=True)
class MapRange:
    """How far the values of one sequence's map go; in the unit of the map."""

    limit: float
    """Its own limit: the magnitude at which its colours end if each sequence has its own."""
    lowest: float
    """Its lowest value, or 0 outside the box that it is kept on."""
    highest: float
    """Its highest value, or 0."""


def ranges_of(saliency: Saliency) -> tuple[MapRange, ...]:
    """Return how far each map's values go; looks through all of them."""
    return tuple(
        MapRange(
            colour_limit(saliency, channel),
            float(one.min(initial=0.0)),
            float(one.max(initial=0.0)),
        )
        for channel, one in enumerate(saliency.cropped)
    )


def kind_of(request: SaliencyRequest) -> Kind:
    """Return what maps must have in common for one limit to make sense for all of them."""
    detail = request.aggregation if request.method == "smoothgrad" else request.layer or ""
    return request.method, detail


@dataclass
class ShownLimits:
    """The limits of the maps that were shown so far, for a look that shares them."""

    _own: dict[Kind, dict[str, float]] = field(default_factory=dict)
    _by_sequence: Mapping[str, float] = field(default_factory=dict)

    def enter(self, kind: Kind, title: str, limit: float, by_sequence: Mapping[str, float]) -> None:
        """Note the limits of the map on show; a refined map of the same title replaces it.

        Parameters
        ----------
        kind, title
            What it is.
        limit, by_sequence
            That of all sequences together, and each one's own.
        """
        self._own.setdefault(kind, {})[title] = limit
        self._by_sequence = by_sequence

    def limit(self, look: Look, kind: Kind, title: str, sequence: str) -> float:
        """Return where the colours of one sequence's map end."""
        if look.limits == "fixed":
            return look.fixed
        own = self._own[kind]
        if look.limits == "sequence":
            return self._by_sequence.get(sequence, own[title])
        return max(own.values()) if look.limits == "shared" else own[title]

    def clear(self) -> None:
        """Forget them all."""
        self._own.clear()
