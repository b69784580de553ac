"""Whatever a file leaves open is listed, and not once a person has stated it."""

from __future__ import annotations

import json

import pytest
import torch
from monai.networks.nets import (
    UNETR,
    AttentionUnet,
    BasicUNet,
    DynUNet,
    SegResNet,
    SegResNetDS,
    SwinUNETR,
    UNet,
)

from napari_ies.checkpoints import inspect_checkpoint, load_checkpoint, profile_path
from napari_ies.errors import CheckpointError

NETWORKS = {
    "UNet": lambda: UNet(3, 2, 2, (4, 8), (2,), act="RELU"),
    "DynUNet": lambda: DynUNet(3, 2, 2, [3] * 3, [1, 2, 2], [2, 2], filters=[4, 4, 8]),
    "SwinUNETR": lambda: SwinUNETR(2, 2, feature_size=12, depths=(1, 1, 1, 1)),
    "UNETR": lambda: UNETR(2, 2, 16, feature_size=4, hidden_size=24, mlp_dim=8),
    "BasicUNet": lambda: BasicUNet(3, 2, 2, (4, 4, 4, 4, 4, 4)),
    "SegResNet": lambda: SegResNet(3, 16, 2, 2, blocks_down=(1, 1), blocks_up=(1,)),
    "SegResNetDS": lambda: SegResNetDS(3, 4, 2, 2, norm="instance", blocks_down=(1, 1)),
    "AttentionUnet": lambda: AttentionUnet(3, 2, 2, (4, 8), (2,)),
}
OF_EACH_FAMILY = {
    "UNet": ("strides", "dilated", "activation", "before activation", "normalisation layers"),
    "DynUNet": ("stride", "dilated", "leaky ReLU", "number of groups"),
    "SwinUNETR": ("merging", "features of each stage", "normalisation layers"),
    "UNETR": ("attention heads", "image size", "normalisation layers"),
    "BasicUNet": ("leaky ReLU with slope 0.1", "any number of groups", "paper has none"),
    "SegResNet": ("activation, ReLU", "8 groups, as is", "with 1, 2, 4, 16 groups"),
    "SegResNetDS": ("activation, ReLU", "any number of groups"),
    "AttentionUnet": ("strides, 2 from",),
}
OF_ALL = (
    "FLAIR",
    "z-scored",
    "brain-extracted",
    "stored",
    "voxel size",
    "softmax",
    "background",
    "threshold",
)


@pytest.mark.parametrize("family", NETWORKS)
def test_each_guess_is_listed(family, saved):
    guessed = inspect_checkpoint(saved(NETWORKS[family]())).profile.guessed

    for word in (*OF_EACH_FAMILY[family], *OF_ALL):
        assert any(word in text for text in guessed), word
    assert all(text.endswith(".") for text in guessed)
    assert len(set(guessed)) == len(guessed)


def test_nothing_is_guessed_about_the_order_where_both_layers_have_weights(saved):
    network = UNet(3, 2, 2, (4, 8), (2,), norm="batch")

    guessed = inspect_checkpoint(saved(network)).profile.guessed

    assert not any("before activation" in text for text in guessed)


def test_running_statistics_alone_tell_the_order(saved):
    norm = ("batch", {"affine": False})
    network = UNet(3, 2, 2, (4, 8), (2,), norm=norm, adn_ordering="ADN").eval()
    model = load_checkpoint(saved(network), device="cpu")

    image = torch.randn(1, 2, 8, 8, 8)
    with torch.inference_mode():
        assert torch.equal(model.network(image), network(image))


@pytest.mark.parametrize(
    ("n_outputs", "activation", "listed"), [(1, "sigmoid", False), (3, "softmax", True)]
)
def test_the_activation_follows_from_the_number_of_outputs(n_outputs, activation, listed, saved):
    path = saved(UNet(3, 2, n_outputs, (4, 8), (2,), norm="batch"))

    profile = load_checkpoint(path, device="cpu").profile

    assert profile.activation == activation
    assert any("multi-label" in text for text in profile.guessed) == listed


def test_a_stated_activation_holds(saved):
    path = saved(UNet(3, 2, 3, (4, 8), (2,), norm="batch"))
    profile_path(path).write_text(json.dumps({"activation": "sigmoid"}))

    profile = load_checkpoint(path, device="cpu").profile

    assert profile.activation == "sigmoid"
    assert not any("softmax" in text for text in profile.guessed)


def test_the_softmax_of_a_single_output_is_refused(saved):
    path = saved(UNet(3, 2, 1, (4, 8), (2,), norm="batch"))
    profile_path(path).write_text(json.dumps({"activation": "softmax"}))

    with pytest.raises(CheckpointError, match="single output, whose softmax is 1 everywhere"):
        load_checkpoint(path, device="cpu")


@pytest.mark.parametrize(
    ("stated", "extracted", "listed"),
    [
        ({}, True, "brain-extracted"),
        ({"normalisation": "minmax"}, False, "whole head"),
        ({"normalisation": "minmax", "brain_extracted": True}, True, None),
    ],
)
def test_brain_extraction_follows_from_the_normalisation(stated, extracted, listed, saved):
    path = saved(UNet(3, 2, 2, (4, 8), (2,), norm="batch"))
    profile_path(path).write_text(json.dumps(stated))

    profile = load_checkpoint(path, device="cpu").profile

    assert profile.brain_extracted == extracted
    said = [t for t in profile.guessed if "brain-extracted" in t or "whole head" in t]
    assert [listed in text for text in said] == ([] if listed is None else [True])
