"""Attention inside windows of a volume, a window and a head at a time.

A window of 7³ tokens has, for each head, a matrix of 343 × 343 weights. Written plainly, those of
all windows and heads lie in memory, and every step reads and writes them there: half a gigabyte for
the first layer of a SwinUNETR. Here one of them stays in a core's cache from its logits to its last
product, and for the pass back it is made anew from queries, keys and the logarithm of its sum.

All that belongs to a window and a head is held as (width + 1, tokens). The row that was added
carries, for queries, minus that logarithm, for keys and values a one, for cotangents minus their
product with what the head gave: so a product of two of them is what a softmax and its pass subtract
from.

The formula of the pass, for weights P, values V, a cotangent G and what the head gave O, is
``dV = Pᵀ G``, ``dS = P (G Vᵀ - Σ G O)``, ``dQ = dS K``, ``dK = dSᵀ Q``. Source: Dao et al.,
*FlashAttention* (2022), arXiv 2205.14135, appendix B.2.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from napari_ies.saliency.engines.whole.passed import passed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_ies.saliency.engines.whole.passed import Pull


def attended(module: Any, values: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Return what a window attention gives for windows (N, tokens, C), differentiated so.

    Parameters
    ----------
    module
        MONAI's `WindowAttention`: its layers `qkv` and `proj`, its `num_heads` and `scale`, its
        table of relative position biases and the index into it.
    values
        (N, tokens, C)
    mask
        (M, tokens, tokens), added to the logits of windows 0, 1, … M - 1, of M, M + 1, … and so on.
    """
    if values.dim() != 3 or not takes(module) or not _fits(mask, values):
        given: torch.Tensor = type(module).forward(module, values, mask)
        return given
    if torch.get_num_threads() > 1:
        return _fused(module, values, mask)
    return passed(values, partial(_attention, module=module, mask=mask))


def trial_inputs(module: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return windows and masks to try an attention on: two masks, each for two windows."""
    tokens = len(module.relative_position_index)
    generator = torch.Generator().manual_seed(0)
    values = torch.randn((4, tokens, module.qkv.in_features), generator=generator)
    return values, -100.0 * (torch.rand((2, tokens, tokens), generator=generator) > 0.5)


def takes(module: Any) -> bool:
    """Whether an attention is what is computed here."""
    drops: list[Any] = [getattr(module, name, None) for name in ("attn_drop", "proj_drop")]
    return (
        type(getattr(module, "qkv", None)) is type(getattr(module, "proj", None)) is nn.Linear
        and type(getattr(module, "softmax", None)) is nn.Softmax
        and all(type(drop) is nn.Dropout for drop in drops)
        and not any(drop.training and drop.p > 0 for drop in drops)
        and all(
            hasattr(module, name)
            for name in (
                "num_heads",
                "scale",
                "relative_position_bias_table",
                "relative_position_index",
            )
        )
    )


def _fits(mask: torch.Tensor | None, values: torch.Tensor) -> bool:
    return mask is None or (mask.dim() == 3 and len(values) % len(mask) == 0)


def _fused(module: Any, values: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Return what an attention gives, by PyTorch's own that forms no matrix of all weights.

    It takes up to a half longer than what is here for one thread, but shares windows and heads
    among threads once for all of them, where each small product would wait for every thread.
    """
    windows, tokens, channels = values.shape
    heads = module.num_heads
    biases = _biases(module, tokens)
    order, alike = _alike(mask, windows)
    asked = module.qkv(_in_order(values, order)).view(windows, tokens, 3, heads, -1)
    parts = [len(range(*at.indices(windows))) for at, _ in alike]
    pieces = (torch.split(part, parts) for part in asked.permute(2, 0, 3, 1, 4).unbind())
    found = [
        nn.functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=_added(biases, shared).expand(len(query), -1, -1, -1),
            scale=module.scale,
        )
        for query, key, value, (_, shared) in zip(*pieces, alike, strict=True)
    ]
    given = torch.cat(found).transpose(1, 2).reshape(windows, tokens, channels)
    projected: torch.Tensor = module.proj(given)
    return projected if order is None else projected[order.argsort()]


def _biases(module: Any, tokens: int) -> torch.Tensor:
    """Return what is added to the logits of each head, (heads, tokens, tokens)."""
    table: torch.Tensor = module.relative_position_bias_table.detach()
    index: torch.Tensor = module.relative_position_index
    return table[index[:tokens, :tokens]].permute(2, 0, 1).contiguous()


