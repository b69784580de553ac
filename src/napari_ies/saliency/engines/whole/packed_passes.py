"""Layers whose passes run with the channels last, for rows through whole windows on the CPU.

There a convolution's pass to its input takes down to half the time of autograd's own, which lays
both volumes out anew and back again; and instance norms keep that layout, a slab of the window at a
time, so that what is read twice is still near. The pass of a convolution of stride 1 is one too,
and where the kernel is a single voxel it is a product of matrices.
"""

from __future__ import annotations

import logging
import math
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from napari_ies.saliency.engines.moves import channels_last
from napari_ies.saliency.engines.patches import ints, packed, triple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from napari_ies.geometry.box import Triple

    Pull = Callable[[torch.Tensor], torch.Tensor]

logger = logging.getLogger("napari_ies")

WIDTH = 16
"""Numbers that a processor's vector holds: with fewer channels a convolution leaves it in part
idle."""
SLAB = 2**18
"""Numbers of a window that lie in a core's cache beside as many of another."""


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
        if type(module) in FORWARDS and "forward" not in vars(module):
            like = next(module.parameters(), torch.zeros(()))
            kind = type(module), module.extra_repr(), like.dtype, like.device
            if kind not in TRIED:
                TRIED[kind] = _equal_on_trial(module)
            if TRIED[kind]:
                found.append(module)
            else:
                logger.warning("%s stays as it is: it failed its trial.", module)
    return found


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
        module.forward = partial(FORWARDS[type(module)], module)
    try:
        yield
    finally:
        for module in changed:
            vars(module).pop("forward", None)


