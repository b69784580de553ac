"""Rows straight into the running extremes by kernels, against loops in float64."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from naive_rows import naive_rows, take_extremes

from napari_ies.saliency.engines.kernels.plain import reduced
from napari_ies.saliency.engines.kernels.strided import Brick, Canvases, Strided

CASES = {
    # rows, channels, kernel, stride, padding, size of a row's cotangents
    "the paper's": (4, (20, 2), (3, 3, 3), (2, 2, 2), (1, 1, 1), (3, 2, 3)),
    "one row, one channel": (1, (1, 1), (3, 2, 4), (2, 3, 1), (0, 1, 1), (2, 2, 1)),
    "gaps between": (2, (4, 3), (2, 2, 2), (3, 3, 3), (0, 1, 0), (2, 2, 2)),
    "no stride": (2, (3, 2), (3, 1, 3), (1, 1, 1), (1, 0, 1), (2, 4, 3)),
}
START, SHAPE, DOMAIN = (-1, 2, 1), (7, 6, 8), (5, 9, 8)
"""The canvases reach beyond the domain on both sides."""


class Case:
    def __init__(self, rows, channels, kernel, stride, padding, size):
        generator = torch.Generator().manual_seed(0)
        weight = torch.randn((*channels, *kernel), generator=generator)
        self.convolution = Strided(weight, stride, padding)
        self.values = torch.randn((rows, channels[0], *size), generator=generator)
        self.rows = naive_rows(self.values, self.convolution)
        base = torch.randint(-2, 4, (rows, 3), generator=generator)
        self.base = base * torch.tensor(stride) - torch.tensor(padding)
        # What earlier rows have left.
        self.highest = torch.randn((channels[1], *SHAPE), generator=generator).clamp(min=0)
        self.lowest = torch.randn((channels[1], *SHAPE), generator=generator).clamp(max=0)
        self.expected = take_extremes(
            self.rows, self.base, self.highest, self.lowest, START, DOMAIN
        )

    def canvases(self, device="cpu", dtype=torch.float32):
        highest, lowest = (v.to(device, dtype, copy=True) for v in (self.highest, self.lowest))
        return Canvases(highest, lowest, START, DOMAIN)

    def at(self, device, rows=slice(None)):
        return tuple(axis[rows].to(device) for axis in self.base.T)

    def on(self, device):
        weight = self.convolution.weight.to(device)
        return Strided(weight, self.convolution.stride, self.convolution.padding)

    def assert_taken(self, canvases, tolerance=1e-5):
        for found, expected in zip((canvases.highest, canvases.lowest), self.expected, strict=True):
            difference = (found.double().cpu() - expected).abs().max()
            assert difference <= tolerance * self.rows.abs().max()


@pytest.fixture(params=CASES, ids=list(CASES), scope="module")
def case(request):
    return Case(*CASES[request.param])


def test_row_by_row(case):
    canvases = case.canvases(dtype=torch.float64)
    reduced(case.rows, case.base.T, canvases)
    case.assert_taken(canvases, 1e-15)


@pytest.mark.parametrize("size", [(2, 2, 4), (4, 4, 4)])
def test_the_last_layer(case, size, device):
    from napari_ies.saliency.engines.kernels.extremes import LastLayer

    canvases = case.canvases(device)
    way = LastLayer(case.on(device), "tf32x3", Brick(size))
    way(case.values.to(device), case.at(device), canvases)
    case.assert_taken(canvases)


@pytest.mark.parametrize(
    ("precision", "tolerance"), [("ieee", 1e-6), ("tf32", 3e-3), ("bf16", 3e-2)]
)
def test_other_precisions(precision, tolerance, device):
    from napari_ies.saliency.engines.kernels.extremes import LastLayer

    if precision == "bf16" and device.type == "cpu":
        pytest.skip("Triton's interpreter takes bfloat16 for integers")
    case = Case(*CASES["the paper's"])
    canvases = case.canvases(device)
    way = LastLayer(case.on(device), precision, Brick())
    way(case.values.to(device), case.at(device), canvases)
    case.assert_taken(canvases, tolerance)


@pytest.mark.parametrize("size", [(1, 4, 8), (4, 4, 4)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_rows_that_are_there(case, size, layout, device):
    from napari_ies.saliency.engines.kernels.extremes import ReduceRows

    canvases = case.canvases(device)
    rows = case.rows.float().to(device).contiguous(memory_format=layout)
    ReduceRows(Brick(size))(rows, case.at(device), canvases)
    case.assert_taken(canvases)


def test_in_chunks_and_in_any_order_the_same_numbers(device):
    from napari_ies.saliency.engines.kernels.extremes import LastLayer

    case = Case(*CASES["the paper's"])
    way = LastLayer(case.on(device), "tf32x3", Brick())
    values, together = case.values.to(device), case.canvases(device)
    way(values, case.at(device), together)
    apart = case.canvases(device)
    for rows in ([3], [0, 2], [1]):
        way(values[rows], case.at(device, rows), apart)
    assert apart.highest.equal(together.highest)
    assert apart.lowest.equal(together.lowest)


def test_canvases_that_are_part_of_larger_ones(device):
    from napari_ies.saliency.engines.kernels.extremes import LastLayer

    case = Case(*CASES["the paper's"])
    canvases = case.canvases(device)
    large = torch.full((2, 2, 9, 9, 9), 7.0, device=device)
    part = (slice(None), slice(None), slice(1, 8), slice(2, 8), slice(0, 8))
    large[part] = torch.stack([canvases.highest, canvases.lowest])
    views = dataclasses.replace(canvases, highest=large[part][0], lowest=large[part][1])
    LastLayer(case.on(device), "tf32x3", Brick())(case.values.to(device), case.at(device), views)
    case.assert_taken(views)
    large[part] = 7.0
    assert (large == 7.0).all()


@pytest.mark.parametrize("kernel", ["last", "reduce"])
def test_a_value_that_is_not_a_number_is_seen(kernel, device):
    from napari_ies.saliency.engines.kernels.extremes import LastLayer, ReduceRows

    case = Case(*CASES["the paper's"])
    base = [torch.full((4,), start, device=device) for start in (-1, 1, -1)]
    canvases = case.canvases(device)
    if kernel == "last":
        values = case.values.to(device, copy=True)
        values[1, 0, 1, 1, 1] = float("nan")
        LastLayer(case.on(device), "tf32x3", Brick())(values, base, canvases)
    else:
        rows = case.rows.float().to(device)
        rows[1, 0, 3, 2, 2] = float("nan")
        ReduceRows()(rows, base, canvases)
    assert canvases.highest.isnan().any()
    assert canvases.lowest.isnan().any()


def test_nothing_happens_outside_and_without_rows(device):
    from napari_ies.saliency.engines.kernels.extremes import LastLayer, ReduceRows

    case = Case(*CASES["the paper's"])
    way, canvases = LastLayer(case.on(device), "tf32x3", Brick()), case.canvases(device)
    values, rows = case.values.to(device), case.rows.float().to(device)
    away = [torch.full((4,), 101, device=device)] * 3
    way(values, away, canvases)
    ReduceRows()(rows, [-axis for axis in away], canvases)
    none = [axis[:0] for axis in away]
    way(values[:0], none, canvases)
    ReduceRows()(rows[:0], none, canvases)
    assert canvases.highest.cpu().equal(case.highest)
    assert canvases.lowest.cpu().equal(case.lowest)
