"""What the families of networks have in common: how one is recognised and described."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import gcd, prod
from typing import TYPE_CHECKING, Any

from napari_ies.errors import CheckpointError
from napari_ies.network.profile import Guess, of_argument

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import nn

_NORM_IS_GUESSED = (
    "The normalisation layers are taken to be instance normalisation without weights: they leave "
    "no trace in the file, nor would a network without any."
)
_AFFINE_IS_GUESSED = (
    "The normalisation layers have weights but no running statistics: instance normalisation is "
    "assumed, group normalisation with any number of groups would look the same."
)
_GROUPS_ARE_GUESSED = (
    "The normalisation layers are taken to be group normalisation with {groups} groups, as is "
    "MONAI's default: with {others} groups, or as instance normalisation with weights, they would "
    "look the same."
)
_ACTIVATION_IS_GUESSED = (
    "The activation, {assumed}, is MONAI's default: it leaves no trace in the file, nor would "
    "ReLU, leaky ReLU with any slope, ELU, GELU, Swish or Mish; it is not PReLU."
)


ACTIVATIONS: tuple[Any, ...] = (
    "RELU",
    ("LEAKYRELU", {"negative_slope": 0.01}),
    ("LEAKYRELU", {"negative_slope": 0.1}),
    *("ELU", "GELU", "SWISH", "MISH"),
)
"""Activations without weights, as MONAI names them."""
MOST_GROUPS = 32
"""As many groups as are offered for a group normalisation."""

MOST_UNEQUAL = 4
"""Edges of an image or an attention window are within this ratio of each other."""
_LARGEST_PRODUCT = 10**6

_TRAINED_UPSAMPLING = ("deconv", "deconvgroup", "pixelshuffle")


class Shapes(dict[str, tuple[int, ...]]):
    """Keys of a state dict that is taken for a network, in its order, and their tensors' shapes."""

    def __init__(self, architecture: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__(shapes)
        self._architecture = architecture

    def of(self, key: str) -> tuple[int, ...]:
        """Return the shape of a tensor that such a network has.

        Raises
        ------
        CheckpointError
            If it is not there: the file then holds only a part of the network.
        """
        if key not in self:
            raise CheckpointError(
                f"it looks like a {self._architecture} of MONAI but the tensor {key} is missing: "
                "choose a file that holds the whole network"
            )
        return self[key]

    def convolution(self, key: str) -> tuple[int, ...]:
        """Return the shape of the first convolution's weights, which run over three axes.

        Raises
        ------
        CheckpointError
            As :meth:`of` does, or if it has not two axes of channels and three others.
        """
        shape = self.of(key)
        axes = len(shape) - 2
        if axes != 3:
            raise CheckpointError(
                f"it is a {axes}-d {self._architecture}, and napari-ies explains 3-d networks "
                "only: choose a network trained on volumes"
            )
        return shape

    @property
    def are_by_name(self) -> bool:
        """Whether they are listed by the alphabet, which tells nothing of the layers' order.

        PyTorch lists a layer's weight before its bias.
        """
        keys = [key for key in self if not key.endswith(".num_batches_tracked")]
        return keys == sorted(keys)

    def parts(self) -> set[str]:
        """Return what the keys start with, up to the first dot."""
        return {key.partition(".")[0] for key in self}

    def count(self, pattern: str) -> int:
        """Return how many different numbers the pattern's first group takes at the keys' start."""
        matches = (re.match(pattern, key) for key in self)
        return len({match.group(1) for match in matches if match})

    def norm(
        self,
        layer: str,
        name: str,
        guessed: dict[str, Guess],
        groups: int | None = None,
        *,
        may_lack: bool = False,
    ) -> Any:
        """Recognise a normalisation layer.

        Parameters
        ----------
        layer
            Its name in the network, without a dot at the end.
        name, guessed
            The argument that describes it, under which a sentence is added where it is a guess.
        groups
            How many groups it has by default, in families whose default is group normalisation.
        may_lack
            Whether the family can do without.

        Returns
        -------
        MONAI's description of the layer. Instance normalisation that tracks statistics is taken
        for batch normalisation: in evaluation both compute the same.
        """
        affine = f"{layer}.weight" in self
        if f"{layer}.running_mean" in self:
            return "batch" if affine else ("batch", {"affine": False})
        assumed: Any
        if groups and affine and self[f"{layer}.weight"][0] % groups == 0:
            channels = self[f"{layer}.weight"][0]
            others = [n for n in range(1, channels + 1) if channels % n == 0 and n != groups]
            said = _GROUPS_ARE_GUESSED.format(groups=groups, others=", ".join(map(str, others)))
            assumed = ("group", {"num_groups": groups})
        else:
            said = _AFFINE_IS_GUESSED if affine else _NORM_IS_GUESSED
            assumed = ("instance", {"affine": True}) if affine else "instance"
        looks_alike = self._norms_with_weights() if affine else (None,) if may_lack else ()
        guessed[name] = of_argument(name, said, assumed, looks_alike)
        return assumed

    def _norms_with_weights(self) -> tuple[Any, ...]:
        """Return the norms without statistics that hold the same weights."""
        weighted = {key.removesuffix(".weight") for key, shape in self.items() if len(shape) == 1}
        widths = [self[f"{layer}.bias"][0] for layer in weighted if f"{layer}.bias" in self]
        common = gcd(*widths)
        groups = (n for n in range(1, MOST_GROUPS + 1) if common % n == 0)
        return (
            ("instance", {"affine": True}),
            *(("group", {"num_groups": n}) for n in groups),
        )

    def activation(
        self, layer: str, assumed: str, default: Any, guessed: dict[str, Guess]
    ) -> dict[str, Any]:
        """Recognise an activation where it has weights.

        Parameters
        ----------
        layer
            Its name in the network, without a dot at the end.
        assumed, default
            What MONAI's default is, in words and as the argument.
        guessed
            A sentence is added where it has none.

        Returns
        -------
        The argument `act`, or nothing for the default.
        """
        slope = self.get(f"{layer}.weight")
        if slope is None:
            said = _ACTIVATION_IS_GUESSED.format(assumed=assumed)
            guessed["act"] = of_argument("act", said, default, ACTIVATIONS)
            return {}
        return {"act": "PRELU" if slope == (1,) else ("PRELU", {"num_parameters": slope[0]})}

    def upsampling(self, layer: str) -> str:
        """Recognise the mode of an `UpSample` of MONAI by what it holds."""
        inside = {key.removeprefix(f"{layer}.").partition(".")[0] for key in self.under(layer)}
        return next((mode for mode in _TRAINED_UPSAMPLING if mode in inside), "nontrainable")

    def under(self, layer: str) -> list[str]:
        """Return the keys of a layer's tensors."""
        return [key for key in self if key.startswith(f"{layer}.")]


@dataclass(frozen=True)
class Recognition:
    """What keys and shapes tell about a network."""

    arguments: dict[str, Any]
    """Keyword arguments of the network's class, as few as describe it: those that equal the class's
    defaults are left out."""
    guessed: dict[str, Guess]
    """What the weights do not tell, by the argument's name."""


@dataclass(frozen=True)
class Family:
    """A family of networks."""

    architecture: str
    """Name of the class in `monai.networks.nets`, or of the tool whose network it is."""
    parts: frozenset[str]
    """Names of the parts that its networks are made of: each key starts with one."""
    recognise: Callable[[Shapes], Recognition | None]
    """From `Shapes` to a `Recognition`, or None for another family's. Raises `CheckpointError` for
    this family's when a tensor it needs is missing, or it is not 3-d."""
    argument_names: frozenset[str]
    """The keyword arguments that a sidecar may set."""
    divisor: Callable[[Mapping[str, Any]], tuple[int, int, int]]
    """From the arguments to the numbers, one per axis, that the input's sizes are multiples of."""
    required: tuple[str, ...]
    """Arguments without which there is no network."""
    threshold: float | None = None
    """Probability from which the authors of Spagnolo et al. 2026 (doi:10.1038/s41598-026-36560-9)
    count a voxel as lesion with such a network; None for one that they have not used."""
    fixed_size: Callable[[Mapping[str, Any]], tuple[int, int, int] | None] = lambda arguments: None
    """From the arguments to the only input size in voxels, or None."""
    inert: Callable[[Mapping[str, Any]], re.Pattern[str] | None] = lambda arguments: None
    """From the arguments to a pattern of keys that some versions of MONAI save or leave out and
    that no output depends on, or that repeat other keys; None where there are none."""
    build: Callable[..., nn.Module] | None = None
    """From the arguments to a network; None for MONAI's class."""
    renamed: Callable[[str], str] = str
    """From a key as earlier versions of MONAI saved it to that of today."""


def names(text: str) -> frozenset[str]:
    """Return the words of a text as names."""
    return frozenset(text.split())


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


def factors(number: int) -> list[tuple[int, int, int]]:
    """Return the three numbers whose product a number is, those nearest to a cube first.

    None is more than `MOST_UNEQUAL` times another; of an order, that with the smallest last.
    """
    smallest = range(1, round(min(number, _LARGEST_PRODUCT) ** (1 / 3)) + 1)
    found: set[tuple[int, int, int]] = set()
    for x in (x for x in smallest if number % x == 0):
        for y in range(x, MOST_UNEQUAL * x + 1):
            z, rest = divmod(number, x * y)
            if not rest and y <= z <= MOST_UNEQUAL * x:
                found |= {(x, y, z), (x, z, y), (y, x, z), (y, z, x), (z, x, y), (z, y, x)}
    return sorted(found, key=lambda edges: (max(edges) / min(edges), *(-edge for edge in edges)))


def one_level_at_1(strides: tuple[Any, ...]) -> tuple[tuple[Any, ...], ...]:
    """Return strides, and those that have one level at 1 instead."""
    levels = [level for level, stride in enumerate(strides) if stride != 1]
    return (strides, *((*strides[:level], 1, *strides[level + 1 :]) for level in levels))


def kernel_size(shape: tuple[int, ...]) -> int | tuple[int, ...]:
    """Return the kernel's size from the shape of a convolution's weights; an integer for a cube."""
    kernel = shape[2:]
    return kernel[0] if len(set(kernel)) == 1 else kernel
