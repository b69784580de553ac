"""Whatever a profile file says, the answer is a network or one sentence, at once."""

from __future__ import annotations

import json
import os
import string
import sys
from dataclasses import replace

import pytest
import torch
from cases import random_case
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from monai.networks.nets import UNet
from networks import small_model

from napari_ies.checkpoints import load_checkpoint, profile_path
from napari_ies.checkpoints.families.architectures import FAMILIES
from napari_ies.checkpoints.profile_file import FIELDS
from napari_ies.errors import CheckpointError, SegmentationError
from napari_ies.network.absent import absent_model
from napari_ies.network.model import network_output
from napari_ies.network.windows import tiling
from napari_ies.printable import printable
from napari_ies.segmentation.segmentation import segment

FIXED = settings(
    derandomize=True,
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
ODD = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-3, 8),
        st.sampled_from([10**5, 10**9, -(10**9), 10**30, 10**400, 2**31, 2**63]),
        st.floats(),
        st.sampled_from([1e-320, 1e308, 0.9999999]),
        st.text(max_size=5),
        st.sampled_from(["\ud800", "\x1b[31m", "a" * 10_000, "softmax", "UNet", "LAS", ""]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(string.ascii_letters), inner)
    ),
    max_leaves=5,
)
ARGUMENTS = sorted({name for family in FAMILIES.values() for name in family.argument_names})


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("profiles") / "network.pth"
    torch.save(UNet(3, 2, 2, (4, 8), (2,), norm="batch").state_dict(), path)
    return path


def refusal(checkpoint, content) -> str:
    text = content if isinstance(content, str) else json.dumps(content)
    profile_path(checkpoint).write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(checkpoint, device="cpu")
    return str(caught.value)


def loads_or_says_why(checkpoint, content) -> None:
    profile_path(checkpoint).write_text(json.dumps(content), encoding="utf-8")
    try:
        load_checkpoint(checkpoint, device="cpu")
    except CheckpointError as error:
        sentence = str(error)
        assert "network" in sentence
        assert sentence.endswith(".")
        assert "\n" not in sentence
        assert printable(sentence) == sentence


@FIXED
@given(field=st.sampled_from(sorted(FIELDS)), value=ODD)
def test_any_value_in_any_field(field, value, checkpoint):
    loads_or_says_why(checkpoint, {field: value})


@pytest.mark.slow
@FIXED
@given(name=st.sampled_from(ARGUMENTS), value=ODD)
def test_any_value_of_any_argument(name, value, checkpoint):
    loads_or_says_why(checkpoint, {"arguments": {name: value}})


@pytest.mark.slow
@FIXED
@given(
    architecture=st.sampled_from(sorted(FAMILIES)),
    arguments=st.dictionaries(st.sampled_from(ARGUMENTS), ODD, max_size=6),
)
def test_any_arguments_of_any_architecture(architecture, arguments, checkpoint):
    stated = {"spatial_dims": 3, "in_channels": 2, "out_channels": 2, "img_size": 32, **arguments}
    known = {k: v for k, v in stated.items() if k in FAMILIES[architecture].argument_names}
    loads_or_says_why(checkpoint, {"architecture": architecture, "arguments": known})


