"""Voxel sizes are named along the images' own axes, before a case is there and with it."""

from __future__ import annotations

import re

import numpy as np
import pytest
from cases import random_case
from nnunet_folders import make_folder

from napari_ies.checkpoints import load_checkpoint
from napari_ies.network.assumptions import notes_on

pytest.importorskip("nnunetv2", reason="needs the extra nnunet")


def test_inspect_and_segment_name_one_voxel_size(tmp_path):
    """The plans say 1.0, 1.1 and 1.3 mm in their order: y, z, x."""
    model = load_checkpoint(make_folder(tmp_path / "results"), device="cpu")
    case = random_case((12, 14, 10), affine=np.diag([3.0, 4.0, 5.0, 1.0]))

    (said,) = (note for note in notes_on(model, case) if "resampled them" in note)

    assert model.profile.spacing == (1.3, 1.0, 1.1)
    assert re.findall(r"[\d.]+ × [\d.]+ × [\d.]+", said) == ["3 × 4 × 5", "1.3 × 1 × 1.1"]
