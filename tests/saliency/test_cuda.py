"""The same maps on a CUDA device as on the CPU; runs where there is one."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from cases import ball, random_case
from networks import small_model

from napari_ies.geometry.box import Box
from napari_ies.geometry.orientation import Reorientation
from napari_ies.network.device import on_host
from napari_ies.network.inference import network_input
from napari_ies.network.windows import tiling
from napari_ies.saliency import explain
from napari_ies.saliency.arrivals import FromCuda
from napari_ies.saliency.engines.certification import choose_engine
from napari_ies.saliency.engines.kernels.choice import EXTREMES
from napari_ies.saliency.forwards import noisy_images
from napari_ies.saliency.noise import Noise
from napari_ies.saliency.problem import Problem
from napari_ies.segmentation.segmentation import segment

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]
SHAPE = (12, 10, 14)
MASK = ball(SHAPE, (6, 5, 7), 1.5)


def on_cuda(model):
    twin = copy.deepcopy(model.network)
    return dataclasses.replace(model, network=twin, device=torch.device("cuda:0"))


def assert_close(values, expected):
    assert np.abs(values - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("name", ["unet", "dynunet"])
def test_segmentation(name):
    model, case = small_model(name), random_case(SHAPE)
    probability = segment(on_cuda(model), case).probability
    np.testing.assert_allclose(probability, segment(model, case).probability, atol=1e-5)


@pytest.mark.parametrize("forward", ["sliding-window", "whole-volume"])
@pytest.mark.parametrize("aggregation", ["mean", "max"])
@pytest.mark.parametrize("engine", ["loop", "batched", "windowed"])
def test_smoothgrad(engine, aggregation, forward):
    model, case = small_model(), random_case(SHAPE)
    settings = {"aggregation": aggregation, "n_samples": 2, "forward": forward}
    saliency = explain(on_cuda(model), case, MASK, jacobian=engine, **settings)
    expected = explain(model, case, MASK, jacobian="loop", **settings)
    assert saliency.provenance["device"].startswith("CUDA")
    assert_close(saliency.maps, expected.maps)
    assert_close(saliency.standard_error, expected.standard_error)


@pytest.mark.parametrize("forward", ["sliding-window", "whole-volume"])
def test_samples_of_a_maximum_together(forward):
    """The first one alone, the others in two batches."""
    model, case = small_model(), random_case(SHAPE)
    settings = {"aggregation": "max", "n_samples": 40, "noise": 0.2, "forward": forward}
    saliency = explain(on_cuda(model), case, MASK, jacobian="windowed", **settings)
    expected = explain(model, case, MASK, jacobian="windowed", **settings)
    assert_close(saliency.maps, expected.maps)
    assert_close(saliency.standard_error, expected.standard_error)


def test_values_come_to_the_host_as_they_are():
    values = torch.randn(3, 50, 7, device="cuda:0").permute(2, 0, 1)
    assert torch.equal(on_host(values), values.cpu())


@pytest.mark.parametrize("name", ["unet", "dynunet"])
def test_gradcam(name):
    model, case = small_model(name), random_case(SHAPE)
    saliency = explain(on_cuda(model), case, MASK, method="gradcam++")
    assert_close(saliency.maps, explain(model, case, MASK, method="gradcam++").maps)


@pytest.mark.parametrize("version", [1, 2])
def test_the_noise_is_that_of_the_cpu(version):
    model, case = small_model(), random_case(SHAPE)
    box = Box.whole(SHAPE)
    noisy = []
    for device in ("cpu", "cuda:0"):
        problem = Problem(
            network=model.network,
            engine=choose_engine(model, "loop"),
            device=torch.device(device),
            image=network_input(model, case),
            tiles=tiling(model.profile, SHAPE, "whole-volume"),
            class_index=1,
            turn=Reorientation.identity(SHAPE),
        )
        noisy.append(noisy_images(problem, box, Noise(3, 0.5, version), range(2, 4)).cpu())
    assert torch.equal(noisy[0], noisy[1])


def test_values_come_as_they_are_and_are_here_once_they_were_waited_for():
    sent = [torch.arange(24.0, device="cuda").view(2, 3, 4).transpose(0, 2), torch.ones(())]
    arrival = FromCuda([sent[0], sent[1].cuda()])
    for one, value in zip(sent, arrival.values(), strict=True):
        assert torch.equal(value, one.cpu())
        assert not value.is_pinned()
    assert arrival.here


@pytest.mark.parametrize("engine", ["loop", "windowed"])
@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_the_faster_precisions_are_near(precision, engine):
    model, case = small_model(), random_case(SHAPE)
    expected = explain(model, case, MASK, n_samples=10).maps
    saliency = explain(
        on_cuda(model), case, MASK, n_samples=10, precision=precision, jacobian=engine
    )
    assert saliency.provenance["precision"] == precision
    assert np.linalg.norm(saliency.maps - expected) <= 0.1 * np.linalg.norm(expected)


def test_the_peak_is_that_of_the_device():
    model, case = small_model(), random_case(SHAPE)
    saliency = explain(on_cuda(model), case, MASK, n_samples=10)
    assert saliency.provenance["peak_memory_gib"] >= 0
    assert saliency.provenance["peak_memory_of"].startswith("device memory")


@pytest.mark.parametrize("forward", ["sliding-window", "whole-volume"])
@pytest.mark.parametrize("name", ["dynunet", "unet-instance", "unet-residual"])
def test_rows_of_whole_windows_many_at_once(name, forward):
    """Without an operation that vmap would run once for each row."""
    model, case = small_model(name), random_case(SHAPE)
    settings = {"aggregation": "max", "n_samples": 2, "forward": forward}
    torch._C._functorch._set_vmap_fallback_enabled(False)
    try:
        saliency = explain(on_cuda(model), case, MASK, jacobian="batched", **settings)
    finally:
        torch._C._functorch._set_vmap_fallback_enabled(True)
    assert_close(saliency.maps, explain(model, case, MASK, jacobian="loop", **settings).maps)


@pytest.mark.parametrize("forward", ["sliding-window", "whole-volume"])
@pytest.mark.parametrize("aggregation", ["mean", "max"])
def test_maps_by_the_kernels_that_are_chosen(aggregation, forward):
    model, case = small_model(), random_case(SHAPE)
    on_card = on_cuda(model)
    chosen = choose_engine(on_card).settled(wait=True).kernels
    assert chosen
    settings = {"aggregation": aggregation, "n_samples": 2, "forward": forward}
    saliency = explain(on_card, case, MASK, **settings)
    used = {what: way for what, way in chosen.items() if aggregation == "max" or what != EXTREMES}
    assert saliency.provenance["kernels"] == used
    expected = explain(model, case, MASK, jacobian="loop", **settings)
    assert_close(saliency.maps, expected.maps)
