"""Curves: of a reading's lesions, how much of their surroundings the network needs to find them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_ies.segmentation.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_ies.cohort.context.perilesional import Context, ContextRequest

CurveKey = tuple[Subject, "ContextRequest", str]
"""A subject, what was asked about it, and of which network
(:func:`~napari_ies.viewer.state.reading.model_key`)."""


@dataclass(frozen=True, eq=False)
class Curve:
    """The context of a lesion or a region, running or finished."""

    subject: Subject
    """The lesion or the region."""
    context: Context
    """What the network makes of it at each step, as far as it is known."""
    model_name: str
    """What the file of the network is called."""
    model_key: str
    """What tells that network from others."""
    other_model: bool = False
    """Whether it is another network than the one that found the lesions."""

    @property
    def key(self) -> CurveKey:
        """What tells this curve from the others of a reading."""
        return self.subject, self.context.request, self.model_key


@dataclass(eq=False)
class Curves:
    """The finished curves of one reading, by subject, request and network."""

    _curves: dict[CurveKey, Curve] = field(default_factory=dict)
    unseen: list[Curve] = field(default_factory=list)
    """Those of lesions that are not there at this threshold, until they come back."""

    def add(self, curve: Curve) -> None:
        """Keep a finished curve; it becomes its subject's latest."""
        self._curves.pop(curve.key, None)
        self._curves[curve.key] = curve

    def get(self, key: CurveKey) -> Curve | None:
        """Return the curve with a key, or None if it was not computed yet."""
        return self._curves.get(key)

    def of(self, subject: Subject | int | str) -> list[Curve]:
        """Return the curves of a subject, the latest last."""
        return [curve for curve in self._curves.values() if curve.subject == subject]

    def forget(self, subject: Subject | int | str) -> None:
        """Drop the curves of a subject."""
        for curve in self.of(subject):
            del self._curves[curve.key]

    def __iter__(self) -> Iterator[Curve]:
        return iter(list(self._curves.values()))

    def __len__(self) -> int:
        return len(self._curves)
