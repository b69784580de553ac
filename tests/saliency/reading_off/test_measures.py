import numpy as np
import pytest
from cases import ball, random_case
from networks import small_model

from napari_ies.saliency import explain

SHAPE = (12, 10, 14)


def test_measures_equal_those_of_the_whole_maps():
    mask = ball(SHAPE, (6, 5, 7), 1.5)
    saliency = explain(small_model(), random_case(SHAPE), mask, n_samples=3)
    maps, error = saliency.maps, saliency.standard_error
    for channel, name in enumerate(("FLAIR", "T1")):
        row = saliency.measures.loc[name]
        highest = np.unravel_index(maps[channel].argmax(), SHAPE)
        lowest = np.unravel_index(maps[channel].argmin(), SHAPE)
        assert row.peak_positive == maps[channel][highest]
        assert row.peak_negative == maps[channel][lowest]
        assert row.peak_positive_error == error[channel][highest]
        assert row.peak_negative_error == error[channel][lowest]
        assert row.mean_inside == pytest.approx(maps[channel][mask].mean(), rel=1e-5)
        assert row.positive_fraction_inside == (maps[channel][mask] > 0).mean()
        share = np.abs(maps[channel]).sum() / np.abs(maps).sum()
        assert row.share == pytest.approx(share, rel=1e-5)
    assert saliency.measures.share.sum() == pytest.approx(1)


def test_gradcam_has_no_error_and_no_negative_peak():
    mask = ball(SHAPE, (6, 5, 7), 1.5)
    row = explain(small_model(), random_case(SHAPE), mask, method="gradcam++").measures.loc["all"]
    assert np.isnan(row.peak_positive_error)
    assert row.peak_negative == 0
    assert row.share == 1
