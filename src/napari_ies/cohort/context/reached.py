"""At which step of its growth a lesion reaches each voxel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import binary_dilation

from napari_ies.geometry.components import CONNECTIVITY_18
from napari_ies.saliency.reading_off.surroundings import distance_to

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_ies.cohort.context.growth import Growth
    from napari_ies.geometry.box import Box
    from napari_ies.saliency.footprint import BoxedMask


def reached(
    growth: Growth, lesion: BoxedMask, spacing: tuple[float, float, float]
) -> tuple[Box, NDArray[np.int16]]:
    """Return at which step each voxel is reached.

    Parameters
    ----------
    growth
        The steps.
    lesion
        The lesion's voxels.
    spacing
        Voxel size in mm.

    Returns
    -------
    box, order
        The part of the volume that the last step lies in, and int16 (x, y, z) on it: 0 in the
        lesion, k where step k is the first that keeps the voxel, the number of steps + 1 beyond.
        All that lies outside the box is beyond.
    """
    if growth.dilations:
        return _by_dilation(growth.dilations, lesion)
    farthest = growth.steps * growth.step_mm
    margins = [int(np.ceil(farthest / size + 0.5)) for size in spacing]
    box = lesion.box.grow(margins).clip(lesion.shape)
    mask = lesion.within(box)
    distance = distance_to(mask, spacing, farthest).astype(np.float64)
    # Distances are rounded to a micrometre: a hair's breadth more keeps ends where they are.
    order = np.ceil(np.minimum(distance / growth.step_mm - 1e-6, growth.steps + 1))
    return box, np.where(mask, 0, np.maximum(order, 1)).astype(np.int16)


def _by_dilation(dilations: int, lesion: BoxedMask) -> tuple[Box, NDArray[np.int16]]:
    box = lesion.box.grow(dilations).clip(lesion.shape)
    grown = lesion.within(box)
    order = np.where(grown, 0, dilations + 1).astype(np.int16)
    for step in range(1, dilations + 1):
        larger = binary_dilation(grown, CONNECTIVITY_18)
        order[larger & ~grown] = step
        grown = larger
    return box, order
