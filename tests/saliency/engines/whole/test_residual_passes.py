"""Blocks of convolutions and norms in one pass: what they give and their pass are their own."""

import pytest
import torch
from monai.networks.blocks.dynunet_block import UnetBasicBlock, UnetResBlock

from napari_ies.saliency.engines.whole import norm_passes, residual_passes
from napari_ies.saliency.engines.whole import packed_passes as registry
from napari_ies.saliency.engines.whole.packed_passes import certified, kind_of, packed_passes


def block(kind, channels=(3, 5), stride=1, norm="instance", **settings):
    torch.manual_seed(0)
    made = kind(3, *channels, 3, stride, norm, **settings).double().eval().requires_grad_(False)
    for parameter in made.parameters():
        parameter.normal_()
    return made


AFFINE = ("instance", {"affine": True})
BLOCKS = {
    "residual": block(UnetResBlock),
    "residual, the same channels": block(UnetResBlock, (4, 4), norm=AFFINE),
    "residual, strided": block(UnetResBlock, (4, 4), stride=2, norm=AFFINE),
    "residual, anisotropic": block(UnetResBlock, stride=(1, 2, 2)),
    "residual, with dropout that is off": block(UnetResBlock, dropout=0.3),
    "residual, rectified": block(UnetResBlock, act_name=("relu", {"inplace": True})),
    "basic": block(UnetBasicBlock, norm=AFFINE),
    "basic, strided": block(UnetBasicBlock, stride=2),
}
OTHERS = {
    "another activation": block(UnetResBlock, act_name="elu"),
    "a batch norm": block(UnetResBlock, norm="batch"),
    "a group norm": block(UnetBasicBlock, (4, 4), norm=("group", {"num_groups": 2})),
}


@pytest.mark.parametrize("name", BLOCKS | OTHERS)
def test_a_block_and_its_pass_are_its_own(name, monkeypatch):
    monkeypatch.setattr(norm_passes, "SLAB", 100)
    monkeypatch.setattr(norm_passes, "WIDE", 16)
    layer = (BLOCKS | OTHERS)[name]
    channels = next(layer.parameters()).shape[1]
    leaf = torch.randn(2, channels, 6, 4, 8, dtype=torch.float64, requires_grad=True)
    expected = layer(leaf)
    cotangent = torch.randn_like(expected)
    (gradient,) = torch.autograd.grad(expected, leaf, cotangent)
    found = kind_of(layer).forward(layer, leaf)
    assert (type(found.grad_fn).__name__ == "_PassedBackward") == (name in BLOCKS)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    if name in BLOCKS:  # what comes behind may overwrite it
        found.mul_(-1)
        found *= -1
    given = cotangent.clone()
    for _ in range(2):  # nothing is used up by the first row
        (pulled,) = torch.autograd.grad(found, leaf, given, retain_graph=True)
        torch.testing.assert_close(pulled, gradient, rtol=1e-9, atol=1e-9)
    assert torch.equal(given, cotangent)


@pytest.mark.parametrize("name", BLOCKS | OTHERS)
def test_blocks_that_are_known_are_certified_by_a_trial(name):
    layer = (BLOCKS | OTHERS)[name]
    assert (layer in certified(layer)) == (name in BLOCKS)
    with packed_passes(certified(layer)):
        assert ("forward" in vars(layer)) == (name in BLOCKS)
    assert "forward" not in vars(layer)


def test_a_block_that_fails_its_trial_stays_as_it_is(monkeypatch, caplog):
    monkeypatch.setattr(registry, "TRIED", {})
    real = residual_passes.add_pulled
    monkeypatch.setattr(residual_passes, "add_pulled", lambda *given: 1.001 * real(*given))
    layer = BLOCKS["residual"]
    found = certified(layer)
    assert layer not in found
    assert layer.conv1.conv in found
    assert "failed its trial" in caplog.text
