"""SaliencyRequest: everything that determines a saliency map besides model, case and footprint."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from napari_ies.errors import SaliencyError
from napari_ies.network.profile import Profile
from napari_ies.parameters import Parameter, parameters_of, take

if TYPE_CHECKING:
    from collections.abc import Mapping

METHOD_NAMES = {"smoothgrad": "SmoothGrad", "gradcam++": "Grad-CAM++"}
METHODS = tuple(METHOD_NAMES)
AGGREGATIONS = ("mean", "sum", "max")
FORWARDS = ("sliding-window", "whole-volume")
PRECISIONS = ("float32", "tf32", "bf16")

NOISE_VERSION = 2
"""The definition of the noise by which new maps are made (:mod:`napari_ies.saliency.noise`)."""

ALL_SEQUENCES = "all"
"""Name of the only map of Grad-CAM++, which belongs to all sequences together."""

_METHOD = Parameter(
    "SmoothGrad: how the lesion's score changes with each voxel of each sequence, averaged over "
    "noisy copies of the images. Grad-CAM++: where a layer of the network was active for the "
    "lesion.",
    choices=METHOD_NAMES,
)
_AGGREGATION = Parameter(
    "With SmoothGrad, how the lesion's voxels become one map: their mean, their sum, or for each "
    "input voxel the strongest single one (max; slow).",
    choices=dict(zip(AGGREGATIONS, AGGREGATIONS, strict=True)),
)
_N_SAMPLES = Parameter(
    "With SmoothGrad, the number of noisy copies: more are smoother and take longer.",
    name="samples",
    said="{} noise samples were asked for",
    why="where the noise's error is a thousandth of that of one sample",
    limits=(1, 1_000_000),
    offered=(1, 9_999),
    unit=" samples",
)
_NOISE = Parameter(
    "With SmoothGrad, the standard deviation of the noise as a fraction of the range (maximum "
    "minus minimum) of the first sequence.",
    said="The noise level is {}",
    why="a fraction of the first sequence's range",
    # Of noise a hundred times as wide as the intensities, no image is left.
    limits=(0, 100),
    offered=(0, 100),
    decimals=1,
    unit=" %",
    percent=True,
)
_SEED = Parameter(
    "With SmoothGrad, the seed of the noise: the same seed gives the same map, up to rounding on a "
    "graphics card.",
    why="which takes 64 bits",
    limits=(0, 2**63 - 1),
    offered=(0, 99_999),
    before="seed ",
)
_FORWARD = Parameter(
    "How the network is applied: in blended sliding windows, as the lesions on screen are found, "
    "or in one pass over the whole volume.",
    choices={name: name.replace("-", " ") for name in FORWARDS},
)
_CLASS_INDEX = Parameter(
    parameters_of(Profile)["explained_class"].help,
    name="class",
    why="counted from 0 as the network's output channels are",
    limits=(0, 99_999),
)
_LAYER = Parameter(
    "With Grad-CAM++, the layer of the network that is looked at (default: the last upsampling "
    "layer below output resolution)."
)
_TOLERANCE = Parameter(
    "With SmoothGrad, stop early once the map's standard error is at most this fraction of the "
    "map (default: never).",
    why="a fraction of the map, or none",
    limits=(0, 1_000_000),
    above=True,
)
_NOISE_VERSION = Parameter(
    "With SmoothGrad, the definition of the noise: 2 is made on any device at once; 1 gives again "
    "the maps that were made before there was another.",
    name="noise-version",
    said="The version of the noise is {}",
    limits=(1, NOISE_VERSION),
)
_PRECISION = Parameter(
    "Arithmetic of the network: float32 is exact; tf32 (CUDA only) and bf16 are faster on some "
    "graphics cards and less exact.",
    choices=dict(zip(PRECISIONS, PRECISIONS, strict=True)),
)


@dataclass(frozen=True)
class SaliencyRequest:
    """What is to be computed for a footprint.

    Parameters
    ----------
    method
        ``"smoothgrad"`` or ``"gradcam++"``.
    aggregation
        SmoothGrad only: how the gradients of the footprint's voxels become one map: ``"mean"``,
        ``"sum"`` or ``"max"`` (signed value of largest magnitude over single voxels).
    n_samples
        SmoothGrad only: number of noise samples N.
    noise
        SmoothGrad only: standard deviation of the noise as a fraction of the range (maximum -
        minimum) of the first sequence.
    seed
        SmoothGrad only: seed of the noise.
    forward
        ``"sliding-window"`` explains the blended prediction on screen, ``"whole-volume"`` one
        pass over the whole volume.
    class_index
        Output channel whose logit is explained; None for the profile's.
    layer
        Grad-CAM++ only: name of the layer in the network; None for the default layer.
    tolerance
        SmoothGrad only: stop before `n_samples` once the standard error of the map is at most
        this fraction of the map (Euclidean norms over all voxels); None never stops early.
    precision
        Of the network's convolutions and matrix products: ``"float32"``, ``"tf32"`` (CUDA only;
        elsewhere the same as float32) or ``"bf16"`` (bfloat16). Noise, sums and maps are float32
        always. The two faster ones change the map: ``docs/performance.md`` says by how much.
    noise_version
        SmoothGrad only: definition of the noise, 1 or 2: other noise of the same distribution, so
        other maps within their standard error. Maps that do not say which are of definition 1.

    Raises
    ------
    SaliencyError
        If one of them is not possible, in one sentence.
    """

    method: Annotated[str, _METHOD] = "smoothgrad"
    aggregation: Annotated[str, _AGGREGATION] = "mean"
    n_samples: Annotated[int, _N_SAMPLES] = 50
    noise: Annotated[float, _NOISE] = 0.05
    seed: Annotated[int, _SEED] = 0
    forward: Annotated[str, _FORWARD] = "sliding-window"
    class_index: Annotated[int | None, _CLASS_INDEX] = None
    layer: Annotated[str | None, _LAYER] = None
    tolerance: Annotated[float | None, _TOLERANCE] = None
    precision: Annotated[str, _PRECISION] = "float32"
    noise_version: Annotated[int, _NOISE_VERSION] = NOISE_VERSION

    def __post_init__(self) -> None:
        take(self, SaliencyError)
        if self.layer is not None and not (isinstance(self.layer, str) and self.layer):
            raise SaliencyError(
                f"The layer is {self.layer!r}; expected the name of one of the network's, or none."
            )

    @classmethod
    def recorded(cls, values: Mapping[str, Any]) -> SaliencyRequest:
        """Return a record's request; the first definition of the noise where it names none.

        Raises
        ------
        TypeError
            If there is no setting of one of the names.
        SaliencyError
            If one of the values is not possible.
        """
        known = cls(**values)
        if known.is_smoothgrad and "noise_version" not in values:
            return replace(known, noise_version=1)
        return known

    @property
    def is_smoothgrad(self) -> bool:
        """Whether it asks for a signed map of each sequence, the mean over samples of noise.

        Otherwise it asks for one map of all sequences together, without a sign, from one layer.
        """
        return self.method == "smoothgrad"

    @property
    def unit(self) -> str:
        """Unit of the maps' values."""
        return "logit per standard deviation" if self.is_smoothgrad else "logit × activation"

    def maps_of(self, sequences: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names of the maps of a case with these sequences."""
        return sequences if self.is_smoothgrad else (ALL_SEQUENCES,)
