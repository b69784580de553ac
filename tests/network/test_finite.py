"""A network that gives NaN or infinity is an error that says where, never '0 lesions'."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
import torch
from cases import ball, random_case
from networks import small_model

from napari_ies.counterfactual.counterfactual import what_if
from napari_ies.counterfactual.edit import Edit
from napari_ies.errors import SegmentationError
from napari_ies.network.finite import all_finite
from napari_ies.segmentation.segmentation import segment

SHAPE = (12, 10, 14)


class NanAbove(torch.nn.Module):
    """The network behind a layer whose output is NaN where its input is above a limit."""

    def __init__(self, network, limit):
        super().__init__()
        self.gate, self.network = Gate(limit), network

    def forward(self, batch):
        return self.network(self.gate(batch))


class Gate(torch.nn.Module):
    def __init__(self, limit):
        super().__init__()
        self.limit = limit

    def forward(self, batch):
        return torch.where(batch > self.limit, torch.nan, batch)


def gated(limit=100.0):
    """Return a model that gives NaN in the windows that hold one voxel, and that voxel's case."""
    model, case = small_model(), random_case(SHAPE)
    data = case.data.copy()
    data[1, 11, 9, 13] = 1000
    case = dataclasses.replace(case, data=data)
    profile = dataclasses.replace(model.profile, normalisation="none")
    return dataclasses.replace(model, network=NanAbove(model.network, limit), profile=profile), case


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_value_among_many_is_seen(value):
    values = torch.full((3, 40, 40), 3e38)
    assert all_finite(values), "though their sum is not finite"

    values[1, 7, 9] = value

    assert not all_finite(values)
    assert not all_finite(values.bfloat16())


@pytest.mark.parametrize("forward", ["sliding-window", "whole-volume"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_spoilt_weight_is_an_error_that_names_its_layer(forward, value):
    model = small_model()
    model.network.get_parameter("model.1.submodule.0.conv.weight").data[2, 1, 0, 0, 0] = value

    with pytest.raises(SegmentationError) as caught:
        segment(model, random_case(SHAPE), forward=forward)

    sentence = str(caught.value)
    assert "not finite" in sentence
    assert "first in its layer model.1.submodule.0.conv;" in sentence
    assert re.search(r"in window 1 of \d+ \(voxels 0-", sentence)


def test_a_negative_variance_is_one_too():
    model = small_model()
    model.network.get_buffer("model.0.adn.N.running_var")[1] = -4

    with pytest.raises(SegmentationError, match=r"first in its layer model\.0\.adn\.N;"):
        segment(model, random_case(SHAPE))


def test_the_window_is_named():
    model, case = gated()

    with pytest.raises(SegmentationError) as caught:
        segment(model, case)

    # Windows of 8 overlap by 2: on axes of 12, 10 and 14 voxels they start at 4, 2 and 6 at last.
    assert "in window 8 of 8 (voxels 4-11, 2-9, 6-13), first in its layer gate" in str(caught.value)
    assert segment(gated(limit=1e9)[0], case)


def test_so_it_is_where_a_change_brings_it_about():
    model, case = gated(limit=1000.0)
    before = segment(model, case)
    region = ball(SHAPE, (11, 9, 13), 0)

    with pytest.raises(SegmentationError, match=r"not finite .* layer gate"):
        what_if(model, case, before, region, Edit("T1", "brighten", 50, "percent"))


def test_logits_too_large_together_are_one():
    """Each window's are finite, float32's largest; what their weights make of them is not."""

    class Huge(torch.nn.Module):
        def forward(self, batch):
            return torch.full_like(batch, torch.finfo(torch.float32).max)

    model = dataclasses.replace(small_model(), network=Huge())
    with pytest.raises(SegmentationError, match="too large for float32 together"):
        segment(model, random_case(SHAPE))
