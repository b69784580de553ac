"""Layers whose passes are our own, for rows through whole windows on the CPU.

Their weights' gradients are not computed, nor what these would need kept; volumes stay channels
last, and what is read more than once is read while it is near. Each kind of layer is tried first,
and stays as it is where it would give something else.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from napari_ies.saliency.engines.patches import ints
from napari_ies.saliency.engines.whole import attention_passes, residual_passes
from napari_ies.saliency.engines.whole.convolution_passes import convolved, transposed
from napari_ies.saliency.engines.whole.norm_passes import normed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

logger = logging.getLogger("napari_ies")

CERTIFIED = 1e-4
"""Largest relative difference (Euclidean norm) at which a layer is taken for what it was."""

TRIED: dict[object, bool] = {}
"""Kinds of layers, and whether they are."""


def certified(network: nn.Module) -> list[nn.Module]:
    """Return the layers that can run so, and on a trial gave what they give by themselves.

    Layers of a kind are tried once, whichever networks they are in (a fold in eight mirrors is
    eight): the value of their weights changes nothing.
    """
    found = []
    for module in network.modules():
        kind = kind_of(module)
        if kind is not None and kind.takes(module) and "forward" not in vars(module):
            key = _like(module)
            if key not in TRIED:
                TRIED[key] = _equal_on_trial(module)
            if TRIED[key]:
                found.append(module)
            else:
                logger.warning("%s stays as it is: it failed its trial.", module)
    return found


def said_of(layers: Sequence[nn.Module]) -> dict[str, str]:
    """Say how layers run, by their kinds."""
    kinds = [kind for kind in KINDS.values() if any(kind_of(layer) is kind for layer in layers)]
    return {kind.name: kind.how for kind in kinds}


def kind_of(module: nn.Module) -> Kind | None:
    """Return what is known of layers like this one."""
    return KINDS.get(f"{type(module).__module__}.{type(module).__qualname__}")


def _like(module: Any) -> tuple[object, ...]:
    """Return all that says whether another layer is like this one."""
    like = next(module.parameters(), torch.zeros(()))
    shapes = tuple(tensor.shape for tensor in module.state_dict().values())
    numbers = getattr(module, "num_heads", None), getattr(module, "scale", None)
    alone = torch.get_num_threads() == 1  # attention differs then
    return type(module), repr(module), shapes, numbers, like.dtype, like.device, alone


def recomputes(network: nn.Module) -> bool:
    """Whether parts of a network run once more in each backward pass, when nothing is changed.

    PyTorch's checkpoints then look for the tensors that they saw, and what `packed_passes` keeps
    is none that they could do without.
    """
    return any(
        getattr(module, "use_checkpoint", False) or "forward" in vars(module)
        for module in network.modules()
    )


@contextmanager
def packed_passes(layers: Sequence[nn.Module]) -> Iterator[None]:
    """Have layers differentiated so where they run inside this context."""
    # Those that another thread has changed are left to it: either way they give the same.
    changed: list[Any] = [layer for layer in layers if "forward" not in vars(layer)]
    for module in changed:
        kind = kind_of(module)
        assert kind is not None  # noqa: S101 - only such are certified
        module.forward = partial(kind.forward, module)
    try:
        yield
    finally:
        for module in changed:
            vars(module).pop("forward", None)


def _equal_on_trial(module: Any) -> bool:
    """Whether a layer's output and its pass are the same either way, on a few voxels."""
    kind = kind_of(module)
    assert kind is not None  # noqa: S101 - only such are tried
    like = next(module.parameters(), torch.zeros(()))
    values, *others = (tensor.to(like) for tensor in kind.trial_inputs(module))
    leaf = values.requires_grad_()
    found = []
    with torch.enable_grad():
        for layers in ([], [module]):
            with packed_passes(layers):
                output = module(leaf, *others)
            cotangent = torch.linspace(-1, 2, output.numel()).view(output.shape).to(like)
            (pulled,) = torch.autograd.grad(output, leaf, cotangent)
            found.append((output.detach(), pulled))
    expected, given = found
    return all(
        bool((one - other).norm() <= CERTIFIED * one.norm())
        for one, other in zip(expected, given, strict=True)
    )


def _volume(module: Any) -> tuple[torch.Tensor]:
    """Return a volume of few voxels to try a convolution or a norm on."""
    channels = getattr(module, "in_channels", None) or module.num_features
    reach = getattr(module, "dilation", 1) * (ints(getattr(module, "kernel_size", (1, 1, 1))) - 1)
    x, y, z = 4 * (reach // 4 + 1)
    generator = torch.Generator().manual_seed(0)
    return (torch.randn((1, channels, x, y, z), generator=generator),)


@dataclass(frozen=True)
class Kind:
    """A kind of layer that can run so.

    Parameters
    ----------
    name, how
        In words.
    forward
        What takes the place of its own forward; it takes the layer first.
    trial_inputs
        What a layer is tried on.
    takes
        Whether a layer is one that it knows; by its attributes, which differ between versions.
    """

    name: str
    how: str
    forward: Callable[..., torch.Tensor]
    trial_inputs: Callable[[Any], tuple[torch.Tensor, ...]] = _volume
    takes: Callable[[Any], bool] = lambda module: True


_LAST = ("convolutions and instance norms", "channels last")
_BLOCKS = "monai.networks.blocks.dynunet_block"
KINDS: dict[str, Kind] = {
    "torch.nn.modules.conv.Conv3d": Kind(*_LAST, convolved),
    "torch.nn.modules.conv.ConvTranspose3d": Kind(*_LAST, transposed),
    "torch.nn.modules.instancenorm.InstanceNorm3d": Kind(*_LAST, normed),
    **{
        f"{_BLOCKS}.{name}": Kind(
            "residual blocks" if residual else "blocks of convolutions",
            "in one pass",
            partial(residual_passes.blocked, residual=residual),
            residual_passes.trial_inputs,
            residual_passes.takes,
        )
        for name, residual in (("UnetResBlock", True), ("UnetBasicBlock", False))
    },
    "monai.networks.nets.swin_unetr.WindowAttention": Kind(
        "attention",
        "in parts that stay in a core's cache",
        attention_passes.attended,
        attention_passes.trial_inputs,
        attention_passes.takes,
    ),
}
"""How each kind of layer runs inside :func:`packed_passes`, by the full name of its class.

By name, so that MONAI is imported only by a network that needs it.
"""
