import naive
import numpy as np
import pytest
import torch

from napari_ies.saliency.reduction import RunningExtremes, RunningMoments


def test_extremes_equal_the_signed_value_of_largest_magnitude_in_any_order_and_chunking():
    rows = np.random.default_rng(0).normal(size=(40, 2, 3, 4, 5))
    expected = naive.aggregate(rows, "max")
    for seed, chunk in ((0, 1), (1, 7), (2, 40)):
        order = np.random.default_rng(seed).permutation(len(rows))
        extremes = RunningExtremes(rows.shape[1:], torch.zeros(1, dtype=torch.float64))
        for start in range(0, len(rows), chunk):
            part = torch.from_numpy(rows[order[start : start + chunk]])
            extremes.add(part, (slice(None),) * 4)
        assert np.array_equal(extremes.result().numpy(), expected)


def test_extremes_take_a_row_as_zero_where_it_is_not_given():
    extremes = RunningExtremes((1, 4), torch.zeros(1))
    extremes.add(torch.tensor([[[-3.0, 2.0]]]), (slice(None), slice(1, 3)))
    extremes.add(torch.tensor([[[1.0, 5.0]]]), (slice(None), slice(2, 4)))
    assert extremes.result().tolist() == [[0.0, -3.0, 2.0, 5.0]]


def test_moments_equal_mean_and_standard_error():
    values = np.random.default_rng(0).normal(3, 2, size=(25, 6))
    moments = RunningMoments(torch.zeros(6, dtype=torch.float64))
    for number, value in enumerate(values, 1):
        moments.add(torch.from_numpy(value))
        assert moments.count == number
    np.testing.assert_allclose(moments.mean().numpy(), values.mean(axis=0), rtol=1e-12)
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    np.testing.assert_allclose(moments.standard_error().numpy(), error, rtol=1e-12)


@pytest.mark.parametrize("sizes", [[1, 24], [1, 12, 12], [1, 8, 8, 8], [25], [5, 20], [1] * 25])
def test_moments_of_maps_taken_in_together_are_those_of_maps_one_by_one(sizes):
    values = np.random.default_rng(0).normal(3, 2, size=(25, 6))
    moments = RunningMoments(torch.zeros(6, dtype=torch.float64))
    for part in np.split(values, np.cumsum(sizes)[:-1]):
        moments.add_all(torch.from_numpy(part))
    assert moments.count == 25
    np.testing.assert_allclose(moments.mean().numpy(), values.mean(axis=0), rtol=1e-12)
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    np.testing.assert_allclose(moments.standard_error().numpy(), error, rtol=1e-12)


@pytest.mark.parametrize("sizes", [[3], [1, 2], [1, 7, 8]])
def test_equal_maps_have_no_standard_error(sizes):
    """Their squares are not rounded below 0, of which there is no root."""
    value = torch.from_numpy(np.random.default_rng(0).normal(3, 2, size=1000).astype(np.float32))
    moments = RunningMoments(torch.zeros(1000))
    for size in sizes:
        moments.add_all(value.expand(size, -1))
    assert moments.standard_error().max() < 1e-6
    assert not moments.standard_error().isnan().any()


def test_the_standard_error_of_one_map_is_not_known():
    moments = RunningMoments(torch.zeros(2))
    moments.add(torch.ones(2))
    assert moments.standard_error() is None
