"""The plane between the halves of the brain, found as the plane of best mirror symmetry.

In the scanner's own space x = 0 is where the magnet's isocentre was, not the middle of the head.
The plane is therefore taken from the images: it is the sagittal one whose mirror image of the
head correlates best with the head itself, as in Ardekani, Kershaw, Braun & Kanno, "Automatic
detection of the mid-sagittal plane in 3-D brain images", IEEE Trans. Med. Imaging 16 (1997).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from nibabel.affines import apply_affine, from_matvec
from scipy import ndimage, optimize

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from napari_ies.geometry.grid import Grid

WORKING_MM = 4.0
"""Voxel size that the plane is sought at: halves of a head are alike at this scale, not below."""

LEAST_SYMMETRY = 0.75
"""Correlation of head and mirror image below which no plane is believed."""

LARGEST_TURN = 35.0
"""Degrees by which a head may be turned or tilted against the scanner's sagittal plane."""

STARTS = (-15.0, 0.0, 15.0)
"""Degrees of turn and of tilt that the search starts from."""

MARGIN_VOXELS = 2
"""Background around the head that takes part, so that its outline counts."""

FEWEST_VOXELS = 500
"""Of the working size: smaller heads are cut-outs, and no plane is sought in them."""

MOST_POINTS = 12_000
"""Of the head that are compared with their mirror images: more do not move the plane."""

ON_MIDLINE_MM = 2.0
"""Closer than this to the plane, no side is given: the plane is not known better."""


@dataclass(frozen=True)
class Midline:
    """A sagittal plane."""

    normal: tuple[float, float, float]
    """Unit vector in the scanner's RAS+ millimetres that points to the patient's right."""
    offset: float
    """Distance of the plane from the origin along the normal, in mm."""
    symmetry: float
    """Correlation of the head with its mirror image, at most 1."""

    def signed_distance(self, points: ArrayLike) -> NDArray[np.float64]:
        """Return how far points lie from the plane, in mm: positive on the patient's right.

        They are (..., 3) in the scanner's RAS+ millimetres.
        """
        along = np.asarray(points, dtype=float) @ np.array(self.normal)
        return np.asarray(along - self.offset)


def find_midline(volumes: NDArray[np.float32], grid: Grid) -> Midline | None:
    """Find the midline of a patient's brain from the images themselves.

    Parameters
    ----------
    volumes
        (C, X, Y, Z): how far the sequences of a patient lie above the background, with or without
        skull, the head turned or tilted by up to 35 degrees against the scanner.
    grid
        Where they lie.

    Returns
    -------
    The plane, or None where the images are not symmetric enough about any: the affine is then no
    help either.
    """
    head = _Head.of_volumes(volumes, grid)
    if head is None:
        return None
    starts = [(turn, tilt, 0.0) for turn in STARTS for tilt in STARTS]
    best = min(starts, key=head.asymmetry)
    found = optimize.minimize(
        head.asymmetry,
        best,
        method="Nelder-Mead",
        options={
            "initial_simplex": best + np.vstack([np.zeros(3), np.diag([6.0, 6.0, 6.0])]),
            "xatol": 0.05,
            "fatol": 1e-5,
        },
    )
    symmetry = 1.0 - float(found.fun)
    if symmetry < LEAST_SYMMETRY:
        return None
    normal, offset = head.plane(found.x)
    x, y, z = (float(value) for value in normal)
    return Midline((x, y, z), float(offset), symmetry)


def hemispheres(distances: NDArray[np.float64]) -> list[str]:
    """Say on which side of the plane places lie: left, right, midline or unknown for each.

    The signed distances in mm are those of :meth:`Midline.signed_distance`, NaN where not known.
    """
    known = [distances > ON_MIDLINE_MM, distances < -ON_MIDLINE_MM, np.isnan(distances)]
    return [str(side) for side in np.select(known, ["right", "left", "unknown"], "midline")]


