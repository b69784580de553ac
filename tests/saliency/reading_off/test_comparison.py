"""Comparisons against loops over the voxels in float64."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from napari_ies.errors import SaliencyError
from napari_ies.saliency.reading_off.comparison import compare
from napari_ies.saliency.request import SaliencyRequest
from napari_ies.saliency.saliency import Saliency

SHAPE = (26, 22, 20)
AFFINE = np.array([[0.0, 1.4, 0, 3], [-2.0, 0, 0, -4], [0, 0, 3.0, 5], [0, 0, 0, 1]])
SPACING = (2.0, 1.4, 3.0)


def saliency(
    box, voxels, seed, *, method="smoothgrad", sequences=("FLAIR", "T1"), aggregation="mean"
):
    """Return random maps on a box, some values exactly 0 and many equal, with a few voxels."""
    generator = np.random.default_rng(seed)
    part = tuple(slice(low, high) for low, high in box)
    size = tuple(high - low for low, high in box)
    values = np.round(generator.normal(0, 2, (len(sequences), *size)), 0 if seed % 2 else 3)
    if method != "smoothgrad":
        values = np.abs(values)
    footprint = np.zeros(size, dtype=bool)
    for voxel in voxels:
        footprint[tuple(v - low for v, (low, _) in zip(voxel, box, strict=True))] = True
    request = SaliencyRequest(method=method, aggregation=aggregation)
    cropped = values.astype(np.float32)
    return Saliency(request, sequences, SHAPE, AFFINE, part, cropped, None, footprint, 3)


A = saliency([(3, 13), (5, 14), (3, 11)], [(8, 9, 7), (8, 10, 7)], 0)
B = saliency([(4, 15), (6, 13), (5, 12)], [(8, 10, 7), (9, 10, 8)], 1, sequences=("T1", "FLAIR"))


def ranks(values):
    """Return average ranks by counting."""
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2
        for value in values
    ]


def correlation(one, other):
    mean, mean_other = sum(one) / len(one), sum(other) / len(other)
    product = sum((x - mean) * (y - mean_other) for x, y in zip(one, other, strict=True))
    square = sum((x - mean) ** 2 for x in one) * sum((y - mean_other) ** 2 for y in other)
    return product / math.sqrt(square)


def region(a, b, one, other):
    """Yield the pairs of values that are compared."""
    footprint = np.argwhere(a.mask | b.mask)
    for voxel in np.ndindex(SHAPE):
        offsets = (footprint - voxel) * SPACING
        near = min(math.dist(offset, (0, 0, 0)) for offset in offsets) <= 15
        if near and (one[voxel] != 0 or other[voxel] != 0):
            yield float(one[voxel]), float(other[voxel])


def test_agreement_equals_loops_over_the_voxels():
    result = compare(A, B)
    assert result.agreement.index.tolist() == ["FLAIR", "T1"]
    for name in ("FLAIR", "T1"):
        one = A.maps[A.sequences.index(name)]
        other = B.maps[B.sequences.index(name)]
        pairs = list(region(A, B, one, other))
        assert 500 < len(pairs) < 0.99 * np.prod([11, 9, 9])
        first, second = zip(*pairs, strict=True)
        row = result.agreement.loc[name]
        assert row.voxels == len(pairs)
        assert row.pearson == pytest.approx(correlation(first, second), abs=1e-9)
        assert row.spearman == pytest.approx(correlation(ranks(first), ranks(second)), abs=1e-9)
        norms = [math.sqrt(sum(v * v for v in values)) for values in (first, second)]
        assert row.norm_ratio == pytest.approx(norms[0] / norms[1], rel=1e-9)
        equal = sum((x > 0 and y > 0) or (x < 0 and y < 0) for x, y in pairs) / len(pairs)
        assert row.equal_signs == pytest.approx(equal, rel=1e-12)


def test_the_difference_is_that_of_the_whole_maps():
    result = compare(A, B)
    assert result.sequences == ("FLAIR", "T1")
    whole = np.zeros((2, *SHAPE))
    whole[(slice(None), *result.box)] = result.difference
    expected = A.maps.astype(float) - B.maps[::-1].astype(float)
    np.testing.assert_allclose(whole, expected, atol=1e-6)
    swapped = compare(B, A)
    assert swapped.sequences == ("T1", "FLAIR")
    np.testing.assert_allclose(swapped.difference, -result.difference[::-1], atol=1e-6)


def test_a_map_agrees_with_itself_and_opposes_its_negative():
    same = compare(A, A)
    assert same.agreement[["pearson", "spearman", "norm_ratio"]].to_numpy() == pytest.approx(1)
    assert not same.difference.any()
    opposite = compare(A, replace(A, cropped=-2 * A.cropped))
    for name, value in {"pearson": -1, "spearman": -1, "norm_ratio": 0.5, "equal_signs": 0}.items():
        assert opposite.agreement[name].to_numpy() == pytest.approx(value)


def test_gradcam_is_compared_with_the_sum_of_magnitudes():
    gradcam = saliency(
        [(3, 13), (5, 14), (3, 11)], [(8, 9, 7)], 4, method="gradcam++", sequences=("all",)
    )
    result = compare(A, gradcam)
    pairs = list(region(A, gradcam, np.abs(A.maps.astype(float)).sum(axis=0), gradcam.maps[0]))
    first, second = zip(*pairs, strict=True)
    row = result.agreement.loc["all"]
    assert row.pearson == pytest.approx(correlation(first, second), abs=1e-6)
    assert row.spearman == pytest.approx(correlation(ranks(first), ranks(second)), abs=1e-6)
    assert np.isnan(row.norm_ratio)
    assert np.isnan(row.equal_signs)
    assert result.difference is None
    assert "Grad-CAM++" in result.note
    assert compare(gradcam, gradcam).agreement.loc["all"].norm_ratio == pytest.approx(1)


def test_lesions_at_different_places_have_measures_only():
    other = saliency([(3, 13), (5, 14), (3, 11)], [(4, 6, 4)], 6)
    result = compare(A, other)
    assert result.agreement is None
    assert result.difference is None
    assert "side by side" in result.note
    for name in ("FLAIR", "T1"):
        for column, map_ in (("A", A), ("B", other)):
            values = result.measures.loc[name][column]
            expected = map_.maps[map_.sequences.index(name)]
            assert values["peak_positive"] == expected.max()
            assert values["mean_inside"] == pytest.approx(expected[map_.mask].mean(), rel=1e-5)


def test_a_constant_map_has_no_correlation():
    empty = replace(A, cropped=np.zeros_like(A.cropped))
    row = compare(A, empty).agreement.loc["FLAIR"]
    assert np.isnan(row.pearson)
    assert np.isnan(row.spearman)
    assert np.isnan(row.norm_ratio)


def test_other_grids_and_other_sequences_are_refused():
    with pytest.raises(SaliencyError, match="same images"):
        compare(A, replace(A, affine=AFFINE + 1))
    with pytest.raises(SaliencyError, match="SWI"):
        compare(A, replace(A, sequences=("SWI", "PD")))
