from __future__ import annotations

import numpy as np
import pytest
import torch
from networks import small_model

from napari_ies import explain
from napari_ies.cohort.claims import recompute_activations
from napari_ies.patient.case import Case


def slopes(network, size=(64, 32, 32)):
    """Return the gradient of a small image's logits, and the bytes that are kept for it."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, 2, *size, generator=generator).requires_grad_()
    kept = {}

    def keep(values):
        kept[values.untyped_storage().data_ptr()] = values.untyped_storage().nbytes()
        return values

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda values: values):
        logits = network(image)
        taken = sum(kept.values())
    return torch.autograd.grad(logits[:, 1].sum(), image)[0], taken


@pytest.mark.slow
@pytest.mark.parametrize("name", ["swin", "unetr", "dynunet"])
def test_activations_that_are_computed_again_take_less_memory_and_change_no_gradient(name):
    model = small_model(name)
    size = model.profile.fixed_size or (64, 32, 32)
    before, whole = slopes(model.network, size)
    assert recompute_activations(model)
    after, less = slopes(model.network, size)
    torch.testing.assert_close(after, before, rtol=0, atol=0)
    assert less < 0.8 * whole, (less, whole)


def test_networks_whose_layers_cannot_say_so():
    assert not recompute_activations(small_model("unet"))


@pytest.mark.slow
@pytest.mark.parametrize("aggregation", ["mean", "max"])
@pytest.mark.parametrize("name", ["unetr", "dynunet"])
def test_maps_stay_as_they_are(name, aggregation):
    maps = []
    for again in (False, True):
        model = small_model(name, orientation="RAS")  # nothing is guessed, and tested first
        if again:
            recompute_activations(model)
        shape = model.profile.fixed_size or model.profile.window
        data = np.random.default_rng(1).normal(size=(2, *shape)).astype(np.float32)
        lesion = np.zeros(shape, dtype=bool)
        lesion[5:7, 6, 7] = True
        case = Case(("FLAIR", "T1"), data, np.eye(4))
        maps.append(explain(model, case, lesion, aggregation=aggregation, n_samples=1).maps)
    np.testing.assert_allclose(maps[1], maps[0], rtol=1e-5, atol=1e-7)
    assert np.abs(maps[0]).max() > 0
