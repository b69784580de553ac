"""Look: how saliency maps are coloured, whichever map is on screen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_ies.saliency.request import SaliencyRequest

LIMITS = ("own", "shared", "fixed")
"""Where the colours end: each lesion's own limit, one for all shown so far, or a number."""

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


def kind_of(request: SaliencyRequest) -> Kind:
    """Return what maps must have in common for one limit to make sense for all of them."""
    detail = request.aggregation if request.method == "smoothgrad" else request.layer or ""
    return request.method, detail


@dataclass
class ShownLimits:
    """The limits of the maps that were shown so far, for a look that shares them."""

    _own: dict[Kind, dict[str, float]] = field(default_factory=dict)

    def enter(self, kind: Kind, title: str, limit: float) -> None:
        """Note the own limit of a map; a refined map of the same title replaces it."""
        self._own.setdefault(kind, {})[title] = limit

    def limit(self, look: Look, kind: Kind, title: str) -> float:
        """Return where the colours of a map end."""
        if look.limits == "fixed":
            return look.fixed
        own = self._own[kind]
        return max(own.values()) if look.limits == "shared" else own[title]

    def clear(self) -> None:
        """Forget them all."""
        self._own.clear()
