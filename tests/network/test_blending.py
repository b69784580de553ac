"""Segmentation stays on the device: copies, waits, memory that runs out, and the same values.

There is no GPU here. Two stand in for one: PyTorch's ``meta`` device, where nothing has a value,
for what is copied and waited for; and the CPU by its other name, ``cpu:0``, for values.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from cases import ball, random_case
from monai.inferers import sliding_window_inference
from networks import small_model
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from napari_ies.counterfactual.counterfactual import what_if
from napari_ies.counterfactual.edit import Edit
from napari_ies.network import blending, inference
from napari_ies.network.blending import UNDER_WAY, Blend, constant_windows
from napari_ies.network.inference import logit_map, network_input, predict, probability_of
from napari_ies.network.windows import tiling
from napari_ies.progress import finish
from napari_ies.segmentation.segmentation import segment

CARD = torch.device("cpu:0")
SHAPE = (12, 8, 14)
ATEN = torch.ops.aten


def simple_model(**profile):
    """Return a model of one convolution: few steps, at each of which memory may run out."""
    model = small_model(**profile)
    torch.manual_seed(1)
    return dataclasses.replace(model, network=nn.Conv3d(2, 2, 3, padding=1))


def on_card(model):
    card = dataclasses.replace(model)
    object.__setattr__(card, "device", CARD)
    return card


@pytest.fixture
def card(monkeypatch):
    """Take the CPU's other name for a GPU's."""
    for module in (blending, inference):
        monkeypatch.setattr(module, "runs_ahead", lambda device: device == CARD)
    return on_card


class Full(TorchDispatchMode):
    """Counts what is done on the card, and has its memory run out from one step to another."""

    def __init__(self, first=10**9, last=10**9):
        super().__init__()
        self.first, self.last, self.steps, self.active = first, last, 0, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if self.active:
            self.steps += 1
            if self.first < self.steps <= self.last:
                raise torch.OutOfMemoryError("CUDA out of memory")
        return function(*args, **(kwargs or {}))

    @contextmanager
    def on(self, there):
        self.active += there
        try:
            yield
        finally:
            self.active -= there


@pytest.fixture
def watched(card, monkeypatch):
    """Return what makes a mode whose steps are those of the card alone."""
    current = [Full()]

    def watch(owner, name, there):
        plain = getattr(owner, name)

        def wrapped(*args, **kwargs):
            with current[-1].on(bool(there(*args))):
                return plain(*args, **kwargs)

        monkeypatch.setattr(owner, name, wrapped)

    watch(Blend, "_begin", lambda blend, place: place == CARD)
    watch(Blend, "_add_batch", lambda blend: blend._device == CARD)
    watch(Blend, "_total", lambda blend: blend._there)
    watch(blending, "layer_bytes", lambda model: True)

    def make(*between):
        current.append(Full(*between))
        return current[-1]

    return make


@pytest.mark.slow
def test_memory_may_run_out_at_any_step_of_the_card(watched):
    model, case = simple_model(overlap=0.5), random_case(SHAPE)
    expected = finish(predict(model, case, keep_logits=True))
    with watched() as plain:
        finish(predict(on_card(model), case))
    assert plain.steps > 30
    noted = 0
    for step in range(plain.steps):
        for last in (step + 1, step + 4, 10**9):
            with watched(step, last):
                reports = list(predict(on_card(dataclasses.replace(model)), case, keep_logits=True))
            noted += any("the rest is computed on the CPU" in report.note for report in reports)
            found = reports[-1].result
            np.testing.assert_allclose(found.logits, expected.logits, atol=1e-5)
            np.testing.assert_allclose(found.probability, expected.probability, atol=1e-6)
    assert noted > plain.steps // 2, "what stays full ends on the CPU, and that is said"


def test_what_is_done_is_kept_when_memory_runs_out(card, monkeypatch):
    model, case = small_model(), random_case((12, 10, 14))
    expected, sizes, real = segment(model, case).probability, [], Blend._logits

    def full(self, windows):
        if self._device == CARD:
            sizes.append((len(windows), self._there))
            if len(sizes) > 1:
                raise torch.OutOfMemoryError("out of memory")
        return real(self, windows)

    monkeypatch.setattr(Blend, "_logits", full)
    monkeypatch.setattr(blending, "MOST_TOGETHER", 4)
    monkeypatch.setattr(blending, "device_label", lambda device: "CUDA: small card")
    result = segment(card(model), case)
    # The first four windows are done; then four, two, one, and one without the image there.
    assert sizes == [(4, True), (4, True), (2, True), (1, True), (1, False)]
    np.testing.assert_allclose(result.probability, expected, atol=1e-6)
    assert result.notes[-1:] == (
        "CUDA: small card ran out of memory; the rest is computed on the CPU.",
    )


def test_without_memory_for_probabilities_the_cpu_computes_them(card, monkeypatch):
    model, case = simple_model(), random_case(SHAPE)
    expected, real, calls = finish(predict(model, case)), inference.class_probability, []

    def full(profile, logits):
        calls.append(1)
        if len(calls) == 1:
            raise torch.OutOfMemoryError("out of memory")
        return real(profile, logits)

    monkeypatch.setattr(inference, "class_probability", full)
    found = finish(predict(card(model), case))
    np.testing.assert_allclose(found.probability, expected.probability, atol=1e-6)
    assert len(calls) == 2
    assert found.logits is None


@pytest.mark.parametrize("free", [1, 10**5, 10**9])
@pytest.mark.parametrize("name", ["unet", "dynunet"])
def test_whatever_fits_on_the_card_the_values_are_the_same(card, monkeypatch, free, name):
    model, case = small_model(name), random_case((20, 10, 14))
    monkeypatch.setattr(blending, "free_on", lambda device: free)
    image = network_input(model, case)
    blend = Blend(card(model), image, tiling(model.profile, case.shape, "sliding-window"))
    assert blend._there == (free > 10**6)
    assert (blend._batch > 1) == (free > (10**5 if name == "dynunet" else 1))
    expected = sliding_window_inference(
        image[None], (8, 8, 8), 1, model.network, overlap=0.25, mode="gaussian"
    )[0]
    found = finish(logit_map(card(model), case))
    np.testing.assert_allclose(found, expected.detach().numpy(), atol=1e-4)


def test_the_probability_is_that_of_the_logits(card):
    model, case = small_model(), random_case(SHAPE)
    for seen in (model, card(model)):
        found = finish(predict(seen, case, keep_logits=True))
        np.testing.assert_array_equal(found.probability, probability_of(model, case, found.logits))
        np.testing.assert_array_equal(found.logits, finish(logit_map(seen, case)))


@pytest.mark.parametrize("free", [1, 10**9])
def test_a_change_is_computed_there_too(card, monkeypatch, free):
    model, case = small_model(), random_case((26, 10, 14))
    before = segment(model, case, keep_logits=True)
    region, edit = ball(case.shape, (3, 4, 5), 1), Edit("T1", "brighten", 50, "percent")
    expected = what_if(model, case, before, region, edit).probability
    monkeypatch.setattr(blending, "free_on", lambda device: free)
    found = what_if(card(model), case, before, region, edit).probability
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.array_equal(found[13:], before.probability[13:]), "no change reaches this"
    assert not np.array_equal(found, before.probability)


class Copies(TorchDispatchMode):
    """A GPU where nothing has a value: counts copies to it and back, and what is asked of it."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is ATEN._local_scalar_dense.default and args[0].device.type == "meta":
            self.counts["asked"] += 1
            return True
        if function.overloadpacket in (ATEN._to_copy, ATEN.to) and "device" in kwargs:
            ways = args[0].device.type, torch.device(kwargs["device"]).type
            if ways == ("meta", "cpu"):
                self.counts["back"] += 1
                return torch.zeros(args[0].shape, dtype=args[0].dtype)
            self.counts["there"] += ways == ("cpu", "meta")
        if function is ATEN.copy_.default and args[0].device != args[1].device:
            self.counts["other"] += 1
        return function(*args, **kwargs)


