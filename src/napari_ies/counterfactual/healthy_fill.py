"""Intensities that a place might have without its lesion, taken from the healthy tissue around."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_ies.errors import CaseError
from napari_ies.geometry.box import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_ies.patient.case import Case

NEAREST_MM = 2.0
"""Closer to the region than this, a voxel may hold some of the lesion."""

FARTHEST_MM = 20.0
"""Farther from the region than this, tissue says nothing about it."""

LIKELY_LESION = 0.05
"""From this probability on, a voxel is not taken as healthy."""

ROBUST_DEVIATIONS = 2.0
"""How far from the median, in robust standard deviations, a voxel is still the common tissue."""

NEIGHBOURS = 64
"""How many healthy-appearing voxels a filled voxel is interpolated from."""


def healthy_fill(
    case: Case,
    sequence: str,
    region: NDArray[np.bool_],
    probability: NDArray[np.float32],
    labels: NDArray[np.int32],
) -> NDArray[np.float32]:
    """Interpolate a sequence into a region from the healthy-appearing tissue around it.

    A voxel counts as healthy-appearing if it lies 2 to 20 mm from the region, in the brain
    (background in no sequence), in no lesion, at a lesion probability below 0.05, and if its
    intensity lies, in every sequence, within 2 robust standard deviations (1.4826 times the
    median absolute deviation) of the median of such voxels: fluid and vessels are thus not mixed
    in. Each voxel of the region gets the mean of the 64 such voxels nearest to it in mm, weighted
    by ``((R - d) / (R d))²`` with the distance ``d`` and ``R`` that of the farthest of them (the
    modified Shepard interpolation of Franke and Nielson, 1980): smooth, without noise, and the
    same whenever it is computed.

    Parameters
    ----------
    case
        The patient.
    sequence
        The sequence to fill.
    region
        bool (X, Y, Z), not empty.
    probability, labels
        (X, Y, Z): the lesions, which do not count as healthy.

    Returns
    -------
    float32 (V,): an intensity for each voxel of the region, in scan order.

    Raises
    ------
    CaseError
        If there is too little healthy-appearing tissue around.
    """
    from scipy.spatial import cKDTree

    # Everything within the farthest distance of the region.
    box = Box.around(region).grow(np.ceil(np.divide(FARTHEST_MM, case.spacing))).clip(case.shape)
    near = healthy_tissue(case, region, probability, labels, box)
    if np.count_nonzero(near) < NEIGHBOURS:
        raise CaseError(
            f"There are only {np.count_nonzero(near)} voxels of healthy-appearing tissue within "
            f"{FARTHEST_MM:g} mm of the region; at least {NEIGHBOURS} are needed to fill it, so "
            "choose a smaller region."
        )
    known = case.data[(case.sequences.index(sequence), *box)][near].astype(np.float64)
    tree = cKDTree(np.argwhere(near) * case.spacing)
    distance, index = tree.query(np.argwhere(region[box]) * case.spacing, k=NEIGHBOURS)
    farthest = distance[:, -1:]
    weight = ((farthest - distance) / (farthest * distance)) ** 2
    # Were all of them equally far, none would count more than another.
    weight[weight.sum(axis=1) == 0] = 1.0
    values = (weight * known[index]).sum(axis=1) / weight.sum(axis=1)
    return np.asarray(values, dtype=np.float32)


def healthy_tissue(
    case: Case,
    region: NDArray[np.bool_],
    probability: NDArray[np.float32],
    labels: NDArray[np.int32],
    box: Box,
) -> NDArray[np.bool_]:
    """Find the healthy-appearing tissue in a box of the grid, bool; see :func:`healthy_fill`."""
    from scipy.ndimage import distance_transform_edt

    distance = distance_transform_edt(~region[box], sampling=case.spacing)
    values = case.data[(slice(None), *box)]
    near = (distance > NEAREST_MM) & (distance <= FARTHEST_MM)
    near &= (
        case.inside[(slice(None), *box)].all(axis=0)
        & (labels[box] == 0)
        & (probability[box] < LIKELY_LESION)
    )
    if not near.any():
        return np.asarray(near)
    common = np.ones(near.shape, dtype=bool)
    for volume in values:
        around = volume[near].astype(np.float64)
        middle = np.median(around)
        reach = ROBUST_DEVIATIONS * 1.4826 * np.median(np.abs(around - middle))
        common &= np.abs(volume - middle) <= reach
    return np.asarray(near & common)
