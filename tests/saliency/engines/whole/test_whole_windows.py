"""Rows of whole windows, many at once: the same as one by one, in as many operations."""

import copy

import numpy as np
import pytest
import torch
from cases import ball, random_case
from networks import small_model
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from napari_ies.geometry.box import Box
from napari_ies.saliency import explain
from napari_ies.saliency.engines.certification import choose_engine
from napari_ies.saliency.engines.norms import rows_in_few_passes
from napari_ies.saliency.engines.plan import Seeds
from napari_ies.saliency.engines.whole.whole_windows import BatchedEngine, LoopEngine, graph_bytes

FAMILIES = [
    "unet",
    "unet-residual",
    "unet-anisotropic",
    "unet-instance",
    "dynunet",
    pytest.param("unetr", marks=pytest.mark.slow),
    pytest.param("swin", marks=pytest.mark.slow),
]
PLENTY = 2**40


class Operations(TorchDispatchMode):
    """Counts what is dispatched."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += 1
        return function(*args, **(kwargs or {}))


@pytest.fixture
def no_loop_over_rows():
    """Let vmap raise where it would run an operation once for each row."""
    torch._C._functorch._set_vmap_fallback_enabled(False)
    yield
    torch._C._functorch._set_vmap_fallback_enabled(True)


def linearised(engine, model, seed=0):
    domain = model.profile.fixed_size or model.profile.window
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn((1, 2, *domain), dtype=torch.float64, generator=generator)
    return engine(model.network.double()).linearise(image, Box.whole(domain), domain, 1)


@pytest.mark.parametrize("request_", [{"aggregation": "max"}, {"method": "gradcam++"}])
def test_no_graph_is_left_in_a_network_that_keeps_its_outputs(request_):
    model = small_model("dynunet-supervised")
    model.network.eval()
    mask = np.zeros(model.profile.window, dtype=bool)
    mask[4:6, 4, 4] = True
    samples = {} if "method" in request_ else {"n_samples": 1}
    explain(model, random_case(model.profile.window), mask, **request_, **samples)
    assert any(torch.is_tensor(one) for one in model.network.heads)
    assert not any(one.requires_grad for one in model.network.heads)
    copy.deepcopy(model.network)


def some_voxels(model, count):
    domain = model.profile.fixed_size or model.profile.window
    return np.random.default_rng(0).integers(0, domain, (count, 3))


def rows_of(linear, voxels, memory=PLENTY):
    weights = torch.linspace(0.5, 2, len(voxels), dtype=torch.float64)
    return chunked_rows(linear, Seeds(voxels, weights), memory)


def chunked_rows(linear, seeds, memory=PLENTY):
    whole = Box.whole(linear.logits.shape[1:])
    found = []
    for _, landed in linear.chunks(seeds, slice(0, len(seeds.voxels)), memory, whole):
        ((_, values, at),) = landed  # all of them at once: they share the window
        assert at == tuple(whole)
        found.append(values)
    return torch.cat(found)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_chunk_takes_as_many_operations_whatever_its_rows(name, no_loop_over_rows):
    model = small_model(name)
    few, many = (2, 3) if model.profile.fixed_size or name == "swin" else (8, 16)
    voxels = some_voxels(model, many)
    batched = linearised(BatchedEngine, model)
    counts, found = [], None
    for number in (few, many):
        with Operations() as operations:
            found = rows_of(batched, voxels[:number])
        counts.append(operations.count)
    assert counts[0] == counts[1]
    expected = rows_of(linearised(LoopEngine, model), voxels)
    torch.testing.assert_close(
        found, expected, rtol=1e-10, atol=1e-10 * float(expected.abs().max())
    )


def test_rows_are_the_same_in_any_chunk_and_order():
    model = small_model("dynunet")
    voxels = some_voxels(model, 7)
    batched = linearised(BatchedEngine, model)
    expected = rows_of(linearised(LoopEngine, model), voxels)
    for memory in (1, 3 * 4 * batched.layer_bytes, PLENTY):
        torch.testing.assert_close(rows_of(batched, voxels, memory), expected)
    weights = torch.linspace(0.5, 2, 7, dtype=torch.float64).flip(0)
    turned = chunked_rows(batched, Seeds(voxels[::-1].copy(), weights))
    torch.testing.assert_close(turned.flip(0), expected)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("samples", [1, 3])
def test_the_norm_and_its_pass_are_those_of_the_layer(affine, samples):
    torch.manual_seed(0)
    norm = nn.InstanceNorm3d(3, affine=affine).double().requires_grad_(False)
    if affine:
        norm.weight.normal_()
        norm.bias.normal_()
    values = torch.randn(samples, 3, 4, 5, 6, dtype=torch.float64, requires_grad=True)
    cotangent = torch.randn_like(values)
    expected = norm(values)
    (gradient,) = torch.autograd.grad(expected, values, cotangent)
    with rows_in_few_passes(norm):
        found = norm(values)
    (pulled,) = torch.autograd.grad(found, values, cotangent)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    torch.testing.assert_close(pulled, gradient, rtol=1e-10, atol=1e-12)
    assert "forward" not in vars(norm)


@pytest.mark.parametrize(
    "norm", [nn.BatchNorm3d(3), nn.InstanceNorm3d(3, track_running_stats=True, affine=True)]
)
@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16])
def test_norms_with_kept_statistics_stay_what_they_are(norm, kind):
    """Also in bfloat16, where vmap knows no pass through a norm with float32 weights."""
    torch.manual_seed(0)
    norm = copy.deepcopy(norm).eval().requires_grad_(False)
    norm.running_mean.normal_()
    norm = norm.double() if kind == torch.float64 else norm
    values = torch.randn(1, 3, 4, 5, 6, dtype=kind, requires_grad=True)
    cotangents = torch.randn(4, *values.shape, dtype=kind)
    expected = norm(values)
    rows = [torch.autograd.grad(expected, values, c, retain_graph=True)[0] for c in cotangents]
    with rows_in_few_passes(norm):
        found = norm(values)
    pulled = torch.func.vmap(
        lambda row: torch.autograd.grad(found, values, row, retain_graph=True)[0]
    )(cotangents)
    assert found.dtype == pulled.dtype == kind
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(pulled, torch.stack(rows))


@pytest.mark.slow
@pytest.mark.parametrize(("memory_gib", "runs"), [(1.0, "once"), (1e-9, "again")])
def test_a_window_runs_once_for_all_its_rows_where_memory_holds_it(memory_gib, runs):
    """Rows that several windows predict come back to each of them, chunk after chunk."""
    shape = (12, 10, 14)
    model, case, mask = small_model("dynunet"), random_case(shape), ball(shape, (6, 5, 7), 1.5)
    settings = {"aggregation": "max", "n_samples": 1, "jacobian": "batched"}
    explain(model, case, mask, **settings)  # what is asked of a network once
    seen = []
    handle = model.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    explain(model, case, mask, memory_gib=memory_gib, **settings)
    handle.remove()
    distinct = {tuple(image.flatten().tolist()) for image in seen}
    assert len(distinct) > 2
    assert (len(seen) == len(distinct)) == (runs == "once")


def test_as_many_forwards_are_kept_as_a_quarter_of_the_memory_holds():
    model = small_model("dynunet")
    one = graph_bytes(model) * 8**3
    engine = choose_engine(model, "batched")
    assert [engine.forwards_kept((8, 8, 8), int(4 * n * one) + 8) for n in (0, 1, 3)] == [1, 2, 4]
    assert choose_engine(model, "loop").forwards_kept((8, 8, 8), PLENTY) == 1


def test_the_graph_takes_no_more_than_is_reckoned_with():
    """What autograd keeps of a forward, seen as it is kept, against the layers' outputs."""
    model = small_model("dynunet")
    kept = {}

    def pack(values):
        kept[values.untyped_storage().data_ptr()] = values.untyped_storage().nbytes()
        return values

    image = torch.randn(1, 2, 8, 8, 8)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda values: values):
        alive = BatchedEngine(model.network).linearise(image, Box.whole((8,) * 3), (8,) * 3, 1)
    weights = {p.untyped_storage().data_ptr() for p in model.network.parameters()}
    taken = sum(size for place, size in kept.items() if place not in weights)
    assert alive.logits.requires_grad
    assert 0.3 * graph_bytes(model) * 8**3 < taken < 1.5 * graph_bytes(model) * 8**3
