"""MONAI's VNet, recognised from its keys and shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_ies.checkpoints.families.family import Family, Recognition, Shapes, names

if TYPE_CHECKING:
    from napari_ies.network.profile import Guess


def recognise(shapes: Shapes) -> Recognition | None:
    """Recognise a MONAI VNet."""
    if not {"in_tr", "down_tr32", "out_tr"} <= shapes.parts():
        return None
    guessed: dict[str, Guess] = {}
    first = shapes.convolution("in_tr.conv_block.conv.weight")
    arguments: dict[str, Any] = {
        "in_channels": first[1],
        "out_channels": shapes.of("out_tr.conv2.weight")[0],
    }
    if "in_tr.conv_block.conv.bias" in shapes:
        arguments["bias"] = True
    if act := shapes.activation("in_tr.act_function", "ELU", "ELU", guessed):
        # In small letters and without arguments PReLU has a slope for each channel.
        shared = act["act"] == "PRELU"
        arguments["act"] = ("prelu", {"num_parameters": 1}) if shared else "prelu"
    return Recognition(arguments, guessed)


FAMILY = Family(
    architecture="VNet",
    parts=names(
        "in_tr down_tr32 down_tr64 down_tr128 down_tr256 up_tr256 up_tr128 up_tr64 up_tr32 out_tr"
    ),
    recognise=recognise,
    argument_names=names(
        "spatial_dims in_channels out_channels act dropout_prob dropout_prob_down dropout_prob_up "
        "dropout_dim bias"
    ),
    divisor=lambda arguments: (16, 16, 16),
    required=("in_channels", "out_channels"),
)
