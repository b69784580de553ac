"""A loaded network against the definitions: what it segments, and how it is explained."""

from __future__ import annotations

import copy
import logging

import naive
import numpy as np
import torch

from napari_ies.geometry.orientation import Reorientation
from napari_ies.network.windows import tiling
from napari_ies.saliency import explain
from napari_ies.saliency.engines.certification import choose_engine
from napari_ies.saliency.gradcam import default_layer, gradcam
from napari_ies.saliency.noise import standard_noise
from napari_ies.saliency.problem import Problem
from napari_ies.segmentation.segmentation import segment


def check_model(model, case, mask, caplog, *, engine, layers=True):
    """Segment and explain (mean, maximum, Grad-CAM++) as the loops in float64 say."""
    shape, profile = case.shape, model.profile
    image = case.normalised(profile.normalisation)
    with caplog.at_level(logging.INFO, logger="napari_ies"):
        assert choose_engine(model).name == engine
    assert ("Whole windows, loop: it" in caplog.text) == (engine == "loop")
    assert "gradients differ" not in caplog.text

    exact = torch.from_numpy(image.astype(np.float64))
    twin = copy.deepcopy(model.network).double()
    with torch.no_grad():
        logits = naive.logits(twin, exact, profile, "sliding-window")
    softmax = profile.activation == "softmax"
    expected = (logits.softmax(dim=0) if softmax else logits.sigmoid())[profile.explained_class]
    probability = segment(model, case).probability
    assert np.abs(probability - expected.numpy()).max() < 1e-4

    noise = standard_noise(0, 0, len(image), tuple(slice(0, size) for size in shape))
    sigma = 0.05 * (float(image[0].max()) - float(image[0].min()))
    noisy = image.astype(np.float64) + sigma * noise.astype(np.float64)
    rows = naive.jacobian(
        model, noisy, mask, forward="sliding-window", class_index=profile.explained_class
    )
    for aggregation in ("mean", "max"):
        expected = naive.aggregate(rows, aggregation)
        saliency = explain(model, case, mask, aggregation=aggregation, n_samples=1, noise=0.05)
        assert saliency.provenance["jacobian"] == engine
        assert np.abs(saliency.maps - expected).max() < 1e-4 * np.abs(expected).max()
    if layers:
        _check_gradcam(model, case, mask, twin, image, exact)


def _check_gradcam(model, case, mask, twin, image, exact):
    check_gradcam(model, mask, twin, image, exact)
    assert explain(model, case, mask, method="gradcam++").maps.max() > 0


def check_gradcam(model, mask, twin, image, exact):
    """Compare the default layer's Grad-CAM++ of an image, on the network's axes; return it."""
    shape, profile = mask.shape, model.profile
    layer, index = default_layer(model), profile.explained_class
    expected = naive.gradcam(model, image, mask, layer, forward="sliding-window", class_index=index)
    # In float64: the denominators of its weights may come near 0.
    problem = Problem(
        network=twin,
        engine=choose_engine(model),
        device=torch.device("cpu"),
        image=exact,
        tiles=tiling(profile, shape, "sliding-window"),
        class_index=index,
        turn=Reorientation.identity(shape),
    )
    *_, last = gradcam(problem, np.argwhere(mask), layer)
    found = np.zeros(shape)
    found[(*last.box,)] = last.mean[0].numpy()
    assert expected.max() > 0
    assert np.abs(found - expected).max() < 1e-5 * expected.max()
    return expected
