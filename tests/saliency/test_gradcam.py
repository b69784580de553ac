"""Grad-CAM++ against a loop over channels in float64."""

import naive
import numpy as np
import pytest
import torch
from cases import ball, random_case
from networks import small_model

from napari_ies.errors import SaliencyError
from napari_ies.saliency import explain
from napari_ies.saliency.gradcam import candidate_layers, default_layer

SHAPE = (12, 10, 14)
MASK = ball(SHAPE, (6, 5, 7), 1.5)


@pytest.mark.parametrize("forward", ["sliding-window", "whole-volume"])
@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("unet", "model.1.submodule.2.conv"),
        ("unet", "model.0.adn.A"),
        ("unet", "model.2"),
        ("unet-residual", "model.1.submodule.2.0"),
        ("dynunet", "upsamples.0.transp_conv.conv"),
    ],
)
def test_equals_the_loop_over_channels(name, layer, forward):
    model, case = small_model(name), random_case(SHAPE)
    expected = naive.gradcam(model, case.normalised("zscore-nonzero"), MASK, layer, forward=forward)
    saliency = explain(model, case, MASK, method="gradcam++", layer=layer, forward=forward)
    assert saliency.maps.shape == (1, *SHAPE)
    assert expected.max() > 0
    assert np.abs(saliency.maps[0] - expected).max() <= 1e-4 * expected.max()
    assert saliency.standard_error is None


def test_a_dead_layer_gives_zero_and_not_nan():
    model, case = small_model(), random_case(SHAPE)
    with torch.no_grad():
        model.network.model[2].conv.weight.zero_()
    saliency = explain(model, case, MASK, method="gradcam++", layer="model.0.conv")
    assert np.array_equal(saliency.maps, np.zeros((1, *SHAPE)))


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("unet", "model.1.submodule.2.conv"),
        ("unet-residual", "model.1.submodule.2.0.conv"),
        ("dynunet", "upsamples.0.transp_conv.conv"),
        ("swin", "decoder2.transp_conv.conv"),
        ("unetr", "decoder3.transp_conv.conv"),
    ],
)
def test_the_default_is_the_last_upsampling_below_output_resolution(name, layer):
    assert default_layer(small_model(name)) == layer


@pytest.mark.slow
def test_every_candidate_layer_can_be_explained():
    model, case = small_model(), random_case(SHAPE)
    layers = candidate_layers(model)
    assert "model.2.conv" in layers
    for layer in layers:
        saliency = explain(model, case, MASK, method="gradcam++", layer=layer)
        assert np.isfinite(saliency.cropped).all()


@pytest.mark.slow
def test_a_layer_without_a_map_per_channel_is_refused():
    model = small_model("unetr")
    case = random_case((32, 32, 32))
    mask = ball(case.shape, (16, 16, 16), 1.0)
    with pytest.raises(SaliencyError, match="gives no map per channel"):
        explain(model, case, mask, method="gradcam++", layer="vit.blocks.0.mlp.linear1")
