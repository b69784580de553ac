"""The U-Net of LST-AI 2.0, recognised from its keys and shapes.

A U-Net of 4×4×4 convolutions down and up and pairs of 3×3×3 ones between them, each followed by an
instance norm with weights and a leaky ReLU (https://github.com/CompImg/LST-AI, ``lst_ai/model.py``
of release 2.0, MIT). Slope and epsilon are those its weights were trained with, in TensorFlow; its
sigmoid is left to the profile, so that there are logits to explain.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from napari_ies.checkpoints.families.family import Family, Recognition, Shapes, names

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from torch import nn

_SLOPE, _EPSILON = 0.3, 1e-3


def recognise(shapes: Shapes) -> Recognition | None:
    """Recognise a U-Net of LST-AI."""
    if not {"stem", "bottleneck_down", "out_seg"} <= shapes.parts():
        return None
    first = shapes.convolution("stem.block.0.weight")
    arguments: dict[str, Any] = {
        "in_channels": first[1],
        "out_channels": shapes.of("out_seg.weight")[0],
        "n_filters": first[0],
        "n_conv_blocks": 1 + shapes.count(r"enc_conv\.(\d+)\."),
        "bottleneck_filters": shapes.of("bottleneck_down.block.0.weight")[0],
        "n_heads": shapes.count(r"ds_heads\.(\d+)\."),
    }
    return Recognition(arguments, {})


def build(
    in_channels: int,
    out_channels: int,
    n_filters: int,
    n_conv_blocks: int,
    bottleneck_filters: int,
    n_heads: int = 0,
) -> nn.Module:
    """Build such a network, its weights under the names that LST-AI saves them by.

    Parameters
    ----------
    in_channels, out_channels
        Of the network.
    n_filters
        Channels of the first level; level i has i times as many.
    n_conv_blocks
        Levels above the lowest one.
    bottleneck_filters
        Channels of the lowest level.
    n_heads
        Outputs for training at half the resolution, a quarter, …; they are not used.
    """
    from torch import nn

    widths = [n_filters * level for level in range(1, n_conv_blocks + 1)]
    down = list(pairwise(widths))
    up = list(zip([bottleneck_filters, *reversed(widths[1:])], reversed(widths), strict=True))

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = _pair(in_channels, n_filters)
            self.enc_down = nn.ModuleList(_halving(*pair) for pair in down)
            self.enc_conv = nn.ModuleList(_pair(width, width) for _, width in down)
            self.bottleneck_down = _halving(widths[-1], bottleneck_filters)
            self.bottleneck_conv = _pair(bottleneck_filters, bottleneck_filters)
            self.dec_up = nn.ModuleList(_doubling(*pair) for pair in up)
            self.dec_conv = nn.ModuleList(_pair(2 * width, width) for _, width in up)
            self.out_seg = nn.Conv3d(n_filters, out_channels, 1)
            self.ds_heads = nn.ModuleList(
                nn.Conv3d(widths[head + 1], out_channels, 1) for head in range(n_heads)
            )

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            import torch

            levels = [self.stem(images)]
            for halve, convolve in zip(self.enc_down, self.enc_conv, strict=True):
                levels.append(convolve(halve(levels[-1])))
            found = self.bottleneck_conv(self.bottleneck_down(levels[-1]))
            for double, convolve in zip(self.dec_up, self.dec_conv, strict=True):
                found = convolve(torch.cat([levels.pop(), double(found)], dim=1))
            logits: torch.Tensor = self.out_seg(found)
            return logits

    return Network()


def _pair(inside: int, outside: int) -> nn.Module:
    from torch import nn

    first = nn.Conv3d(inside, outside, 3, padding=1, bias=False)
    second = nn.Conv3d(outside, outside, 3, padding=1, bias=False)
    return _block(*_normed(first, outside), *_normed(second, outside))


def _halving(inside: int, outside: int) -> nn.Module:
    from torch import nn

    return _block(*_normed(nn.Conv3d(inside, outside, 4, 2, 1, bias=False), outside))


def _doubling(inside: int, outside: int) -> nn.Module:
    from torch import nn

    return _block(*_normed(nn.ConvTranspose3d(inside, outside, 4, 2, 1, bias=False), outside))


def _normed(convolution: nn.Module, channels: int) -> tuple[nn.Module, ...]:
    from torch import nn

    norm = nn.InstanceNorm3d(channels, eps=_EPSILON, affine=True)
    return convolution, norm, nn.LeakyReLU(_SLOPE)


def _block(*layers: nn.Module) -> nn.Module:
    from torch import nn

    return nn.Sequential(OrderedDict(block=nn.Sequential(*layers)))


def _divisor(arguments: Mapping[str, Any]) -> tuple[int, int, int]:
    total = 2 ** min(arguments["n_conv_blocks"], 10)
    return (total, total, total)


FAMILY = Family(
    architecture="LST-AI",
    parts=names(
        "stem enc_down enc_conv bottleneck_down bottleneck_conv dec_up dec_conv out_seg ds_heads"
    ),
    recognise=recognise,
    argument_names=names(
        "in_channels out_channels n_filters n_conv_blocks bottleneck_filters n_heads"
    ),
    divisor=_divisor,
    required=("in_channels", "out_channels", "n_filters", "n_conv_blocks", "bottleneck_filters"),
    build=build,
)
