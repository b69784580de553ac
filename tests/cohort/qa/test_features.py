"""Features of a map equal those of loops over its voxels, in float64."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from napari_ies.cohort.qa.features import LEVELS, NAMES, feature_names, map_features
from napari_ies.geometry.box import Box
from napari_ies.saliency.reading_off.measures import measure
from napari_ies.saliency.request import SaliencyRequest
from napari_ies.saliency.saliency import Saliency

pytest.importorskip("mahotas")
SHAPE, START = (13, 12, 11), (3, 2, 2)
SPACING = (1.0, 1.3, 1.7)


def a_map():
    generator, shape = np.random.default_rng(0), (7, 8, 7)
    footprint = np.zeros(shape, dtype=bool)
    footprint[2:5, 3:5, 3] = True
    footprint[3, 4, 4] = True
    values = generator.normal(0.2, 1, (2, *shape)).astype(np.float32)
    return Saliency(
        request=SaliencyRequest(n_samples=3),
        sequences=("T1", "FLAIR"),
        shape=SHAPE,
        affine=np.diag([*SPACING, 1.0]),
        box=Box(START, [a + n for a, n in zip(START, shape, strict=True)]),
        cropped=values,
        cropped_standard_error=None,
        footprint=footprint,
        n_used=3,
    )


def voxels_near(saliency):
    """Voxels of the grid whose centre lies at most 3 mm from a box that a lesion's voxel fills."""
    inside = [tuple(at) for at in np.argwhere(saliency.mask)]

    def apart(one, other):
        gaps = [max(abs(a - b) - 0.5, 0) * size if a != b else 0
                for a, b, size in zip(one, other, SPACING, strict=True)]  # fmt: skip
        return math.sqrt(sum(gap**2 for gap in gaps))

    return [at for at in itertools.product(*map(range, SHAPE))
            if min(apart(at, other) for other in inside) <= 3.0]  # fmt: skip


def naive(values, voxels):
    """First-order numbers and texture of some voxels of a map, one by one."""
    known = {at: float(values[at]) for at in voxels}
    count, mean = len(known), sum(known.values()) / len(known)
    moment = {k: sum((v - mean) ** k for v in known.values()) / count for k in (2, 3, 4)}
    low, high = min(known.values()), max(known.values())
    level = {at: min(int(LEVELS * (v - low) / (high - low)), LEVELS - 1) + 1
             for at, v in known.items()}  # fmt: skip
    shares = [list(level.values()).count(n) / count for n in range(1, LEVELS + 1)]
    pairs = {}
    for at in known:
        for step in itertools.product((-1, 0, 1), repeat=3):
            other = tuple(a + b for a, b in zip(at, step, strict=True))
            if step != (0, 0, 0) and other in known:
                key = level[at], level[other]
                pairs[key] = pairs.get(key, 0) + 1
    total = sum(pairs.values())
    p = {key: n / total for key, n in pairs.items()}
    middle = sum(i * x for (i, _), x in p.items())
    variance = sum((i - middle) ** 2 * x for (i, _), x in p.items())
    return {
        "standard_deviation": math.sqrt(moment[2]),
        "skewness": moment[3] / moment[2] ** 1.5,
        "kurtosis": moment[4] / moment[2] ** 2 - 3,
        "histogram_entropy": -sum(s * math.log2(s) for s in shares if s),
        "texture_angular_second_moment": sum(x**2 for x in p.values()),
        "texture_contrast": sum((i - j) ** 2 * x for (i, j), x in p.items()),
        "texture_correlation": sum((i - middle) * (j - middle) * x for (i, j), x in p.items())
        / variance,
        "texture_inverse_difference_moment": sum(x / (1 + (i - j) ** 2)
                                                 for (i, j), x in p.items()),
        "texture_entropy": -sum(x * math.log2(x) for x in p.values()),
    }  # fmt: skip


def test_features_are_those_of_loops_over_voxels():
    saliency = a_map()
    found = map_features(saliency)
    assert list(found) == feature_names(("FLAIR", "T1"))
    voxels, measures = voxels_near(saliency), measure(saliency)
    assert 60 < len(voxels) < 500
    for sequence, values in zip(saliency.sequences, saliency.maps, strict=True):
        expected = naive(values.astype(np.float64), voxels)
        for name in NAMES:
            known = expected[name] if name in expected else measures.at[sequence, name]
            assert found[f"{sequence} {name}"] == pytest.approx(known, rel=1e-9, abs=1e-12), name


def test_features_do_not_depend_on_the_box_or_the_unit_of_texture():
    saliency = a_map()
    whole = Box.whole(SHAPE)
    wider = replace(saliency, box=whole, cropped=saliency.maps, footprint=saliency.mask)
    assert map_features(wider) == map_features(saliency)
    larger = map_features(replace(saliency, cropped=4 * saliency.cropped))
    for name, value in map_features(saliency).items():
        scaled = 4 if "standard_dev" in name or "peak" in name or "mean" in name else 1
        assert larger[name] == pytest.approx(scaled * value, rel=1e-6, abs=1e-9), name


def test_a_map_without_any_variation_has_no_shape_and_no_texture():
    saliency = a_map()
    found = map_features(replace(saliency, cropped=np.zeros_like(saliency.cropped)))
    for name in ("skewness", "kurtosis", "share"):
        assert math.isnan(found[f"FLAIR {name}"])
    assert found["FLAIR standard_deviation"] == found["FLAIR histogram_entropy"] == 0
    assert found["FLAIR texture_contrast"] == found["FLAIR texture_entropy"] == 0
    assert found["FLAIR texture_angular_second_moment"] == 1
