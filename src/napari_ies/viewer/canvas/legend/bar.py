"""Bar: what the colours of a layer stand for, with its ticks; knows no Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.viewer.state.scaled import number, scaled_unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEPS = 256
"""Colours of a bar."""
TISSUE = 0.35
"""The grey that translucent colours are drawn over, as over the image: that of tissue."""
MOST_DIGITS = 9
NEAR = 0.15
"""A tick at 0 with one half way to an end that lies nearer to 0 than this share of the bar."""


@dataclass(frozen=True, eq=False)
class Bar:
    """What the colours of a layer stand for.

    Parameters
    ----------
    title
        Whose colours they are, such as ``"FLAIR map"``.
    colours
        (N, 3): red, green and blue in [0, 1] from the lower limit to the upper one, as over tissue.
    low, high
        Where the colours end; in the unit.
    unit, power
        Of the numbers, which are written in units of ten to this power.
    lowest, highest
        How far the values go; None where unknown.
    """

    title: str
    colours: NDArray[np.float64]
    low: float
    high: float
    unit: str
    power: int = 0
    lowest: float | None = None
    highest: float | None = None

    @classmethod
    def of_layer(cls, layer: Any, title: str, unit: str, **more: Any) -> Bar:
        """Return the bar of an image layer of napari's, whoever set its colours and limits."""
        low, high = (float(limit) for limit in layer.contrast_limits)
        at = np.linspace(0.0, 1.0, STEPS) ** layer.gamma
        colours = np.asarray(layer.colormap.map(at), dtype=float)
        alpha = colours[:, 3:] * layer.opacity
        return cls(title, colours[:, :3] * alpha + TISSUE * (1 - alpha), low, high, unit, **more)

    @property
    def words(self) -> tuple[str, ...]:
        """Whose colours these are, the unit of the numbers, and what goes beyond the ends."""
        parts = (self.title, scaled_unit(self.unit, self.power), self.warning)
        return tuple(part for part in parts if part)

    @property
    def exceeded(self) -> tuple[bool, bool]:
        """Whether there are values below the lower limit, and above the upper one, as written."""
        below = self.lowest is not None and self.lowest < self.low
        above = self.highest is not None and self.highest > self.high
        return below and self._differ(self.lowest, self.low), above and self._differ(
            self.highest, self.high
        )

    def _differ(self, one: float | None, other: float) -> bool:
        return number(one or 0.0, self.power) != number(other, self.power)

    @property
    def warning(self) -> str:
        """How far the values go beyond the limits; empty where they do not."""
        below, above = self.exceeded
        low, high = (number(end or 0.0, self.power) for end in (self.lowest, self.highest))
        if below and above:
            return f"values go from {low} to {high}"
        if below:
            return f"values go down to {low}"
        return f"values go up to {high}" if above else ""

    @property
    def ticks(self) -> tuple[tuple[float, str], ...]:
        """Where along the bar, from 0 to 1, which number stands: the ends first, then 0."""
        low, high, span = self.low, self.high, self.high - self.low
        values = [low, high, (low + high) / 2]
        if low < 0 < high:
            halves = [end / 2 for end in (low, high) if abs(end) > NEAR * span]
            values = [low, high, 0.0, *halves]
        texts = self._texts(values)
        return tuple(((v - low) / span, text) for v, text in zip(values, texts, strict=True))

    def _texts(self, values: list[float]) -> list[str]:
        """Write numbers with as many digits as tell them apart, at least three."""
        for digits in range(3, MOST_DIGITS):
            texts = [number(value, self.power, digits) for value in values]
            if len(set(texts)) == len(texts):
                return texts
        return [number(value, self.power, MOST_DIGITS) for value in values]
