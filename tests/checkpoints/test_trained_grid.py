"""Orientation and voxel size of the training images are stated, or said to be guessed."""

from __future__ import annotations

import json

import pytest
from monai.networks.nets import UNet

from napari_ies import with_geometry
from napari_ies.checkpoints import load_checkpoint, profile_path
from napari_ies.errors import CheckpointError
from napari_ies.network.profile import DEFAULT_SPACING


@pytest.fixture
def checkpoint(saved):
    return saved(UNet(3, 2, 2, (4, 8), (2,), norm="batch"))


def about(profile, *words):
    return [text for text in profile.guessed if any(word in text for word in words)]


def test_what_nothing_states_is_listed(checkpoint):
    profile = load_checkpoint(checkpoint, device="cpu").profile

    assert about(profile, "stored") == [
        "Which way the training images were stored is not in the file: each case is taken as it "
        "is stored."
    ]
    assert about(profile, "voxel size") == [
        "The voxel size of the training images is not in the file: 1 × 1 × 1 mm is assumed."
    ]
    assert DEFAULT_SPACING == (1.0, 1.0, 1.0)
    assert (profile.orientation, profile.spacing, profile.resample) == (None, None, False)


def test_arguments_override_the_profile_file(checkpoint):
    content = {"orientation": "RPI", "spacing": [2, 2, 2]}
    profile_path(checkpoint).write_text(json.dumps(content))
    stated = load_checkpoint(checkpoint, device="cpu").profile
    assert (stated.orientation, stated.spacing, stated.resample) == ("RPI", (2, 2, 2), False)
    assert not about(stated, "stored", "voxel size")

    model = load_checkpoint(checkpoint, device="cpu", orientation="las", spacing=(1, 1, 3))

    assert model.profile.orientation == "LAS"
    assert model.profile.spacing == (1.0, 1.0, 3.0)
    assert model.profile.resample, "a voxel size that is asked for is what the network runs at"


def test_the_same_network_under_another_geometry(checkpoint):
    model = load_checkpoint(checkpoint, device="cpu")
    derived = model.derive("made once", object)

    turned = with_geometry(model, "LAS")
    sized = with_geometry(turned, spacing=[1, 1, 1])

    assert turned.network is model.network
    assert turned.derive("made once", object) is derived
    assert turned.sha256 == model.sha256
    assert turned.profile.orientation == sized.profile.orientation == "LAS"
    assert (turned.profile.resample, sized.profile.resample) == (False, True)
    assert not about(turned.profile, "stored")
    assert about(turned.profile, "voxel size")
    assert not about(sized.profile, "stored", "voxel size")
    assert model.profile.orientation is None, "the model it was made of stays as it is"
    assert with_geometry(model) is model


@pytest.mark.parametrize("orientation", ["", "LLS", "LA", "XYZ", "LASR", 3])
def test_no_axis_codes(orientation, checkpoint):
    with pytest.raises(CheckpointError, match=r"^The orientation is .*, such as LAS\.$"):
        load_checkpoint(checkpoint, device="cpu", orientation=orientation)


@pytest.mark.parametrize(
    "spacing",
    [(), (1, 1), (1, 1, 0), (1, -1, 1), (1, float("nan"), 1), (1, float("inf"), 1), "abc"],
)
def test_no_voxel_size(spacing, checkpoint):
    with pytest.raises(CheckpointError, match=r"^The voxel size is .*, such as 1 1 1\.$"):
        load_checkpoint(checkpoint, device="cpu", spacing=spacing)


def test_as_stored_can_be_stated_against_a_profile(checkpoint):
    model = load_checkpoint(checkpoint, device="cpu", orientation="LAS", spacing=(1, 1, 3))

    stored = with_geometry(model, "as stored", "as stored")

    assert (stored.profile.orientation, stored.profile.resample) == (None, False)
    assert stored.profile.spacing == (1, 1, 3), "what it was trained on is still known"
    assert stored.network is model.network
    assert (model.profile.orientation, model.profile.resample) == ("LAS", True)


def test_a_spacing_that_is_given_serves_a_profile_that_asks_to_resample(tmp_path):
    import json

    import torch
    from monai.networks.nets import UNet

    from napari_ies.checkpoints import load_checkpoint
    from napari_ies.errors import CheckpointError

    network = UNet(3, 2, 2, channels=(4, 8), strides=(2,), norm="batch")
    torch.save(network.state_dict(), tmp_path / "unet.pth")
    (tmp_path / "unet.profile.json").write_text(json.dumps({"resample": True}))
    with pytest.raises(CheckpointError, match="without"):
        load_checkpoint(tmp_path / "unet.pth", device="cpu")
    profile = load_checkpoint(tmp_path / "unet.pth", device="cpu", spacing=(1, 1, 2)).profile
    assert (profile.spacing, profile.resample) == ((1, 1, 2), True)
