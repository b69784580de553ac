"""Norms whose backward pass takes many rows at once, read and written as few times as can be.

For a channel's cotangents g (a row each), its normalised values x̂ and its scale a, the pass through
an instance norm is ``a (g - mean(g) - x̂ mean(g x̂))``. What PyTorch runs for it copies x̂ once for
every row, and on CUDA works out gradients of weights that nobody asked for.
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
INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@contextmanager
def rows_in_few_passes(network: nn.Module) -> Iterator[None]:
    """Have a network's norms differentiated so where they run inside this context."""
    changed: list[Any] = [
        module for module in network.modules() if isinstance(module, INSTANCE_NORMS + BATCH_NORMS)
    ]
    for module in changed:
        module.forward = partial(_norm, module)
    try:
        yield
    finally:
        for module in changed:
            del module.forward


def _norm(module: Any, values: torch.Tensor) -> torch.Tensor:
    # Passes of many rows know no norm of bfloat16 with float32 weights; inside it is float32.
    exact = values if values.dtype == torch.float64 else values.float()
    normed: torch.Tensor
    if isinstance(module, BATCH_NORMS) or module.track_running_stats or exact.dim() != 5:
        normed = type(module).forward(module, exact)
    else:
        normed = _InstanceNorm.apply(exact, module.weight, module.bias, module.eps)  # type: ignore[no-untyped-call]
    return normed.to(values.dtype)


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
