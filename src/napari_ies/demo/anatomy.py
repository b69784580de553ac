"""The healthy brain of a synthetic patient: the MNI152 template, bent a little for each patient."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_ies.errors import CaseError

if TYPE_CHECKING:
    from numpy.typing import NDArray

FIELD_OF_VIEW_MM = ((-84.0, 84.0), (-120.0, 84.0), (-68.0, 88.0))
"""What the images show, in mm of MNI space: left to right, posterior to anterior, foot to head."""


@dataclass(frozen=True, eq=False)
class Anatomy:
    """One patient's tissues on one grid, before any lesion."""

    csf: NDArray[np.float32]
    grey: NDArray[np.float32]
    white: NDArray[np.float32]
    """Fractions of cerebrospinal fluid, grey and white matter in each voxel, float32 (X, Y, Z);
    they add up to 1 inside the brain and to 0 outside."""
    brain: NDArray[np.bool_]
    """Where the brain is, bool (X, Y, Z)."""
    ventricles: NDArray[np.bool_]
    """The lateral and third ventricles, bool (X, Y, Z)."""
    bulk_grey: NDArray[np.bool_]
    """Grey matter that is more than partial volume: cortex and nuclei, bool (X, Y, Z)."""
    depth: NDArray[np.float32]
    """Distance in mm to the surface of the brain, 0 outside, float32 (X, Y, Z)."""
    affine: NDArray[np.float64]
    """Voxel indices to mm in MNI space, RAS, (4, 4)."""

    @property
    def spacing(self) -> float:
        """Edge of a voxel in mm."""
        return float(self.affine[0, 0])

    @cached_property
    def from_ventricles(self) -> NDArray[np.float32]:
        """Distance in mm to the ventricles, float32 (X, Y, Z)."""
        return _distance_inside(~self.ventricles, self.spacing)

    @cached_property
    def from_grey(self) -> NDArray[np.float32]:
        """Distance in mm to cortex and nuclei, float32 (X, Y, Z)."""
        return _distance_inside(~self.bulk_grey, self.spacing)


def draw_anatomy(generator: np.random.Generator, spacing: float) -> Anatomy:
    """Draw one patient's brain.

    The template is bent by a smooth random displacement of a few millimetres, and its ventricles
    are widened by a random amount, as disease and age do. The spacing is the edge of a voxel in mm.

    Raises
    ------
    CaseError
        If nilearn, which brings the template, is not installed.
    """
    template, origin = load_template()
    affine = _grid_affine(spacing)
    shape = grid_shape(spacing)
    # The average of 152 heads is smoother than one head: sharpen the folds.
    template = template + np.float32(0.9) * (template - ndimage.gaussian_filter(template, 1.5))
    intensity = _sample_bent(template, origin, affine, shape, generator)
    brain = _brain(intensity, spacing)
    csf = np.clip((0.62 - intensity) / 0.27, 0.0, 1.0)
    white = _smooth_step(intensity, 0.71, 0.83) * (1.0 - csf)
    grey = 1.0 - csf - white
    depth = _distance_inside(brain, spacing)
    ventricles = _ventricles(csf, depth, affine)
    bulk_grey = ndimage.gaussian_filter(grey, 2.0 / spacing) > 0.5
    csf, grey, white = (np.where(brain, a, 0).astype(np.float32) for a in (csf, grey, white))
    return Anatomy(csf, grey, white, brain, ventricles, bulk_grey & brain, depth, affine)


