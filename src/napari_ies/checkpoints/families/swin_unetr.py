"""MONAI's SwinUNETR, recognised from its keys and shapes."""

from __future__ import annotations

import re
from math import prod
from typing import TYPE_CHECKING, Any

from napari_ies.checkpoints.families.family import (
    Family,
    Recognition,
    Shapes,
    factors,
    names,
    size_per_axis,
)
from napari_ies.network.profile import Guess, of_argument

if TYPE_CHECKING:
    from collections.abc import Mapping

_MERGING_IS_GUESSED = (
    'The merging of patches is MONAI\'s default, "merging": the weights do not tell it from '
    '"mergingv2".'
)
_NORMALISE_IS_GUESSED = (
    "The features of each stage are normalised, as is MONAI's default: it leaves no trace in the "
    "file."
)
_WINDOW_IS_GUESSED = (
    "The attention window, {window} voxels, is no cube: the weights do not tell the order of its "
    "edges."
)


def recognise(shapes: Shapes) -> Recognition | None:
    """Recognise a MONAI SwinUNETR, of the first version or the second."""
    if "swinViT" not in shapes.parts():
        return None
    embedding = shapes.convolution("swinViT.patch_embed.proj.weight")
    merged = ("merging", "mergingv2")
    guessed = {
        "downsample": of_argument("downsample", _MERGING_IS_GUESSED, "merging", merged),
        "normalize": of_argument("normalize", _NORMALISE_IS_GUESSED, True, (True, False)),
    }
    arguments: dict[str, Any] = {
        "in_channels": embedding[1],
        "out_channels": shapes.of("out.conv.conv.weight")[0],
        "feature_size": embedding[0],
    }
    depths = tuple(
        shapes.count(rf"swinViT\.layers{stage}\.0\.blocks\.(\d+)\.") for stage in range(1, 5)
    )
    tables = (f"swinViT.layers{stage}.0.blocks.0.attn" for stage in range(1, 5))
    heads = tuple(shapes.of(f"{table}.relative_position_bias_table")[1] for table in tables)
    first_block = "swinViT.layers1.0.blocks.0"
    mlp = shapes.of(f"{first_block}.mlp.linear1.weight")
    norm = shapes.norm("encoder1.layer.norm1", "norm_name", guessed)
    found: dict[str, tuple[Any, Any]] = {
        "depths": (depths, (2, 2, 2, 2)),
        "num_heads": (heads, (3, 6, 12, 24)),
        "patch_size": (embedding[2], 2),
        "window_size": (_attention_window(shapes, first_block, guessed), 7),
        "mlp_ratio": (mlp[0] / mlp[1], 4.0),
        "qkv_bias": (f"{first_block}.attn.qkv.bias" in shapes, True),
        "norm_name": (norm, "instance"),
        "patch_norm": ("swinViT.patch_embed.norm.weight" in shapes, False),
        "use_v2": (any(key.startswith("swinViT.layers1c.") for key in shapes), False),
    }
    arguments |= {name: value for name, (value, default) in found.items() if value != default}
    return Recognition(arguments, guessed)


def _attention_window(shapes: Shapes, block: str, guessed: dict[str, Guess]) -> Any:
    """Return the window: of edges u, v, w its bias table has (2u - 1)(2v - 1)(2w - 1) rows.

    The index of the places in it, which has uvw rows, tells other edges of as many rows apart.
    """
    rows = shapes.of(f"{block}.attn.relative_position_bias_table")[0]
    places = shapes.get(f"{block}.attn.relative_position_index", (0,))[0]
    found = [
        tuple((edge + 1) // 2 for edge in edges)
        for edges in factors(rows)
        if places in (0, prod((edge + 1) // 2 for edge in edges))
    ]
    if not found or len(set(found[0])) == 1:
        return found[0][0] if found else 7
    said = _WINDOW_IS_GUESSED.format(window="×".join(map(str, found[0])))
    guessed["window_size"] = of_argument("window_size", said, found[0], tuple(found))
    return found[0]


def _inert(arguments: Mapping[str, Any]) -> re.Pattern[str]:
    """Return keys that follow from the window's size, or that no output depends on.

    Old versions of MONAI saved a third convolution of residual blocks that keep their channels.
    """
    return re.compile(r".*\.relative_position_index$|encoder\d+\.layer\.(conv3\.conv|norm3)\.")


def _divisor(arguments: Mapping[str, Any]) -> tuple[int, int, int]:
    x, y, z = (size**5 for size in size_per_axis(arguments.get("patch_size", 2)))
    return (x, y, z)


FAMILY = Family(
    architecture="SwinUNETR",
    parts=names(
        "swinViT encoder1 encoder2 encoder3 encoder4 encoder10 "
        "decoder1 decoder2 decoder3 decoder4 decoder5 out"
    ),
    recognise=recognise,
    argument_names=names(
        "in_channels out_channels patch_size depths num_heads window_size qkv_bias mlp_ratio "
        "feature_size norm_name drop_rate attn_drop_rate dropout_path_rate normalize patch_norm "
        "spatial_dims downsample use_v2"
    ),
    divisor=_divisor,
    inert=_inert,
    required=("in_channels", "out_channels"),
    threshold=0.4,
)
