"""Blocks of convolutions and norms as MONAI's DynUNet, UNETR and SwinUNETR have them, in one pass.

Between two convolutions a cotangent passes an activation and a norm, or two norms that were added.
Written as layers each of these reads and writes the whole window, into memory that is new each
time; here they follow one another while a slab of it is near, in memory that is used again.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from napari_ies.saliency.engines.patches import ints, packed, triple
from napari_ies.saliency.engines.whole.convolution_passes import add_pulled, pull_of
from napari_ies.saliency.engines.whole.norm_passes import Slope, standardised, through_norms
from napari_ies.saliency.engines.whole.passed import passed

if TYPE_CHECKING:
    from napari_ies.saliency.engines.whole.norm_passes import Standard
    from napari_ies.saliency.engines.whole.passed import Pull


def blocked(module: Any, values: torch.Tensor, residual: bool) -> torch.Tensor:
    """Return what a block gives, differentiated so.

    Parameters
    ----------
    module
        MONAI's `UnetResBlock` or `UnetBasicBlock`.
    values
        (N, C, x, y, z)
    residual
        Whether the values, or what a third convolution makes of them, are added in the end.
    """
    if values.dim() != 5 or not takes(module):
        given: torch.Tensor = type(module).forward(module, values)
        return given
    return passed(values, partial(_block, module=module, residual=residual))


def trial_inputs(module: Any) -> tuple[torch.Tensor]:
    """Return a volume to try a block on."""
    convolution = _only(module.conv1, nn.Conv3d)
    x, y, z = 4 * ints(convolution.stride)
    generator = torch.Generator().manual_seed(0)
    return (torch.randn((1, convolution.in_channels, x, y, z), generator=generator),)


def takes(module: Any) -> bool:
    """Whether a block is what is computed here."""
    layers = [getattr(module, name, None) for name in ("conv1", "conv2")]
    norms: list[Any] = [getattr(module, name, None) for name in ("norm1", "norm2")]
    if hasattr(module, "conv3") or hasattr(module, "norm3"):
        layers.append(getattr(module, "conv3", None))
        norms.append(getattr(module, "norm3", None))
    activation = getattr(module, "lrelu", None)
    return (
        type(activation) in (nn.LeakyReLU, nn.ReLU)
        and getattr(activation, "negative_slope", 0.0) >= 0
        and all(type(norm) is nn.InstanceNorm3d for norm in norms)
        and not any(norm.track_running_stats for norm in norms)
        and all(_only(layer, nn.Conv3d) is not None for layer in layers)
    )


def _only(layer: Any, kind: type) -> Any:
    """Return the one layer that is inside a layer of MONAI's, or None where there is more.

    Dropout that is off changes nothing.
    """
    if not isinstance(layer, nn.Module):
        return None
    inner = [module for module in layer.modules() if not list(module.children())]
    inner = [one for one in inner if not _is_nothing(one)]
    if len(inner) != 1 or type(inner[0]) is not kind:
        return None
    (found,) = inner
    plain = found.padding_mode == "zeros" and not isinstance(found.padding, str)
    return found if plain else None


def _is_nothing(layer: Any) -> bool:
    dropout = isinstance(layer, (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d))
    return isinstance(layer, nn.Identity) or (dropout and not (layer.training and layer.p > 0))


def _block(values: torch.Tensor, module: Any, residual: bool) -> tuple[torch.Tensor, Pull]:
    """Return what a block gives, and its pass."""
    below = getattr(module.lrelu, "negative_slope", 0.0)
    made, first = _convolved(module.conv1, values)
    made, inner = standardised(module.norm1, made)
    inside = Slope(functional.leaky_relu_(made, below), below)
    made, second = _convolved(module.conv2, made)
    made, outer = standardised(module.norm2, made)
    outers, third = [outer], None
    if residual and hasattr(module, "conv3"):
        beside, third = _convolved(module.conv3, values)
        beside, standard = standardised(module.norm3, beside)
        outers.append(standard)
        made += beside
    elif residual:
        made += values
    outside = Slope(made, below)
    return functional.leaky_relu(made, below), partial(
        _pulled,
        pulls=(first, second, third),
        inner=inner,
        outers=outers,
        slopes=(inside, outside),
        residual=residual,
    )


def _convolved(layer: nn.Module, values: torch.Tensor) -> tuple[torch.Tensor, Pull]:
    convolution = _only(layer, nn.Conv3d)
    pull = pull_of(convolution, triple(ints(values.shape[2:])))
    return packed(nn.Conv3d.forward(convolution, values)), pull


def _pulled(
    cotangent: torch.Tensor,
    pulls: tuple[Pull, Pull, Pull | None],
    inner: Standard,
    outers: list[Standard],
    slopes: tuple[Slope, Slope],
    residual: bool,
) -> torch.Tensor:
    """Pass through a block."""
    first, second, third = pulls
    inside, outside = slopes
    given, *beside = through_norms(cotangent, outers, outside)
    given = packed(second(given))
    (given,) = through_norms(given, [inner], inside, out=given)
    pulled = packed(first(given))
    if third is not None:
        return add_pulled(pulled, third, *beside)
    if residual:
        pulled += outside.times(cotangent)
    return pulled