def copies_of(shape, monkeypatch, free=10**12, before=0):
    """Return how often something was copied, asked and waited for, and the number of windows.

    So many predictions of the same case come before.
    """
    model, case = small_model("unet"), random_case(shape)
    card = dataclasses.replace(model, device=torch.device("meta"))
    waits = Counter()

    def when_done(device):
        waits["given"] += 1
        waits["most ahead"] = max(waits["most ahead"], waits["given"] - waits["waited"])

        def wait():
            waits["waited"] += 1

        return wait

    monkeypatch.setattr(blending, "when_done", when_done)
    for module in (blending, inference):
        monkeypatch.setattr(module, "free_on", lambda device: free)
    for _ in range(1 + before):
        waits.clear()
        with Copies() as mode:
            reports = list(predict(card, case, keep_logits=True))
    return mode.counts, waits, len(reports), reports[-1].total - 1


@pytest.mark.slow
def test_copies_and_questions_do_not_grow_with_windows(monkeypatch):
    few, _, _, some = copies_of((12, 8, 14), monkeypatch)
    many, waits, _, most = copies_of((44, 32, 44), monkeypatch)
    assert most >= 30 * some
    assert few == many
    # The volume, the weights and those to sum; logits, probability; whether the sum is finite.
    assert many == {"there": 3, "back": 2, "asked": 1}
    assert waits["most ahead"] == UNDER_WAY + 1