DYNUNET = {
    "spatial_dims": 3,
    "in_channels": 2,
    "out_channels": 2,
    "kernel_size": [3, 3, 3],
    "strides": [1, 2, 2],
    "upsample_kernel_size": [2, 2],
}
HUGE = {
    "channels": ({"arguments": {"channels": [10**9, 8]}}, "channels is 1000000000"),
    "channels that a network could have": (
        {"arguments": {"channels": [10**6, 10**6]}},
        "has 4×2×3×3×3 in the file, 1000000×2×3×3×3 in the network",
    ),
    "residual units": (
        {"arguments": {"num_res_units": 10**6}},
        "num_res_units is 1000000, where at most 18 is possible for a file with 18 tensors",
    ),
    "outputs": ({"arguments": {"out_channels": 10**7}}, "have other shapes"),
    "kernels": ({"arguments": {"kernel_size": 100_001}}, "have other shapes"),
    "levels": ({"arguments": {"strides": [2] * 10**5}}, "strides has 100000 entries"),
    "strides": ({"arguments": {"strides": [10**6]}}, "1000000 voxels, more than any network's"),
    "layers by their order": ({"arguments": {"adn_ordering": "NDA" * 10**5}}, "300000 letters"),
    "voxel sizes that no scanner has": (
        {
            "architecture": "SegResNetDS",
            "arguments": {
                "in_channels": 2,
                "out_channels": 2,
                "init_filters": 4,
                "resolution": [1e-300, 1, 1],
            },
        },
        "(1e-300, 1, 1) is no resolution",
    ),
    "an attention window": (
        {
            "architecture": "SwinUNETR",
            "arguments": {"in_channels": 2, "out_channels": 2, "window_size": 10**4},
        },
        "network.pth",
    ),
    "depths": (
        {
            "architecture": "SwinUNETR",
            "arguments": {"in_channels": 2, "out_channels": 2, "depths": [10**6] * 4},
        },
        "depths is 1000000",
    ),
    "features": (
        {
            "architecture": "SwinUNETR",
            "arguments": {"in_channels": 2, "out_channels": 2, "feature_size": 12 * 10**5},
        },
        "tensors are missing",
    ),
    "an image": (
        {
            "architecture": "UNETR",
            "arguments": {"in_channels": 2, "out_channels": 2, "img_size": 16 * 10**5},
        },
        "1600000 voxels, more than any network's",
    ),
    "a hidden size": (
        {
            "architecture": "UNETR",
            "arguments": {
                "in_channels": 2,
                "out_channels": 2,
                "img_size": 96,
                "hidden_size": 12 * 10**5,
            },
        },
        "tensors are missing",
    ),
    "heads": (
        {
            "architecture": "DynUNet",
            "arguments": {**DYNUNET, "deep_supervision": True, "deep_supr_num": 10**6},
        },
        "deep_supr_num is 1000000",
    ),
    "filters": (
        {"architecture": "DynUNet", "arguments": {**DYNUNET, "filters": [10**7] * 3}},
        "network.pth",
    ),
    "a window": ({"window": 8000}, "window is 8000, expected one or three whole numbers"),
    "a class": ({"explained_class": 10**9}, "explained_class is 1000000000"),
    "a lesion": ({"smallest_lesion": 10**12}, "smallest_lesion is 1000000000000"),
    "small voxels": ({"spacing": [1e-6] * 3, "resample": True}, "from 0.01 to 100"),
    "large voxels": ({"spacing": [1, 1, 1e30]}, "from 0.01 to 100"),
    "a number": ('{"window": ' + "9" * 5000 + "}", "a number in it has too many digits"),
    "beyond floats": ('{"threshold": 1e400}', "threshold is Infinity"),
    "no number": ('{"arguments": {"dropout": NaN}}', "dropout is nan"),
    "levels of lists": ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
    "levels in a field": ('{"window":' + "[" * 900 + "]" * 900 + "}", "a list of many levels"),
    "levels in arguments": (
        '{"arguments":{"act":' + "[" * 900 + "]" * 900 + "}}",
        "an object of many levels",
    ),
    "a text": (" " * (5 << 20) + "{}", "it holds more than 4 MB"),
}


@pytest.mark.parametrize("name", HUGE)
def test_what_no_network_has_is_refused_before_it_is_built(name, checkpoint):
    content, words = HUGE[name]

    assert words in refusal(checkpoint, content)


def test_a_field_that_is_stated_twice(checkpoint):
    text = '{"threshold": 0.3, "overlap": 0.25, "threshold": 0.7}'

    assert 'states "threshold" twice' in refusal(checkpoint, text)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: os.mkfifo(path), "it is a pipe, not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "it is a device, not a regular file"),
        (lambda path: path.symlink_to(path.parent), "it is a folder, not a regular file"),
        (lambda path: path.symlink_to(path.parent / "gone"), "No such file"),
    ],
)
def test_a_profile_that_is_no_file(make, words, checkpoint):
    beside = profile_path(checkpoint)
    beside.unlink(missing_ok=True)
    make(beside)
    try:
        with pytest.raises(CheckpointError, match=words):
            load_checkpoint(checkpoint, device="cpu")
    finally:
        beside.unlink()


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        ({"window": (4096, 4096, 4096)}, r"window of 4096 × 4096 × 4096 voxels .* smaller window"),
        ({"window": (8, 8, 8), "overlap": 0.99999}, r"at most 100000 are possible"),
    ],
)
def test_windows_that_no_memory_or_time_holds(profile, words):
    model = small_model(**profile)
    with pytest.raises(SegmentationError, match=words):
        tiling(model.profile, (200, 200, 200), "sliding-window")
    with pytest.raises(SegmentationError, match=r"more than a million GB|needs [\d.]+ GB"):
        tiling(model.profile, (20_000, 20_000, 20_000), "whole-volume")


