"""How many floating-point operations gradients take, and how few they could take.

A multiply and an add count as two. Only convolutions and matrix products are counted, here as by
`torch.utils.flop_counter`: all other layers together are a few percent of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_ies.network.model import SegmentationModel


def operations(work: Callable[[], object]) -> int:
    """Return the floating-point operations of a piece of work, counted as it runs."""
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def fewest_operations(model: SegmentationModel, voxel: NDArray) -> int:
    """Return the operations that one row needs if no product with a zero is computed.

    A plain backward pass of one voxel's logit through a window of noise, large enough to hold the
    voxel's support, says where each convolution's cotangent is not zero; every product of such a
    cotangent with a weight counts once. This is the least for one row alone: rows of neighbouring
    voxels could share some of it.

    Parameters
    ----------
    model
        A network of convolutions, batch norms and activations whose slope is never zero.
    voxel
        (3,): only its place within the network's total stride matters.
    """
    size = [8 * step for step in model.profile.divisor]
    steps = zip(voxel, model.profile.divisor, strict=True)
    x, y, z = (4 * step + int(index) % step for index, step in steps)
    total = 0

    def count(module: nn.Module, _: object, outputs: tuple[torch.Tensor, ...]) -> None:
        nonlocal total
        total += 2 * _products(module, outputs[0])

    layers = [m for m in model.network.modules() if isinstance(m, (nn.Conv3d, nn.ConvTranspose3d))]
    handles = [layer.register_full_backward_hook(count) for layer in layers]
    try:
        image = torch.randn((1, len(model.profile.sequences), *size), device=model.device)
        image.requires_grad_()
        logit = model.network(image)[0, model.profile.explained_class, x, y, z]
        torch.autograd.grad(logit, image)
    finally:
        for handle in handles:
            handle.remove()
    return total


def _products(layer: nn.Module, cotangent: torch.Tensor) -> int:
    """Return how many products of a nonzero cotangent and a weight a layer's adjoint has."""
    assert isinstance(layer, (nn.Conv3d, nn.ConvTranspose3d))
    support = (cotangent != 0).any(dim=1, keepdim=True).float()
    channels = int((cotangent != 0).flatten(2).any(dim=2).sum())
    ones = torch.ones((1, 1, *layer.kernel_size), device=cotangent.device)
    adjoint = functional.conv_transpose3d if isinstance(layer, nn.Conv3d) else functional.conv3d
    pairs = adjoint(
        support, ones, stride=layer.stride, padding=layer.padding, dilation=layer.dilation
    )
    return round(float(pairs.double().sum())) * channels * layer.in_channels // layer.groups
