"""What a file says of its network beside the weights is used where these leave it open."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from monai.networks.nets import UNet
from safetensors.torch import save_file

from napari_ies.checkpoints import load_checkpoint, profile_path

ARGUMENTS = {
    "spatial_dims": 3,
    "in_channels": 2,
    "out_channels": 3,
    "channels": [4, 8, 8],
    "strides": [2, 1],
    "act": ["LEAKYRELU", {"negative_slope": 0.2}],
    "norm": ["group", {"num_groups": 2}],
    "adn_ordering": "NDA",
}
IN_WORDS = {
    "labels": json.dumps({"background": 0, "white matter": 1, "lesion": 2}),
    "channel_names": json.dumps({"1": "MPRAGE", "0": "FLAIR"}),
    "roi_size": "[64, 64, 32]",
    "threshold": "0.4",
}


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return UNet(**ARGUMENTS).eval()


@pytest.fixture
def loaded(network, tmp_path):
    def load(metadata):
        save_file(network.state_dict(), tmp_path / "net.safetensors", metadata=metadata)
        return load_checkpoint(tmp_path / "net.safetensors", device="cpu")

    return load


def alike(model, network):
    image = torch.randn(1, 2, 8, 8, 8)
    with torch.inference_mode():
        return torch.equal(model.network(image), network(image))


def said_of(model):
    return " ".join(one for one in model.profile.guessed if "file itself" in one)


@pytest.mark.parametrize(
    "metadata",
    [
        {"config": json.dumps(ARGUMENTS)},
        {"architecture": "UNet", "kwargs": json.dumps(ARGUMENTS)},
        {"network_def": json.dumps({"_target_": "monai.networks.nets.UNet", **ARGUMENTS})},
        {name: json.dumps(value) for name, value in ARGUMENTS.items()},
    ],
    ids=["config", "architecture", "MONAI", "flat"],
)
def test_the_arguments_that_leave_no_trace_are_those_of_the_metadata(metadata, loaded, network):
    model = loaded(metadata)

    assert alike(model, network)
    assert 'strides [2, 1]; norm ["group", {"num_groups": 2}]' in said_of(model)
    assert not any("strides, 2, 2" in one or "ReLU" in one for one in model.profile.guessed)


def test_names_window_and_threshold_are_taken_and_said(loaded):
    profile = loaded({**IN_WORDS, "epoch": "3", "format": "pt"}).profile

    assert profile.classes == ("background", "white matter", "lesion")
    assert profile.sequences == ("FLAIR", "MPRAGE")
    assert (profile.explained_class, profile.window) == (2, (64, 64, 32))
    assert profile.threshold == 0.4
    (said,) = (one for one in profile.guessed if "file itself" in one)
    for words in ("background, white matter and lesion", "FLAIR and MPRAGE", "[64, 64, 32]", "0.4"):
        assert words in said
    assert "epoch" not in said


def test_a_training_scripts_table_counts_as_well(network, tmp_path):
    state = {f"model.{key}": value for key, value in network.state_dict().items()}
    content = {"state_dict": state, "hyper_parameters": {"lr": 0.1, "net": ARGUMENTS}}
    torch.save(content, tmp_path / "net.ckpt")

    assert alike(load_checkpoint(tmp_path / "net.ckpt", device="cpu"), network)


def test_a_person_has_the_last_word_and_what_is_stated_is_not_asked(loaded, network, tmp_path):
    profile_path(tmp_path / "net.safetensors").write_text(
        json.dumps({"arguments": {"strides": [2, 2]}, "threshold": 0.6})
    )

    profile = loaded({"config": json.dumps(ARGUMENTS), **IN_WORDS}).profile

    assert profile.arguments["strides"] == (2, 2)
    assert profile.arguments["norm"] == ("group", {"num_groups": 2})
    assert profile.threshold == 0.6


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        (
            {"config": json.dumps({**ARGUMENTS, "channels": [8, 8, 8]})},
            "channels [8, 8, 8] (its weights: [4, 8, 8])",
        ),
        (
            {"architecture": "VNet", "config": json.dumps(ARGUMENTS)},
            "VNet (by its weights: UNet)",
        ),
        ({"config": json.dumps({**ARGUMENTS, "act": "print"})}, "since none with these weights"),
        ({"config": json.dumps({**ARGUMENTS, "strides": [2]})}, "strides [2]"),
        ({"roi_size": "[63, 64, 64]"}, "window [63, 64, 64]"),
        ({"classes": '["a", "b"]'}, "classes (2 names for 3)"),
        ({"threshold": "1.5"}, "threshold"),
    ],
)
def test_what_cannot_be_is_not_used_and_said(metadata, why, loaded):
    model = loaded(metadata)

    assert "ot used" in said_of(model)
    assert why in said_of(model)
    assert model.profile.arguments["strides"] == (2, 2)
    assert model.profile.threshold == 0.3


def test_a_table_that_is_not_known_to_be_the_networks_says_nothing(loaded):
    model = loaded({"augmentation": json.dumps({"strides": [2, 1], "act": "ELU"})})

    assert model.profile.arguments["strides"] == (2, 2)
    assert said_of(model) == ""


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*ARGUMENTS, "labels", "window", "x"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=12,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.dictionaries(st.sampled_from([*ARGUMENTS, *IN_WORDS, "config"]), JSONS, max_size=4),
    st.booleans(),
)
def test_whatever_it_says_the_weights_are_read(loaded, said, complete):
    config = {**ARGUMENTS, **said} if complete else said
    texts = {name: json.dumps(value) for name, value in {**said, "config": config}.items()}

    assert loaded(texts).profile.architecture == "UNet"
