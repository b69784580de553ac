"""A layer with a pass of its own back to what it was given; its weights have none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from napari_ies.saliency.engines.patches import packed

if TYPE_CHECKING:
    from collections.abc import Callable

    Pull = Callable[[torch.Tensor], torch.Tensor]
    Layer = Callable[[torch.Tensor], tuple[torch.Tensor, Pull]]


class _Passed(torch.autograd.Function):
    """What a layer gives for values, with its pass back to these."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, layer: Layer) -> torch.Tensor:
        output, ctx.pull = layer(values)
        return output

    @staticmethod
    def backward(ctx: Any, cotangent: torch.Tensor) -> tuple[torch.Tensor, None]:
        return ctx.pull(_laid_out(cotangent)), None


def _laid_out(values: torch.Tensor) -> torch.Tensor:
    return packed(values) if values.dim() == 5 else values


def passed(values: torch.Tensor, layer: Layer) -> torch.Tensor:
    """Return what a layer gives for values, differentiated by the pass that it returns with it.

    Volumes, and their cotangents, come to it with their channels last.
    """
    found: torch.Tensor = _Passed.apply(_laid_out(values), layer)  # type: ignore[no-untyped-call]
    return found
