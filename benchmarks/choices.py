"""What the engine's choices cost and gain: precisions, and noise samples that run together."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest.mock import patch

import numpy as np

from benchmarks.maps import settle
from benchmarks.report import Result, duration
from benchmarks.subjects import NOISE
from benchmarks.timing import interleaved, seconds
from napari_ies import explain
from napari_ies.saliency.engines.jacobian import WindowedEngine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.settings import Settings
    from benchmarks.subjects import Lesion, Subjects
    from napari_ies.network.model import SegmentationModel

VISIBLE = 0.01
"""Part of the largest magnitude above which a voxel is seen in a map."""
TOGETHER = (2, 4, 8)
"""Noise samples at once that are tried."""


def precisions(subjects: Subjects, settings: Settings) -> Iterator[Result]:
    """Measure the time and the error of each precision against float32."""
    model = subjects.model
    choices = ["bf16"] if model.device.type != "cuda" else ["tf32", "bf16"]
    for lesion in subjects.lesions[:2]:
        for aggregation in ("mean", "max"):
            at = lesion if aggregation == "mean" else lesion.thinned(settings.precision_rows)
            for precision in choices:
                yield _precision(model, at, aggregation, precision, settings)


def _precision(
    model: SegmentationModel, lesion: Lesion, aggregation: str, precision: str, settings: Settings
) -> Result:
    samples, maps = settings.samples, {}

    def run(chosen: str) -> None:
        maps[chosen] = explain(
            model,
            lesion.case,
            lesion.mask,
            aggregation=aggregation,
            n_samples=samples,
            noise=NOISE,
            forward="whole-volume",
            precision=chosen,
        ).cropped

    contestants = {
        chosen: lambda chosen=chosen: seconds(lambda: run(chosen), model.device)
        for chosen in ("float32", precision)
    }
    if model.device.type == "cuda":
        settle(model, precision)
        contestants[precision]()
    settle(model)
    contestants["float32"]()
    repetitions = settings.repetitions if model.device.type == "cuda" else 1
    times = interleaved(contestants, repetitions)
    return Result(
        what=f"{precision}, {aggregation} map, {lesion.name}, {samples} noise samples",
        ours=duration(times[precision]),
        against=f"float32: {duration(times['float32'])}",
        value=times["float32"] / times[precision],
        note=difference_in_words(maps[precision], maps["float32"]),
    )


def difference_in_words(maps: np.ndarray, expected: np.ndarray) -> str:
    """Say how far a map is from another: relative norm, correlation and flipped signs."""
    one, other = (values.astype(np.float64).ravel() for values in (maps, expected))
    distance = np.linalg.norm(one - other) / np.linalg.norm(other)
    correlation = np.corrcoef(one, other)[0, 1]
    visible = np.abs(other) > VISIBLE * np.abs(other).max()
    flipped = np.sign(one) != np.sign(other)
    return (
        f"relative L2 {distance:.2e}, correlation {correlation:.6f}, signs flipped "
        f"{100 * flipped[visible].mean():.2g} % of the {int(visible.sum())} voxels above "
        f"{100 * VISIBLE:g} % of the peak, {100 * flipped[other != 0].mean():.2g} % of all"
    )


def samples_together(subjects: Subjects, settings: Settings) -> Iterator[Result]:
    """Measure the mean map with several noise samples in one forward against one at a time."""
    model, lesion = subjects.model, subjects.lesions[0]
    largest = max(TOGETHER)
    settle(model)

    def run(together: int) -> None:
        with patch.object(WindowedEngine, "samples_together", lambda *_: together):
            explain(model, lesion.case, lesion.mask, n_samples=1 + largest, forward="whole-volume")

    contestants = {
        str(together): lambda together=together: seconds(lambda: run(together), model.device)
        for together in (1, *TOGETHER)
    }
    for measure in contestants.values():
        measure()
    times = interleaved(contestants, settings.repetitions)
    for together in TOGETHER:
        yield Result(
            what=f"mean map, {together} noise samples at once, {lesion.name}",
            ours=duration(times[str(together)]),
            against=f"one at a time: {duration(times['1'])}",
            value=times["1"] / times[str(together)],
            note=f"{1 + largest} noise samples, of which the first runs alone",
        )
