"""Rows of a network with kernels in it, against plain autograd in float64."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from napari_ies.geometry.box import Box
from napari_ies.saliency.engines import local_network
from napari_ies.saliency.engines.kernels.choice import Kernels
from napari_ies.saliency.engines.kernels.plain import ProductRows
from napari_ies.saliency.engines.kernels.strided import Behind, Brick, Canvases, Tile
from napari_ies.saliency.engines.local_network import LocalNetwork
from napari_ies.saliency.engines.moves import landed
from napari_ies.saliency.engines.plan import Seeds

DOMAIN = (13, 12, 14)
VOXELS = np.array([(0, 0, 0), (12, 11, 13), (6, 5, 7)])
EMULATED = not torch.cuda.is_available()
"""The interpreter takes its time for each program, however large."""
START, SHAPE = (-1, 2, 3), (9, 12, 7)
"""Of the canvases, across two faces of the domain."""


class Branches(nn.Module):
    """Two scales with a connection between them; an activation that three layers read."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv3d(2, 3, 3, stride=2, padding=1)
        self.down = nn.Conv3d(3, 5, 3, stride=2, padding=1)
        self.aside = nn.Conv3d(3, 3, 1)
        self.up = nn.ConvTranspose3d(5, 3, 3, stride=2, padding=1, output_padding=(0, 1, 0))
        self.last = nn.ConvTranspose3d(9, 2, 3, stride=2, padding=1, output_padding=(0, 1, 1))
        self.act = nn.LeakyReLU(0.2)

    def forward(self, x):
        top = self.act(self.first(x))
        deep = self.act(self.up(self.act(self.down(top))))
        return self.last(torch.cat((top, deep, self.act(self.aside(top))), dim=1))


def chain():
    return nn.Sequential(
        nn.Conv3d(2, 4, (3, 3, 2), stride=(2, 1, 2), padding=(1, 0, 1)),
        nn.ELU(),
        nn.Conv3d(4, 3, 3, stride=2, padding=1),
        nn.Tanh(),
        nn.ConvTranspose3d(3, 3, 2, stride=2),
        nn.ConvTranspose3d(3, 2, (2, 3, 2), stride=(2, 1, 2)),
    )


NETWORKS = {"branches": Branches, "chain": chain}


class Case:
    def __init__(self, make):
        torch.manual_seed(3)
        self.network = make().eval().requires_grad_(False)
        self.image = torch.randn(1, 2, *DOMAIN)
        self.weights = torch.rand(len(VOXELS)) + 0.5
        leaf = self.image.double().requires_grad_()
        output = copy.deepcopy(self.network).double()(leaf)[0, 1]
        self.size = tuple(output.shape)
        self.voxels = np.minimum(VOXELS, np.array(self.size) - 1)
        self.rows = torch.stack([
            weight * torch.autograd.grad(output[tuple(voxel)], leaf, retain_graph=True)[0][0]
            for voxel, weight in zip(self.voxels.tolist(), self.weights, strict=True)
        ])  # fmt: skip

    def linearised(self, kernels_of, device):
        local = LocalNetwork(self.network.to(device))
        local = local.using(kernels_of(local.subjects(DOMAIN)))
        return local.linearise(self.image.to(device), Box.whole(self.size), DOMAIN, 1)

    def seeds(self):
        return Seeds(self.voxels, self.weights)


@pytest.fixture(params=NETWORKS, ids=list(NETWORKS), scope="module")
def case(request):
    return Case(NETWORKS[request.param])


@pytest.fixture
def by_index(monkeypatch):
    """Rows are moved by index on the CPU, too."""
    monkeypatch.setattr(local_network, "by_index", lambda device: True)


def rows_kernels(subjects):
    from napari_ies.saliency.engines.kernels.transposed import TransposedRows

    tile = Tile(512 if EMULATED else 64, 16)
    return {s.node: TransposedRows(s.convolution, "tf32x3", tile) for s in subjects}


def on_the_whole(patch):
    """Rows on the whole input, (R, C, X, Y, Z)."""
    whole = torch.zeros((len(patch.base), patch.values.shape[1], *DOMAIN))
    for rows, values, at in landed(patch, Box.whole(DOMAIN)):
        whole[(rows, slice(None), *at)] += values.cpu()
    return whole


