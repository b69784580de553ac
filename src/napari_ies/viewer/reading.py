"""Reading: a segmented patient, ready to be asked about; and what was answered so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from napari_ies.case import Case
    from napari_ies.checkpoints.model import SegmentationModel
    from napari_ies.saliency.request import SaliencyRequest
    from napari_ies.saliency.saliency import Saliency
    from napari_ies.segmentation import Segmentation
    from napari_ies.viewer.frame import Frame, Voxel
    from napari_ies.windows import Box

LIMIT_MARGIN_VOXELS = 8
"""How far from the lesion the limits of the colours look for large values."""


@dataclass(frozen=True, eq=False)
class Place:
    """Where a lesion lies on the stored grid.

    Parameters
    ----------
    centre
        Its own voxel that lies nearest to its centre of mass.
    box
        The smallest box that holds it.
    """

    centre: Voxel
    box: Box


@dataclass(frozen=True, eq=False)
class Reading:
    """What was segmented with what; clicks ask about this, whatever the forms say meanwhile.

    Parameters
    ----------
    model, case, segmentation
        The network, the patient, what it marked.
    frame
        Where the case lies in the viewer.
    places
        Where each lesion lies.
    resampled
        Sequences that were resampled onto the case's grid.
    """

    model: SegmentationModel
    case: Case
    segmentation: Segmentation
    frame: Frame
    places: Mapping[int, Place]
    resampled: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """What was found, and what a reader must know about it."""
        segmentation = self.segmentation
        count = len(segmentation.lesions)
        found = (
            f"{count} lesion{'s' if count != 1 else ''} found on {segmentation.device}."
            if count
            else f"No lesion above the probability {segmentation.threshold:g}; a lower threshold "
            "may find some."
        )
        return " ".join((found, *segmentation.notes))

    def displayed_lesion(self, label: int) -> tuple[NDArray[np.bool_], Voxel]:
        """Return a lesion's voxels in a displayed box, and that box's first displayed index."""
        box = self.frame.displayed_box(self.places[label].box)
        shown = self.frame.reorientation.apply(self.segmentation.labels)
        return shown[box] == label, (box[0].start, box[1].start, box[2].start)


@dataclass(frozen=True, eq=False)
class Shown:
    """A saliency with the limit of its colours.

    Parameters
    ----------
    saliency
        The maps, running or finished.
    limit
        Magnitude at which the colours end; in the unit of the maps.
    """

    saliency: Saliency
    limit: float


@dataclass(eq=False)
class Answers:
    """The finished maps of one reading, by lesion and request."""

    _maps: dict[tuple[int, SaliencyRequest], Shown] = field(default_factory=dict)

    def add(self, label: int, request: SaliencyRequest, shown: Shown) -> None:
        """Keep a finished map; it becomes the lesion's latest."""
        self._maps.pop((label, request), None)
        self._maps[label, request] = shown

    def get(self, label: int, request: SaliencyRequest) -> Shown | None:
        """Return the map of a lesion for a request, or None if it was not computed yet."""
        return self._maps.get((label, request))

    def of_lesion(self, label: int) -> list[SaliencyRequest]:
        """Return the requests answered for a lesion, the latest last."""
        return [request for lesion, request in self._maps if lesion == label]

    def __iter__(self) -> Iterator[tuple[int, SaliencyRequest, Shown]]:
        return ((label, request, shown) for (label, request), shown in self._maps.items())

    def __len__(self) -> int:
        return len(self._maps)


def lesion_places(
    labels: NDArray[np.int32], spacing: tuple[float, float, float]
) -> dict[int, Place]:
    """Find each lesion.

    Parameters
    ----------
    labels
        int (X, Y, Z).
    spacing
        Voxel size in mm.
    """
    from scipy import ndimage

    places: dict[int, Place] = {}
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        voxels = np.argwhere(labels[box] == label) + [part.start for part in box]
        offset = (voxels - voxels.mean(axis=0)) * spacing
        x, y, z = (int(index) for index in voxels[np.argmin((offset**2).sum(axis=1))])
        places[label] = Place((x, y, z), box)
    return places


def colour_limit(saliency: Saliency) -> float:
    """Return the magnitude at which the colours of a map end, one for all its sequences.

    It is the magnitude that a twentieth as many values as the lesion has voxels, and at least 5,
    exceed in the lesion and within 8 voxels of it: robust against a few extreme voxels, and not
    diluted by the emptiness around.
    """
    grid = saliency.footprint.shape
    voxels = np.argwhere(saliency.footprint)
    low = np.maximum(voxels.min(axis=0) - LIMIT_MARGIN_VOXELS, 0)
    high = np.minimum(voxels.max(axis=0) + LIMIT_MARGIN_VOXELS + 1, grid)
    near = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    values = np.abs(saliency.cropped[(slice(None), *near)]).ravel()
    rank = min(max(5, len(voxels) // 20), values.size)
    limit = float(np.partition(values, -rank)[-rank])
    # A map that is 0 around the lesion still needs limits.
    return limit or float(np.abs(saliency.cropped).max(initial=0.0)) or 1.0
