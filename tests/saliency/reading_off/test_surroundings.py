"""Distances, shells and profile against a double loop over voxels in float64."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from nibabel.affines import from_matvec
from nibabel.eulerangles import euler2mat

from napari_ies.saliency.reading_off.distance_profile import profile
from napari_ies.saliency.reading_off.measures import measure
from napari_ies.saliency.reading_off.surroundings import surroundings
from napari_ies.saliency.request import SaliencyRequest
from napari_ies.saliency.saliency import Saliency

SHELLS = {"0_3_mm": (0, 3), "3_7_mm": (3, 7), "7_15_mm": (7, 15)}

# Voxel sizes in mm, rotation, and the footprint's voxels on the grid of that size.
GRIDS = {
    "one voxel, thick slices": ((13, 12, 7), (0.9, 1.3, 5.0), (0, 0, 0), [(6, 5, 3)]),
    "oblique": (
        (10, 9, 8),
        (2.2, 3.1, 4.0),
        (0.3, -0.4, 0.2),
        [(4, 4, 3), (4, 5, 3), (5, 4, 3), (5, 5, 4), (4, 4, 4), (4, 4, 2), (3, 4, 3)],
    ),
    "at the border": (
        (9, 9, 9),
        (1.7, 2.4, 3.0),
        (-0.2, 0.5, 0.1),
        list(itertools.product((0, 1, 2), (0, 1), (5, 6, 7, 8))),
    ),
    "several pieces": (
        (12, 11, 9),
        (1.0, 1.0, 3.0),
        (0.1, 0.0, -0.3),
        [(2, 2, 2), (2, 3, 2), (9, 8, 6), (9, 8, 7), (8, 8, 6), (5, 2, 8)],
    ),
    "isotropic, deep": (
        (12, 11, 10),
        (1.0, 1.0, 1.0),
        (0, 0, 0),
        [voxel for voxel in np.ndindex(12, 11, 10) if math.dist(voxel, (6, 5, 4)) < 3.2],
    ),
}


class Example:
    """A saliency of random samples, with its distances found voxel by voxel."""

    def __init__(self, name: str) -> None:
        shape, sizes, angles, voxels = GRIDS[name]
        self.shape, self.footprint = shape, set(voxels)
        affine = from_matvec(euler2mat(*angles) @ np.diag([-1, 1, 1] * np.array(sizes)), [9, -3, 4])
        self.samples = np.zeros((6, 2, *shape))
        box = self._box()
        values = np.random.default_rng(3).normal(0.2, 1, self.samples[(..., *box)].shape)
        self.samples[(..., *box)] = values
        maps = self.samples.mean(axis=0)
        errors = self.samples.std(axis=0, ddof=1) / np.sqrt(6)
        mask = np.zeros(shape, dtype=bool)
        mask[tuple(np.transpose(voxels))] = True
        self.saliency = Saliency(
            request=SaliencyRequest(n_samples=6),
            sequences=("FLAIR", "T1"),
            shape=shape,
            affine=affine,
            box=box,
            cropped=maps[(slice(None), *box)].astype(np.float32),
            cropped_standard_error=errors[(slice(None), *box)].astype(np.float32),
            footprint=mask[box],
            n_used=6,
        )
        self.distances = self._distances(sizes)

    def _box(self) -> tuple[slice, ...]:
        """The footprint and a little more: the shells reach beyond it."""
        low = np.maximum(np.min(list(self.footprint), axis=0) - 1, 0)
        high = np.minimum(np.max(list(self.footprint), axis=0) + 3, self.shape)
        return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))

    def _distances(self, sizes) -> dict[tuple[int, ...], float]:
        everything = list(itertools.product(*map(range, self.shape)))
        outside = [voxel for voxel in everything if voxel not in self.footprint]
        found = {}
        for voxel in everything:
            inside = voxel in self.footprint
            nearest = math.inf
            for other in outside if inside else self.footprint:
                squared = 0.0
                for a, b, size in zip(voxel, other, sizes, strict=True):
                    # From the centre to the nearest point of the other voxel's box.
                    squared += (max(abs(a - b) - 0.5, 0.0) * size) ** 2
                nearest = min(nearest, math.sqrt(squared))
            found[voxel] = -nearest if inside else nearest
        return found

    def mean(self, low: float, high: float, channel: int) -> tuple[float, int, float]:
        """Mean, number and true standard error where low < distance <= high; magnitudes inside."""
        total, count, of_samples = 0.0, 0, np.zeros(6)
        for voxel, distance in self.distances.items():
            near = round(distance, 3)
            if (low < near <= high) if near > 0 else (low <= near < high):
                of_samples += self.samples[(slice(None), channel, *voxel)]
                total += float(self.samples[(slice(None), channel, *voxel)].sum() / 6)
                count += 1
        if count == 0:
            return math.nan, 0, math.nan
        return total / count, count, float((of_samples / count).std(ddof=1) / math.sqrt(6))


@pytest.fixture(scope="module", params=GRIDS)
def example(request):
    return Example(request.param)


@pytest.mark.slow
def test_distances_are_those_to_the_nearest_face(example):
    around = surroundings(example.saliency)
    starts = [part.start for part in around.box]
    seen = 0
    for voxel, expected in example.distances.items():
        index = tuple(i - start for i, start in zip(voxel, starts, strict=True))
        within = all(0 <= i < n for i, n in zip(index, around.distance.shape, strict=True))
        if expected <= 15:
            assert around.distance[index] == pytest.approx(expected, abs=6e-4)
            seen += 1
        elif within:
            assert math.isinf(around.distance[index])
    assert seen == np.isfinite(around.distance).sum()


def test_shells_equal_a_loop_over_voxels(example):
    measures = measure(example.saliency)
    for channel, name in enumerate(("FLAIR", "T1")):
        row = measures.loc[name]
        zones = {"inside": (-math.inf, 0), **SHELLS}
        for zone, (low, high) in zones.items():
            mean, count, error = example.mean(low, high, channel)
            assert row[f"voxels_{zone}"] == count
            assert row[f"mean_{zone}"] == pytest.approx(mean, rel=1e-5, abs=1e-6, nan_ok=True)
            bound = row[f"mean_{zone}_error_bound"]
            assert math.isnan(bound) if count == 0 else bound >= error - 1e-6
    assert row.voxels_inside == len(example.footprint)


def test_the_profile_equals_a_loop_over_voxels(example):
    table = profile(example.saliency, width_mm=0.5)
    width = max(0.5, min(np.linalg.norm(example.saliency.affine[:3, :3], axis=0)))
    assert table.to_mm.iloc[-1] == 15
    np.testing.assert_allclose((table.to_mm - table.from_mm)[:-1], width, atol=1e-3)
    np.testing.assert_array_equal(table.from_mm[1:], table.to_mm[:-1])
    for _, row in table.iterrows():
        for channel, name in enumerate(("FLAIR", "T1")):
            mean, count, error = example.mean(row.from_mm, row.to_mm, channel)
            assert row.voxels == count
            assert row[name] == pytest.approx(mean, rel=1e-5, abs=1e-6, nan_ok=True)
            bound = row[f"{name}_error_bound"]
            assert math.isnan(bound) if count == 0 else bound >= error - 1e-6
    near = [round(d, 3) for d in example.distances.values() if d <= 15]
    assert table.voxels.sum() == len(near)
    assert (table.distance_mm * table.voxels).sum() == pytest.approx(sum(near), abs=0.5)


def test_a_footprint_that_fills_the_volume_has_no_border():
    shape = (3, 2, 2)
    maps = np.arange(12, dtype=np.float32).reshape(1, *shape)
    saliency = Saliency(
        request=SaliencyRequest(method="gradcam++"),
        sequences=("all",),
        shape=shape,
        affine=np.eye(4),
        box=tuple(slice(0, n) for n in shape),
        cropped=maps,
        cropped_standard_error=None,
        footprint=np.ones(shape, dtype=bool),
        n_used=1,
    )
    row = measure(saliency).loc["all"]
    assert row.mean_inside == 5.5
    assert math.isnan(row.mean_0_3_mm)
    assert math.isnan(row.mean_inside_error_bound)
    assert profile(saliency).voxels.sum() == 0
