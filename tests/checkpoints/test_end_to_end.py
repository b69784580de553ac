"""A bare state dict of each family segments and explains as the loops in float64 say."""

from __future__ import annotations

import json
import logging

import naive
import numpy as np
import pytest
import torch
from cases import random_case
from monai.networks import nets
from monai.networks.nets import AttentionUnet, BasicUNet, SegResNet, SegResNetDS
from networks import SmallVNet

from napari_ies.checkpoints import load_checkpoint, profile_path
from napari_ies.geometry.orientation import Reorientation
from napari_ies.network.windows import tiling
from napari_ies.saliency import explain
from napari_ies.saliency.engines.certification import choose_engine
from napari_ies.saliency.gradcam import default_layer, gradcam
from napari_ies.saliency.noise import standard_noise
from napari_ies.saliency.problem import Problem
from napari_ies.segmentation.segmentation import segment

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
ALL = {("windowed", name): make for name, make in WINDOWED.items()} | {
    ("loop", name): make for name, make in WHOLE.items()
}


SLOW = {("windowed", "BasicUNet"), ("windowed", "VNet")}  # their trial runs on 64 voxels a side


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
    profile_path(path).write_text(json.dumps(stated))
    model, case = load_checkpoint(path, device="cpu"), random_case(shape)
    image = case.normalised("zscore-nonzero")
    mask = np.zeros(shape, dtype=bool)
    mask[10, 8, 7:9] = True  # in all windows

    with caplog.at_level(logging.INFO, logger="napari_ies"):
        assert choose_engine(model).name == engine
    assert ("Whole windows, loop: it " in caplog.text) == (engine == "loop")

    exact = torch.from_numpy(image.astype(np.float64))
    with torch.no_grad():
        twin = load_checkpoint(path, device="cpu").network.double()
        logits = naive.logits(twin, exact, model.profile, "sliding-window")
    probability = segment(model, case).probability
    assert np.abs(probability - logits.softmax(dim=0)[1].numpy()).max() < 1e-4

    noise = standard_noise(0, 0, 2, tuple(slice(0, size) for size in shape))
    sigma = 0.05 * (float(image[0].max()) - float(image[0].min()))
    noisy = image.astype(np.float64) + sigma * noise.astype(np.float64)
    rows = naive.jacobian(model, noisy, mask, forward="sliding-window")
    for aggregation in ("mean", "max"):
        expected = naive.aggregate(rows, aggregation)
        saliency = explain(model, case, mask, aggregation=aggregation, n_samples=1, noise=0.05)
        assert saliency.provenance["jacobian"] == engine
        assert np.abs(saliency.maps - expected).max() < 1e-4 * np.abs(expected).max()

    layer = default_layer(model)
    expected = naive.gradcam(model, image, mask, layer, forward="sliding-window")
    # In float64: the denominators of its weights may come near 0.
    problem = Problem(
        network=twin,
        engine=choose_engine(model),
        device=torch.device("cpu"),
        image=exact,
        tiles=tiling(model.profile, shape, "sliding-window"),
        class_index=1,
        turn=Reorientation.identity(shape),
    )
    *_, last = gradcam(problem, np.argwhere(mask), layer)
    found = np.zeros(shape)
    found[(*last.box,)] = last.mean[0].numpy()
    assert expected.max() > 0
    assert np.abs(found - expected).max() < 1e-5 * expected.max()
    assert explain(model, case, mask, method="gradcam++").maps.max() > 0
