"""MONAI's DynUNet, the "nn-unet" of the paper, recognised from its keys and shapes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from napari_ies.checkpoints.families.family import (
    ACTIVATIONS,
    Family,
    Recognition,
    Shapes,
    kernel_size,
    names,
    total_stride,
)
from napari_ies.network.profile import of_argument

if TYPE_CHECKING:
    from collections.abc import Mapping

_ACTIVATION_IS_GUESSED = (
    "The activation, leaky ReLU with slope 0.01, leaves no trace in the file; it is not PReLU."
)
_STRIDE_IS_GUESSED = (
    "The first stride is 1, which makes the output as large as the input: the weights do not "
    "tell it; the kernels are not dilated, as in MONAI's class."
)


def recognise(shapes: Shapes) -> Recognition | None:
    """Recognise a MONAI DynUNet.

    The strides below the first level are those of the transposed convolutions that undo them,
    whose kernels are as large as their strides.
    """
    if not {"downsamples", "upsamples"} <= shapes.parts():
        return None
    n_down = shapes.count(r"downsamples\.(\d+)\.")
    blocks = ["input_block", *(f"downsamples.{i}" for i in range(n_down)), "bottleneck"]
    convolutions = [shapes.of(f"{block}.conv1.conv.weight") for block in blocks]
    first = shapes.convolution(f"{blocks[0]}.conv1.conv.weight")
    ups = [
        kernel_size(shapes.of(f"upsamples.{i}.transp_conv.conv.weight"))
        for i in reversed(range(len(blocks) - 1))
    ]
    guessed = {"strides": of_argument("strides", _STRIDE_IS_GUESSED, (1, *ups))}
    norm = shapes.norm("input_block.norm1", "norm_name", guessed)
    arguments: dict[str, Any] = {
        "spatial_dims": 3,
        "in_channels": first[1],
        "out_channels": shapes.of("output_block.conv.conv.weight")[0],
        "kernel_size": tuple(kernel_size(shape) for shape in convolutions),
        "strides": (1, *ups),
        "upsample_kernel_size": tuple(ups),
        "filters": tuple(shape[0] for shape in convolutions),
        "norm_name": norm,
        "res_block": any(
            re.match(r"(input_block|downsamples\.\d+|bottleneck)\.conv3\.", key) for key in shapes
        ),
    }
    if slope := shapes.get("input_block.lrelu.weight"):
        arguments["act_name"] = (
            "prelu" if slope == (1,) else ("prelu", {"num_parameters": slope[0]})
        )
    else:
        guessed["act_name"] = of_argument(
            "act_name", _ACTIVATION_IS_GUESSED, ACTIVATIONS[1], ACTIVATIONS
        )
    if heads := shapes.count(r"deep_supervision_heads\.(\d+)\."):
        arguments |= {"deep_supervision": True, "deep_supr_num": heads}
    if "upsamples.0.transp_conv.conv.bias" in shapes:
        arguments["trans_bias"] = True
    return Recognition(arguments, guessed)


def _inert(arguments: Mapping[str, Any]) -> re.Pattern[str]:
    """Return the keys under which every block is saved a second time.

    Old versions of MONAI also saved a third convolution of residual blocks that keep their size
    and channels, which no output depends on.
    """
    if arguments.get("res_block", False):
        return re.compile(r"skip_layers\.|.*\.(conv3\.conv|norm3)\.")
    return re.compile(r"skip_layers\.")


FAMILY = Family(
    architecture="DynUNet",
    parts=names(
        "input_block downsamples bottleneck upsamples output_block deep_supervision_heads "
        "skip_layers"
    ),
    recognise=recognise,
    argument_names=names(
        "spatial_dims in_channels out_channels kernel_size strides upsample_kernel_size filters "
        "dropout norm_name act_name deep_supervision deep_supr_num res_block trans_bias"
    ),
    divisor=lambda arguments: total_stride(arguments["strides"]),
    inert=_inert,
    required=(
        *("spatial_dims", "in_channels", "out_channels"),
        *("kernel_size", "strides", "upsample_kernel_size"),
    ),
    threshold=0.4,
)