def test_a_window_that_no_network_has_is_refused_when_it_is_loaded(checkpoint):
    profile_path(checkpoint).write_text('{"window": 4096}')

    with pytest.raises(CheckpointError, match=r"^network.profile.json: window is 4096×.* 7e\+10"):
        load_checkpoint(checkpoint, device="cpu")


def test_logits_of_classes_without_end(monkeypatch):
    classes = tuple(f"class {i}" for i in range(1000))
    model = small_model(classes=classes, window=(4, 4, 4))
    monkeypatch.setattr("napari_ies.free_memory.free_memory", lambda: 30 << 20)

    with pytest.raises(SegmentationError, match=r"1000 classes needs .* fewer classes"):
        segment(model, random_case((20, 20, 20)))


def test_arguments_that_only_a_layer_at_work_refuses(checkpoint):
    stated = {"arguments": {"norm": ["batch", {"eps": -1}]}, "window": 8}
    words = r"an image of 4 × 4 × 4 voxels \(batch_norm eps must be non-negative"
    profile_path(checkpoint).write_text(json.dumps(stated))
    model = load_checkpoint(checkpoint, device="cpu")

    with pytest.raises(CheckpointError, match=words) as caught:
        segment(model, random_case((8, 8, 8)))

    assert str(caught.value).endswith("in its profile, or choose another checkpoint.")


@pytest.mark.parametrize(
    "error", [RuntimeError("CUDA error: no kernel image"), MemoryError("out of memory")]
)
def test_a_fault_of_the_device_is_not_blamed_on_the_network(error):
    def failing(_):
        raise error

    with pytest.raises(type(error), match=str(error)):
        network_output(failing, torch.zeros(1, 1, 2, 2, 2))


def facts(**changed):
    return {
        "Checkpoint": {"Architecture": "UNet", "Arguments": {}},
        "Normalisation": "zscore",
        "Class": {"Index": 1, "Name": "lesion"},
        "Window": [96, 96, 96],
        "Overlap": 0.25,
        "Threshold": 0.3,
        **changed,
    }


@pytest.mark.parametrize(
    "changed",
    [
        {"Class": {"Index": 10**9, "Name": "lesion"}},
        {"Class": {"Index": -1, "Name": "lesion"}},
        {"Class": {"Index": float("inf"), "Name": "lesion"}},
        {"Window": [float("inf")] * 3},
        {"Overlap": 10**400},
        {"Checkpoint": {"Architecture": "UNet", "Arguments": 3}},
        {"Checkpoint": "UNet"},
        {"Checkpoint": {"Architecture": "UNet", "Classes": ["one"]}},
    ],
)
def test_what_an_absent_network_cannot_have_been(changed):
    known = ("unet", "unet.pth", "", None, ("FLAIR",))
    assert absent_model(*known, facts()).profile.explained_class == 1

    with pytest.raises((KeyError, TypeError, ValueError)):
        absent_model(*known, facts(**changed))


def test_the_profile_of_a_good_file_is_as_it_was(checkpoint):
    """So that the limits are of no use only to what is absurd."""
    profile_path(checkpoint).write_text(
        json.dumps({"spacing": [0.5, 0.5, 7], "window": [96, 128, 64], "overlap": 0.75})
    )

    profile = load_checkpoint(checkpoint, device="cpu").profile

    assert profile == replace(
        profile, spacing=(0.5, 0.5, 7), window=(96, 128, 64), overlap=0.75, explained_class=1
    )
