"""Layers that run channels last: what they give and their passes are the layers' own."""

import logging

import numpy as np
import pytest
import torch
from cases import ball, random_case
from networks import small_model
from torch import nn

from napari_ies.geometry.box import Box
from napari_ies.saliency import explain
from napari_ies.saliency.engines.certification import choose_engine
from napari_ies.saliency.engines.plan import Seeds
from napari_ies.saliency.engines.whole import convolution_passes, norm_passes
from napari_ies.saliency.engines.whole import packed_passes as module_of
from napari_ies.saliency.engines.whole.packed_passes import certified, packed_passes
from napari_ies.saliency.engines.whole.whole_windows import LoopEngine


def convolution(*channels, transposed=False, **settings):
    kind = nn.ConvTranspose3d if transposed else nn.Conv3d
    return kind(*channels, **{"kernel_size": 3, **settings})


LAYERS = {
    "a convolution": convolution(6, 5, padding=1),
    "of one sequence": convolution(1, 5, padding=1),
    "of two": convolution(2, 5, padding=1),
    "of three, wide": convolution(3, 5, kernel_size=(3, 5, 1), padding=(1, 2, 0)),
    "of one, dilated": convolution(1, 4, padding=2, dilation=2),
    "without padding": convolution(2, 3),
    "padded beyond its kernel": convolution(3, 2, kernel_size=1, padding=1),
    "single voxels": convolution(6, 4, kernel_size=1),
    "single voxels, strided": convolution(6, 4, kernel_size=1, stride=2),
    "strided": convolution(4, 5, stride=2, padding=1),
    "anisotropic": convolution(4, 5, kernel_size=(1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),
    "in groups": convolution(4, 6, groups=2, padding=1),
    "by name": convolution(4, 5, padding="same"),
    "circular": convolution(4, 5, padding=1, padding_mode="circular"),
    "transposed": convolution(4, 3, kernel_size=2, stride=2, transposed=True),
    "transposed, overlapping": convolution(
        4, 3, stride=2, padding=1, output_padding=1, transposed=True
    ),
    "transposed, in groups": convolution(4, 6, stride=(1, 2, 3), groups=2, transposed=True),
    "transposed, dilated": convolution(
        4, 3, dilation=2, stride=1, output_padding=1, transposed=True
    ),
    "a norm": nn.InstanceNorm3d(5),
    "an affine norm": nn.InstanceNorm3d(5, affine=True),
    "a norm with kept statistics": nn.InstanceNorm3d(5, affine=True, track_running_stats=True),
}


@pytest.mark.parametrize("size", [(8, 4, 12), (7, 6, 9)])
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_and_its_pass_are_its_own(name, size, monkeypatch):
    monkeypatch.setattr(norm_passes, "SLAB", 100)
    monkeypatch.setattr(norm_passes, "WIDE", 16)
    torch.manual_seed(0)
    layer = LAYERS[name].double().eval().requires_grad_(False)
    for parameter in layer.parameters():
        parameter.normal_()
    channels = getattr(layer, "in_channels", None) or layer.num_features
    leaf = torch.randn(2, channels, *size, dtype=torch.float64, requires_grad=True)
    expected = layer(leaf)
    cotangent = torch.randn_like(expected)
    (gradient,) = torch.autograd.grad(expected, leaf, cotangent)
    with packed_passes([layer]):
        found = layer(leaf)
        found += 1  # a sum in place behind it, as in residual blocks
    (pulled,) = torch.autograd.grad(found, leaf, cotangent)
    torch.testing.assert_close(found, expected + 1, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(pulled, gradient, rtol=1e-10, atol=1e-10)
    assert "forward" not in vars(layer)


@pytest.mark.parametrize(
    "name",
    [
        "dynunet",
        "unet-instance",
        "unet-residual",
        pytest.param("unetr", marks=pytest.mark.slow),
        pytest.param("swin", marks=pytest.mark.slow),
    ],
)
def test_rows_through_a_network_are_those_of_autograd(name):
    model = small_model(name)
    network, domain = model.network.double(), model.profile.fixed_size or model.profile.window
    image = torch.randn((1, 2, *domain), dtype=torch.float64)
    count = 1 if name == "swin" else 2
    voxels = np.random.default_rng(0).integers(0, domain, (count, 3))
    seeds, whole = Seeds(voxels, torch.tensor([0.5, 1.0])[:count]), Box.whole(domain)
    packed = certified(network)
    assert {type(layer) for layer in packed} & {nn.Conv3d, nn.InstanceNorm3d}
    plain, found = (
        LoopEngine(network, packed=layers).linearise(image, whole, domain, 1)
        for layers in ((), packed)
    )
    torch.testing.assert_close(found.logits, plain.logits, rtol=1e-9, atol=1e-9)
    for row in range(count):
        expected = plain.rows(seeds, slice(row, row + 1)).values
        given = found.rows(seeds, slice(row, row + 1)).values
        assert float((given - expected).norm() / expected.norm()) < 1e-9


def test_every_convolution_and_norm_of_an_instance_norm_network_runs_so():
    model = small_model("dynunet")
    kinds = nn.Conv3d, nn.ConvTranspose3d, nn.InstanceNorm3d
    every = [layer for layer in model.network.modules() if isinstance(layer, kinds)]
    assert [layer for layer in certified(model.network) if isinstance(layer, kinds)] == every


def test_layers_of_a_kind_are_tried_once_whichever_network_they_are_in(monkeypatch):
    tried = []
    monkeypatch.setattr(module_of, "TRIED", {})
    monkeypatch.setattr(module_of, "_equal_on_trial", lambda layer: not tried.append(layer))
    for _ in range(2):
        assert certified(small_model("dynunet").network)
    kinds = {(type(layer), repr(layer)) for layer in tried}
    assert len(kinds) == len(tried)


def test_a_layer_that_fails_its_trial_stays_as_it_is(monkeypatch, caplog):
    """A defect must end in a slower map, not in a wrong one; the others go on."""
    real = convolution_passes.pull_of

    def wrong(module, size):
        pull = real(module, size)
        return (lambda rows: 1.001 * pull(rows)) if max(module.stride) > 1 else pull

    monkeypatch.setattr(convolution_passes, "pull_of", wrong)
    monkeypatch.setattr(module_of, "TRIED", {})
    model = small_model("dynunet")
    packed = certified(model.network)
    layers = [layer for layer in model.network.modules() if isinstance(layer, nn.Conv3d)]
    strided = {layer for layer in layers if layer.stride == (2, 2, 2)}
    assert strided
    assert not strided & set(packed)
    assert packed
    assert "failed its trial" in caplog.text


@pytest.mark.slow
def test_maps_of_whole_windows_say_how_they_were_computed(caplog):
    shape = (12, 10, 14)
    model, case, mask = small_model("dynunet"), random_case(shape), ball(shape, (6, 5, 7), 1.0)
    settings = {"aggregation": "max", "n_samples": 2}
    expected = explain(model, case, mask, jacobian="loop", **settings)
    with caplog.at_level(logging.INFO, logger="napari_ies"):
        found = explain(model, case, mask, **settings)
    assert "kernels" not in expected.provenance
    assert found.provenance["kernels"] == {
        "convolutions and instance norms": "channels last",
        "residual blocks": "in one pass",
        "blocks of convolutions": "in one pass",
    }
    tolerance = 1e-4 * np.abs(expected.maps).max()
    np.testing.assert_allclose(found.maps, expected.maps, atol=tolerance)
    assert not choose_engine(model, precision="bf16").kernels


def test_a_layer_that_another_thread_has_changed_is_left_to_it():
    layer = nn.Conv3d(1, 1, 1)
    with packed_passes([layer]):
        others = layer.forward
        with packed_passes([layer]):
            assert layer.forward is others
        assert layer.forward is others
    assert "forward" not in vars(layer)
