"""Rows through strided convolutions by a kernel, against loops and PyTorch in float64."""

from __future__ import annotations

import pytest
import torch
from naive_rows import naive_rows, placed

from napari_ies.saliency.engines.kernels.plain import ProductRows, library_rows
from napari_ies.saliency.engines.kernels.strided import Behind, Strided, Tile

CASES = {
    # rows, channels, kernel, stride, size: nothing a multiple of what a program takes
    "the paper's": (3, (20, 5), (3, 3, 3), (2, 2, 2), (3, 2, 4)),
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


@pytest.mark.parametrize("slopes_of", ["all rows", "each row"])
def test_what_happens_behind(slopes_of, device):
    from napari_ies.saliency.engines.kernels.transposed import TransposedRows

    generator = torch.Generator().manual_seed(1)
    weight = torch.randn((4, 3, 3, 3, 3), generator=generator)
    values = torch.randn((3, 4, 2, 3, 2), generator=generator)
    convolution = Strided(weight, (2, 2, 2), (1, 1, 1))
    expected = naive_rows(values, convolution)
    size, domain, slopes_start = tuple(expected.shape[2:]), (7, 6, 9), (1, 0, 2)
    # Before the domain, across its end, and within.
    base = torch.tensor([(-2, -1, 0), (4, 3, 7), (1, 0, 2)])
    added = torch.randn((3, 3, 4, 3, 3), generator=generator)
    added_at = torch.tensor([(-1, 2, 0), (3, 0, 4), (9, 0, 0)])
    shape = (1 if slopes_of == "all rows" else 3, 3, 5, 6, 4)
    slopes = torch.randn(shape, generator=generator)
    slopes_at = base - torch.tensor(slopes_start)

    total = expected + placed(added.double(), added_at, size)
    factor = placed(slopes.double().expand(3, -1, -1, -1, -1), -slopes_at, size)
    inside = placed(torch.ones(3, 1, *domain), -base, size)
    way = TransposedRows(on(device, convolution), "tf32x3", Tile(128, 16))

    def run(**behind):
        moved = {key: value.to(device) if isinstance(value, torch.Tensor) else value
                 for key, value in behind.items()}  # fmt: skip
        return way(values.to(device), Behind(**moved))

    adding = {"added": added, "added_at": added_at}
    scaling = {"slopes": slopes, "slopes_at": slopes_at}
    cutting = {"domain": domain, "domain_at": base}
    assert_close(run(**adding), total)
    assert_close(run(**scaling), expected * factor)
    assert_close(run(**cutting), expected * inside)
    assert_close(run(**adding, **scaling, **cutting), total * factor * inside)


def test_a_value_that_is_not_finite_stays_so(device):
    from napari_ies.saliency.engines.kernels.transposed import TransposedRows

    convolution = Strided(torch.ones(1, 1, 3, 3, 3), (2, 2, 2), (1, 1, 1))
    values = torch.ones(1, 1, 2, 2, 2)
    values[0, 0, 1, 1, 1] = float("nan")
    rows = TransposedRows(on(device, convolution), "tf32x3", Tile(16, 16))(values.to(device))
    assert rows[..., 4, 4, 4].isnan()
    assert rows[..., 0, 0, 0] == 1
