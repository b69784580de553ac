"""Rows by index, as on a graphics card: the same numbers, a fixed number of operations, no waiting.

By index is tried on the CPU for its values, and on the `meta` device for its operations: there no
number is known, so whatever asks for one, as a wait for a card does, raises an error.
"""

from collections import Counter

import numpy as np
import pytest
import torch
from cases import ball, random_case
from monai.networks.nets import UNet
from networks import small_model
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from napari_ies.geometry.box import Box
from napari_ies.geometry.orientation import Reorientation
from napari_ies.network.profile import Profile
from napari_ies.network.windows import tiling
from napari_ies.saliency import explain
from napari_ies.saliency.engines import jacobian, local_network, plan
from napari_ies.saliency.engines.jacobian import WindowedEngine
from napari_ies.saliency.engines.local_network import LocalNetwork
from napari_ies.saliency.engines.moves import landed
from napari_ies.saliency.engines.plan import Seeds
from napari_ies.saliency.forwards import Forwards
from napari_ies.saliency.noise import Noise
from napari_ies.saliency.problem import Problem, Target
from napari_ies.saliency.running_map import RunningMap

DOMAIN = (21, 20, 23)
VOXELS = np.array(
    [(0, 0, 0), (20, 19, 22), (9, 10, 11), (10, 10, 11), (20, 0, 11), (4, 13, 22), (11, 3, 0)]
)
"""At corners, on faces, and beside each other inside."""


def trial(name):
    """A network in float64, the domain it takes, voxels of its output, and an image."""
    torch.manual_seed(1)
    network = NETWORKS[name]().double().eval().requires_grad_(False)
    domain = (20, 16, 24) if name.startswith("unet") else DOMAIN
    image = torch.randn(2, *domain, dtype=torch.float64)
    size = network(image[None]).shape[2:]
    return network, domain, np.minimum(VOXELS, np.array(size) - 1), image


