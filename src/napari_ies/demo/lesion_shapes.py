"""White-matter lesions of a synthetic patient: where they lie, how large and how irregular."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_ies.demo.anatomy import Anatomy, smooth_field
from napari_ies.geometry.box import Box
from napari_ies.geometry.components import instances

if TYPE_CHECKING:
    from numpy.typing import NDArray


SMALLEST_LESION = 6
"""Fewest voxels of a lesion; smaller remnants are taken away again."""


@dataclass(frozen=True, eq=False)
class Lesions:
    """The lesions of one patient."""

    membership: NDArray[np.float32]
    """How much of each voxel is lesion, from 0 to 1 with soft edges, float32 (X, Y, Z)."""
    contrast: NDArray[np.float32]
    """How strong the lesion in each voxel is on both sequences, 1 on average, float32 (X, Y, Z)."""
    mask: NDArray[np.bool_]
    """Where `membership` is more than a half, bool (X, Y, Z)."""


@dataclass(frozen=True, eq=False)
class _Places:
    """Where each kind of lesion may be centred, and what shapes it."""

    kinds: dict[str, NDArray[np.intp]]
    from_ventricles: NDArray[np.float32]
    away_from_ventricles: NDArray[np.float32]


def draw_lesions(generator: np.random.Generator, anatomy: Anatomy) -> Lesions:
    """Draw periventricular, deep and juxtacortical lesions, and one confluent lesion.

    Each lesion is an ellipsoid whose edge is made irregular by a smooth random field, cut to the
    white matter and softened. Periventricular ones point away from the ventricles.
    """
    places = _places(anatomy)
    white = _room_for_lesions(anatomy)
    irregularity = 0.22 * smooth_field(generator, white.shape, anatomy.spacing, 6.0)
    irregularity += 0.11 * smooth_field(generator, white.shape, anatomy.spacing, 3.0)
    membership = np.zeros(white.shape, dtype=np.float32)
    contrast = np.ones(white.shape, dtype=np.float32)
    for centre, axes, radii in _draw_ellipsoids(generator, places, anatomy.spacing):
        box, blob = _blob(centre, axes, radii / anatomy.spacing, irregularity)
        strength = np.float32(generator.uniform(0.8, 1.3))
        contrast[box] = np.where(blob > membership[box], strength, contrast[box])
        membership[box] = np.maximum(membership[box], blob)
    membership *= white
    _remove_remnants(membership)
    contrast = ndimage.gaussian_filter(contrast, 1.0 / anatomy.spacing)
    return Lesions(membership, contrast, membership > 0.5)


def _places(anatomy: Anatomy) -> _Places:
    from_ventricles, from_grey = anatomy.from_ventricles, anatomy.from_grey
    height = anatomy.affine[2, 3] + anatomy.spacing * np.arange(anatomy.brain.shape[2])
    # Above the brain stem and the temporal poles: where these lesions are mostly seen.
    white = (anatomy.white > 0.9) & (height > -12.0)
    # Beside the ventricles rather than in the corpus callosum between them.
    aside = np.abs(anatomy.affine[0, 3] + anatomy.spacing * np.arange(white.shape[0])) > 9.0
    near = (
        white
        & aside[:, None, None]
        & (from_ventricles > 1.0)
        & (from_ventricles < 5.0)
        & (from_grey > 2.5)
    )
    deep = white & (from_ventricles > 8.0) & (from_grey > 4.0) & (anatomy.depth > 12.0)
    cortical = white & (from_ventricles > 14.0) & (from_grey > 1.0) & (from_grey < 3.0)
    kinds = {
        "periventricular": np.argwhere(near),
        "deep": np.argwhere(deep),
        "juxtacortical": np.argwhere(cortical & (anatomy.depth < 18.0)),
    }
    away = np.stack(np.gradient(ndimage.gaussian_filter(from_ventricles, 2.0 / anatomy.spacing)))
    return _Places(kinds, from_ventricles, away.astype(np.float32))


def _room_for_lesions(anatomy: Anatomy) -> NDArray[np.float32]:
    """Return how much of each voxel a lesion may take: white matter, up to the ventricles."""
    rim = (anatomy.from_ventricles < 4.0) & ~anatomy.bulk_grey
    fraction = np.where(rim, anatomy.white + anatomy.grey, anatomy.white)
    return np.asarray(np.clip((fraction - 0.3) / 0.4, 0.0, 1.0), dtype=np.float32)


def _draw_ellipsoids(
    generator: np.random.Generator, places: _Places, spacing: float
) -> list[tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]]:
    """Return centre (3,), axes (3, 3) in rows and radii in mm (3,) of each ellipsoid."""
    ellipsoids = []

    def add(kind: str, longest: float, elongation: float) -> None:
        centre = generator.choice(places.kinds[kind])
        ellipsoids.append(_ellipsoid(generator, places, centre, longest, elongation))

    for _ in range(generator.integers(7, 15)):
        add("periventricular", generator.uniform(3.5, 8.0), generator.uniform(1.4, 2.2))
    for _ in range(generator.integers(8, 18)):
        # Small lesions outnumber large ones.
        add("deep", min(2.4 + generator.exponential(1.5), 8.0), generator.uniform(1.0, 1.5))
    for _ in range(generator.integers(5, 11)):
        add("juxtacortical", min(2.6 + generator.exponential(1.0), 6.0), 1.3)
    # Fingers side by side along one ventricle grow together into the confluent lesion.
    sites = places.kinds["periventricular"]
    seed = generator.choice(sites)
    reach = generator.uniform(12.0, 20.0) / spacing
    neighbours = sites[np.linalg.norm(sites - seed, axis=1) < reach]
    for centre in generator.choice(neighbours, size=generator.integers(9, 17)):
        longest = generator.uniform(4.5, 8.5)
        ellipsoids.append(_ellipsoid(generator, places, centre, longest, 1.6))
    return ellipsoids


def _ellipsoid(
    generator: np.random.Generator,
    places: _Places,
    centre: NDArray[np.intp],
    longest: float,
    elongation: float,
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    first = generator.standard_normal(3)
    if places.from_ventricles[tuple(centre)] < 6.0:
        first = 0.4 * first + 3.0 * places.away_from_ventricles[(slice(None), *centre)]
    axes, _ = np.linalg.qr(np.column_stack([first, generator.standard_normal((3, 2))]))
    others = longest / elongation * generator.uniform(0.8, 1.2, size=2)
    return centre, axes.T, np.array([longest, *others])


def _blob(
    centre: NDArray[np.intp],
    axes: NDArray[np.float64],
    radii: NDArray[np.float64],
    irregularity: NDArray[np.float32],
) -> tuple[Box, NDArray[np.float32]]:
    """Return a box of voxels around one lesion, and the lesion's membership in it."""
    reach = int(np.ceil(1.7 * radii.max())) + 1
    box = Box(centre, centre + 1).grow(reach).clip(irregularity.shape)
    offsets = np.stack(
        np.meshgrid(
            *(np.arange(s.start, s.stop) - c for s, c in zip(box, centre, strict=True)),
            indexing="ij",
        )
    )
    distance = np.linalg.norm(
        np.tensordot(axes, offsets, axes=1) / radii[:, None, None, None], axis=0
    )
    # Depth below the surface in voxels: the edge is equally soft whatever the size.
    depth = (1.0 - distance + irregularity[box]) * radii.mean()
    blob = np.clip(0.5 + depth / 1.6, 0.0, 1.0)
    # The irregular surface may throw off islands: keep the piece that holds the centre.
    labels, _ = ndimage.label(blob > 0)
    middle = labels[tuple(centre - box.start)]
    return box, np.where((labels == middle) & (middle > 0), blob, 0.0).astype(np.float32)


def _remove_remnants(membership: NDArray[np.float32]) -> None:
    """Clear what is too small to be counted as a lesion, in place."""
    kept = instances(membership > 0.5, SMALLEST_LESION) > 0
    remnants = (membership > 0.5) & ~kept
    membership[remnants | ~ndimage.binary_dilation(kept, iterations=2)] = 0.0
