"""Instance norms with the channels last, a slab at a time: what is read twice is still near.

For a channel's cotangents g, its normalised values x̂ and its scale a, the pass through a norm is
``a (g - mean(g) - x̂ mean(g x̂))``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

from napari_ies.saliency.engines.moves import channels_last
from napari_ies.saliency.engines.whole.passed import passed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_ies.saliency.engines.whole.passed import Pull

SLAB = 2**18
"""Numbers of a window that lie near while several things are done to them."""
WIDE = 256
"""Numbers in a line, at least, for which a sum of a volume and one number a channel is fast."""


@dataclass(frozen=True, eq=False)
class Standard:
    """What a norm keeps for its pass.

    Parameters
    ----------
    values
        (N, C, x, y, z), channels last: with mean 0 and variance 1.
    scales
        (N, C): what they are multiplied by.
    """

    values: torch.Tensor
    scales: torch.Tensor


@dataclass(frozen=True, eq=False)
class Slope:
    """An activation behind a norm, linear above zero and below.

    Parameters
    ----------
    values
        (N, C, x, y, z), channels last: of the signs of what is activated.
    below
        The slope where they are not positive; 1 where they are.
    """

    values: torch.Tensor
    below: float

    def times(self, cotangent: torch.Tensor) -> torch.Tensor:
        """Pass through the activation."""
        return sloped(cotangent, self.values, self.below, torch.empty_like(cotangent))


def normed(module: nn.InstanceNorm3d, values: torch.Tensor) -> torch.Tensor:
    """Return what an instance norm gives, differentiated so."""
    if values.dim() != 5 or module.track_running_stats:
        return nn.InstanceNorm3d.forward(module, values)

    def layer(values: torch.Tensor) -> tuple[torch.Tensor, Pull]:
        given, standard = standardised(module, values)
        return given, partial(_through_norm, standard=standard)

    return passed(values, layer)


def standardised(module: nn.InstanceNorm3d, values: torch.Tensor) -> tuple[torch.Tensor, Standard]:
    """Return values (N, C, x, y, z), channels last, as a norm gives them, and what it keeps."""
    weight, bias = (v.detach() if module.affine else None for v in (module.weight, module.bias))
    standard, given, scales = torch.empty_like(values), torch.empty_like(values), []
    for some, kept, made in _lines(values, standard, given):
        times = _times(some, values)
        mean = _mean(some, times)
        for part, out in _slabs(some, kept):
            torch.sub(part, mean.repeat(times), out=out)
        scale = (_mean(kept, times, kept) + module.eps).rsqrt()
        for part, out in _slabs(kept, made):
            part.mul_(scale.repeat(times))
            if weight is None or bias is None:
                out.copy_(part)
            else:
                torch.addcmul(bias.repeat(times), part, weight.repeat(times), out=out)
        scales.append(scale if weight is None else scale * weight)
    return given, Standard(standard, torch.stack(scales))


def _through_norm(cotangent: torch.Tensor, standard: Standard) -> torch.Tensor:
    """Pass through an instance norm."""
    return through_norms(cotangent, [standard])[0]


def through_norms(
    cotangent: torch.Tensor,
    standards: Sequence[Standard],
    slope: Slope | None = None,
    out: torch.Tensor | None = None,
) -> list[torch.Tensor]:
    """Pass through an activation, if any, and through each of several norms before it.

    Parameters
    ----------
    cotangent
        (N, C, x, y, z), channels last.
    standards
        The norms whose sum is what is activated.
    slope
        The activation.
    out
        What may be overwritten, such as the cotangent: it takes the first of what is returned.

    Returns
    -------
    A cotangent for each of the norms.
    """
    first = torch.empty_like(cotangent) if out is None else out
    pulled = [first, *(torch.empty_like(cotangent) for _ in standards[1:])]
    kept = [standard.values for standard in standards]
    for row, volumes in enumerate(_lines(cotangent, *kept, *pulled)):
        given, values, made = volumes[0], volumes[1 : 1 + len(kept)], volumes[1 + len(kept) :]
        if slope is not None:
            (signs,) = list(_lines(slope.values))[row]
            for part, sign, into in _slabs(given, signs, made[0]):
                sloped(part, sign, slope.below, into)
            given = made[0]
        times = _times(given, cotangent)
        mean = _mean(given, times)
        numbers = []
        for value, standard in zip(values, standards, strict=True):
            scale = standard.scales[row]
            along = scale * _mean(given, times, value)
            numbers.append([one.repeat(times) for one in (-scale * mean, scale, -along)])
        for parts in _slabs(given, *values, *made):
            # The first of them last: it may lie where the cotangent does.
            for at in reversed(range(len(kept))):
                less, scale, along = numbers[at]
                into = parts[1 + len(kept) + at]
                torch.addcmul(less, parts[0], scale, out=into).addcmul_(parts[1 + at], along)
    return pulled


def sloped(
    given: torch.Tensor, signs: torch.Tensor, below: float, out: torch.Tensor
) -> torch.Tensor:
    """Multiply numbers by a slope where others are not positive."""
    # Nothing else is as fast: `where` takes ten times as long.
    found: torch.Tensor = torch.ops.aten.leaky_relu_backward.grad_input(
        given, signs, below, False, grad_input=out
    )
    return found


def _lines(*volumes: torch.Tensor) -> Iterator[tuple[torch.Tensor, ...]]:
    """Yield each row of volumes (N, C, x, y, z), channels last, as lines of several voxels.

    A line (times · C) is as long as adding one number a channel to it needs to be fast.
    """
    channels = volumes[0].shape[1]
    voxels = volumes[0][0, 0].numel()
    times = math.gcd(voxels, 2 ** math.ceil(math.log2(max(WIDE / channels, 1))))
    return zip(
        *(channels_last(volume).view(len(volume), -1, times * channels) for volume in volumes),
        strict=True,
    )


def _times(lines: torch.Tensor, volume: torch.Tensor) -> int:
    """Return how many voxels a line is."""
    return lines.shape[1] // volume.shape[1]


def _slabs(*lines: torch.Tensor) -> Iterator[tuple[torch.Tensor, ...]]:
    """Yield lines in parts that stay in a core's cache."""
    count = max(SLAB // lines[0].shape[1], 1)
    return zip(*(torch.split(some, count) for some in lines), strict=True)


def _mean(lines: torch.Tensor, times: int, others: torch.Tensor | None = None) -> torch.Tensor:
    """Return each channel's mean over voxels, of values or of their products with others."""
    total = torch.zeros(lines.shape[1], dtype=torch.float64, device=lines.device)
    if others is None:
        for (part,) in _slabs(lines):
            total += part.sum(dim=0)
    else:
        products = torch.empty_like(next(_slabs(lines))[0])
        for part, other in _slabs(lines, others):
            total += torch.mul(part, other, out=products[: len(part)]).sum(dim=0)
    voxels = lines.shape[0] * times
    return (total.view(times, -1).sum(dim=0) / voxels).to(lines.dtype)