def load_template() -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Read the skull-stripped MNI152 T1 template of 1 mm that lies inside the nilearn package.

    Nothing is downloaded.

    Returns
    -------
    The intensities from 0 to 1, float32 (X, Y, Z), and the mm of its first voxel, (3,).

    Raises
    ------
    CaseError
        If nilearn is not installed.
    """
    try:
        from nilearn.datasets import load_mni152_template
    except ImportError as error:
        raise CaseError(
            "The synthetic patient needs the nilearn package, which is not installed: "
            'run pip install "napari-ies[all]".'
        ) from error
    image = load_mni152_template(resolution=1)
    return np.asarray(image.dataobj, dtype=np.float32), np.asarray(image.affine)[:3, 3]


def grid_shape(spacing: float) -> tuple[int, int, int]:
    """Return how many voxels of `spacing` mm show the field of view along each axis."""
    x, y, z = (round((high - low) / spacing) for low, high in FIELD_OF_VIEW_MM)
    return x, y, z


def smooth_field(
    generator: np.random.Generator, shape: tuple[int, ...], spacing: float, length: float
) -> NDArray[np.float32]:
    """Draw a smooth random field of mean near 0 and standard deviation near 1.

    Parameters
    ----------
    generator
        Where the randomness comes from.
    shape
        Shape of the field.
    spacing
        Edge of a voxel in mm.
    length
        Distance in mm over which the field changes: that of its independent knots.
    """
    knots = tuple(int(np.ceil(n * spacing / length)) + 3 for n in shape)
    coarse = generator.standard_normal(knots)
    axes = [np.arange(n, dtype=np.float64) * spacing / length + 1.0 for n in shape]
    # A cubic B-spline over white noise, one axis at a time, as the field is separable.
    for axis, positions in enumerate(axes):
        coarse = _interpolate_axis(coarse, positions, axis)
    return (coarse / 0.33).astype(np.float32)


def _interpolate_axis(
    values: NDArray[np.float64], positions: NDArray[np.float64], axis: int
) -> NDArray[np.float64]:
    """Weigh the four nearest knots by the cubic B-spline, along one axis."""
    first = np.floor(positions).astype(np.intp)
    t = (positions - first).reshape(_along(axis))
    weights = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    # Sums of products in this order, not a matrix product: the same on every machine.
    total = weights[0] * values.take(first - 1, axis)
    for offset, weight in enumerate(weights[1:]):
        total += weight * values.take(first + offset, axis)
    return np.asarray(total / 6.0)


def _grid_affine(spacing: float) -> NDArray[np.float64]:
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = [low + spacing / 2 for low, _ in FIELD_OF_VIEW_MM]
    return affine


def _sample_bent(
    template: NDArray[np.float32],
    origin: NDArray[np.float64],
    affine: NDArray[np.float64],
    shape: tuple[int, int, int],
    generator: np.random.Generator,
) -> NDArray[np.float32]:
    """Sample the template where the patient's voxels lie after bending."""
    spacing = float(affine[0, 0])
    size = 1.0 + 0.03 * generator.standard_normal(3).clip(-1.5, 1.5)
    widening = generator.uniform(5.0, 25.0)
    pull = _pull_of_ventricles(template, origin)
    coordinates = np.empty((3, *shape), dtype=np.float32)
    for axis in range(3):
        positions = affine[axis, 3] + spacing * np.arange(shape[axis])
        line = (positions / size[axis] - origin[axis]).reshape(_along(axis))
        bend = 1.8 * smooth_field(generator, shape, spacing, 28.0)
        bend += 0.5 * smooth_field(generator, shape, spacing, 11.0)
        coordinates[axis] = line + bend
    # Sampling nearer to the ventricles than one stands makes them wider.
    pulls = [ndimage.map_coordinates(p, coordinates / 2, order=1) for p in pull]
    for axis in range(3):
        coordinates[axis] += widening * pulls[axis]
    return np.asarray(ndimage.map_coordinates(template, coordinates, order=1), dtype=np.float32)


def _pull_of_ventricles(
    template: NDArray[np.float32], origin: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return the direction to the template's ventricles on its every second voxel, (3, X, Y, Z)."""
    coarse = template[::2, ::2, ::2]
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = origin
    fluid = np.clip((0.62 - coarse) / 0.27, 0.0, 1.0)
    depth = _distance_inside(_brain(coarse, 2.0), 2.0)
    ventricles = _ventricles(fluid, depth, affine).astype(np.float32)
    return np.stack(np.gradient(ndimage.gaussian_filter(ventricles, 2.5), 2.0))


def _brain(intensity: NDArray[np.float32], spacing: float) -> NDArray[np.bool_]:
    """Extract the brain: one piece, without the fluid around it."""
    tissue = ndimage.gaussian_filter(intensity, 1.0 / spacing) > 0.5
    tissue = _largest(ndimage.binary_opening(tissue, iterations=max(1, round(2.0 / spacing))))
    # Closing and filling takes the sulci and the ventricles in.
    reach = max(1, round(4.0 / spacing))
    closed = ndimage.binary_closing(np.pad(tissue, reach), iterations=reach)
    closed = closed[reach:-reach, reach:-reach, reach:-reach]
    filled = np.asarray(ndimage.binary_fill_holes(closed))
    # Opening once more cuts off what hangs on by a few voxels, such as vessels of the neck.
    rounded = ndimage.binary_opening(filled, iterations=max(1, round(3.0 / spacing)))
    return _largest(rounded)


def _ventricles(
    csf: NDArray[np.float32], depth: NDArray[np.float32], affine: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Find the fluid that lies deep in the brain, in the region of the lateral ventricles."""
    x, y, z = (
        (affine[a, 3] + affine[a, a] * np.arange(csf.shape[a])).reshape(_along(a)) for a in range(3)
    )
    region = (np.abs(x) < 40) & (y > -60) & (y < 42) & (z > -14) & (z < 36)
    region = region & ((np.abs(x) < 24) | (y < -10))
    deep_fluid = (csf > 0.5) & (depth > 14.0) & region
    # Left and right need not be joined; what is far smaller than them is a cistern.
    labels, _ = ndimage.label(deep_fluid)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray((sizes > 0.2 * sizes.max())[labels])


def _distance_inside(region: NDArray[np.bool_], spacing: float) -> NDArray[np.float32]:
    """Return the distance in mm from each voxel of a region to the region's outside."""
    distance = ndimage.distance_transform_edt(region, sampling=spacing)
    return np.asarray(distance, dtype=np.float32)


def _along(axis: int) -> tuple[int, int, int]:
    """Return the shape that lays a line of values along an axis."""
    return tuple(-1 if a == axis else 1 for a in range(3))  # type: ignore[return-value]


def _largest(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    labels, _ = ndimage.label(region)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == sizes.argmax())


def _smooth_step(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    """Go from 0 at `low` to 1 at `high` with slope 0 at both ends."""
    unit = np.clip((values - low) / (high - low), 0.0, 1.0)
    return np.asarray(unit * unit * (3.0 - 2.0 * unit), dtype=np.float32)