class Forked(nn.Module):
    """Sums, a concatenation, dilation and strides that do not fit each other's boxes."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv3d(2, 3, 3, padding=1)
        self.wide = nn.Conv3d(3, 3, 3, padding=3, dilation=3)
        self.down = nn.Conv3d(3, 4, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose3d(4, 3, (2, 3, 2), stride=(2, 3, 2))
        self.same = nn.Conv3d(3, 3, (3, 4, 3), stride=(1, 2, 1), padding=(1, 0, 1))
        self.last = nn.Conv3d(6, 2, 1)
        self.act, self.smooth = nn.ELU(), nn.SiLU()

    def forward(self, x):
        first = self.act(self.first(x))
        summed = self.wide(first) + first
        grown = self.smooth(self.up(self.down(summed)))
        return self.last(torch.cat((self.same(grown), self.same(self.act(grown))), dim=1))


NETWORKS = {
    "forked": Forked,
    "unet": lambda: small_model("unet").network,
    "unet-residual": lambda: small_model("unet-residual").network,
    "unet-anisotropic": lambda: small_model("unet-anisotropic").network,
    "kernel smaller than its stride": lambda: nn.Sequential(
        nn.Conv3d(2, 3, 2, stride=3), nn.Softplus(), nn.ConvTranspose3d(3, 2, 2, stride=3)
    ),
    "upsampling": lambda: nn.Sequential(
        nn.Conv3d(2, 3, 3, stride=2, padding=1),
        nn.ELU(),
        nn.Upsample(scale_factor=2, mode="trilinear", align_corners=True),
        nn.Conv3d(3, 2, 3, padding=1),
    ),
    "an activation last": lambda: nn.Sequential(nn.Conv3d(2, 2, 3, padding=1), nn.Sigmoid()),
    "max pooling": lambda: nn.Sequential(
        nn.Conv3d(2, 3, 3, padding=1),
        nn.MaxPool3d(2),
        nn.Conv3d(3, 3, 3, padding=1),
        nn.ELU(),
        nn.ConvTranspose3d(3, 2, 2, stride=2),
    ),
    "one channel": lambda: nn.Sequential(
        nn.Conv3d(2, 1, 3, stride=2, padding=1), nn.Tanh(), nn.ConvTranspose3d(1, 2, 2, stride=2)
    ),
}


@pytest.fixture
def by_index(monkeypatch):
    monkeypatch.setattr(local_network, "by_index", lambda device: True)


def gradients(network, image, voxels, class_index):
    """Gradients of single logits, one backward pass after another, and the logits."""
    leaf = image.clone().requires_grad_()
    logits = network(leaf[None])[0, class_index]
    rows = [
        torch.autograd.grad(logits[tuple(voxel)], leaf, retain_graph=True)[0] for voxel in voxels
    ]
    return torch.stack(rows)


def on_canvas(patch, box):
    """Rows (R, C, x, y, z) on a box."""
    canvas = torch.zeros((*patch.values.shape[:2], *box.shape), dtype=patch.values.dtype)
    for rows, values, at in landed(patch, box):
        canvas[(rows, slice(None), *at)] = values
    return canvas


@pytest.mark.parametrize("name", NETWORKS)
def test_rows_by_index_equal_autograd(name, by_index):
    network, domain, voxels, image = trial(name)
    local, span = LocalNetwork(network), Box.of_voxels(voxels)
    seen = image[(slice(None), *local.reach(span, domain))]
    forward = local.linearise(seen[None], span, domain, 1)
    weights = torch.linspace(0.5, 2, len(voxels), dtype=torch.float64)
    expected = gradients(network, image, voxels, 1) * weights.view(-1, 1, 1, 1, 1)
    seeds = Seeds(voxels, weights)
    beyond = Box.whole(domain).grow(30)  # nothing of a row lies outside the domain
    rows = forward.rows(seeds)
    assert rows.landing is not None
    inner = Box.whole(domain).within(beyond)
    found = on_canvas(rows, beyond)
    torch.testing.assert_close(found[(..., *inner)], expected, rtol=1e-10, atol=1e-12)
    found[(..., *inner)] = 0
    assert not found.any()
    # Whichever rows a chunk has, and whatever part of the window a canvas shows.
    for part in (slice(0, 1), slice(2, 4), slice(3, 7)):
        for box in (Box.whole(domain), Box((2, 3, 4), (9, 8, 7)), Box((-5, 7, 9), (4, 40, 10))):
            shown = torch.zeros((part.stop - part.start, 2, *box.shape), dtype=torch.float64)
            inside = box.meet(Box.whole(domain))
            shown[(..., *inside.within(box))] = expected[(part, slice(None), *inside)]
            found = on_canvas(forward.rows(seeds, part), box)
            torch.testing.assert_close(found, shown, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_both_ways_give_the_same_rows(name, monkeypatch):
    network, domain, voxels, image = trial(name)
    local, span, found = LocalNetwork(network), Box.of_voxels(voxels), []
    seen = image[(slice(None), *local.reach(span, domain))]
    for way in (False, True):
        monkeypatch.setattr(local_network, "by_index", lambda device, way=way: way)
        forward = local.linearise(seen[None], span, domain, 0)
        rows = forward.rows(Seeds(voxels, torch.ones(len(voxels))))
        found.append(on_canvas(rows, Box.whole(domain)))
    torch.testing.assert_close(found[0], found[1], rtol=1e-12, atol=1e-13)


class Sizes(TorchDispatchMode):
    """Keeps the sizes of what convolutions give."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if function is torch.ops.aten.convolution.default:
            self.seen.append(tuple(result.shape[2:]))
        return result


@pytest.mark.parametrize("place", ["a corner", "the middle", "everywhere", "together"])
def test_rows_in_slices_stay_within_the_window(place):
    """A small window is all that a deep network's rows can reach, on whichever boxes they lie."""
    torch.manual_seed(0)
    wide = [nn.Conv3d(2, 2, 5, padding=2) for _ in range(5)]
    network = nn.Sequential(
        nn.Conv3d(2, 2, 3, stride=2, padding=1),
        *wide[:3],
        nn.ConvTranspose3d(2, 2, 3, stride=2, padding=1, output_padding=1),
        *(layer for one in wide[3:] for layer in (nn.ELU(), one)),
    )
    network, domain = network.double().requires_grad_(False), (12, 10, 14)
    voxels = {
        "a corner": np.array([(0, 9, 0)]),
        "the middle": np.array([(6, 5, 7), (6, 4, 7)]),
        "everywhere": np.array([(0, 0, 0), (6, 5, 7), (11, 9, 13), (11, 0, 6)]),
        "together": np.array([(0, 9, 0), (3, 5, 2)]),
    }[place]
    image, span = torch.randn(2, *domain, dtype=torch.float64), Box.of_voxels(voxels)
    local, whole = LocalNetwork(network), Box.whole(domain)
    forward = local.linearise(image[(None, ..., *local.reach(span, domain))], span, domain, 1)
    weights = torch.linspace(0.5, 1, len(voxels), dtype=torch.float64)
    expected = gradients(network, image, voxels, 1) * weights.view(-1, 1, 1, 1, 1)
    with Sizes() as sizes:
        if place == "together":
            found = on_canvas(forward.combined(Seeds(voxels, weights)), whole)
            expected = expected.sum(dim=0, keepdim=True)
        else:
            found = on_canvas(forward.rows(Seeds(voxels, weights)), whole)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    assert len(sizes.seen) == 7
    # A kernel's reach beyond the window at most, however deep: without, there would be 37 voxels.
    assert (np.array(sizes.seen) <= np.array(domain) + 4).all()


