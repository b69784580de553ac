"""Voxel sizes are named along the images' own axes, before a case is there and with it."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from cases import random_case
from nnunet_folders import make_folder

from napari_ies.checkpoints import load_checkpoint
from napari_ies.errors import CheckpointError
from napari_ies.network.assumptions import notes_on

pytest.importorskip("nnunetv2", reason="needs the extra nnunet")


def test_inspect_and_segment_name_one_voxel_size(tmp_path):
    """The plans say 1.0, 1.1 and 1.3 mm in their order: y, z, x."""
    model = load_checkpoint(make_folder(tmp_path / "results"), device="cpu")
    case = random_case((12, 14, 10), affine=np.diag([3.0, 4.0, 5.0, 1.0]))

    (said,) = (note for note in notes_on(model, case) if "resampled them" in note)

    assert model.profile.spacing == (1.3, 1.0, 1.1)
    assert re.findall(r"[\d.]+ × [\d.]+ × [\d.]+", said) == ["3 × 4 × 5", "1.3 × 1 × 1.1"]


def test_mirrors_are_chosen_by_the_axes_of_the_image(tmp_path):
    """The reader gives z, y, x and the plans y, z, x: z is the second axis, and x the third."""
    folder = make_folder(tmp_path / "all")
    stated = {"arguments": {"mirroring": ("z", "x")}}
    chosen = load_checkpoint(folder, device="cpu", stated=stated)
    trained_so = make_folder(tmp_path / "some", mirrored=(1, 2))
    image = torch.randn(1, 2, 16, 20, 12)
    expected = load_checkpoint(trained_so, device="cpu").network(image)
    assert torch.equal(chosen.network(image), expected)
    assert chosen.profile.arguments["mirroring"] == ["x", "z"]
    assert not any("mirror images" in text for text in chosen.profile.guessed)

    for wrong, there, given, along in (
        (["w"], folder, '["w"]', "x, y and z"),
        (["y"], trained_so, '["y"]', "x and z"),
        ("x", folder, '"x"', "x, y and z"),
    ):
        with pytest.raises(CheckpointError) as raised:
            load_checkpoint(there, device="cpu", stated={"arguments": {"mirroring": wrong}})
        assert str(raised.value) == (
            f"The profile's mirroring is {given}, and the network was trained with mirror images "
            f"along {along} of the image: expected true, false or a list of some of these."
        )