class _Head:
    """A head at the working voxel size, ready to be compared with its mirror images.

    It is given by (C, X, Y, Z) intensities, 0 outside the head, the head as a mask (X, Y, Z), and
    the affine from voxel indices to RAS+ millimetres.
    """

    def __init__(
        self, volumes: NDArray[np.float32], mask: NDArray[np.bool_], affine: NDArray[np.float64]
    ) -> None:
        near = ndimage.binary_dilation(mask, iterations=MARGIN_VOXELS)
        voxels = np.argwhere(near)
        if len(voxels) > MOST_POINTS:
            voxels = np.random.default_rng(0).choice(voxels, MOST_POINTS, replace=False)
        self._volumes = volumes
        self._values = volumes[(slice(None), *voxels.T)]
        self._points = apply_affine(affine, voxels)
        self._to_voxels = np.linalg.inv(affine)
        self._centre = apply_affine(affine, np.argwhere(mask)).mean(axis=0)

    @classmethod
    def of_volumes(cls, whole: NDArray[np.float32], grid: Grid) -> _Head | None:
        """Shrink volumes to the working voxel size; None where they show too little."""
        volumes, affine = _shrunk(whole, grid)
        masks = [head_mask(volume) for volume in volumes]
        mask = masks[0]
        if np.count_nonzero(mask) < FEWEST_VOXELS:
            return None
        levelled = [_levelled(v, m) for v, m in zip(volumes, masks, strict=True) if m.any()]
        return cls(np.stack(levelled), mask, affine)

    def plane(self, parameters: ArrayLike) -> tuple[NDArray[np.float64], float]:
        """Return normal and offset of the plane at a turn, a tilt (degrees) and a shift (mm)."""
        turn, tilt, shift = np.asarray(parameters, dtype=float)
        a, b = np.deg2rad([turn, tilt])
        normal = np.array([np.cos(a) * np.cos(b), np.sin(a) * np.cos(b), np.sin(b)])
        return normal, float(normal @ self._centre + shift)

    def asymmetry(self, parameters: ArrayLike) -> float:
        """Return 1 - the correlation of the head with its mirror image in a plane."""
        if np.abs(np.asarray(parameters)[:2]).max() > LARGEST_TURN:
            return 2.0
        normal, offset = self.plane(parameters)
        distance = self._points @ normal - offset
        mirrored = apply_affine(self._to_voxels, self._points - 2 * distance[:, None] * normal).T
        correlations = []
        for volume, values in zip(self._volumes, self._values, strict=True):
            # What lies outside the field of view is not known, so it is no asymmetry either.
            image = ndimage.map_coordinates(volume, mirrored, order=1, cval=np.nan)
            seen = np.isfinite(image)
            if seen.mean() < 0.5:
                return 2.0
            correlations.append(np.corrcoef(values[seen], image[seen])[0, 1])
        return 1.0 - float(np.mean(correlations))


def _shrunk(
    volumes: NDArray[np.float32], grid: Grid
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Average blocks of voxels to about the working size; (C, X, Y, Z) and affine."""
    factors = [
        max(min(round(WORKING_MM / size), length), 1)
        for size, length in zip(grid.spacing, grid.shape, strict=True)
    ]
    counts = [length // factor for length, factor in zip(grid.shape, factors, strict=True)]
    a, b, c = (count * factor for count, factor in zip(counts, factors, strict=True))
    blocks = volumes[:, :a, :b, :c].reshape(
        -1, counts[0], factors[0], counts[1], factors[1], counts[2], factors[2]
    )
    middle = [(factor - 1) / 2 for factor in factors]
    block = from_matvec(np.diag([float(f) for f in factors]), middle)
    return blocks.mean(axis=(2, 4, 6)), grid.affine @ block


def head_mask(volume: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the voxels that are not background.

    A volume whose background is exactly 0 was stripped of its skull. Otherwise the head begins
    where FSL's BET looks for it: a tenth of the way between the 2nd and 98th percentile (Smith,
    Human Brain Mapping 17, 2002).
    """
    if np.mean(volume == 0) > 0.1:
        return np.asarray(volume != 0)
    low, high = np.percentile(volume, [2, 98])
    return np.asarray(volume > low + 0.1 * (high - low))


def _levelled(volume: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Scale a head to 0 to 1, without its brightest and darkest hundredth, 0 outside."""
    low, high = np.percentile(volume[mask], [1, 99])
    scaled = (volume - low) / max(high - low, 1e-12)
    return np.where(mask, 0.5 + 0.5 * scaled.clip(0, 1), 0).astype(np.float32)
