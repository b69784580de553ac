"""MONAI's SegResNetDS, recognised from its keys and shapes."""

from __future__ import annotations

from math import floor, log2, prod
from typing import TYPE_CHECKING, Any

from napari_ies.checkpoints.families.family import Family, Recognition, Shapes, names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_ies.network.profile import Guess

_BLOCKS = (1, 2, 2, 4)
_LARGEST_RATIO = 1000
"""Of voxel sizes along two axes."""


def recognise(shapes: Shapes) -> Recognition | None:
    """Recognise a MONAI SegResNetDS.

    Its kernels have one voxel along an axis that a level does not halve, so that they tell the
    voxel sizes it was built for up to what makes no difference to it.
    """
    if "encoder.conv_init.weight" not in shapes:
        return None
    guessed: dict[str, Guess] = {}
    first = shapes.convolution("encoder.conv_init.weight")
    n_up = shapes.count(r"encoder\.layers\.(\d+)\.downsample\.")
    blocks_up = tuple(shapes.count(rf"up_layers\.{i}\.blocks\.(\d+)\.") for i in range(n_up))
    norms = [key.rpartition(".")[0] for key in shapes if ".norm1." in key]
    norm = shapes.norm(norms[0] if norms else "encoder.norm1", "norm", guessed)
    arguments: dict[str, Any] = {
        "init_filters": first[0],
        "in_channels": first[1],
        "out_channels": shapes.of(f"up_layers.{max(n_up - 1, 0)}.head.weight")[0],
    }
    found: dict[str, tuple[Any, Any]] = {
        "blocks_down": (
            tuple(shapes.count(rf"encoder\.layers\.{i}\.blocks\.(\d+)\.") for i in range(n_up + 1)),
            _BLOCKS,
        ),
        "blocks_up": (blocks_up, (1,) * n_up),
        "dsdepth": (shapes.count(r"up_layers\.(\d+)\.head\."), 1),
        # Here, other than elsewhere, instance norms have weights unless they are told not to.
        "norm": (("instance", {"affine": False}) if norm == "instance" else norm, "batch"),
        "upsample_mode": (
            shapes.upsampling("up_layers.0.upsample") if n_up else "deconv",
            "deconv",
        ),
        "resolution": (_resolution([_kernel(shapes, i) for i in range(n_up + 1)]), None),
    }
    arguments |= {name: value for name, (value, default) in found.items() if value != default}
    arguments |= shapes.activation(_first_activation(shapes), "ReLU", "RELU", guessed)
    return Recognition(arguments, guessed)


def _first_activation(shapes: Shapes) -> str:
    return next((key.rpartition(".")[0] for key in shapes if ".act1." in key), "encoder.act1")


def _kernel(shapes: Shapes, level: int) -> tuple[int, ...]:
    """Return the size of a level's kernels; 3 for the lowest one if it has none."""
    inside = shapes.under(f"encoder.layers.{level}")
    weights = [shapes[key] for key in inside if len(shapes[key]) == 5]
    return weights[0][2:] if weights else (3, 3, 3)


def _resolution(kernels: list[tuple[int, ...]]) -> tuple[float, ...] | None:
    """Return voxel sizes for which MONAI makes such kernels, the largest 1; None for cubes."""
    flat = [level for level, kernel in enumerate(kernels) if 1 in kernel]
    if not flat:
        return None
    halved = (
        next((level for level in flat if kernels[level][axis] == 1), flat[-1] + 1)
        for axis in range(3)
    )
    return tuple(0.5**times for times in halved)


def _divisor(arguments: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return what MONAI calls the shape factor."""
    levels = len(arguments.get("blocks_down", _BLOCKS)) - 1
    resolution = arguments.get("resolution")
    if resolution is None:
        return (2**levels, 2**levels, 2**levels)
    sizes = [float(size) for size in resolution]
    if len(sizes) != 3 or not 0 < max(sizes) <= _LARGEST_RATIO * min(sizes):
        raise ValueError(f"{resolution} is no resolution")
    halved = [floor(log2(max(sizes) / size)) for size in sizes]
    x, y, z = (
        prod(2 if level < times or level >= max(halved) else 1 for level in range(levels))
        for times in halved
    )
    return (x, y, z)


FAMILY = Family(
    architecture="SegResNetDS",
    parts=names("encoder up_layers"),
    recognise=recognise,
    argument_names=names(
        "spatial_dims init_filters in_channels out_channels act norm blocks_down blocks_up dsdepth "
        "upsample_mode resolution"
    ),
    divisor=_divisor,
    required=("in_channels", "out_channels", "init_filters"),
)