def assert_close(found, expected):
    assert (found.double().cpu() - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_what_is_worth_trying(case):
    subjects = LocalNetwork(case.network).subjects(DOMAIN)
    assert [s.first for s in subjects].count(True) == 1
    assert {s.convolution.stride for s in subjects} >= {(2, 2, 2)}


@pytest.mark.slow
def test_rows(case, by_index, device, monkeypatch):
    from napari_ies.saliency.engines.kernels.transposed import TransposedRows

    calls, call = [], TransposedRows.__call__

    def seen(kernel, values, behind=None):
        calls.append(behind or Behind())
        return call(kernel, values, calls[-1])

    monkeypatch.setattr(TransposedRows, "__call__", seen)
    patch = case.linearised(lambda found: Kernels(rows_kernels(found)), device).rows(case.seeds())
    assert_close(on_the_whole(patch), case.rows)
    # In one go with the slopes behind, and where there is a connection with what waits there.
    assert any(behind.slopes is not None for behind in calls)
    branches = isinstance(case.network, Branches)
    assert any(behind.added is not None for behind in calls) == branches


def test_rows_by_products(case, by_index):
    def kernels(subjects):
        return Kernels({s.node: ProductRows(s.convolution) for s in subjects})

    patch = case.linearised(kernels, torch.device("cpu")).rows(case.seeds())
    assert_close(on_the_whole(patch), case.rows)


def test_a_sum_of_rows(case, device):
    local = case.linearised(lambda found: Kernels(rows_kernels(found)), device)
    assert_close(on_the_whole(local.combined(case.seeds()))[0], case.rows.sum(dim=0))


@pytest.mark.slow
@pytest.mark.parametrize("kernel", ["last", "reduces", "none"])
def test_rows_into_extremes(case, kernel, by_index, device):
    def kernels(subjects):
        from napari_ies.saliency.engines.kernels.extremes import LastLayer, ReduceRows

        rows, reduces = rows_kernels(subjects), ReduceRows(Brick((8, 8, 8)))
        (first,) = (s for s in subjects if s.first)
        last = LastLayer(first.convolution, "tf32x3", Brick((8, 8, 8) if EMULATED else (4, 4, 4)))
        return {
            "last": Kernels(rows, last=last, reduces=reduces),
            "reduces": Kernels(rows, reduces=reduces),
            "none": Kernels(rows),
        }[kernel]

    local = case.linearised(kernels, device)
    highest, lowest = torch.zeros((2, 2, *SHAPE), device=device)
    canvases = Canvases(highest, lowest, START, DOMAIN)
    seeds = case.seeds()
    taken = [local.rows_into(seeds, part, canvases) for part in (slice(0, 2), slice(2, 3))]
    assert taken == [kernel != "none"] * 2
    if kernel == "none":
        return
    # The part of the domain that the canvases cover, zero around it.
    expected = torch.zeros((len(VOXELS), 2, *SHAPE), dtype=torch.float64)
    shared = Box(START, np.add(START, SHAPE)).meet(Box.whole(DOMAIN))
    expected[(..., *shared.within(Box(START, np.add(START, SHAPE))))] = case.rows[(..., *shared)]
    assert_close(highest, expected.amax(dim=0).clamp(min=0))
    assert_close(lowest, expected.amin(dim=0).clamp(max=0))


def test_none_on_the_cpu_and_none_in_float64(case):
    def kernels(subjects):
        return Kernels(reduces=lambda *_: pytest.fail("a kernel ran"))

    nowhere = Canvases(torch.zeros(1), torch.zeros(1), START, DOMAIN)
    local = case.linearised(kernels, torch.device("cpu"))
    assert not local.rows_into(case.seeds(), slice(0, 2), nowhere)


class Counting(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.operations += 1
        return function(*args, **(kwargs or {}))


def test_fewer_operations_where_kernels_join_steps(by_index):
    """A kernel with what lies behind it is one step, not four; it counts as nothing here."""

    class Silent:
        takes_behind = True

        def __init__(self, convolution):
            self.width, self.size = convolution.channels[1], convolution.size

        def __call__(self, values, behind=None):
            size = self.size(tuple(values.shape[2:]))
            rows = values.new_zeros((len(values), *size, self.width))
            return rows.permute(0, 4, 1, 2, 3)

    case, counts = Case(chain), {}
    for name, kernels in {
        "plain": lambda found: Kernels(),
        "joined": lambda found: Kernels({s.node: Silent(s.convolution) for s in found}),
    }.items():
        local, seeds = case.linearised(kernels, torch.device("cpu")), case.seeds()
        local.rows(seeds)
        for rows in (2, 3):
            local.rows(seeds, slice(0, rows))
            with Counting() as counting:
                local.rows(seeds, slice(0, rows))
            counts[name, rows] = counting.operations
    assert counts["joined", 2] == counts["joined", 3] < counts["plain", 3]
