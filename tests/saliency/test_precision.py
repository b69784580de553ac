"""Precisions: what is rounded, what is not, and that nothing of them stays behind."""

import numpy as np
import pytest
import torch
from cases import ball, random_case
from networks import small_model
from torch import nn

from napari_ies.errors import SaliencyError
from napari_ies.geometry.box import Box
from napari_ies.network.device import arithmetic
from napari_ies.saliency import explain, explain_progressively
from napari_ies.saliency.engines.certification import choose_engine
from napari_ies.saliency.engines.local_network import LocalNetwork
from napari_ies.saliency.engines.plan import Seeds

SHAPE = (12, 10, 14)
MASK = ball(SHAPE, (6, 5, 7), 1.0)


def relative_difference(values, expected):
    return np.linalg.norm(values - expected) / np.linalg.norm(expected)


def test_tf32_is_allowed_inside_alone():
    matmul, convolution = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, convolution.allow_tf32
    for precision, allowed in (("float32", False), ("tf32", True), ("bf16", False)):
        with arithmetic(precision):
            assert (matmul.allow_tf32, convolution.allow_tf32) == (allowed, allowed)
        assert (matmul.allow_tf32, convolution.allow_tf32) == before


def test_windowed_convolutions_are_rounded_both_ways():
    """A convolution's output and its row are those of weights and values with 8 bits."""
    network = nn.Sequential(nn.Conv3d(2, 2, 3, padding=1, bias=False)).eval().requires_grad_(False)
    image, at = torch.randn(2, 5, 5, 5), Box((2, 2, 2), (3, 3, 3))
    linearised = LocalNetwork(network).convolving_in(torch.bfloat16)
    linearised = linearised.linearise(image[None, :, 1:4, 1:4, 1:4], at, (5, 5, 5), 0)
    weight = network[0].weight.bfloat16()
    products = image[:, 1:4, 1:4, 1:4].bfloat16().double() * weight.double()
    expected = products.sum(dim=(1, 2, 3, 4)).bfloat16().float()
    torch.testing.assert_close(linearised.logits[0, :, 0, 0, 0], expected, rtol=1e-2, atol=0)
    row = linearised.rows(Seeds(np.array([[2, 2, 2]]), torch.ones(1)))
    assert torch.equal(row.values[0], weight[0].float())
    assert not torch.equal(row.values[0], network[0].weight[0])


@pytest.mark.slow
@pytest.mark.parametrize("aggregation", ["mean", "max"])
@pytest.mark.parametrize(
    ("name", "engine"),
    [("unet", "loop"), ("unet", "batched"), ("unet", "windowed"), ("dynunet", "auto")],
)
def test_bf16_is_near_float32_and_not_the_same(name, engine, aggregation):
    model, case = small_model(name), random_case(SHAPE)
    settings = {"aggregation": aggregation, "n_samples": 2, "forward": "whole-volume"}
    # How near depends on the noise (0.04 to 0.16 of this dynunet's mean): on one, what is asked is.
    settings["noise_version"] = 1
    expected = explain(model, case, MASK, jacobian=engine, **settings)
    saliency = explain(model, case, MASK, jacobian=engine, precision="bf16", **settings)
    assert saliency.maps.dtype == saliency.standard_error.dtype == np.float32
    # Where two voxels pull to either side alike, rounding decides which one a maximum takes.
    most = 0.1 if aggregation == "mean" else 0.3
    assert 1e-4 < relative_difference(saliency.maps, expected.maps) < most
    # The map is a mean of float32 sums: its values are not those of bfloat16.
    assert (torch.from_numpy(saliency.maps).bfloat16().float().numpy() != saliency.maps).any()
    assert saliency.provenance["precision"] == saliency.request.precision == "bf16"


def test_gradcam_in_bf16_is_near_float32():
    model, case = small_model(), random_case(SHAPE)
    expected = explain(model, case, MASK, method="gradcam++").maps
    maps = explain(model, case, MASK, method="gradcam++", precision="bf16").maps
    assert 1e-4 < relative_difference(maps, expected) < 0.1


def test_tf32_without_cuda_is_float32_and_says_so():
    model, case = small_model(), random_case(SHAPE)
    saliency = explain(model, case, MASK, n_samples=2, precision="tf32")
    np.testing.assert_array_equal(saliency.maps, explain(model, case, MASK, n_samples=2).maps)
    assert saliency.provenance["precision"] == "float32"
    assert "computed in float32" in saliency.provenance["notes"][-1]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["loop", "batched", "windowed"])
def test_cancelling_leaves_no_precision_behind(engine):
    model, case = small_model(), random_case(SHAPE)
    weights = {name: value.clone() for name, value in model.network.state_dict().items()}
    settings = {"aggregation": "max", "n_samples": 1, "jacobian": engine, "precision": "bf16"}
    before = torch.backends.cudnn.allow_tf32
    mask = MASK & ball(SHAPE, (6, 6, 7), 0.5)
    steps = sum(1 for _ in explain_progressively(model, case, mask, **settings))
    for stop in range(steps):
        running = explain_progressively(model, case, mask, **settings)
        for _ in range(stop + 1):
            next(running)
            assert not torch.is_autocast_enabled("cpu")
            assert torch.backends.cudnn.allow_tf32 == before
        running.close()
    for name, value in model.network.state_dict().items():
        assert value.dtype == weights[name].dtype
        assert torch.equal(weights[name], value)


def test_the_trial_of_the_windowed_engine_is_in_float32():
    """In bfloat16 the gradients of the trial would differ by more than it lets pass."""
    assert choose_engine(small_model(), precision="bf16").name == "windowed"


def test_an_unknown_precision_is_refused():
    with pytest.raises(SaliencyError, match="no precision 'half'; expected one of float32, tf32"):
        explain(small_model(), random_case(SHAPE), MASK, precision="half")