def _added(biases: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    return biases if mask is None else biases + mask.to(biases)


def _attention(
    values: torch.Tensor, module: Any, mask: torch.Tensor | None
) -> tuple[torch.Tensor, Pull]:
    """Return what an attention gives, and its pass."""
    windows, tokens, channels = values.shape
    heads, width = module.num_heads, channels // module.num_heads
    biases = _biases(module, tokens)
    order, alike = _alike(mask, windows)
    back = None if order is None else order.argsort()
    weight, shift = _with_ones(module.qkv, heads, module.scale)
    kept = torch.empty((windows, 3, heads, width + 1, tokens)).to(values)
    products = kept.flatten(1, 3)
    sorted_values = _in_order(values, order).transpose(1, 2)
    torch.baddbmm(shift[:, None], weight.expand(windows, -1, -1), sorted_values, out=products)
    queries, keys, tokens_values = kept.unbind(1)
    given = torch.empty_like(queries)
    weights = torch.empty((tokens, tokens)).to(values)
    volumes = (
        queries[:, :, :-1].transpose(2, 3),
        queries[:, :, -1],
        keys[:, :, :-1],
        tokens_values,
        given,
        given[:, :, -1],
    )
    nothing = _nothing(weights)
    for bias, parts in _blocks(biases, alike, volumes):
        for query, logarithm, key, value, out, total in zip(*parts, strict=True):
            torch.addmm(bias, query, key, out=weights)
            largest = weights.amax(dim=1, keepdim=True)
            weights.sub_(largest).clamp_min_(nothing).exp_()
            torch.mm(value, weights.T, out=out)
            torch.add(largest[:, 0], total.log(), out=logarithm).neg_()
    outputs = given[:, :, :-1].div_(given[:, :, -1:])
    projected = _in_order(outputs.reshape(windows, channels, tokens).transpose(1, 2), back)
    pull = partial(
        _pulled,
        kept=kept,
        outputs=outputs,
        biases=biases,
        alike=alike,
        order=order,
        back=back,
        module=module,
    )
    return module.proj(projected), pull


def _pulled(
    cotangent: torch.Tensor,
    kept: torch.Tensor,
    outputs: torch.Tensor,
    biases: torch.Tensor,
    alike: Sequence[Alike],
    order: torch.Tensor | None,
    back: torch.Tensor | None,
    module: Any,
) -> torch.Tensor:
    """Pass through an attention."""
    windows, _, heads, rows, tokens = kept.shape
    width = rows - 1
    weight = module.proj.weight.detach().T.reshape(heads, width, -1)
    weight = nn.functional.pad(weight, (0, 0, 0, 1)).flatten(0, 1)
    there = _in_order(cotangent, order).transpose(1, 2)
    given = torch.bmm(weight.expand(windows, -1, -1), there).view(windows, heads, rows, tokens)
    torch.sum(given[:, :, :-1] * outputs, dim=2, out=given[:, :, -1]).neg_()
    found = torch.empty((windows, 3, heads, width, tokens)).to(kept)
    weights, slopes = torch.empty((2, tokens, tokens)).to(kept)
    queries, keys, tokens_values = kept.unbind(1)
    volumes = (
        queries.transpose(2, 3),
        keys,
        given[:, :, :-1],
        given.transpose(2, 3),
        tokens_values,
        keys[:, :, :-1],
        queries[:, :, :-1],
        *found.unbind(1),
    )
    nothing = _nothing(weights)
    for bias, parts in _blocks(biases, alike, volumes):
        for query, key, given_, turned, value, key_, query_, to_query, to_key, to_value in zip(
            *parts, strict=True
        ):
            torch.addmm(bias, query, key, out=weights).clamp_min_(nothing).exp_()
            torch.mm(given_, weights, out=to_value)
            torch.mm(turned, value, out=slopes).mul_(weights)
            torch.mm(key_, slopes.T, out=to_query)
            torch.mm(query_, slopes, out=to_key)
    scaled = module.qkv.weight.detach().clone()
    scaled[: heads * width] *= module.scale
    pulled = torch.bmm(found.flatten(1, 3).transpose(1, 2), scaled.expand(windows, -1, -1))
    return _in_order(pulled, back)


def _nothing(weights: torch.Tensor) -> float:
    """Return the logarithm of a weight that nobody sees: a square of what rounding takes.

    What is smaller, as behind a mask of -100, would be denormal, at a hundred times the time.
    """
    return 2 * math.log(torch.finfo(weights.dtype).eps)


Alike = tuple[slice, "torch.Tensor | None"]
"""Windows, sorted, that have one mask, and this."""


def _alike(masks: torch.Tensor | None, windows: int) -> tuple[torch.Tensor | None, Sequence[Alike]]:
    """Return an order of windows in which those of equal masks are neighbours, and these."""
    if masks is None:
        return None, [(slice(0, windows), None)]
    left = list(range(len(masks)))
    order: list[int] = []
    alike: list[Alike] = []
    while left:
        same = [one for one in left if torch.equal(masks[one], masks[left[0]])]
        left = [one for one in left if one not in same]
        everywhere = [one for one in range(windows) if one % len(masks) in same]
        alike.append((slice(len(order), len(order) + len(everywhere)), masks[same[0]]))
        order += everywhere
    return torch.tensor(order, device=masks.device), alike


def _in_order(values: torch.Tensor, order: torch.Tensor | None) -> torch.Tensor:
    return values if order is None else values[order]


def _blocks(
    biases: torch.Tensor, alike: Sequence[Alike], volumes: Sequence[torch.Tensor]
) -> Iterator[tuple[torch.Tensor, list[tuple[torch.Tensor, ...]]]]:
    """Yield what is added to the logits of one head and mask, and the windows that have both.

    These come one by one, of each of the volumes (N, heads, …).
    """
    for head, bias in enumerate(biases):
        for windows, mask in alike:
            yield _added(bias, mask), [volume[windows, head].unbind() for volume in volumes]


def _with_ones(layer: nn.Linear, heads: int, scale: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weights and biases that give queries, scaled, keys and values with a row more each.

    That of keys and of values is one.
    """
    weight = layer.weight.detach().reshape(3, heads, -1, layer.in_features)
    weight = nn.functional.pad(weight, (0, 0, 0, 1))
    bias = layer.weight.new_zeros(weight.shape[:3])
    if layer.bias is not None:
        bias[..., :-1] = layer.bias.detach().reshape(3, heads, -1)
    weight[0] *= scale
    bias[0] *= scale
    bias[1:, :, -1] = 1
    return weight.flatten(0, 2), bias.flatten()
