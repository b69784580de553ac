"""Against the metrics as their papers and the original scripts write them, by naive loops."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from napari_ies.cohort.metrics import match_metrics
from napari_ies.segmentation.lesions import match_reference

CONNECTED = ndimage.generate_binary_structure(3, 2)


def balls(seed, count, shape=(30, 28, 26)):
    generator = np.random.default_rng(seed)
    mask = np.zeros(shape, dtype=bool)
    grid = np.indices(shape)
    for _ in range(count):
        centre = generator.uniform(3, np.array(shape) - 3).reshape(3, 1, 1, 1)
        mask |= ((grid - centre) ** 2).sum(0) < generator.uniform(1.5, 3.5) ** 2
    return mask


def found(marked, reference):
    labels, match = match_reference(ndimage.label(marked, CONNECTED)[0].astype(np.int32), reference)
    lesions = pd.DataFrame({"match": match.values()}, index=list(match))
    return match_metrics(labels, lesions, reference)


@pytest.mark.parametrize("seed", range(4))
def test_each_metric_is_what_its_formula_says(seed):
    both = balls(seed, 4)
    marked, reference = both | balls(seed + 10, 3), both | balls(seed + 20, 3)
    metrics = found(marked, reference)

    tp = fp = fn = 0
    for voxel in np.ndindex(marked.shape):
        tp += marked[voxel] and reference[voxel]
        fp += marked[voxel] and not reference[voxel]
        fn += reference[voxel] and not marked[voxel]
    assert metrics["dice"] == pytest.approx(2 * tp / (2 * tp + fp + fn), abs=1e-12)
    # Raina et al.: h = F+ / F- of the volume at hand, r = 0.001 of the mean load.
    healthy = marked.size - tp - fn
    kappa = (1 / 0.001 - 1) * (tp + fn) / healthy
    assert metrics["normalised_dice"] == pytest.approx(
        2 * tp / (2 * tp + kappa * fp + fn), abs=1e-12
    )

    predicted, count = ndimage.label(marked, CONNECTED)
    expected, total = ndimage.label(reference, CONNECTED)
    true = sum(reference[predicted == label].any() for label in range(1, count + 1))
    missed = sum(not marked[expected == label].any() for label in range(1, total + 1))
    assert metrics["lesion_precision"] == pytest.approx(true / count, abs=1e-12)
    assert metrics["lesion_sensitivity"] == pytest.approx(1 - missed / total, abs=1e-12)
    f1 = true / (true + (count - true + missed) / 2)
    assert metrics["lesion_f1"] == pytest.approx(f1, abs=1e-12)


def test_empty_masks_are_no_failure():
    nothing, something = np.zeros((8, 8, 8), bool), balls(1, 1, (8, 8, 8))
    assert found(nothing, nothing)["dice"] == found(nothing, nothing)["normalised_dice"] == 1
    assert math.isnan(found(nothing, nothing)["lesion_f1"])
    assert found(something, nothing)["dice"] == found(nothing, something)["normalised_dice"] == 0
    assert found(nothing, something)["lesion_sensitivity"] == 0
    assert math.isnan(found(nothing, something)["lesion_precision"])
    assert found(something, something) == dict.fromkeys(found(something, something), 1.0)
