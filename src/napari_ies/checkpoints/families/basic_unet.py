"""MONAI's BasicUNet, recognised from its keys and shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_ies.checkpoints.families.family import (
    ACTIVATIONS,
    Family,
    Recognition,
    Shapes,
    names,
)

if TYPE_CHECKING:
    from napari_ies.network.profile import Guess

_FIRST = "conv_0.conv_0"
_LEVELS = (
    _FIRST,
    *(f"down_{level}.convs.conv_0" for level in (1, 2, 3, 4)),
    "upcat_1.convs.conv_0",
)
"""The blocks whose numbers of features the argument `features` lists."""


def recognise(shapes: Shapes) -> Recognition | None:
    """Recognise a MONAI BasicUNet."""
    if not {"conv_0", "down_1", "upcat_1"} <= shapes.parts():
        return None
    guessed: dict[str, Guess] = {}
    first = shapes.convolution(f"{_FIRST}.conv.weight")
    norm = shapes.norm(f"{_FIRST}.adn.N", "norm", guessed, may_lack=True)
    arguments: dict[str, Any] = {
        "in_channels": first[1],
        "out_channels": shapes.of("final_conv.weight")[0],
        "features": tuple(shapes.of(f"{level}.conv.weight")[0] for level in _LEVELS),
    }
    found: dict[str, tuple[Any, Any]] = {
        "norm": (norm, ("instance", {"affine": True})),
        "bias": (f"{_FIRST}.conv.bias" in shapes, True),
        "upsample": (shapes.upsampling("upcat_4.upsample"), "deconv"),
    }
    arguments |= {name: value for name, (value, default) in found.items() if value != default}
    said = "leaky ReLU with slope 0.1"
    arguments |= shapes.activation(f"{_FIRST}.adn.A", said, ACTIVATIONS[2], guessed)
    return Recognition(arguments, guessed)


FAMILY = Family(
    architecture="BasicUNet",
    parts=names("conv_0 down_1 down_2 down_3 down_4 upcat_4 upcat_3 upcat_2 upcat_1 final_conv"),
    recognise=recognise,
    argument_names=names(
        "spatial_dims in_channels out_channels features act norm bias dropout upsample"
    ),
    divisor=lambda arguments: (16, 16, 16),
    required=("in_channels", "out_channels", "features"),
)
