"""MONAI's AttentionUnet, recognised from its keys and shapes."""

from __future__ import annotations

from typing import Any

from napari_ies.checkpoints.families.family import (
    Family,
    Recognition,
    Shapes,
    kernel_size,
    names,
    one_level_at_1,
    total_stride,
)
from napari_ies.network.profile import of_argument

_STRIDES_ARE_GUESSED = (
    "The strides, {strides} from the top level down, are the usual 2: 1, or 2 along some axes "
    "only, would leave no trace in the file either."
)


def recognise(shapes: Shapes) -> Recognition | None:
    """Recognise a MONAI AttentionUnet."""
    if not any(key.startswith("model.1.attention.") for key in shapes):
        return None
    first = shapes.convolution("model.0.conv.0.conv.weight")
    channels, level = [first[0]], "model.1"
    while shapes.under(f"{level}.submodule.1"):
        channels.append(shapes.of(f"{level}.submodule.0.conv.0.conv.weight")[0])
        level = f"{level}.submodule.1"
    channels.append(shapes.of(f"{level}.submodule.conv.0.conv.weight")[0])
    strides = (2,) * (len(channels) - 1)
    arguments: dict[str, Any] = {
        "spatial_dims": 3,
        "in_channels": first[1],
        "out_channels": shapes.of("model.2.conv.weight")[0],
        "channels": tuple(channels),
        "strides": strides,
    }
    up = shapes.of("model.1.upconv.up.conv.weight")
    for name, kernel in (("kernel_size", first), ("up_kernel_size", up)):
        if kernel_size(kernel) != 3:
            arguments[name] = kernel_size(kernel)
    said = _STRIDES_ARE_GUESSED.format(strides=", ".join(map(str, strides)))
    guess = of_argument("strides", said, strides, one_level_at_1(strides))
    return Recognition(arguments, {"strides": guess})


FAMILY = Family(
    architecture="AttentionUnet",
    parts=names("model"),
    recognise=recognise,
    argument_names=names(
        "spatial_dims in_channels out_channels channels strides kernel_size up_kernel_size dropout"
    ),
    divisor=lambda arguments: total_stride(arguments["strides"][: len(arguments["channels"]) - 1]),
    required=("in_channels", "out_channels", "channels", "strides"),
)
