"""Our maps as they are timed, and how far they are from the literal ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks import literal
from benchmarks.subjects import NOISE, noisy_volume
from napari_ies import explain, explain_progressively
from napari_ies.network.windows import tiling
from napari_ies.saliency.engines.certification import choose_engine
from napari_ies.saliency.explanation import explain_request
from napari_ies.saliency.request import SaliencyRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.subjects import Lesion
    from napari_ies.network.model import SegmentationModel
    from napari_ies.saliency.explanation import Prepared
    from napari_ies.saliency.saliency import Saliency


def ours(
    model: SegmentationModel, lesion: Lesion, aggregation: str, forward: str, n_samples: int = 1
) -> Saliency:
    """Explain a lesion."""
    return explain(
        model,
        lesion.case,
        lesion.mask,
        aggregation=aggregation,
        n_samples=n_samples,
        noise=NOISE,
        seed=0,
        forward=forward,
    )


def warm_up(model: SegmentationModel, lesion: Lesion, forward: str = "sliding-window") -> None:
    """Let a model choose and certify its engine, and kernels be tried and prepared."""
    settle(model)
    few = lesion.thinned(4)
    for aggregation in ("mean", "max"):
        ours(model, few, aggregation, forward)


def settle(model: SegmentationModel, precision: str = "float32") -> None:
    """Wait until kernels are chosen: a trial would share the card with what is timed."""
    choose_engine(model, precision=precision).settled(wait=True)


def first_map(model: SegmentationModel, lesion: Lesion, prepared: Prepared) -> None:
    """Explain a lesion until there is something to show, as a click in the viewer does."""
    request = SaliencyRequest(aggregation="mean")
    explained = prepared.explanations(model, lesion.case, request)
    reports = explain_request(model, lesion.case, lesion.boxed, request, explained=explained)
    for report in reports:
        if report.result is not None:
            break
    reports.close()


def max_reports(model: SegmentationModel, lesion: Lesion, forward: str) -> Iterator:
    """Yield the reports of a max map of one noise sample."""
    return explain_progressively(
        model, lesion.case, lesion.mask, aggregation="max", n_samples=1, forward=forward
    )


def max_difference(model: SegmentationModel, lesion: Lesion, forward: str) -> float:
    """Return the largest difference of ours and the literal max map, relative to its largest."""
    noisy = noisy_volume(model, lesion.case, 0, 0)
    expected = literal.max_map(model, [noisy], lesion.voxels, forward).cpu().numpy()
    return _difference(ours(model, lesion, "max", forward), expected)


def mean_difference(model: SegmentationModel, lesion: Lesion, forward: str) -> float:
    """Return the same of the mean map."""
    noisy = noisy_volume(model, lesion.case, 0, 0)
    expected = literal.mean_map(model, [noisy], lesion.voxels, forward).cpu().numpy()
    return _difference(ours(model, lesion, "mean", forward), expected)


def windows_holding(model: SegmentationModel, lesion: Lesion) -> int:
    """Return how many windows hold voxels of a lesion."""
    windows = tiling(model.profile, lesion.case.shape, "sliding-window").windows
    return sum(
        bool(((lesion.voxels >= w.start) & (lesion.voxels < w.stop)).all(axis=1).any())
        for w in windows
    )


def _difference(saliency: Saliency, expected: np.ndarray) -> float:
    return float(np.abs(saliency.maps - expected).max() / np.abs(expected).max())