def test_the_volume_is_sent_once_for_all_that_is_asked_of_a_case(monkeypatch):
    first, *_ = copies_of((12, 8, 14), monkeypatch)
    again, *_ = copies_of((12, 8, 14), monkeypatch, before=1)
    assert first - again == {"there": 1}


def test_a_card_too_small_for_the_volume_is_sent_its_windows(monkeypatch):
    counts, waits, _, windows = copies_of((12, 8, 14), monkeypatch, free=1)
    assert counts["there"] == counts["back"] == windows
    assert not waits


def test_windows_count_as_done_when_the_card_is_done(card, monkeypatch):
    """At most two batches are given ahead, and what is said to be done was waited for."""
    model, case = small_model(), random_case((40, 8, 14))
    monkeypatch.setattr(blending, "MOST_TOGETHER", 2)
    given, waited = [], []

    def when_done(device):
        given.append(len(given))
        return lambda number=given[-1]: waited.append(number)

    monkeypatch.setattr(blending, "when_done", when_done)
    blend = Blend(
        card(model), network_input(model, case), tiling(model.profile, case.shape, "sliding-window")
    )
    for batch, (done, _) in enumerate(blend.run(), start=1):
        assert len(given) == batch
        assert waited == list(range(max(batch - UNDER_WAY, 0)))
        assert done == 2 * len(waited)
    assert batch > 4


def test_batches_have_few_sizes(card):
    model, case = small_model(), random_case((44, 10, 14))
    sizes, hook = [], lambda module, inputs: sizes.append(len(inputs[0]))
    handle = model.network.register_forward_pre_hook(hook)
    finish(logit_map(card(model), case))
    handle.remove()
    sizes = [size for size in sizes if size > 1]
    assert sum(sizes) == 28
    assert sizes == [14, 14]


def test_constant_windows_are_those_that_are():
    model = small_model(window=(8, 8, 8), overlap=0.5)
    image = torch.randn(2, 30, 9, 20)
    image[0, 5:26], image[1, 3:28] = 2.0, -1.0
    image[1, 20, 4, 17] = 3.0
    image[0, 9, 0, 0] = torch.nan
    tiles = tiling(model.profile, image.shape[1:], "sliding-window")
    found = constant_windows(image, tiles, tiles.windows)
    for window, constant in zip(tiles.windows, found, strict=True):
        crop = tiles.crop(image, window).flatten(1)
        same = all(len(channel.unique()) == 1 for channel in crop)
        assert constant == (tuple(crop[:, 0].tolist()) if same else None)
    assert len({*found}) == 2
    assert found.count((2.0, -1.0)) > 1


def test_a_card_says_where_logits_are_not_finite(card):
    from napari_ies.errors import SegmentationError

    model, case = small_model(), random_case((20, 10, 14))
    values = case.data.copy()
    values[1, 19, 9, 13] = 1e38
    case = dataclasses.replace(case, data=values)
    profile = dataclasses.replace(model.profile, normalisation="none")
    network = nn.Sequential(nn.Conv3d(2, 2, 1), nn.Conv3d(2, 2, 1))
    for layer in network:
        nn.init.constant_(layer.weight, 100.0)
    spoilt = dataclasses.replace(model, network=network, profile=profile)
    with pytest.raises(SegmentationError, match=r"in window 12 of 12 .* first in its layer 0;"):
        finish(predict(card(spoilt), case))


def test_a_network_that_goes_on_on_the_cpu_stays_where_it_is(monkeypatch):
    """Another thread may be using it, and there may be no memory to come back to."""
    network = small_model().network

    def moved(*_):
        raise AssertionError("the network was moved")

    monkeypatch.setattr(nn.Module, "_apply", moved)
    held = {id(one) for one in (*network.parameters(), *network.buffers())}
    twin = blending._on_cpu(network)
    assert not twin.training
    assert {id(one) for one in (*network.parameters(), *network.buffers())} == held
    assert not held & {id(one) for one in twin.parameters()}
    assert all(isinstance(one, nn.Parameter) for one in twin.parameters())
    image = torch.randn((1, 2, 8, 8, 8), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(twin(image), network(image), rtol=0, atol=0)
