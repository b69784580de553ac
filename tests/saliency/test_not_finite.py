"""Logits, activations and gradients that are not finite numbers end a map, with their window."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from cases import ball, random_case
from networks import small_model

from napari_ies.errors import SaliencyError
from napari_ies.geometry.orientation import Reorientation
from napari_ies.network.windows import tiling
from napari_ies.saliency import explain
from napari_ies.saliency.arrivals import AtOnce
from napari_ies.saliency.engines.whole.whole_windows import LoopEngine
from napari_ies.saliency.forwards import Forwards
from napari_ies.saliency.noise import Noise
from napari_ies.saliency.problem import Problem

SHAPE = (12, 10, 14)
MASK = ball(SHAPE, (7, 5, 7), 2)


class Root(torch.nn.Module):
    """Gives back its input; the gradient of a root at 0 is infinite."""

    def forward(self, batch):
        return batch + 0 * (batch - batch).abs().sqrt()


class AfterRoot(torch.nn.Module):
    def __init__(self, network):
        super().__init__()
        self.root, self.network = Root(), network

    def forward(self, batch):
        return self.network(self.root(batch))


def raised(model, case, **settings):
    with pytest.raises(SaliencyError) as caught:
        explain(model, case, MASK, n_samples=2, **settings)
    return str(caught.value)


@pytest.mark.parametrize("aggregation", ["mean", "sum", "max"])
@pytest.mark.parametrize("jacobian", ["loop", "batched", "auto"])
def test_logits(jacobian, aggregation):
    model = small_model()
    model.network.get_parameter("model.2.conv.bias").data[1] = np.nan

    sentence = raised(model, random_case(SHAPE), jacobian=jacobian, aggregation=aggregation)

    assert "The network's logits are not finite" in sentence
    assert "in window " in sentence
    assert "first in its layer model.2.conv;" in sentence


def test_logits_of_the_windowed_engine():
    """Its network is fine and passes the trial; the image is far beyond what it can take."""
    model, case = small_model(normalisation="none"), random_case(SHAPE)
    model.network.get_parameter("model.0.conv.weight").data.mul_(1000)
    huge = dataclasses.replace(case, data=(case.data * 1e36).astype(np.float32))
    assert explain(model, case, MASK, n_samples=1).provenance["jacobian"] == "windowed"

    for aggregation in ("mean", "max"):
        sentence = raised(model, huge, jacobian="windowed", aggregation=aggregation, noise=0)
        assert "logits are not finite" in sentence
        assert "in window " in sentence


@pytest.mark.parametrize("aggregation", ["mean", "max"])
@pytest.mark.parametrize("jacobian", ["loop", "batched"])
@pytest.mark.parametrize("forward", ["sliding-window", "whole-volume"])
def test_gradients_of_finite_logits(jacobian, aggregation, forward):
    model = small_model()
    model = dataclasses.replace(model, network=AfterRoot(model.network))

    sentence = raised(
        model, random_case(SHAPE), jacobian=jacobian, aggregation=aggregation, forward=forward
    )

    assert "The network's gradients are not finite" in sentence
    assert "in window " in sentence
    assert "first in its layer root;" in sentence
    assert not any(m._backward_hooks or m._forward_hooks for m in model.network.modules())


def test_gradcam():
    model = small_model()
    model.network.get_parameter("model.0.conv.weight").data[0, 0, 1, 1, 1] = np.inf

    sentence = raised(model, random_case(SHAPE), method="gradcam++")

    assert "are not finite" in sentence
    assert "first in its layer model.0.conv;" in sentence


def test_weights_of_gradcam_that_overflow_are_no_empty_map():
    """Σ A g³ of huge finite numbers is infinite, and what is divided by it would be 0."""
    model = small_model()
    model.network.get_parameter("model.2.conv.weight").data.mul_(1e16)

    sentence = raised(model, random_case(SHAPE), method="gradcam++")

    assert "too large for float32" in sentence


def test_a_standard_error_that_overflows():
    """The gradients are finite; their squares, which its variance sums, are not."""
    model = small_model("unet-instance")
    model.network.get_parameter("model.2.conv.weight").data.mul_(1e25)

    sentence = raised(model, random_case(SHAPE), noise=0.5)

    assert "too large for float32" in sentence


@pytest.mark.parametrize("method", ["smoothgrad", "gradcam++"])
def test_finite_ones_are_no_error(method):
    result = explain(small_model(), random_case(SHAPE), MASK, n_samples=2, method=method)

    assert np.isfinite(result.cropped).all()


def test_a_gpu_is_asked_once_for_all_that_was_watched():
    model, case = small_model(), random_case(SHAPE)
    tiles = tiling(model.profile, SHAPE, "sliding-window")
    sent = []

    def arrival(values):
        sent.append(values)
        return AtOnce(values)

    problem = Problem(
        network=model.network,
        engine=LoopEngine(model.network),
        device=torch.device("cpu"),
        image=torch.from_numpy(case.data),
        tiles=tiles,
        class_index=1,
        turn=Reorientation.identity(SHAPE),
        arrival=arrival,
    )
    box = tiles.visible(tiles.windows[0])
    forwards = Forwards(problem, box, Noise(0, 0.0), range(1))
    forwards.watch(torch.tensor([1.0, 2.0]), "logits", tiles.windows[0])
    forwards.check()
    assert len(sent) == 1
    forwards.watch(torch.tensor([1.0, -2e38]), "logits", tiles.windows[1])
    forwards.watch(torch.tensor([2e38, 2e38]), "logits", tiles.windows[1])  # their sum is not
    for spoilt in (np.nan, np.inf, -np.inf):
        forwards.watch(torch.tensor([1.0, spoilt]), "gradients", tiles.windows[2])
        before = len(sent)
        with pytest.raises(SaliencyError, match=r"gradients are not finite .* in window 3 of 8"):
            forwards.check()
        assert len(sent) == before + 1
    forwards.check()
    assert len(sent) == before + 1
