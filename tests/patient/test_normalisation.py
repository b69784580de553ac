import numpy as np
import pytest
from monai.transforms import NormalizeIntensity

from napari_ies.errors import CaseError
from napari_ies.patient.normalisation import scaling


def normalise(values, method):
    return scaling(values, method).apply(values)


def volume():
    values = np.random.default_rng(0).normal(200, 40, (9, 8, 7)).astype(np.float32)
    values[:3] = 0
    return values


def test_zscore_of_the_nonzero_voxels_equals_monai_and_keeps_zero():
    values = volume()
    expected = np.asarray(NormalizeIntensity(nonzero=True)(values))
    result = normalise(values, "zscore-nonzero")
    np.testing.assert_allclose(result, expected, atol=1e-5)
    assert (result[:3] == 0).all()
    assert result.dtype == np.float32


def test_zscore_has_mean_zero_and_deviation_one():
    result = normalise(volume(), "zscore").astype(float)
    assert result.mean() == pytest.approx(0, abs=1e-6)
    assert result.std() == pytest.approx(1, abs=1e-6)


def test_minmax_spans_zero_to_one_and_none_changes_nothing():
    values = volume()
    result = normalise(values, "minmax")
    assert (result.min(), result.max()) == (0, 1)
    np.testing.assert_allclose(result * values.max(), values, rtol=1e-5)
    assert np.array_equal(normalise(values, "none"), values)


def test_unusable_images_and_methods_are_refused():
    with pytest.raises(CaseError, match="Every voxel of the image is background"):
        normalise(np.zeros((2, 2, 2), np.float32), "zscore-nonzero")
    with pytest.raises(CaseError, match="one single value"):
        normalise(np.ones((2, 2, 2), np.float32), "minmax")
    with pytest.raises(CaseError, match="no normalisation 'histogram'"):
        normalise(volume(), "histogram")
