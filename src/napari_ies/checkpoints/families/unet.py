"""MONAI's UNet, recognised from its keys and shapes."""

from __future__ import annotations

import re
from typing import Any

from napari_ies.checkpoints.families.family import (
    ACTIVATIONS,
    Family,
    Recognition,
    Shapes,
    kernel_size,
    names,
    one_level_at_1,
    total_stride,
)
from napari_ies.network.profile import Guess, of_argument

_LAYERS = {"norm": ".adn.N.", "act": ".adn.A."}
_STRIDES_ARE_GUESSED = (
    "The strides, {strides} from the top level down, are the usual 2 wherever the weights do not "
    "tell them; the kernels are not dilated, as in MONAI's class."
)
_ORDER_IS_GUESSED = (
    "Normalisation comes before activation, as is MONAI's default: one of the two leaves no trace "
    "in the file, so their order does not either."
)
_ORDER_IS_BY_NAME = (
    "Normalisation comes before activation, as is MONAI's default: the file lists its tensors by "
    "their names, as safetensors do, so that it does not tell the order of the layers."
)
_ACTIVATION_IS_GUESSED = "The activation, ReLU, leaves no trace in the file; it is not PReLU."


def recognise(shapes: Shapes) -> Recognition | None:
    """Recognise a MONAI UNet, with or without residual units."""
    if not any(key.startswith("model.1.submodule.") for key in shapes):
        return None
    # MONAI's AttentionUnet names its blocks alike.
    if any(".attention." in key for key in shapes):
        return None
    levels = _levels(shapes)
    units = shapes.count(r"model\.0\.conv\.unit(\d+)\.")
    first_conv = "model.0.conv.unit0.conv.weight" if units else "model.0.conv.weight"
    first = shapes.convolution(first_conv)
    last = shapes.of("model.2.0.conv.weight" if units else "model.2.conv.weight")
    strides = tuple(_stride(shapes, level, bool(units)) for level in levels[:-1])
    block = "model.0.conv.unit0" if units else "model.0"
    said = _STRIDES_ARE_GUESSED.format(strides=", ".join(map(str, strides)))
    # Residual connections tell where a level keeps its size.
    looks_alike = () if units else one_level_at_1(strides)
    guessed = {"strides": of_argument("strides", said, strides, looks_alike)}
    norm = shapes.norm(f"{block}.adn.N", "norm", guessed, may_lack=True)
    arguments: dict[str, Any] = {
        "spatial_dims": 3,
        "in_channels": first[1],
        "out_channels": last[1],
        "channels": tuple(_out_channels(shapes, level, bool(units)) for level in levels),
        "strides": strides,
        "norm": norm,
        "num_res_units": units,
    }
    for name, kernel in (("kernel_size", first), ("up_kernel_size", last)):
        if kernel_size(kernel) != 3:
            arguments[name] = kernel_size(kernel)
    if first_conv.replace(".weight", ".bias") not in shapes:
        arguments["bias"] = False
    arguments |= _activation(shapes, block, guessed)
    return Recognition(arguments, guessed)


def _levels(shapes: Shapes) -> list[str]:
    """Return the names of the encoder's blocks from the top level to the bottom one."""
    inside = "model."
    levels = []
    while True:
        levels.append(f"{inside}0.")
        below = f"{inside}1.submodule."
        if not any(key.startswith(f"{below}1.submodule.") for key in shapes):
            return [*levels, below]
        inside = below


def _out_channels(shapes: Shapes, level: str, residual: bool) -> int:
    conv = f"{level}conv.unit0.conv.weight" if residual else f"{level}conv.weight"
    return shapes.of(conv)[0]


def _stride(shapes: Shapes, level: str, residual: bool) -> int:
    """Return 1 where a residual connection shows that a level keeps its size, else the usual 2.

    A residual connection has the block's own kernel if the block changes the size, a kernel of 1
    if it changes the channels alone, and no weights if it changes neither.
    """
    if not residual:
        return 2
    block = shapes.of(f"{level}conv.unit0.conv.weight")
    connection = shapes.get(f"{level}residual.weight")
    keeps_its_size = connection is None or set(connection[2:]) == {1} != set(block[2:])
    return 1 if keeps_its_size else 2


def _activation(shapes: Shapes, block: str, guessed: dict[str, Guess]) -> dict[str, Any]:
    """Return what is not MONAI's default, one PReLU slope per layer, after the normalisation."""
    slope = shapes.get(f"{block}.adn.A.weight")
    keys = list(shapes)
    norm = next((key for key in keys if key.startswith(f"{block}.adn.N.")), None)
    orders = ("NDA", "ADN")
    if slope is None or norm is None:
        guessed["adn_ordering"] = of_argument("adn_ordering", _ORDER_IS_GUESSED, "NDA", orders)
    if slope is None:
        guessed["act"] = of_argument("act", _ACTIVATION_IS_GUESSED, "RELU", ACTIVATIONS)
        return {"act": "RELU"}
    arguments: dict[str, Any] = {}
    if slope != (1,):
        arguments["act"] = ("PRELU", {"num_parameters": slope[0]})
    if norm is not None:
        if shapes.are_by_name:
            guessed["adn_ordering"] = of_argument("adn_ordering", _ORDER_IS_BY_NAME, "NDA", orders)
        elif keys.index(f"{block}.adn.A.weight") < keys.index(norm):
            arguments["adn_ordering"] = "ADN"
    return arguments


def _renamed(key: str) -> str:
    """Return a key of MONAI 0.4 and later: up to 0.3, normalisation and activation had no block."""
    return re.sub(r"\.(norm|act)\.(?=[^.]+$)", lambda old: _LAYERS[old.group(1)], key)


FAMILY = Family(
    architecture="UNet",
    parts=names("model"),
    recognise=recognise,
    argument_names=names(
        "spatial_dims in_channels out_channels channels strides kernel_size up_kernel_size "
        "num_res_units act norm dropout bias adn_ordering"
    ),
    divisor=lambda arguments: total_stride(arguments["strides"][: len(arguments["channels"]) - 1]),
    required=("in_channels", "out_channels", "channels", "strides"),
    threshold=0.3,
    renamed=_renamed,
)
