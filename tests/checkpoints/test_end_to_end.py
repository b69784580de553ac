"""A bare state dict of each family segments and explains as the loops in float64 say."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from cases import random_case
from monai.networks import nets
from monai.networks.nets import AttentionUnet, BasicUNet, DynUNet, SegResNet, SegResNetDS
from naive_model import check_model
from networks import SmallVNet

from napari_ies.checkpoints import load_checkpoint, profile_path
from napari_ies.checkpoints.families.architectures import FAMILIES, build_network

FEATURES = (2, 2, 3, 3, 4, 2)
WINDOWED = {
    "BasicUNet": lambda: BasicUNet(3, 2, 2, FEATURES, norm="batch"),
    "SegResNet": lambda: SegResNet(3, 4, 2, 2, norm="batch", blocks_down=(1, 1), blocks_up=(1,)),
    "SegResNet subpixel": lambda: SegResNet(
        3, 4, 2, 2, norm="batch", blocks_down=(1, 1), blocks_up=(1,), upsample_mode="pixelshuffle"
    ),
    "SegResNetDS": lambda: SegResNetDS(
        3, 4, 2, 2, blocks_down=(1, 1, 1), dsdepth=2, resolution=(1, 1, 2)
    ),
    "VNet": lambda: SmallVNet(3, 2, 2),
}
WHOLE = {
    "SegResNet": lambda: SegResNet(3, 8, 2, 2, blocks_down=(1, 1), blocks_up=(1,)),
    "BasicUNet": lambda: BasicUNet(3, 2, 2, FEATURES, upsample="nontrainable"),
    "AttentionUnet": lambda: AttentionUnet(3, 2, 2, (4, 6), (2,)),
}
LST_AI = {
    "in_channels": 2,
    "out_channels": 1,
    "n_filters": 2,
    "n_conv_blocks": 2,
    "bottleneck_filters": 6,
    "n_heads": 1,
}
KNOWN = {
    # Of LST-AI's own sizes there are only the first and the last.
    "LST-AI": lambda: build_network(FAMILIES["LST-AI"], LST_AI),
    # MindGlide's kind: 20 classes, deep supervision, anisotropic strides at the bottom.
    "MindGlide": lambda: DynUNet(
        *(3, 1, 20, [3] * 3, [1, 2, [2, 2, 1]], [2, [2, 2, 1]]),
        filters=[2, 4, 4],
        norm_name="instance",
        deep_supervision=True,
        deep_supr_num=1,
    ),
}
ALL = {("windowed", name): make for name, make in WINDOWED.items()} | {
    ("loop", name): make for name, make in (WHOLE | KNOWN).items()
}


SLOW = {("windowed", "BasicUNet"), ("windowed", "VNet")}  # their trial runs on 64 voxels a side


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "name"),
    [pytest.param(*one, marks=[pytest.mark.slow] if one in SLOW else []) for one in ALL],
)
def test_a_bare_state_dict_segments_and_explains(engine, name, saved, monkeypatch, caplog):
    monkeypatch.setattr(nets, "VNet", SmallVNet)
    torch.manual_seed(0)
    path = saved(ALL[engine, name]())
    # A basin of two voxels: norms of instances need more than one.
    window = [16, 16, 32] if (engine, name) == ("loop", "BasicUNet") else [16, 16, 16]
    # Two windows, of which the two slow ones have one: windows are blended alike for all.
    shape = (16 if (engine, name) in SLOW else 20, 16, window[2])
    stated = {"window": window, "overlap": 0.5, "smallest_lesion": 1}
    if name == "MindGlide":
        stated |= {"explained_class": 18, "threshold": 0.06}
    profile_path(path).write_text(json.dumps(stated))
    model = load_checkpoint(path, device="cpu")
    case = random_case(shape, sequences=model.profile.sequences)
    mask = np.zeros(shape, dtype=bool)
    mask[10, 8, 7:9] = True  # in both windows
    check_model(model, case, mask, caplog, engine=engine)
