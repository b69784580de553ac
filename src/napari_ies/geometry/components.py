"""Components: the connected parts of a mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_ies.geometry.box import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONNECTIVITY_18 = np.abs(np.indices((3, 3, 3)) - 1).sum(axis=0) <= 2
"""Voxels are neighbours that share a face or an edge."""


def instances(mask: NDArray[np.bool_], smallest: int = 1) -> NDArray[np.int32]:
    """Return the 18-connected components of a mask.

    Parameters
    ----------
    mask
        bool (X, Y, Z).
    smallest
        Smallest number of voxels that one may have.

    Returns
    -------
    int32 (X, Y, Z): 0 outside, otherwise the number 1, 2, … of the component, in scan order of
    the stored array.
    """
    from scipy import ndimage  # only where it is needed

    found = np.zeros(mask.shape, dtype=np.int32)
    box = Box.around(mask)  # what lies outside of it takes most of the time, and has none
    components, count = ndimage.label(mask[box], CONNECTIVITY_18)
    sizes = np.bincount(components.ravel(), minlength=count + 1)
    kept = sizes >= smallest
    kept[0] = False
    labels = np.zeros(count + 1, dtype=np.int32)
    labels[kept] = np.arange(1, int(kept.sum()) + 1)
    found[box] = labels[components]
    return found
