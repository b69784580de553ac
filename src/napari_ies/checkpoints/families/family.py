"""What the four families of networks have in common: how one is recognised and described."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from napari_ies.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable

Shapes = Mapping[str, tuple[int, ...]]
"""Keys of a state dict, in its order, with the shapes of their tensors."""

_NORM_IS_GUESSED = (
    "The normalisation layers are taken to be instance normalisation without weights: they leave "
    "no trace in the file."
)
_AFFINE_IS_GUESSED = (
    "The normalisation layers have weights but no running statistics: instance normalisation is "
    "assumed, group normalisation with any number of groups would look the same."
)


@dataclass(frozen=True)
class Recognition:
    """What keys and shapes tell about a network.

    Parameters
    ----------
    arguments
        Keyword arguments of the network's class, as few as describe it: those that equal the
        class's defaults are left out.
    guessed
        What the weights do not tell: a plain sentence for each argument's name.
    """

    arguments: dict[str, Any]
    guessed: dict[str, str]


@dataclass(frozen=True)
class Family:
    """A family of networks.

    Parameters
    ----------
    architecture
        Name of the class in `monai.networks.nets`.
    parts
        Names of the parts that its networks are made of: each key starts with one.
    recognise
        From keys and shapes to a `Recognition`, or None for another family's. Raises
        `CheckpointError` for this family's when a tensor it needs is missing.
    argument_names
        The keyword arguments that a sidecar may set.
    divisor
        From the arguments to the numbers, one per axis, that the input's sizes are multiples of.
    fixed_size
        From the arguments to the only input size in voxels, or None.
    inert
        From the arguments to a pattern of keys that some versions of MONAI save or leave out and
        that no output depends on, or that repeat other keys; None where there are none.
    required
        Arguments without which there is no network.
    threshold
        Probability from which the authors of Spagnolo et al. 2026 (doi:10.1038/s41598-026-36560-9)
        count a voxel as lesion with such a network.
    renamed
        From a key as earlier versions of MONAI saved it to that of today.
    """

    architecture: str
    parts: frozenset[str]
    recognise: Callable[[Shapes], Recognition | None]
    argument_names: frozenset[str]
    divisor: Callable[[Mapping[str, Any]], tuple[int, int, int]]
    required: tuple[str, ...]
    threshold: float
    fixed_size: Callable[[Mapping[str, Any]], tuple[int, int, int] | None] = lambda arguments: None
    inert: Callable[[Mapping[str, Any]], re.Pattern[str] | None] = lambda arguments: None
    renamed: Callable[[str], str] = str


def names(text: str) -> frozenset[str]:
    """Return the words of a text as names."""
    return frozenset(text.split())


def shape_of(shapes: Shapes, architecture: str, *keys: str) -> tuple[int, ...]:
    """Return the shape of the first of `keys` that is there.

    Raises
    ------
    CheckpointError
        If none is there: the file then holds only a part of the network.
    """
    for key in keys:
        if key in shapes:
            return shapes[key]
    raise CheckpointError(
        f"it looks like a {architecture} of MONAI but the tensor {keys[0]} is missing: "
        "choose a file that holds the whole network"
    )


def require_three_axes(shape: tuple[int, ...], architecture: str) -> None:
    """Refuse a network whose first convolution does not run over three axes.

    Raises
    ------
    CheckpointError
        If `shape`, that of a convolution's weights, has not two axes of channels and three others.
    """
    axes = len(shape) - 2
    if axes != 3:
        raise CheckpointError(
            f"it is a {axes}-d {architecture}, and napari-ies explains 3-d networks only: "
            "choose a network trained on volumes"
        )


def size_per_axis(value: Any) -> tuple[int, int, int]:
    """Return one number per axis of `value`, an integer for all axes or a sequence of three."""
    if isinstance(value, int):
        return (value, value, value)
    x, y, z = (int(v) for v in value)
    return (x, y, z)


def total_stride(strides: Any) -> tuple[int, int, int]:
    """Return the product over the levels, per axis, of `strides` (integers or triples)."""
    levels = [size_per_axis(stride) for stride in strides]
    x, y, z = (prod(level[axis] for level in levels) for axis in range(3))
    return (x, y, z)


def kernel_size(shape: tuple[int, ...]) -> int | tuple[int, ...]:
    """Return the kernel's size from the shape of a convolution's weights; an integer for a cube."""
    kernel = shape[2:]
    return kernel[0] if len(set(kernel)) == 1 else kernel


def count_numbered(shapes: Shapes, pattern: str) -> int:
    """Return how many different numbers the first group of `pattern` takes at the keys' start."""
    matches = (re.match(pattern, key) for key in shapes)
    return len({match.group(1) for match in matches if match})


def norm_layer(shapes: Shapes, layer: str) -> tuple[str | tuple[str, dict[str, bool]], str]:
    """Recognise a normalisation layer.

    Parameters
    ----------
    shapes
        Keys and shapes of the network.
    layer
        The layer's name in it, without a dot at the end.

    Returns
    -------
    norm, guess
        MONAI's description of the layer, and a sentence where it is a guess, else an empty string.
        Instance normalisation that tracks statistics is taken for batch normalisation: in
        evaluation both compute the same.
    """
    affine = f"{layer}.weight" in shapes
    if f"{layer}.running_mean" in shapes:
        return ("batch", "") if affine else (("batch", {"affine": False}), "")
    if affine:
        return ("instance", {"affine": True}), _AFFINE_IS_GUESSED
    return "instance", _NORM_IS_GUESSED
