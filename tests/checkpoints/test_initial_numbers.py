"""Numbers that a file's own replace are not drawn, and nothing else of a network changes."""

from __future__ import annotations

import pytest
import torch
from monai.networks import nets
from networks import SmallVNet
from torch import nn

from napari_ies.checkpoints.families.architectures import (
    FAMILIES,
    build_network,
    check_fit,
    load_weights,
)
from napari_ies.checkpoints.families.initial_numbers import undrawn, without_memory
from napari_ies.errors import CheckpointError

BOTH = {"in_channels": 2, "out_channels": 2}
UNITS = {"kernel_size": [3] * 3, "strides": [1, 2, 2], "upsample_kernel_size": [2] * 2}
ARGUMENTS = {
    "UNet": {**BOTH, "channels": (4, 6, 6), "strides": (2, 2), "num_res_units": 1},
    "DynUNet": {**BOTH, **UNITS, "filters": [4, 6, 6], "deep_supervision": True},
    "SwinUNETR": {**BOTH, "feature_size": 12, "depths": (1, 1, 1, 1)},
    "UNETR": {**BOTH, "img_size": 32, "feature_size": 4, "hidden_size": 24, "mlp_dim": 40},
    "BasicUNet": {**BOTH, "features": (2, 2, 3, 3, 4, 2)},
    "SegResNet": {**BOTH, "blocks_down": (1, 1), "blocks_up": (1,)},
    "SegResNetDS": {**BOTH, "init_filters": 4, "blocks_down": (1, 1), "dsdepth": 2},
    "AttentionUnet": {**BOTH, "channels": (4, 6), "strides": (2,)},
    "VNet": BOTH,
    "LST-AI": {**BOTH, "n_filters": 2, "n_conv_blocks": 2, "bottleneck_filters": 6, "n_heads": 1},
}


@pytest.fixture(autouse=True)
def small_vnet(monkeypatch):
    monkeypatch.setattr(nets, "VNet", SmallVNet)  # MONAI's own has one size, which is large


@pytest.mark.parametrize("architecture", FAMILIES)
def test_the_network_is_bit_by_bit_the_one_whose_numbers_were_drawn_first(architecture):
    family, arguments = FAMILIES[architecture], ARGUMENTS[architecture]
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    file = build_network(family, arguments).state_dict()
    drawn, not_drawn = build_network(family, arguments), build_network(family, arguments, file)
    assert torch.equal(torch.random.get_rng_state(), before)
    empty = [key for key, one in not_drawn.named_parameters() if one.isnan().all()]
    assert len(empty) > len(list(not_drawn.parameters())) / 4

    for network in (drawn, not_drawn):
        load_weights(network, file)
    one, other = drawn.state_dict(), not_drawn.state_dict()
    assert list(one) == list(other)
    for key in one:
        assert one[key].dtype == other[key].dtype
        assert torch.equal(one[key], other[key]), key
    for (key, one), (_, other) in zip(
        drawn.named_buffers(), not_drawn.named_buffers(), strict=True
    ):
        assert torch.equal(one, other), key
    # Its shapes are known without it.
    check_fit(file, family, arguments, sum(tensor.nbytes for tensor in file.values()))
    last = list(file)[-1]
    with pytest.raises(CheckpointError, match=rf"1 have other shapes \({last} has "):
        check_fit({**file, last: file[last][..., None]}, family, arguments, 10**6)


def test_what_a_file_does_not_replace_keeps_the_numbers_it_would_have():
    family, arguments = FAMILIES["DynUNet"], ARGUMENTS["DynUNet"]
    torch.manual_seed(5)
    drawn = build_network(family, arguments).state_dict()
    inert = [key for key in drawn if family.inert(arguments).match(key)]
    assert inert
    file = {key: tensor for key, tensor in drawn.items() if key not in inert}
    kept = build_network(family, arguments, file).state_dict()
    assert all(torch.equal(kept[key], drawn[key]) for key in drawn)


def test_random_numbers_outside_the_weights_are_drawn():
    class WithNoise(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv3d(1, 1, 3)
            self.register_buffer("noise", torch.empty(4).uniform_(1, 2), persistent=False)

    network = undrawn(WithNoise, WithNoise().state_dict())
    assert ((network.noise >= 1) & (network.noise <= 2)).all()


def test_without_memory_there_are_shapes_of_any_size():
    with without_memory():
        layer = nn.Linear(10**6, 10**6)
        rates = torch.linspace(0, 1, 3)
    assert layer.weight.is_meta
    assert layer.weight.shape == (10**6, 10**6)
    assert rates.tolist() == [0, 0.5, 1]
    assert not torch.empty(1).is_meta
