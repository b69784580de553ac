"""Transforms of MONAI's that a case goes through before a bundle's network, as data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

JOINS = "ConcatItems"
SPATIAL = (
    "Orientation",
    "Spacing",
    "CropForeground",
    "CenterSpatialCrop",
    "SpatialCrop",
    "SpatialPad",
    "BorderPad",
    "DivisiblePad",
    "Resize",
    "ResizeWithPadOrCrop",
)
"""Transforms that move voxels along the stored axes, always alike, and can be undone."""
INTENSITY = (
    "NormalizeIntensity",
    "ScaleIntensity",
    "ScaleIntensityRange",
    "ScaleIntensityRangePercentiles",
    "ClipIntensityPercentiles",
    "ThresholdIntensity",
    "ShiftIntensity",
    "StdShiftIntensity",
    "AdjustContrast",
    "HistogramNormalize",
    "GaussianSmooth",
    "MedianSmooth",
)
"""Transforms that change intensities, always alike."""


@dataclass(frozen=True)
class Step:
    """A transform.

    Parameters
    ----------
    name
        MONAI's, without what says that it takes a dictionary.
    arguments
        Plain values.
    """

    name: str
    arguments: Mapping[str, Any]

    @cached_property
    def transform(self) -> Any:
        """MONAI's own, which undoes what it did itself only."""
        from monai import transforms

        return getattr(transforms, f"{self.name}d")(**self.arguments)

    def fault(self) -> str:
        """Return why MONAI does not make it of its arguments, or an empty string."""
        try:
            _ = self.transform  # made here, also where Python leaves assertions out
        # Its arguments are whatever an author wrote.
        except Exception as error:
            return " ".join(str(error)[:120].split()).rstrip(".") or type(error).__name__
        return ""

    def edges(self, shape: tuple[int, ...], spacing: tuple[float, ...]) -> list[int]:
        """Return how many voxels along each axis there may be afterwards, at the most."""
        sizes = np.array(shape, dtype=float)
        if self.name == "Spacing":
            wanted = np.broadcast_to(np.array(self.arguments["pixdim"], dtype=float), 3)
            sizes = np.ceil(sizes * spacing / wanted) + 1
        for name in ("spatial_size", "spatial_border", "margin", "k", "k_divisible"):
            larger = np.max(np.abs(np.array(self.arguments.get(name, 0), dtype=float)))
            sizes = np.maximum(sizes, larger) if name == "spatial_size" else sizes + 2 * larger
        return [int(size) for size in sizes]


@dataclass(frozen=True)
class Chain:
    """Transforms in their order.

    Parameters
    ----------
    steps
        The transforms.
    keys
        Under which the sequences begin: one for each, or one for all of them together.
    result
        Under which they are at its end.
    normalises
        Whether the intensities are its own too, where no field of a profile says how they are
        scaled.
    """

    steps: tuple[Step, ...]
    keys: tuple[str, ...]
    result: str
    normalises: bool

    @property
    def spatial(self) -> tuple[Step, ...]:
        """Those that move voxels."""
        return tuple(step for step in self.steps if step.name in SPATIAL)

    @property
    def moved(self) -> str:
        """Under which key all of them are done; empty where none moves a voxel, or under none."""
        keys = [np.atleast_1d(step.arguments["keys"]).tolist() for step in self.spatial]
        shared = (key for key in (*self.keys, self.result) if all(key in one for one in keys))
        return next(shared, "") if keys else ""


@dataclass(frozen=True)
class WayBack:
    """How a bundle brings its network's output to the images' voxels.

    Parameters
    ----------
    probabilities
        Whether probabilities are brought back, and not logits.
    nearest
        Whether each voxel gets the value of the nearest one.
    """

    probabilities: bool = True
    nearest: bool = False
