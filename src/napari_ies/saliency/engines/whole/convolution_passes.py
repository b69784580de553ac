"""Convolutions whose passes run with the channels last, for rows through whole windows on the CPU.

There a convolution's pass to its input takes down to half the time of autograd's own, which lays
both volumes out anew and back again. The pass of a convolution of stride 1 is one too, and where
the kernel is a single voxel it is a product of matrices.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from napari_ies.saliency.engines.moves import channels_last
from napari_ies.saliency.engines.patches import ints, packed, triple
from napari_ies.saliency.engines.whole.passed import passed

if TYPE_CHECKING:
    from napari_ies.geometry.box import Triple
    from napari_ies.saliency.engines.whole.passed import Pull

WIDTH = 16
"""Numbers that a processor's vector holds: with fewer channels a convolution leaves it in part
idle."""


def convolved(module: nn.Conv3d, values: torch.Tensor) -> torch.Tensor:
    """Return what a convolution gives, differentiated so."""
    if module.padding_mode != "zeros" or isinstance(module.padding, str):
        return nn.Conv3d.forward(module, values)

    def layer(values: torch.Tensor) -> tuple[torch.Tensor, Pull]:
        return nn.Conv3d.forward(module, values), pull_of(module, triple(ints(values.shape[2:])))

    return passed(values, layer)


def transposed(module: nn.ConvTranspose3d, values: torch.Tensor, *sizes: Any) -> torch.Tensor:
    """Return what a transposed convolution gives, differentiated so."""
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

    return passed(values, lambda values: (nn.ConvTranspose3d.forward(module, values, *sizes), pull))


def pull_of(module: nn.Conv3d, size: Triple) -> Pull:
    """Return what takes a convolution's cotangent back to its input of a size."""
    stride, dilation = ints(module.stride), ints(module.dilation)
    padding, kernel = ints(tuple(map(int, module.padding))), ints(module.kernel_size)
    around = dilation * (kernel - 1) - padding
    if (kernel == 1).all() and not padding.any() and module.groups == 1:
        weight = module.weight.flatten(1)
        return partial(_mixed, weight=weight, stride=triple(stride), size=size)
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
        _stepped, weight=packed(turned), padding=triple(around), dilation=triple(dilation)
    )


def _stepped(
    cotangent: torch.Tensor, weight: torch.Tensor, padding: Triple, dilation: Triple
) -> torch.Tensor:
    """Pass through a convolution of stride 1, by oneDNN where PyTorch would take no such trouble.

    For a small volume, however many its channels, PyTorch copies the weights and makes a product of
    matrices of it: half as fast.
    """
    if cotangent.dtype == torch.float32 and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return torch.mkldnn_convolution(cotangent, weight, None, padding, (1, 1, 1), dilation, 1)
    return functional.conv3d(cotangent, weight, None, 1, padding, dilation)


def add_pulled(total: torch.Tensor, pull: Pull, cotangent: torch.Tensor) -> torch.Tensor:
    """Add what a pass gives for a cotangent to a volume, channels last, which is overwritten."""
    if not isinstance(pull, partial) or pull.func is not _mixed:
        return total.add_(pull(cotangent))
    weight, stride = pull.keywords["weight"], pull.keywords["stride"]
    if stride != (1, 1, 1):
        _strided(total, stride).add_(_products(cotangent, weight))
        return total
    into, given = (channels_last(volume).flatten(0, 3) for volume in (total, cotangent))
    into.addmm_(given, weight)
    return total


def _mixed(
    cotangent: torch.Tensor, weight: torch.Tensor, stride: Triple, size: Triple
) -> torch.Tensor:
    """Pass through a convolution with a kernel of one voxel: its channels are mixed."""
    products = _products(cotangent, weight)
    if stride == (1, 1, 1):
        return products
    pulled = packed(cotangent.new_zeros((len(cotangent), weight.shape[1], *size)))
    _strided(pulled, stride).copy_(products)
    return pulled


def _products(cotangent: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return (channels_last(cotangent) @ weight).permute(0, 4, 1, 2, 3)


def _strided(volume: torch.Tensor, stride: Triple) -> torch.Tensor:
    x, y, z = stride
    return volume[..., ::x, ::y, ::z]


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
