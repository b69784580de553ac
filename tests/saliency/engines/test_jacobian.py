"""Gradients of single output voxels, by every engine, against plain autograd in float64."""

import logging
import re

import numpy as np
import pytest
import torch
from cases import ball, random_case
from monai.networks.blocks import SubpixelUpsample
from monai.networks.nets.vnet import InputTransition
from networks import small_model
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from napari_ies.errors import SaliencyError
from napari_ies.geometry.box import Box
from napari_ies.saliency import explain
from napari_ies.saliency.engines import jacobian, local_network
from napari_ies.saliency.engines.certification import choose_engine
from napari_ies.saliency.engines.chunks import chunked
from napari_ies.saliency.engines.local_network import LocalNetwork
from napari_ies.saliency.engines.local_translation import NotLocalError
from napari_ies.saliency.engines.patches import Patch, add_to
from napari_ies.saliency.engines.plan import Seeds

DOMAIN = (13, 12, 14)
VOXELS = np.array([(0, 0, 0), (12, 11, 13), (6, 5, 7), (6, 6, 7), (7, 11, 0), (3, 8, 12)])


def conv(*args, **kwargs):
    return nn.Conv3d(*args, **kwargs)


class Residual(nn.Module):
    """A sum, a concatenation and a batch norm that no convolution can take in."""

    def __init__(self, inplace=False):
        super().__init__()
        self.norm = nn.BatchNorm3d(2)
        self.first = conv(2, 4, 3, padding=1)
        self.second = conv(4, 4, (3, 1, 5), padding=(1, 0, 2))
        self.last = conv(8, 2, 1)
        self.act = nn.ELU(inplace=inplace)

    def forward(self, x):
        first = self.first(self.norm(x))
        second = self.act(self.second(self.act(first)) + first)
        return self.last(torch.cat((first, second), dim=1))