def test_rows_that_are_planned_in_portions_are_the_same(by_index, monkeypatch):
    monkeypatch.setattr(plan, "TOGETHER", 5)
    monkeypatch.setattr(plan, "OVERLAP", 2)
    monkeypatch.setattr(plan, "KEPT", 2)
    network = small_model("unet").network.double()
    voxels = np.argwhere(np.ones((3, 3, 2))) + np.array((4, 7, 5))
    span, local = Box.of_voxels(voxels), LocalNetwork(network)
    image = torch.randn(1, 2, *local.reach(span, (12, 16, 12)).shape, dtype=torch.float64)
    forward = local.linearise(image, span, (12, 16, 12), 1)
    seeds, whole = Seeds(voxels, torch.ones(len(voxels))), Box.whole((12, 16, 12))
    expected = on_canvas(forward.rows(Seeds(voxels, seeds.weights)), whole)
    for size in (1, 2, 4, 7):
        parts = [slice(i, min(i + size, len(voxels))) for i in range(0, len(voxels), size)]
        found = [on_canvas(forward.rows(seeds, part), whole) for part in parts]
        torch.testing.assert_close(torch.cat(found), expected, rtol=1e-12, atol=1e-13)


class Operations(TorchDispatchMode):
    """Counts what PyTorch dispatches, by name, and what is sent from one device to another."""

    def __init__(self):
        super().__init__()
        self.by_name, self.sent = Counter(), 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        self.by_name[str(function)] += 1
        if function is torch.ops.aten._to_copy.default:
            self.sent += result.device != args[0].device
        return result


class UnderWay:
    """Values that do not come, since nobody computes them."""

    here = False

    def __init__(self, values):
        pass


WAITS = ("item", "nonzero", "_local_scalar_dense", "is_nonzero", "masked_select", "equal")


def paper_problem(forward):
    """The paper's U-Net without numbers, on a volume of 182×218×182 voxels."""
    with torch.device("meta"):
        network = UNet(
            spatial_dims=3,
            in_channels=2,
            out_channels=2,
            channels=(32, 64, 128, 256, 512),
            strides=(2, 2, 2, 2),
            norm="batch",
        )
    network = network.eval().requires_grad_(False)
    shape = (182, 218, 182)
    profile = Profile(
        name="UNet",
        architecture="UNet",
        arguments={},
        sequences=("FLAIR", "T1"),
        divisor=(16, 16, 16),
    )
    return Problem(
        network=network,
        engine=WindowedEngine(network),
        device=torch.device("meta"),
        image=torch.zeros((2, *shape)),
        tiles=tiling(profile, shape, forward),
        class_index=1,
        turn=Reorientation.identity(shape),
        memory=2**36,
        arrival=UnderWay,
    )


def dispatched(problem, voxels, rows, monkeypatch):
    """Operations of a noise sample's first chunk of so many rows, and of all that comes after."""
    monkeypatch.setattr(jacobian, "GPU_CHUNK", rows)
    one = RunningMap(problem, 0, Target(voxels, "max"))
    ((holders, held),) = one.groups
    for _ in range(2):  # the second sample finds its rows planned
        forwards = Forwards(problem, one.box, Noise(0, 0.0), range(1))
        for piece in holders:
            forwards.of(piece)
        if len(holders) == 1:
            steps = one.reduce(holders[0], forwards, held)
        else:
            steps = one.reduce_summed(holders, forwards, held)
        with Operations() as first:
            next(steps)
        with Operations() as rest:
            for _ in steps:
                pass
        one.close_samples(range(1))
    return first.by_name, rest.by_name, len(holders)


