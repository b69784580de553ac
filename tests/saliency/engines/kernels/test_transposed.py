"""Rows through strided convolutions by a kernel, against loops and PyTorch in float64."""

from __future__ import annotations

import math

import pytest
import torch
from naive_rows import naive_rows, placed

from napari_ies.saliency.engines.kernels.plain import ProductRows, library_rows
from napari_ies.saliency.engines.kernels.strided import (
    Behind,
    Brick,
    Canvases,
    Places,
    Strided,
    Tile,
)

CASES = {
    # rows, channels, kernel, stride, size: nothing a multiple of what a program takes
    "the paper's": (2, (20, 5), (3, 3, 3), (2, 2, 2), (2, 2, 3)),
    "one row, one channel": (1, (1, 1), (3, 2, 4), (2, 3, 1), (2, 2, 1)),
    "from one voxel": (5, (3, 33), (3, 3, 3), (2, 2, 2), (1, 1, 1)),
    "gaps between": (2, (4, 6), (2, 1, 2), (3, 2, 3), (2, 3, 2)),
    "no stride": (2, (17, 3), (3, 1, 3), (1, 1, 1), (2, 4, 3)),
}


@pytest.fixture(params=CASES, ids=list(CASES))
def case(request):
    rows, channels, kernel, stride, size = CASES[request.param]
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn((*channels, *kernel), generator=generator)
    values = torch.randn((rows, channels[0], *size), generator=generator)
    return values, Strided(weight, stride, (1, 0, 1))


def on(device, convolution):
    return Strided(convolution.weight.to(device), convolution.stride, convolution.padding)


def assert_close(found, expected, tolerance=1e-5):
    assert found.shape == expected.shape
    assert (found.double().cpu() - expected).abs().max() <= tolerance * expected.abs().max()


def test_the_library_and_products(case):
    values, convolution = case
    expected = naive_rows(values, convolution)
    assert_close(library_rows(convolution, values.double()), expected, 1e-12)
    assert_close(ProductRows(convolution)(values), expected)


@pytest.mark.slow
@pytest.mark.parametrize("tile", [Tile(32, 16, 16), Tile(128, 32)], ids=["small", "large"])
def test_rows(case, tile, device):
    from napari_ies.saliency.engines.kernels.transposed import TransposedRows

    values, convolution = case
    expected = naive_rows(values, convolution)
    rows = TransposedRows(on(device, convolution), "tf32x3", tile)(values.to(device))
    assert rows.is_contiguous(memory_format=torch.channels_last_3d)
    assert_close(rows, expected)


@pytest.mark.parametrize(
    ("precision", "tolerance"), [("ieee", 1e-6), ("tf32", 3e-3), ("bf16", 3e-2)]
)
def test_other_precisions(precision, tolerance, device):
    from napari_ies.saliency.engines.kernels.transposed import TransposedRows

    if precision == "bf16" and device.type == "cpu":
        pytest.skip("Triton's interpreter takes bfloat16 for integers")
    weight, values = torch.randn(4, 3, 3, 3, 3), torch.randn(2, 4, 2, 2, 2)
    convolution = Strided(weight, (2, 2, 2), (1, 1, 1))
    rows = TransposedRows(on(device, convolution), precision, Tile(64, 16))(values.to(device))
    assert_close(rows, naive_rows(values, convolution), tolerance)


def test_what_happens_behind(device):
    from napari_ies.saliency.engines.kernels.transposed import TransposedRows

    generator = torch.Generator().manual_seed(1)
    weight = torch.randn((4, 3, 3, 3, 3), generator=generator)
    values = torch.randn((3, 4, 2, 3, 2), generator=generator)
    convolution = Strided(weight, (2, 2, 2), (1, 1, 1))
    expected = naive_rows(values, convolution)
    size = tuple(expected.shape[2:])
    added = torch.randn((3, 3, 4, 3, 3), generator=generator)
    added_at = torch.tensor([(0, 2, 0), (1, 0, 2), (0, 4, 1)])
    # In slopes that start at 0: before them, across their end, within, with margins around.
    slopes = torch.randn((1, 3, 5, 6, 4), generator=generator)
    slopes_at = torch.tensor([(-2, -1, 0), (4, 3, 2), (0, 0, -1)])
    low, volume = (2, 1, 3), (12, 13, 11)

    total = expected + placed(added.double(), added_at, size)
    factor = placed(slopes.double().expand(3, -1, -1, -1, -1), -slopes_at, size)
    way = TransposedRows(on(device, convolution), "tf32x3", Tile(128, 16))

    def numbers(at, volume, own):
        number = (at[:, 0] * volume[1] + at[:, 1]) * volume[2] + at[:, 2]
        return (number + own * torch.arange(3) * math.prod(volume)).to(device)

    adding = {
        "added": added.to(device),
        "added_places": Places(numbers(added_at, size, True), size, own=True),
    }
    margins = numbers(slopes_at + torch.tensor(low), volume, False)
    scaling = {"slopes": slopes.to(device), "slopes_places": Places(margins, volume, low)}
    assert_close(way(values.to(device), Behind(**adding)), total)
    assert_close(way(values.to(device), Behind(**scaling)), expected * factor)
    assert_close(way(values.to(device), Behind(**adding, **scaling)), total * factor)


def test_a_value_that_is_not_finite_stays_so(device):
    from napari_ies.saliency.engines.kernels.transposed import TransposedRows

    convolution = Strided(torch.ones(1, 1, 3, 3, 3), (2, 2, 2), (1, 1, 1))
    values = torch.ones(1, 1, 2, 2, 2)
    values[0, 0, 1, 1, 1] = float("nan")
    rows = TransposedRows(on(device, convolution), "tf32x3", Tile(16, 16))(values.to(device))
    assert rows[..., 4, 4, 4].isnan()
    assert rows[..., 0, 0, 0] == 1


def test_kernels_are_launched_where_their_values_are(device, monkeypatch):
    """Triton launches on the current device, whichever the values lie on."""
    from napari_ies.saliency.engines.kernels.extremes import LastLayer, ReduceRows
    from napari_ies.saliency.engines.kernels.transposed import TransposedRows

    asked, plain = [], torch.cuda.device_of
    monkeypatch.setattr(torch.cuda, "device_of", lambda one: asked.append(one) or plain(one))
    convolution = on(device, Strided(torch.randn(4, 3, 3, 3, 3), (2, 2, 2), (1, 1, 1)))
    values = torch.randn((2, 4, 2, 2, 2), device=device)
    rows = TransposedRows(convolution, "ieee", Tile(64, 16))(values)
    highest, lowest = torch.zeros((2, 3, 6, 6, 6), device=device)
    canvases = Canvases(highest, lowest, (0, 0, 0), (6, 6, 6))
    base = [torch.ones(2, dtype=torch.int64, device=device)] * 3
    LastLayer(convolution, "ieee", Brick())(values, base, canvases)
    ReduceRows()(rows, base, canvases)
    assert [one.shape for one in asked] == [values.shape, values.shape, rows.shape]