LOCAL = {
    "kernel 5": lambda: nn.Sequential(conv(2, 2, 5, padding=2)),
    "no padding at all": lambda: nn.Sequential(
        conv(2, 3, 3), nn.Tanh(), nn.ConvTranspose3d(3, 2, 3)
    ),
    "dilation and groups": lambda: nn.Sequential(
        conv(2, 4, 3, padding=2, dilation=2, groups=2), nn.SiLU(), conv(4, 2, 1)
    ),
    "stride 3": lambda: nn.Sequential(
        conv(2, 5, 3, stride=(1, 3, 2), padding=1),
        nn.LeakyReLU(0.2, inplace=True),
        nn.ConvTranspose3d(5, 2, (1, 3, 4), stride=(1, 3, 2), padding=(0, 0, 1)),
    ),
    "output padding": lambda: nn.Sequential(
        conv(2, 5, 3, stride=(1, 2, 2), padding=1),
        nn.PReLU(5),
        nn.ConvTranspose3d(
            5, 2, 3, stride=(1, 2, 2), padding=1, output_padding=(0, 1, 1), bias=False
        ),
    ),
    "nearest upsampling": lambda: nn.Sequential(
        conv(2, 3, 3, stride=(1, 2, 2), padding=1),
        nn.BatchNorm3d(3),
        nn.GELU(),
        nn.Upsample(scale_factor=(1, 2, 2), mode="nearest"),
        conv(3, 2, 3, padding=1),
    ),
    "linear upsampling": lambda: nn.Sequential(
        conv(2, 3, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Upsample(scale_factor=2, mode="trilinear", align_corners=True),
        conv(3, 3, 3, padding=1),
        nn.Upsample(scale_factor=(1.5, 1, 2), mode="trilinear", align_corners=False),
        nn.LeakyReLU(0.1),
        conv(3, 2, 3, stride=(1, 1, 2), padding=1),
    ),
    "max pooling": lambda: nn.Sequential(
        conv(2, 3, 3, padding=1),
        nn.MaxPool3d((2, 3, 1)),
        nn.Upsample(scale_factor=(2, 3, 1)),
        conv(3, 3, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool3d(2),
        nn.ConvTranspose3d(3, 2, 3, stride=2),
    ),
    "subpixel upsampling": lambda: nn.Sequential(
        conv(2, 4, 3, stride=2, padding=1),
        SubpixelUpsample(3, 4, 3, 2),
        nn.ELU(),
        SubpixelUpsample(3, 3, 2, 2, apply_pad_pool=False),
        conv(2, 2, 3, stride=2, padding=1),
    ),
    "groups of a transposed convolution": lambda: nn.Sequential(
        conv(2, 6, 3, stride=2, padding=1), nn.ConvTranspose3d(6, 4, 3, 2, 1, groups=2)
    ),
    "repeated channels": lambda: InputTransition(3, 2, 6, "elu"),
    "residual": Residual,
}


def randomised(network, seed=0):
    """Return the network in float64 and evaluation mode, statistics of its norms included."""
    torch.manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            module.weight.data.normal_(1, 0.3)
            module.bias.data.normal_()
    return network.double().eval().requires_grad_(False)


def span_of(voxels):
    return Box(voxels.min(axis=0), voxels.max(axis=0) + 1)


def on_domain(patch, row):
    """Put a row on the whole domain; what it holds outside must be zero."""
    whole = torch.zeros((patch.values.shape[1], *DOMAIN), dtype=torch.float64)
    outside = patch.values[row].clone()
    low = np.maximum(patch.base[row], 0)
    high = np.minimum(patch.base[row] + patch.size, DOMAIN)
    target = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    source = tuple(
        slice(a, b) for a, b in zip(low - patch.base[row], high - patch.base[row], strict=True)
    )
    whole[(slice(None), *target)] = patch.values[row][(slice(None), *source)]
    outside[(slice(None), *source)] = 0
    assert not outside.any()
    return whole


@pytest.mark.parametrize("name", LOCAL)
def test_local_logits_and_gradients_equal_autograd(name):
    network = randomised(LOCAL[name]())
    image = torch.randn(2, *DOMAIN, dtype=torch.float64, requires_grad=True)
    logits = network(image[None])[0]
    voxels = VOXELS[(logits.shape[1:] > VOXELS).all(axis=1)]
    local = LocalNetwork(network)
    for chosen in (voxels, voxels[2:3], voxels[:1]):
        span = span_of(chosen)
        seen = image.detach()[(slice(None), *local.reach(span, DOMAIN))]
        linearised = local.linearise(seen[None], span, DOMAIN, 1)
        torch.testing.assert_close(linearised.logits[0], logits.detach()[(slice(None), *span)])
        weights = torch.arange(1.0, len(chosen) + 1, dtype=torch.float64)
        rows = linearised.rows(Seeds(chosen, weights))
        total = torch.zeros_like(image)
        for row, voxel in enumerate(chosen):
            (expected,) = torch.autograd.grad(
                weights[row] * logits[(1, *voxel)], image, retain_graph=True
            )
            torch.testing.assert_close(on_domain(rows, row), expected, rtol=1e-10, atol=1e-12)
            total += expected
        combined = linearised.combined(Seeds(chosen, weights))
        torch.testing.assert_close(on_domain(combined, 0), total, rtol=1e-10, atol=1e-12)


def test_the_pull_is_the_adjoint_of_the_forward_derivative():
    """⟨Jv, u⟩ = ⟨v, Jᵀu⟩, with Jv by forward-mode differentiation."""
    network = randomised(Residual())
    image, tangent = torch.randn(2, 2, *DOMAIN, dtype=torch.float64)
    _, forward = torch.func.jvp(lambda x: network(x[None])[0, 1], (image,), (tangent,))
    cotangent = torch.randn(len(VOXELS), dtype=torch.float64)
    span = span_of(VOXELS)
    linearised = LocalNetwork(network).linearise(image[None], span, DOMAIN, 1)
    pulled = on_domain(linearised.combined(Seeds(VOXELS, cotangent)), 0)
    left = (forward[tuple(VOXELS.T)] * cotangent).sum()
    assert float(left) == pytest.approx(float((tangent * pulled).sum()), rel=1e-12)


@pytest.mark.parametrize(
    "name", ["unet", "unet-residual", "unet-anisotropic", "unet-instance", "dynunet"]
)
def test_the_gradients_are_the_adjoint_of_the_forward_derivative(name):
    """The same of the networks as they are, by the engine that each gets.

    Transformers get that of the last two, and are compared with the double loop.
    """
    model = small_model(name)
    engine = choose_engine(small_model(name))
    engine = type(engine)(model.network.double())
    domain = model.profile.fixed_size or model.profile.window
    image, tangent = torch.randn(2, 2, *domain, dtype=torch.float64)
    voxels = np.array([(0, 0, 0), (3, 4, 2), (domain[0] - 1, 5, domain[2] - 1)])
    cotangent = torch.randn(len(voxels), dtype=torch.float64)
    span = span_of(voxels)
    assert engine.reach(span, domain) == Box((0, 0, 0), domain)
    linearised = engine.linearise(image[None], span, domain, 1)
    pulled = torch.zeros_like(image)
    add_to(pulled, linearised.combined(Seeds(voxels, cotangent)), (0, 0, 0))
    _, forward = torch.func.jvp(lambda x: model.network(x[None])[0, 1], (image,), (tangent,))
    left = (forward[tuple(voxels.T)] * cotangent).sum()
    assert float(left) == pytest.approx(float((tangent * pulled).sum()), rel=1e-9)


def test_a_linear_network_has_its_kernel_as_jacobian():
    network = randomised(nn.Sequential(conv(2, 2, 3, padding=1, bias=False)))
    image = torch.zeros(2, *DOMAIN, dtype=torch.float64)
    linearised = LocalNetwork(network).linearise(image[None], Box((6, 5, 7), (7, 6, 8)), DOMAIN, 0)
    row = linearised.rows(Seeds(VOXELS[2:3], torch.ones(1)))
    assert row.base[0].tolist() == [5, 4, 6]
    assert torch.equal(row.values[0], network[0].weight[0])


REFUSED = {
    "instance statistics": lambda: nn.Sequential(conv(2, 2, 3), nn.InstanceNorm3d(2)),
    "group statistics": lambda: nn.Sequential(conv(2, 2, 3), nn.GroupNorm(1, 2)),
    "batch statistics": lambda: nn.Sequential(
        conv(2, 2, 3), nn.BatchNorm3d(2, track_running_stats=False)
    ),
    "pooling": lambda: nn.Sequential(conv(2, 2, 3), nn.AdaptiveAvgPool3d(1)),
    "circular padding": lambda: conv(2, 2, 3, padding=1, padding_mode="circular"),
    "pooling whose windows overlap": lambda: nn.MaxPool3d(3, stride=1, padding=1),
    "overwritten values": lambda: Residual(inplace=True),
    "linear layer": lambda: nn.Linear(3, 3),
}


@pytest.mark.parametrize("name", REFUSED)
def test_layers_without_a_box_are_refused(name):
    with pytest.raises(NotLocalError):
        LocalNetwork(REFUSED[name]().eval())


@pytest.mark.parametrize("name", ["unet-instance", "dynunet", "swin", "unetr"])
def test_networks_with_instance_statistics_or_attention_are_never_windowed(name, caplog):
    model = small_model(name)
    with caplog.at_level(logging.INFO, logger="napari_ies"):
        assert choose_engine(model).name == "loop"
    assert "Whole windows, loop: " in caplog.text
    with pytest.raises(SaliencyError, match="cannot be windowed"):
        choose_engine(model, "windowed")


@pytest.mark.parametrize("name", ["unet", "unet-residual", "unet-anisotropic"])
def test_batch_norm_networks_are_windowed(name):
    assert choose_engine(small_model(name)).name == "windowed"


def test_gradients_that_fail_their_trial_are_not_used(monkeypatch):
    """A defect of the windowed engine must end in whole windows, not in a wrong map."""
    model = small_model()
    real = jacobian.LocalLinearisation.combined

    def wrong(self, seeds):
        patch = real(self, seeds)
        return Patch(patch.values * 1.01, patch.base)

    monkeypatch.setattr(jacobian.LocalLinearisation, "combined", wrong)
    assert choose_engine(model).name == "loop"


@pytest.mark.parametrize("aggregation", ["mean", "max"])
@pytest.mark.parametrize("engine", ["loop", "batched", "windowed"])
def test_every_engine_gives_the_same_map(engine, aggregation):
    shape = (12, 10, 14)
    model, case, mask = small_model(), random_case(shape), ball(shape, (6, 5, 7), 1.5)
    settings = {"aggregation": aggregation, "n_samples": 2, "forward": "whole-volume"}
    expected = explain(model, case, mask, jacobian="loop", **settings).maps
    saliency = explain(model, case, mask, jacobian=engine, **settings)
    assert saliency.provenance["jacobian"] == engine
    np.testing.assert_allclose(saliency.maps, expected, atol=1e-5 * np.abs(expected).max())


def test_an_unknown_engine_is_refused():
    with pytest.raises(SaliencyError, match="no jacobian 'fast'"):
        choose_engine(small_model(), "fast")


@pytest.mark.parametrize("limit", [1, 3, 5])
def test_rows_are_the_same_in_smaller_chunks_where_memory_runs_out(limit):
    sizes = []

    def compute(part):
        if part.stop - part.start > limit:
            raise torch.OutOfMemoryError("out of memory")
        sizes.append(part.stop - part.start)
        return Patch(torch.arange(part.start, part.stop), np.zeros((1, 3)))

    rows = torch.cat([patch.values for _, patch in chunked(compute, 11, 8)])
    assert rows.tolist() == list(range(11))
    assert max(sizes) <= limit


@pytest.mark.parametrize(("count", "size", "sizes"), [(9, 8, [5, 4]), (16, 8, [8, 8]), (3, 8, [3])])
def test_chunks_are_as_alike_as_can_be(count, size, sizes):
    parts = [part for part, _ in chunked(lambda part: None, count, size)]
    assert [part.stop - part.start for part in parts] == sizes


class OutOfMemory(TorchDispatchMode):
    """Raises an out-of-memory error at one operation, wherever PyTorch runs it."""

    def __init__(self, at, message):
        super().__init__()
        self.count, self._at, self._message = 0, at, message

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += 1
        if self.count == self._at:
            kind = RuntimeError if "Allocator" in self._message else torch.OutOfMemoryError
            raise kind(self._message)
        return function(*args, **(kwargs or {}))


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        *({"aggregation": "max", "jacobian": e} for e in ("loop", "batched", "windowed")),
        *(
            {"aggregation": "max", "jacobian": "windowed", "forward": forward, "moved": "by index"}
            for forward in ("whole-volume", "sliding-window")
        ),
        {"aggregation": "max", "jacobian": "windowed", "forward": "sliding-window"},
        {"aggregation": "mean", "jacobian": "windowed"},
        {"method": "gradcam++"},
    ],
    ids=lambda s: "-".join(s.values()),
)
def test_out_of_memory_anywhere_is_a_smaller_chunk_or_one_sentence(settings, monkeypatch):
    settings, shape = dict(settings), (12, 8, 8)  # two windows, which share the footprint
    if settings.pop("moved", ""):
        monkeypatch.setattr(local_network, "by_index", lambda device: True)
    model, case, mask = small_model(), random_case(shape), ball(shape, (6, 4, 4), 1.0)
    settings = {"n_samples": 1, "forward": "whole-volume", **settings}
    expected = explain(model, case, mask, **settings).maps  # its trial is not what is tested
    with OutOfMemory(0, "") as counter:
        explain(model, case, mask, **settings)
    went_on = 0
    places = range(1, counter.count + 1, max(counter.count // 25, 1))
    for number, place in enumerate(places):
        message = ("CUDA out of memory", "DefaultCPUAllocator: not enough memory")[number % 2]
        said, maps = "", None
        try:
            with OutOfMemory(place, message):
                maps = explain(model, case, mask, **settings).maps
        except SaliencyError as error:
            said = str(error)
        if maps is None:
            assert re.fullmatch(r"There is not enough memory .*", said)
        else:
            went_on += 1
            np.testing.assert_allclose(maps, expected, atol=1e-6 * np.abs(expected).max())
        assert not any(parameter.requires_grad for parameter in model.network.parameters())
        assert not any(module._forward_hooks for module in model.network.modules())
    in_chunks = settings.get("jacobian") != "loop" and settings.get("aggregation") == "max"
    assert (went_on > 0) == in_chunks
