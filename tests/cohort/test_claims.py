from __future__ import annotations

import pytest
import torch
from networks import small_model

from napari_ies.cohort.claims import recompute_activations


def slopes(network):
    """Return the gradient of a small image's logits, and the bytes that are kept for it."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, 2, 64, 32, 32, generator=generator).requires_grad_()
    kept = {}

    def keep(values):
        kept[values.untyped_storage().data_ptr()] = values.untyped_storage().nbytes()
        return values

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda values: values):
        logits = network(image)
        taken = sum(kept.values())
    return torch.autograd.grad(logits[:, 1].sum(), image)[0], taken


def test_activations_that_are_computed_again_take_less_memory_and_change_no_gradient():
    model = small_model("swin")
    before, whole = slopes(model.network)
    assert recompute_activations(model)
    after, less = slopes(model.network)
    torch.testing.assert_close(after, before, rtol=0, atol=0)
    assert less < 0.95 * whole  # only those of its transformer; the convolutions keep theirs


@pytest.mark.parametrize("name", ["unet", "dynunet", "unetr"])
def test_networks_whose_layers_cannot_say_so(name):
    assert not recompute_activations(small_model(name))