def _equal_on_trial(module: Any) -> bool:
    """Whether a layer's output and its pass are the same either way, on a few voxels."""
    like = next(module.parameters(), torch.zeros(()))
    channels = getattr(module, "in_channels", None) or module.num_features
    reach = getattr(module, "dilation", 1) * (ints(getattr(module, "kernel_size", (1, 1, 1))) - 1)
    x, y, z = 4 * (reach // 4 + 1)
    generator = torch.Generator().manual_seed(0)
    values = torch.randn((1, channels, x, y, z), generator=generator)
    leaf = values.to(like).requires_grad_()
    found = []
    with torch.enable_grad():
        for layers in ([], [module]):
            with packed_passes(layers):
                output = module(leaf)
            cotangent = torch.linspace(-1, 2, output.numel()).view(output.shape).to(like)
            (pulled,) = torch.autograd.grad(output, leaf, cotangent)
            found.append((output.detach(), pulled))
    expected, given = found
    return all(
        bool((one - other).norm() <= CERTIFIED * one.norm())
        for one, other in zip(expected, given, strict=True)
    )


class _Passed(torch.autograd.Function):
    """What a layer gives for values, with its pass back to these."""

    @staticmethod
    def forward(
        ctx: Any, values: torch.Tensor, layer: Callable[[torch.Tensor], tuple[torch.Tensor, Pull]]
    ) -> torch.Tensor:
        output, ctx.pull = layer(values)
        return output

    @staticmethod
    def backward(ctx: Any, cotangent: torch.Tensor) -> tuple[torch.Tensor, None]:
        return ctx.pull(packed(cotangent)), None


def _passed(
    values: torch.Tensor, layer: Callable[[torch.Tensor], tuple[torch.Tensor, Pull]]
) -> torch.Tensor:
    passed: torch.Tensor = _Passed.apply(packed(values), layer)  # type: ignore[no-untyped-call]
    return passed


def _convolved(module: nn.Conv3d, values: torch.Tensor) -> torch.Tensor:
    if module.padding_mode != "zeros" or isinstance(module.padding, str):
        return nn.Conv3d.forward(module, values)

    def layer(values: torch.Tensor) -> tuple[torch.Tensor, Pull]:
        return nn.Conv3d.forward(module, values), pull_of(module, triple(ints(values.shape[2:])))

    return _passed(values, layer)


def _transposed(module: nn.ConvTranspose3d, values: torch.Tensor, *sizes: Any) -> torch.Tensor:
    weight, (x, y, z) = packed(module.weight), values.shape[2:]

    def pull(cotangent: torch.Tensor) -> torch.Tensor:
        return functional.conv3d(
            cotangent,
            weight,
            None,
            module.stride,
            module.padding,
            module.dilation,
            module.groups,
        )[..., :x, :y, :z]

    return _passed(
        values, lambda values: (nn.ConvTranspose3d.forward(module, values, *sizes), pull)
    )


def pull_of(module: nn.Conv3d, size: Triple) -> Pull:
    """Return what takes a convolution's cotangent back to its input of a size."""
    stride, dilation = ints(module.stride), ints(module.dilation)
    padding, kernel = ints(tuple(map(int, module.padding))), ints(module.kernel_size)
    around = dilation * (kernel - 1) - padding
    if (stride > 1).any() or module.groups > 1 or (around < 0).any():
        missing = ints(size) + 2 * padding - dilation * (kernel - 1) - 1
        return partial(
            functional.conv_transpose3d,
            weight=packed(module.weight),
            stride=triple(stride),
            padding=triple(padding),
            output_padding=triple(missing % stride),
            groups=module.groups,
            dilation=triple(dilation),
        )
    if (kernel == 1).all() and not around.any():
        return partial(_mixed, weight=module.weight.flatten(1))
    turned = module.weight.flip(2, 3, 4).transpose(0, 1)
    together = _together(module.in_channels, size) if (dilation == 1).all() else (1, 1, 1)
    if math.prod(together) > 1:
        return partial(
            _several_at_once,
            weight=_spread(turned, together),
            padding=triple(around),
            together=together,
        )
    return partial(
        functional.conv3d,
        weight=packed(turned),
        padding=triple(around),
        dilation=triple(dilation),
    )


def _mixed(cotangent: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Pass through a convolution with a kernel of one voxel: its channels are mixed."""
    return (channels_last(cotangent) @ weight).permute(0, 4, 1, 2, 3)


def _together(channels: int, size: Triple) -> Triple:
    """Return how many neighbouring voxels along each axis to compute as further channels."""
    together = [1, 1, 1]
    for axis in (2, 1, 0, 2):
        wide = channels * math.prod(together) * 2 <= WIDTH
        if wide and size[axis] % (2 * together[axis]) == 0:
            together[axis] *= 2
    return triple(ints(together))


def _spread(weight: torch.Tensor, together: Triple) -> torch.Tensor:
    """Return the weights for several voxels: a group of channels for each, at its own place."""
    a, b, c = together
    parts = [
        functional.pad(weight, (k, c - 1 - k, j, b - 1 - j, i, a - 1 - i))
        for i in range(a)
        for j in range(b)
        for k in range(c)
    ]
    return packed(torch.cat(parts))


def _several_at_once(
    cotangent: torch.Tensor, weight: torch.Tensor, padding: Triple, together: Triple
) -> torch.Tensor:
    """Pass to very few channels: several neighbouring voxels come of one convolution."""
    found = channels_last(functional.conv3d(cotangent, weight, None, together, padding))
    rows, x, y, z, _ = found.shape
    a, b, c = together
    woven = found.reshape(rows, x, y, z, a, b, c, -1).permute(0, 7, 1, 4, 2, 5, 3, 6)
    return woven.reshape(rows, -1, x * a, y * b, z * c)


def _normed(module: nn.InstanceNorm3d, values: torch.Tensor) -> torch.Tensor:
    if values.dim() != 5 or module.track_running_stats:
        return nn.InstanceNorm3d.forward(module, values)
    weight, bias = (v.detach() if module.affine else None for v in (module.weight, module.bias))
    return _passed(values, lambda values: _norm(values, weight, bias, module.eps))


def _norm(
    values: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None, eps: float
) -> tuple[torch.Tensor, Pull]:
    """Return values as an instance norm gives them, and its pass."""
    standard = torch.empty_like(values)
    normed = torch.empty_like(values)
    scales = []
    for given, kept, made in zip(*map(_flat, (values, standard, normed)), strict=True):
        mean = _mean(given)
        for some, out in _slabs(given, kept):
            torch.sub(some, mean, out=out)
        variance = _mean(kept, kept)
        scale = (variance + eps).rsqrt()
        for some, out in _slabs(kept, made):
            some.mul_(scale)
            if weight is None or bias is None:
                out.copy_(some)
            else:
                torch.addcmul(bias, some, weight, out=out)
        scales.append(scale if weight is None else scale * weight)
    return normed, partial(_through_norm, standard=standard, scales=scales)


def _through_norm(
    cotangent: torch.Tensor, standard: torch.Tensor, scales: list[torch.Tensor]
) -> torch.Tensor:
    """Pass through an instance norm; the formula is in `norms`."""
    pulled = torch.empty_like(standard)
    flat = map(_flat, (cotangent, standard, pulled))
    for given, kept, made, scale in zip(*flat, scales, strict=True):
        mean, along = scale * _mean(given), scale * _mean(given, kept)
        for some, beside, out in _slabs(given, kept, made):
            torch.mul(some, scale, out=out).addcmul_(beside, along, value=-1).sub_(mean)
    return pulled


def _flat(values: torch.Tensor) -> torch.Tensor:
    """Return volumes (N, C, x, y, z) as their voxels, (N, V, C): the same memory."""
    return channels_last(values).flatten(1, 3)


def _slabs(*volumes: torch.Tensor) -> Iterator[tuple[torch.Tensor, ...]]:
    """Yield volumes (V, C) in parts that stay in a core's cache."""
    voxels = max(SLAB // volumes[0].shape[1], 1)
    return zip(*(torch.split(volume, voxels) for volume in volumes), strict=True)


def _mean(values: torch.Tensor, times: torch.Tensor | None = None) -> torch.Tensor:
    """Return each channel's mean over voxels (V, C), of values or of their products."""
    total = torch.zeros(values.shape[1], dtype=torch.float64, device=values.device)
    if times is None:
        for (part,) in _slabs(values):
            total += part.sum(dim=0)
    else:
        products = torch.empty_like(next(_slabs(values))[0])
        for part, other in _slabs(values, times):
            total += torch.mul(part, other, out=products[: len(part)]).sum(dim=0)
    return (total / len(values)).to(values.dtype)


FORWARDS: dict[type[nn.Module], Callable[..., torch.Tensor]] = {
    nn.Conv3d: _convolved,
    nn.ConvTranspose3d: _transposed,
    nn.InstanceNorm3d: _normed,
}
"""How each kind of layer runs inside :func:`packed_passes`."""
