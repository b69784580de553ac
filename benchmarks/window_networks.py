"""Networks that need whole windows against the loop through MONAI's inferer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.literal import KeptForward, Noisy
from benchmarks.maps import ours, windows_holding
from benchmarks.report import Result, duration
from benchmarks.settings import N, windows_target
from benchmarks.subjects import random_model
from benchmarks.timing import interleaved, matrix_product_peak, seconds
from benchmarks.usage import used
from benchmarks.window_rows import window_row
from benchmarks.work import operations
from napari_ies.network.windows import tiling

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.settings import Settings
    from benchmarks.subjects import Lesion, Subjects
    from napari_ies.network.model import SegmentationModel

WHOLE_WINDOWS = ("DynUNet", "SwinUNETR")
SMALL: dict[str, dict[str, Any]] = {
    "DynUNet": {"arguments": {"filters": [4, 6, 8]}, "window": (16, 16, 16)},
    "SwinUNETR": {
        "arguments": {"feature_size": 12, "depths": (1, 1, 1, 1), "window_size": 3},
        "window": (64, 32, 32),
    },
}


def whole_window_networks(subjects: Subjects, settings: Settings) -> Iterator[Result]:
    """Measure the max map of networks that cannot be windowed against the loop by the inferer."""
    for architecture in WHOLE_WINDOWS:
        sizes = SMALL[architecture] if settings.small else {}
        model = random_model(architecture, str(subjects.model.device), **sizes)
        if model.device.type == "cpu":
            yield window_row(model, architecture, settings)
        yield window_network(model, architecture, subjects, settings)


def window_network(
    model: SegmentationModel, architecture: str, subjects: Subjects, settings: Settings
) -> Result:
    """Measure one of them."""
    few = [lesion.thinned(settings.window_voxels) for lesion in subjects.lesions]
    lesion = min(few, key=lambda at: windows_holding(model, at))
    samples = 1 if model.device.type == "cpu" else 5
    windows = tiling(model.profile, lesion.case.shape, "sliding-window").windows

    def run(count: int = samples) -> object:
        return ours(model, lesion, "max", "sliding-window", count)

    ours(model, lesion.thinned(1), "mean", "sliding-window")
    if model.device.type != "cpu":
        run(1)
        literal_window_seconds(model, lesion)
    times = interleaved(
        {
            "ours": lambda: seconds(run, model.device) / samples,
            "literal": lambda: literal_window_seconds(model, lesion),
        },
        settings.window_repetitions,
    )
    literal = times["literal"] * len(windows)
    held = windows_holding(model, lesion)
    done = held * window_operations(model, lesion)
    speed, peak = done / times["ours"], matrix_product_peak(model.device, settings.product)
    # To see what a sample uses is one more of them, which takes a minute on a CPU.
    uses = (
        ""
        if model.device.type == "cpu"
        else f"; one sample takes {used(lambda: run(1), model.device)}"
    )
    return Result(
        what=f"max map, sliding-window, {architecture}, {lesion.name}",
        ours=duration(N * times["ours"]),
        against=f"literal loop through the inferer: {duration(N * literal)}",
        value=literal / times["ours"],
        target=windows_target(model.device),
        note=f"{held} of {len(windows)} windows hold these voxels: {done / 1e9:.3g} GFLOP a sample "
        f"at {speed / 1e9:.3g} GFLOP/s, {speed / peak:.0%} of the matrix product's; the loop was "
        "timed on a volume of one window and scaled by their number, since its graph of all "
        f"windows does not fit in memory; {settings.window_repetitions} repetition(s){uses}",
    )


def window_operations(model: SegmentationModel, lesion: Lesion) -> int:
    """Return the operations of a window's part in a sample: a forward, and a pass per voxel."""
    x, y, z = model.profile.window
    noisy = Noisy.of(model, lesion.case).crop((slice(0, x), slice(0, y), slice(0, z)))
    kept: list[KeptForward] = []
    image, centre = noisy.draw(), np.array(noisy.image.shape[1:]) // 2
    forward = operations(lambda: kept.append(KeptForward.run(model, image, "sliding-window")))
    return forward + len(lesion.voxels) * operations(lambda: kept[0].row(centre))


def literal_window_seconds(model: SegmentationModel, lesion: Lesion) -> float:
    """Return the loop's time through the inferer on one window: a forward, a pass per voxel.

    The graph of a volume holds every window, so each pass of the loop goes through all of them,
    also through those whose cotangent is zero: it takes as much in each.
    """
    x, y, z = model.profile.window
    noisy = Noisy.of(model, lesion.case).crop((slice(0, x), slice(0, y), slice(0, z)))
    centre = np.array(noisy.image.shape[1:]) // 2

    def loop() -> None:
        kept = KeptForward.run(model, noisy.draw(), "sliding-window")
        for _ in lesion.voxels:
            kept.row(centre)

    return seconds(loop, model.device)
