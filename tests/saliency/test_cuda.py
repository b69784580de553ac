"""The same maps on a CUDA device as on the CPU; runs where there is one."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from cases import ball, random_case
from networks import small_model

from napari_ies.geometry.orientation import Reorientation
from napari_ies.network.inference import network_input
from napari_ies.network.windows import tiling
from napari_ies.saliency import explain
from napari_ies.saliency.engines.certification import choose_engine
from napari_ies.saliency.forwards import noisy_image
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


@pytest.mark.parametrize("name", ["unet", "dynunet"])
def test_gradcam(name):
    model, case = small_model(name), random_case(SHAPE)
    saliency = explain(on_cuda(model), case, MASK, method="gradcam++")
    assert_close(saliency.maps, explain(model, case, MASK, method="gradcam++").maps)


def test_the_noise_is_that_of_the_cpu():
    model, case = small_model(), random_case(SHAPE)
    box = tuple(slice(0, size) for size in SHAPE)
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
        noisy.append(noisy_image(problem, box, seed=3, sample=2, sigma=0.5).cpu())
    assert torch.equal(noisy[0], noisy[1])


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
