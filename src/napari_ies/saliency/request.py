"""SaliencyRequest: everything that determines a saliency map besides model, case and footprint."""

from __future__ import annotations

import math
from dataclasses import dataclass

from napari_ies.errors import SaliencyError

METHODS = ("smoothgrad", "gradcam++")
AGGREGATIONS = ("mean", "sum", "max")
FORWARDS = ("sliding-window", "whole-volume")
PRECISIONS = ("float32", "tf32", "bf16")


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
            if value not in allowed:
                raise SaliencyError(
                    f"There is no {name} {value!r}; expected one of {', '.join(allowed)}."
                )
        if self.n_samples < 1:
            raise SaliencyError(
                f"{self.n_samples} noise samples were asked for; expected at least 1."
            )
        if not (math.isfinite(self.noise) and self.noise >= 0):
            raise SaliencyError(
                f"The noise level is {self.noise}; expected a finite fraction of at least 0."
            )
        if self.tolerance is not None and not self.tolerance > 0:
            raise SaliencyError(
                f"The tolerance is {self.tolerance}; expected a fraction above 0, or none."
            )
        if self.seed < 0:
            raise SaliencyError(f"The seed is {self.seed}; expected a whole number of at least 0.")
