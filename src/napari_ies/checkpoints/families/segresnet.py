"""MONAI's SegResNet, recognised from its keys and shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_ies.checkpoints.families.family import Family, Recognition, Shapes, names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_ies.network.profile import Guess

_GROUPS = 8


def recognise(shapes: Shapes) -> Recognition | None:
    """Recognise a MONAI SegResNet, also as the part of a SegResNetVAE that segments."""
    if not {"convInit", "conv_final"} <= shapes.parts():
        return None
    guessed: dict[str, Guess] = {}
    first = shapes.convolution("convInit.conv.weight")
    n_up = shapes.count(r"up_samples\.(\d+)\.")
    # The first entry of a level below the top one is the convolution that leads to it.
    n_down = 1 + shapes.count(r"down_layers\.(\d+)\.0\.conv\.")
    norm = shapes.norm("conv_final.0", "norm", guessed, groups=_GROUPS)
    arguments: dict[str, Any] = {
        "init_filters": first[0],
        "in_channels": first[1],
        "out_channels": shapes.of("conv_final.2.conv.weight")[0],
    }
    found: dict[str, tuple[Any, Any]] = {
        "blocks_down": (
            tuple(shapes.count(rf"down_layers\.{i}\.(\d+)\.conv1\.") for i in range(n_down)),
            (1, 2, 2, 4),
        ),
        "blocks_up": (
            tuple(shapes.count(rf"up_layers\.{i}\.(\d+)\.") for i in range(n_up)),
            (1, 1, 1),
        ),
        "norm": (norm, ("group", {"num_groups": _GROUPS})),
        "upsample_mode": (shapes.upsampling("up_samples.0.1"), "nontrainable"),
    }
    arguments |= {name: value for name, (value, default) in found.items() if value != default}
    arguments |= shapes.activation("act_mod", "ReLU", "RELU", guessed)
    return Recognition(arguments, guessed)


def _divisor(arguments: Mapping[str, Any]) -> tuple[int, int, int]:
    total = 2 ** (len(arguments.get("blocks_down", (1, 2, 2, 4))) - 1)
    return (total, total, total)


FAMILY = Family(
    architecture="SegResNet",
    parts=names("convInit down_layers up_layers up_samples conv_final act_mod"),
    recognise=recognise,
    argument_names=names(
        "spatial_dims init_filters in_channels out_channels dropout_prob act norm blocks_down "
        "blocks_up upsample_mode"
    ),
    divisor=_divisor,
    required=("in_channels", "out_channels", "init_filters"),
)
