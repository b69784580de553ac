"""Instance norms whose backward pass reads and writes many rows as few times as can be.

For a channel's cotangents g (a row each), its normalised values x̂ and its scale a the pass is
``a (g - mean(g) - x̂ mean(g x̂))``. What PyTorch runs for it copies x̂ once for every row, and on CUDA
works out gradients of weights that nobody asked for.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Iterator

SPACE = (2, 3, 4)
NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)


@contextmanager
def rows_in_few_passes(network: nn.Module) -> Iterator[None]:
    """Have a network's instance norms differentiated so where they run inside this context."""
    changed: list[Any] = [
        module
        for module in network.modules()
        if isinstance(module, NORMS) and not module.track_running_stats
    ]
    for module in changed:
        module.forward = partial(_norm, module)
    try:
        yield
    finally:
        for module in changed:
            del module.forward


def _norm(module: Any, values: torch.Tensor) -> torch.Tensor:
    weight, bias, eps = module.weight, module.bias, module.eps
    if values.dtype in (torch.float32, torch.float64) and values.dim() == 5:
        normed: torch.Tensor = _InstanceNorm.apply(values, weight, bias, eps)  # type: ignore[no-untyped-call]
        return normed
    return functional.instance_norm(values, weight=weight, bias=bias, eps=eps)


class _InstanceNorm(torch.autograd.Function):
    """The norm of (N, C, x, y, z), as the layer itself computes it."""

    @staticmethod
    def forward(
        ctx: Any,
        values: torch.Tensor,
        weight: torch.Tensor | None,
        bias: torch.Tensor | None,
        eps: float,
    ) -> torch.Tensor:
        variance, mean = torch.var_mean(values, dim=SPACE, correction=0, keepdim=True)
        scale = (variance + eps).rsqrt()
        standard = (values - mean).mul_(scale)
        if weight is not None:
            scale = scale * weight.view(1, -1, 1, 1, 1)
        ctx.save_for_backward(standard, scale)
        normed = functional.instance_norm(values, weight=weight, bias=bias, eps=eps)
        return normed.clone()  # no view: for a sum in place behind it autograd would copy each row

    @staticmethod
    def backward(ctx: Any, cotangent: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        standard, scale = ctx.saved_tensors
        mean = cotangent.mean(dim=SPACE, keepdim=True)
        pulled = torch.addcmul(-mean * scale, cotangent, scale)
        along = (pulled * standard).mean(dim=SPACE, keepdim=True)
        return torch.addcmul(pulled, standard, -along), None, None, None
