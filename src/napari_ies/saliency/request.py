"""SaliencyRequest: everything that determines a saliency map besides model, case and footprint."""

from __future__ import annotations

from dataclasses import dataclass

from napari_ies.admissible import real_number, whole_number
from napari_ies.errors import SaliencyError

METHODS = ("smoothgrad", "gradcam++")
AGGREGATIONS = ("mean", "sum", "max")
FORWARDS = ("sliding-window", "whole-volume")
PRECISIONS = ("float32", "tf32", "bf16")

ALL_SEQUENCES = "all"
"""Name of the only map of Grad-CAM++, which belongs to all sequences together."""

MOST_SAMPLES = 1_000_000
MOST_NOISE = 100.0
"""Of noise a hundred times as wide as the intensities, no image is left."""
MOST_SEED = 2**63 - 1
MOST_TOLERANCE = 1e6
MOST_CLASS = 99_999


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

    Raises
    ------
    SaliencyError
        If one of them is not possible, in one sentence.
    """

    method: str = "smoothgrad"
    aggregation: str = "mean"
    n_samples: int = 50
    noise: float = 0.05
    seed: int = 0
    forward: str = "sliding-window"
    class_index: int | None = None
    layer: str | None = None
    tolerance: float | None = None
    precision: str = "float32"

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("method", self.method, METHODS),
            ("aggregation", self.aggregation, AGGREGATIONS),
            ("forward", self.forward, FORWARDS),
            ("precision", self.precision, PRECISIONS),
        ):
            if not (isinstance(value, str) and value in allowed):
                raise SaliencyError(
                    f"There is no {name} {value!r}; expected one of {', '.join(allowed)}."
                )
        self._take(
            "n_samples",
            whole_number(
                self.n_samples,
                "{} noise samples were asked for",
                (1, MOST_SAMPLES),
                SaliencyError,
                "where the noise's error is a thousandth of that of one sample",
            ),
        )
        self._take(
            "noise",
            real_number(
                self.noise,
                "The noise level is {}",
                (0.0, MOST_NOISE),
                SaliencyError,
                why="a fraction of the first sequence's range",
            ),
        )
        self._take(
            "seed",
            whole_number(
                self.seed,
                "The seed is {}",
                (0, MOST_SEED),
                SaliencyError,
                "which takes 64 bits",
            ),
        )
        if self.tolerance is not None:
            self._take(
                "tolerance",
                real_number(
                    self.tolerance,
                    "The tolerance is {}",
                    (0.0, MOST_TOLERANCE),
                    SaliencyError,
                    above=True,
                    why="a fraction of the map, or none",
                ),
            )
        if self.class_index is not None:
            self._take(
                "class_index",
                whole_number(
                    self.class_index,
                    "The class is {}",
                    (0, MOST_CLASS),
                    SaliencyError,
                    "counted from 0 as the network's output channels are",
                ),
            )
        if self.layer is not None and not (isinstance(self.layer, str) and self.layer):
            raise SaliencyError(
                f"The layer is {self.layer!r}; expected the name of one of the network's, or none."
            )

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

    def _take(self, name: str, value: float) -> None:
        """Keep a number as Python's own, whatever kind was given."""
        object.__setattr__(self, name, value)
