"""MONAI's UNETR, recognised from its keys and shapes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from napari_ies.checkpoints.families.family import (
    Family,
    Recognition,
    Shapes,
    factors,
    names,
    size_per_axis,
)
from napari_ies.network.profile import of_argument

if TYPE_CHECKING:
    from collections.abc import Mapping

_PATCH = 16
_MOST_HEADS = 24
_HEADS_ARE_GUESSED = "The number of attention heads, {heads}: the weights do not tell it."
_SIZE_IS_GUESSED = (
    "The image size is taken to be {size} voxels: the weights tell only how many patches of 16 "
    "voxels there are."
)
_MOST_SIZES = 12


def recognise(shapes: Shapes) -> Recognition | None:
    """Recognise a MONAI UNETR, without `img_size` where the patches fill no usual size."""
    if not {"vit", "decoder5"} <= shapes.parts():
        return None
    first = shapes.convolution("encoder1.layer.conv1.conv.weight")
    embedding = shapes.of("vit.patch_embedding.position_embeddings")
    hidden = embedding[-1]
    heads = 12 if hidden % 12 == 0 else max(1, hidden // 64)
    divide = tuple(n for n in range(1, _MOST_HEADS + 1) if hidden % n == 0)
    said = _HEADS_ARE_GUESSED.format(heads=heads)
    guessed = {"num_heads": of_argument("num_heads", said, heads, divide)}
    norm = shapes.norm("encoder1.layer.norm1", "norm_name", guessed)
    arguments: dict[str, Any] = {
        "in_channels": first[1],
        "out_channels": shapes.of("out.conv.conv.weight")[0],
        "feature_size": first[0],
        "hidden_size": hidden,
        "mlp_dim": shapes.of("vit.blocks.0.mlp.linear1.weight")[0],
        "num_heads": heads,
    }
    sizes = [tuple(edge * _PATCH for edge in edges) for edges in factors(embedding[-2])]
    if sizes:
        alike = [size[0] if len(set(size)) == 1 else size for size in sizes[:_MOST_SIZES]]
        arguments["img_size"] = alike[0]
        said = _SIZE_IS_GUESSED.format(size="×".join(map(str, sizes[0])))
        guessed["img_size"] = of_argument("img_size", said, alike[0], tuple(alike))
    by_hand = "vit.patch_embedding.patch_embeddings.1.weight" in shapes
    found: dict[str, tuple[Any, Any]] = {
        "proj_type": ("perceptron" if by_hand else "conv", "conv"),
        "norm_name": (norm, "instance"),
        "conv_block": ("encoder2.blocks.0.0.conv.weight" in shapes, True),
        # The first encoder's block has no such convolution where it keeps its channels.
        "res_block": ("decoder5.conv_block.conv3.conv.weight" in shapes, True),
        "qkv_bias": ("vit.blocks.0.attn.qkv.bias" in shapes, False),
    }
    arguments |= {name: value for name, (value, default) in found.items() if value != default}
    return Recognition(arguments, guessed)


def _inert(arguments: Mapping[str, Any]) -> re.Pattern[str]:
    """Return keys of layers that UNETR has and does not use: cross-attention, the class token.

    MONAI saves them or not by its version; so it does with a third convolution of residual
    blocks that keep their channels.
    """
    unused = r"vit\.blocks\.\d+\.(norm_cross_attn|cross_attn)\.|vit\.(patch_embedding\.)?cls_token$"
    if arguments.get("res_block", True):
        unused += r"|encoder[234]\.blocks\.\d+\.1\.(conv3\.conv|norm3)\."
    return re.compile(unused)


FAMILY = Family(
    architecture="UNETR",
    parts=names("vit encoder1 encoder2 encoder3 encoder4 decoder2 decoder3 decoder4 decoder5 out"),
    recognise=recognise,
    argument_names=names(
        "in_channels out_channels img_size feature_size hidden_size mlp_dim num_heads proj_type "
        "norm_name conv_block res_block dropout_rate spatial_dims qkv_bias"
    ),
    divisor=lambda arguments: (_PATCH, _PATCH, _PATCH),
    fixed_size=lambda arguments: size_per_axis(arguments["img_size"]),
    inert=_inert,
    required=("in_channels", "out_channels", "img_size"),
    threshold=0.4,
)