# Deep inside, and where the patches reach beyond several faces.
@pytest.mark.slow
@pytest.mark.parametrize("corner", [(90, 100, 80), (1, 213, 176)])
def test_a_chunk_of_64_rows_dispatches_what_one_of_8_does(corner, monkeypatch):
    problem = paper_problem("whole-volume")
    voxels = np.argwhere(np.ones((4, 4, 4))) + np.array(corner)
    few, _, _ = dispatched(problem, voxels, 8, monkeypatch)
    many, rest, _ = dispatched(problem, voxels, 64, monkeypatch)
    assert few == many
    assert not rest
    assert few["aten.convolution.default"] == 9
    assert not [name for name in many if any(wait in name for wait in WAITS)]
    assert not [name for name in many if "_to_copy" in name]


@pytest.mark.slow
def test_rows_that_several_windows_predict_dispatch_the_same_for_64_as_for_8(monkeypatch):
    problem = paper_problem("sliding-window")
    voxels = np.argwhere(np.ones((4, 4, 4))) + np.array((90, 50, 80))
    few, rest_of_few, windows = dispatched(problem, voxels, 8, monkeypatch)
    many, rest_of_many, _ = dispatched(problem, voxels, 64, monkeypatch)
    assert windows > 1
    assert few == many
    assert not [name for name in many + rest_of_many if any(wait in name for wait in WAITS)]
    # 8 chunks in each window against one; the sums are taken in once.
    convolutions = "aten.convolution.default"
    assert rest_of_few[convolutions] + 9 == 8 * windows * 9
    assert rest_of_many[convolutions] + 9 == windows * 9


def test_a_piece_is_sent_in_two_transfers_however_many_rows_and_chunks(monkeypatch):
    """Its plan and its seeds; nothing in the samples after the first one."""
    problem = paper_problem("whole-volume")
    monkeypatch.setattr(jacobian, "GPU_CHUNK", 8)
    one = RunningMap(problem, 0, Target(np.argwhere(np.ones((4, 3, 5))) + 80, "max"))
    (((piece,), held),) = one.groups
    sent = []
    for _ in range(3):
        forwards = Forwards(problem, one.box, Noise(0, 0.0), range(1))
        forwards.of(piece)
        with Operations() as seen:
            assert len(list(one.reduce(piece, forwards, held))) == 8
        one.close_samples(range(1))
        sent.append(seen.sent)
    assert sent == [2, 0, 0]


@pytest.mark.slow
def test_a_mean_waits_for_nothing_either():
    problem = paper_problem("sliding-window")
    one = RunningMap(problem, 0, Target(np.argwhere(np.ones((4, 3, 5))) + 80, "mean"))
    operations = []
    for _ in range(2):
        forwards = Forwards(problem, one.box, Noise(0, 0.0), range(3))
        for piece in one.pieces:
            forwards.of(piece)
        with Operations() as seen:
            for piece in one.pieces:
                one.combine(piece, forwards)
        one.close_samples(range(1))
        operations.append(seen)
    assert [seen.sent for seen in operations] == [len(one.pieces), 0]  # the seeds, once
    assert not [name for name in operations[1].by_name if any(wait in name for wait in WAITS)]


@pytest.mark.slow
@pytest.mark.parametrize("forward", ["sliding-window", "whole-volume"])
@pytest.mark.parametrize("footprint", ["inside", "at a corner", "in two places"])
def test_maps_by_index_are_those_of_slices_in_any_chunk_and_order(footprint, forward, monkeypatch):
    shape = (12, 10, 14)
    mask = {
        "inside": lambda: ball(shape, (6, 5, 7), 1.5),
        "at a corner": lambda: ball(shape, (0, 9, 13), 1.5),
        "in two places": lambda: ball(shape, (1, 2, 3), 0.5) | ball(shape, (10, 8, 12), 1.0),
    }[footprint]()
    model, case = small_model(), random_case(shape)
    settings = {"aggregation": "max", "n_samples": 2, "forward": forward}
    expected = explain(model, case, mask, **settings).maps
    monkeypatch.setattr(local_network, "by_index", lambda device: True)
    for chunk in (1, 3, 8):
        monkeypatch.setattr(jacobian, "CPU_CHUNK", chunk)
        maps = explain(model, case, mask, **settings).maps
        np.testing.assert_allclose(maps, expected, atol=1e-6 * np.abs(expected).max())


def test_rows_move_in_slices_where_algorithms_have_to_be_deterministic():
    """CUDA's deterministic way to write boxes copies them all, over each other."""
    meta = torch.device("meta")
    assert plan.by_index(meta)
    torch.use_deterministic_algorithms(True)
    try:
        assert not plan.by_index(meta)
    finally:
        torch.use_deterministic_algorithms(False)
    assert plan.by_index(meta)
