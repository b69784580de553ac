"""Followed: a layer that follows a look, except in what a person set on the layer itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass
class Followed:
    """What was set on a layer, and by whom."""

    key: str | None = None
    """Of the layer, None while there is none."""
    applied: dict[str, Any] = field(default_factory=dict)
    """What was last set here; what differs on the layer was set there by a person."""
    by_hand: dict[str, Any] = field(default_factory=dict)
    """What a person had set on the layer when it was last removed."""
    visible: bool | None = None
    """Whether it was on show then."""

    def apply(self, layer: Any, wanted: Mapping[str, Any]) -> None:
        """Set only what differs, since each of these repaints, and nothing set by a person."""
        differing = self.set_by_person(layer)
        for attribute, value in wanted.items():
            if attribute in differing:
                continue
            if not equal(getattr(layer, attribute), value):
                if attribute == "contrast_limits":
                    layer.contrast_limits_range = value
                setattr(layer, attribute, value)
            self.applied[attribute] = value

    def added(self, key: str, wanted: Mapping[str, Any]) -> None:
        """Note that a layer was added, as wanted and then as a person had set it before."""
        self.key, self.applied, self.by_hand, self.visible = key, dict(wanted), {}, None

    def removed(self, layer: Any, *, visible: bool) -> None:
        """Note what a person set on a layer that is going."""
        self.by_hand = {name: getattr(layer, name) for name in self.set_by_person(layer)}
        self.visible = visible

    def set_by_person(self, layer: Any) -> tuple[str, ...]:
        """Return what differs on the layer from what was set here."""
        return tuple(
            name for name, value in self.applied.items() if not equal(getattr(layer, name), value)
        )

    def forget(self, attributes: Iterable[str]) -> None:
        """Follow the look in these attributes, whatever a person set."""
        for attribute in attributes:
            self.applied.pop(attribute, None)
            self.by_hand.pop(attribute, None)


def equal(one: Any, other: Any) -> bool:
    """Whether two colour maps, limits or opacities are the same."""
    if hasattr(one, "colors"):
        return bool(one.name == other.name)
    return bool(np.allclose(one, other, rtol=1e-6, atol=0))
