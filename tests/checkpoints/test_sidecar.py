"""The profile file beside a checkpoint has the last word, field by field."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from monai.networks.nets import UNet

from napari_ies.checkpoints import (
    inspect_checkpoint,
    load_checkpoint,
    profile_path,
    profile_to_json,
    write_profile,
)
from napari_ies.errors import CheckpointError


@pytest.fixture
def network():
    return UNet(3, 2, 3, (4, 8, 16), (2, 2), norm="batch")


@pytest.fixture
def checkpoint(network, saved):
    return saved(network, name="lesions.v2.pth")


def state(checkpoint, content) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    profile_path(checkpoint).write_text(text, encoding="utf-8")


def refusal(checkpoint) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(checkpoint, device="cpu")
    sentence = str(caught.value)
    assert "lesions.v2" in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


def test_it_lies_beside_the_checkpoint_under_its_name(checkpoint):
    assert profile_path(checkpoint) == checkpoint.parent / "lesions.v2.profile.json"


def test_every_field_is_overridden(checkpoint):
    fields = {
        "name": "MS lesions",
        "sequences": ["T2*", "MPRAGE"],
        "classes": ["air", "lesion", "rim"],
        "explained_class": 2,
        "normalisation": "minmax",
        "brain_extracted": True,
        "activation": "sigmoid",
        "spacing": [0.7, 0.7, 3],
        "resample": True,
        "orientation": "LPS",
        "window": [64, 32, 16],
        "overlap": 0.5,
        "threshold": 0.55,
        "smallest_lesion": 3,
    }
    state(checkpoint, fields)

    profile = load_checkpoint(checkpoint, device="cpu").profile

    for name, value in fields.items():
        expected = tuple(value) if isinstance(value, list) else value
        assert getattr(profile, name) == expected
    assert profile.guessed == inspect_checkpoint(checkpoint).profile.guessed
    assert len(profile.guessed) == 1, "only the strides are left to guess"
    assert "strides" in profile.guessed[0]
    assert inspect_checkpoint(checkpoint).profile_file == profile_path(checkpoint)


def test_stated_strides_change_what_the_network_computes(saved):
    network = UNet(3, 2, 2, (4, 8, 16), ((2, 2, 1), 1), norm="batch")
    path = saved(network)
    state(path, {"arguments": {"strides": [[2, 2, 1], 1]}})

    model = load_checkpoint(path, device="cpu")

    image = torch.randn(1, 2, 8, 8, 5)
    assert model.profile.divisor == (2, 2, 1)
    assert model.profile.arguments["channels"] == (4, 8, 16)
    assert not any("strides" in sentence for sentence in model.profile.guessed)
    with torch.inference_mode():
        assert torch.equal(model.network(image), network(image))


def test_a_stated_activation_changes_what_the_network_computes(saved):
    network = UNet(3, 2, 2, (4, 8), (2,), norm="batch", act=("leakyrelu", {"negative_slope": 0.2}))
    path = saved(network)
    state(path, {"arguments": {"act": ["leakyrelu", {"negative_slope": 0.2}]}})

    model = load_checkpoint(path, device="cpu")

    image = torch.randn(1, 2, 8, 8, 8)
    with torch.inference_mode():
        assert torch.equal(model.network(image), network(image))


def test_explained_class_by_name(checkpoint):
    state(checkpoint, {"classes": ["air", "rim", "lesion"], "explained_class": "rim"})
    assert load_checkpoint(checkpoint, device="cpu").profile.explained_class == 1

    state(checkpoint, {"classes": ["air", "rim", "lesion"]})
    assert load_checkpoint(checkpoint, device="cpu").profile.explained_class == 2


def test_architecture_that_does_not_fit_names_the_keys(checkpoint):
    arguments = {
        "spatial_dims": 3,
        "in_channels": 2,
        "out_channels": 3,
        "kernel_size": [3, 3, 3],
        "strides": [1, 2, 2],
        "upsample_kernel_size": [2, 2],
        "filters": [4, 8, 16],
    }
    state(checkpoint, {"architecture": "DynUNet", "arguments": arguments})

    sentence = refusal(checkpoint)

    assert "does not fit DynUNet(" in sentence
    assert "missing (input_block.conv1.conv.weight, " in sentence
    assert "surplus (model.0.conv.weight, " in sentence
    assert "correct lesions.v2.profile.json" in sentence


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{\n "overlap": 0.5,\n}', "not valid JSON"),
        ('{\n "overlap": 0.5,\n}', "line 3"),
        ("[1]", "expected an object"),
        ({"treshold": 0.4}, "no field 'treshold'"),
        ({"divisor": [2, 2, 2]}, "no field 'divisor'"),
        ({"name": "../a"}, "name is"),
        ({"name": ""}, "name is"),
        ({"architecture": "os.system"}, 'architecture is "os.system", expected one of UNet'),
        ({"arguments": [1]}, "arguments is [1]"),
        ({"arguments": {"norm_layer": "x"}}, "UNet has no argument 'norm_layer'"),
        ({"arguments": {"folds": ["0"]}}, "chosen of nnU-Net folders, and this is one UNet"),
        ({"arguments": {"spatial_dims": 2}}, "spatial_dims is 2"),
        ({"arguments": {"in_channels": "2"}}, "in_channels is '2'"),
        (
            {"arguments": {"strides": "22"}},
            "sizes and strides among the arguments of UNet cannot be read",
        ),
        ({"arguments": {"channels": [4, 8, 32]}}, "have other shapes"),
        ({"arguments": {"act": "explode"}}, "no UNet can be built"),
        ({"architecture": "UNETR"}, "lack in_channels, out_channels, img_size"),
        ({"sequences": ["FLAIR"]}, "sequences has 1 names (FLAIR), expected 2"),
        ({"sequences": ["T1", "T1"]}, "expected a list of different names"),
        ({"sequences": "FLAIR"}, "expected a list of different names"),
        ({"classes": ["background", "lesion"]}, "classes has 2 names"),
        ({"explained_class": 3}, "explained_class is 3"),
        ({"explained_class": "tumour"}, "explained_class is 'tumour'"),
        ({"explained_class": True}, "explained_class is true"),
        ({"explained_class": -1}, "explained_class is -1"),
        ({"normalisation": "z"}, "expected one of zscore-nonzero, zscore, minmax"),
        ({"spacing": [1, 1]}, "spacing is [1, 1]"),
        ({"spacing": [1, 1, 0]}, "voxel sizes in mm above 0"),
        ({"brain_extracted": 1}, "brain_extracted is 1, expected true or false"),
        ({"activation": "relu"}, 'activation is "relu", expected one of softmax, sigmoid'),
        ({"resample": "yes"}, 'resample is "yes", expected true or false'),
        ({"resample": True}, "resample is true without a spacing"),
        ({"weights": 3}, "weights is 3"),
        ({"orientation": "LLS"}, "axis codes such as LAS"),
        ({"window": [64, 64, 62]}, "window is 64×64×62, expected multiples of 4×4×4"),
        ({"window": 0}, "window is 0"),
        ({"overlap": 1}, "overlap is 1, expected a number from 0 up to but not including 1"),
        ({"overlap": -0.1}, "overlap is -0.1"),
        ({"overlap": "0.5"}, 'overlap is "0.5"'),
        ('{"threshold": NaN}', "threshold is NaN"),
        ({"threshold": 0}, "threshold is 0"),
        ({"threshold": 1}, "threshold is 1"),
        ({"smallest_lesion": 0}, "smallest_lesion is 0"),
        ({"smallest_lesion": 2.5}, "smallest_lesion is 2.5"),
    ],
)
def test_each_field_is_checked(content, words, checkpoint):
    state(checkpoint, content)

    assert words in refusal(checkpoint)


def test_a_mark_of_utf_8_at_the_beginning_is_read_over(checkpoint):
    """As editors of Windows write it."""
    profile_path(checkpoint).write_bytes(b"\xef\xbb\xbf" + b'{"overlap": 0.25}')

    assert load_checkpoint(checkpoint, device="cpu").profile.overlap == 0.25


def test_an_orientation_in_small_letters_is_the_same(checkpoint):
    state(checkpoint, {"orientation": "las"})

    assert load_checkpoint(checkpoint, device="cpu").profile.orientation == "LAS"


def test_file_that_is_no_text(checkpoint):
    profile_path(checkpoint).write_bytes(b"\xff\xfe\x00")

    assert "JSON text in UTF-8" in refusal(checkpoint)


def test_written_profile_reads_back_the_same_with_nothing_guessed(checkpoint):
    profile = load_checkpoint(checkpoint, device="cpu").profile
    profile = replace(profile, sequences=("FLAIR", "T2★"), threshold=0.45, spacing=(1.0, 1.0, 2.5))

    write_profile(profile_path(checkpoint), profile)

    again = load_checkpoint(checkpoint, device="cpu").profile
    assert again == replace(profile, guessed=())
    assert profile_to_json(again) == profile_path(checkpoint).read_text(encoding="utf-8")
    assert {p.name for p in checkpoint.parent.iterdir()} == {
        "lesions.v2.pth",
        "lesions.v2.profile.json",
    }


def test_profile_that_cannot_be_written(checkpoint, tmp_path):
    profile = load_checkpoint(checkpoint, device="cpu").profile

    with pytest.raises(CheckpointError, match="cannot be written"):
        write_profile(tmp_path / "none" / "x.profile.json", profile)
