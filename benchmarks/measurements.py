"""One function per row of the table: each measures ours and the literal loop in turn."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from monai.inferers import sliding_window_inference

from benchmarks.literal import KeptForward, mean_map, volume_logits
from benchmarks.memory import in_own_process
from benchmarks.report import Result, Target, duration
from benchmarks.subjects import NOISE, noisy_volume, random_model
from benchmarks.timing import interleaved, matrix_product_peak, seconds, synchronise, threads
from benchmarks.work import fewest_operations, operations
from napari_ies import explain, explain_progressively
from napari_ies.network.inference import logit_map, network_input, probability_of
from napari_ies.network.windows import tiling
from napari_ies.progress import finish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.subjects import Lesion, Subjects
    from napari_ies.network.model import SegmentationModel
    from napari_ies.saliency.saliency import Saliency

N = 50
"""Noise samples of a map, for which times are given."""


@dataclass(frozen=True)
class Settings:
    """How much is measured.

    Parameters
    ----------
    repetitions
        How often ours and the loop are measured in turn; medians are taken.
    passes
        Timed passes of the literal loop per repetition, after one to warm up.
    samples
        Noise samples of a mean map.
    window_voxels
        Voxels of the lesion for networks that need whole windows.
    window_repetitions
        Repetitions for these networks, each of which takes minutes.
    rows
        Rows of the confluent lesion that are run.
    precision_rows
        Voxels of the lesion for the max map in other precisions.
    product
        Size of the matrices whose product gives the machine's peak.
    """

    repetitions: int = 3
    passes: int = 3
    samples: int = 3
    window_voxels: int = 3
    window_repetitions: int = 1
    rows: int = 192
    precision_rows: int = 8
    product: int = 2048

    def quick(self) -> Settings:
        """Return the least that still gives every number."""
        return replace(
            self, repetitions=1, passes=1, samples=1, window_voxels=1, rows=24, precision_rows=2
        )


def warm_up(model: SegmentationModel, lesion: Lesion, forward: str = "sliding-window") -> None:
    """Let a model choose and certify its engine and PyTorch prepare its kernels."""
    few = lesion.thinned(4)
    for aggregation in ("mean", "max"):
        _ours(model, few, aggregation, forward)


def max_map(
    subjects: Subjects, settings: Settings, forward: str, lesions: tuple[Lesion, ...] | None = None
) -> Iterator[Result]:
    """Measure the max map of each lesion against the literal loop over its voxels."""
    model = subjects.model
    for lesion in subjects.lesions if lesions is None else lesions:
        warm_up(model, lesion, forward)
        times = interleaved(
            {
                "ours": lambda at=lesion: seconds(
                    lambda: _ours(model, at, "max", forward), model.device
                ),
                "literal": lambda at=lesion: literal_max_seconds(model, at, forward, settings),
            },
            settings.repetitions,
        )
        difference = max_difference(model, lesion.thinned(settings.passes), forward)
        yield Result(
            what=f"max map, {forward}, {lesion.name}",
            ours=duration(N * times["ours"]),
            against=f"literal loop: {duration(N * times['literal'])}",
            value=times["literal"] / times["ours"],
            target=_max_target(model) if forward == "whole-volume" else None,
            note=f"{settings.passes} of the loop's passes timed; on their voxels the two maps "
            f"differ by {difference:.0e} of the largest value",
        )


def confluent_max_map(subjects: Subjects, settings: Settings) -> Iterator[Result]:
    """Measure rows of the confluent lesion, and what they make of its whole map."""
    model, lesion, forward = subjects.model, subjects.confluent, "whole-volume"
    warm_up(model, lesion.thinned(4), forward)
    few, many = lesion.patches(settings.rows // 3), lesion.patches(settings.rows)
    times = interleaved(
        {
            "few": lambda: seconds(lambda: _ours(model, few, "max", forward), model.device),
            "many": lambda: seconds(lambda: _ours(model, many, "max", forward), model.device),
            "literal": lambda: literal_max_seconds(model, lesion, forward, settings),
        },
        settings.repetitions,
    )
    # A straight line through both: what all rows share, and what each of them takes.
    n_few, n_many = len(few.voxels), len(many.voxels)
    row = max(times["many"] - times["few"], 0) / (n_many - n_few)
    ours = times["many"] + (len(lesion.voxels) - n_many) * row
    yield Result(
        what=f"max map, {forward}, {lesion.name}",
        ours=duration(N * ours),
        against=f"literal loop: {duration(N * times['literal'])}",
        value=times["literal"] / ours,
        target=_max_target(model),
        note=f"extrapolated from {n_few} and {n_many} rows in cubes spread over the lesion "
        f"({duration(row)} per row) and {settings.passes} of the loop's passes",
    )


def literal_max_seconds(
    model: SegmentationModel, lesion: Lesion, forward: str, settings: Settings
) -> float:
    """Return the literal loop's time for one noise sample: a forward, and a pass per voxel.

    Noise and the comparison of magnitudes are left out, which favours the loop.
    """
    noisy = noisy_volume(model, lesion.case, 0, 0)
    synchronise(model.device)
    start = time.perf_counter()
    kept = KeptForward.run(model, noisy, forward)
    synchronise(model.device)
    forward_time = time.perf_counter() - start
    timed = lesion.thinned(settings.passes).voxels
    kept.row(timed[0])
    passes = seconds(lambda: [kept.row(voxel) for voxel in timed], model.device)
    return forward_time + passes / len(timed) * len(lesion.voxels)


def max_difference(model: SegmentationModel, lesion: Lesion, forward: str) -> float:
    """Return the largest difference of ours and the literal max map, relative to its largest."""
    from benchmarks import literal

    noisy = noisy_volume(model, lesion.case, 0, 0)
    expected = literal.max_map(model, [noisy], lesion.voxels, forward).cpu().numpy()
    return _difference(_ours(model, lesion, "max", forward), expected)


def mean_difference(model: SegmentationModel, lesion: Lesion, forward: str) -> float:
    """Return the same of the mean map."""
    noisy = noisy_volume(model, lesion.case, 0, 0)
    expected = mean_map(model, [noisy], lesion.voxels, forward).cpu().numpy()
    return _difference(_ours(model, lesion, "mean", forward), expected)


def mean_map_rows(subjects: Subjects, settings: Settings) -> Iterator[Result]:
    """Measure the mean map of each lesion against the literal loop and against Captum."""
    model, forward, samples = subjects.model, "whole-volume", settings.samples
    target = Target(5, aim=10)
    for lesion in subjects.lesions:
        warm_up(model, lesion, forward)
        noisy = noisy_volume(model, lesion.case, 0, 0)
        contestants: dict[str, Callable[[], float]] = {
            "ours": lambda at=lesion: (
                seconds(lambda: _ours(model, at, "mean", forward, samples), model.device) / samples
            ),
            "literal loop": lambda at=lesion, volume=noisy: seconds(
                lambda: KeptForward.run(model, volume, forward).mean(at.voxels), model.device
            ),
        }
        captum, missing = _captum(model, lesion, forward)
        if captum is not None:
            contestants["Captum"] = captum
        contestants["literal loop"]()
        times = interleaved(contestants, settings.repetitions)
        difference = mean_difference(model, lesion, forward)
        what, ours = f"mean map, {forward}, {lesion.name}", duration(N * times["ours"])
        for name in ("literal loop", "Captum"):
            if name not in times:
                yield Result(what=what, against=name, target=target, note=missing)
                continue
            yield Result(
                what=what,
                ours=ours,
                against=f"{name}: {duration(N * times[name])}",
                value=times[name] / times["ours"],
                target=target,
                note=f"{samples} of ours' samples and 1 of the other's timed"
                + (f"; the two maps differ by {difference:.0e}" if name != "Captum" else ""),
            )


def whole_window_networks(subjects: Subjects, settings: Settings) -> Iterator[Result]:
    """Measure the max map of networks that cannot be windowed against the loop by the inferer."""
    few = [lesion.thinned(settings.window_voxels) for lesion in subjects.lesions]
    for architecture in ("DynUNet", "SwinUNETR"):
        model = random_model(architecture, str(subjects.model.device))
        lesion = min(few, key=lambda at, m=model: _windows_holding(m, at))
        tiles = tiling(model.profile, lesion.case.shape, "sliding-window")
        holding = _windows_holding(model, lesion)
        what = f"max map, sliding-window, {architecture}, {lesion.name}"
        target = Target(5) if model.device.type == "cpu" else None
        _ours(model, lesion.thinned(1), "mean", "sliding-window")
        times = interleaved(
            {
                "ours": lambda m=model, at=lesion: seconds(
                    lambda: _ours(m, at, "max", "sliding-window"), m.device
                ),
                "literal": lambda m=model, at=lesion: literal_window_seconds(m, at),
            },
            settings.window_repetitions,
        )
        literal = times["literal"] * len(tiles.windows)
        yield Result(
            what=what,
            ours=duration(N * times["ours"]),
            against=f"literal loop through the inferer: {duration(N * literal)}",
            value=literal / times["ours"],
            target=target,
            note=f"{holding} of {len(tiles.windows)} windows hold these voxels; the loop was timed "
            "on a volume of one window and scaled by their number, since its graph of all "
            f"windows does not fit in memory; {settings.window_repetitions} repetition(s)",
        )


def literal_window_seconds(model: SegmentationModel, lesion: Lesion) -> float:
    """Return the loop's time through the inferer on one window: a forward, a pass per voxel.

    The graph of a volume holds every window, so each pass of the loop goes through all of them,
    also through those whose cotangent is zero: it takes as much in each.
    """
    noisy = noisy_volume(model, lesion.case, 0, 0)
    x, y, z = model.profile.window
    crop = noisy[:, :x, :y, :z]
    centre = np.array([x, y, z]) // 2

    def loop() -> None:
        kept = KeptForward.run(model, crop, "sliding-window")
        for _ in lesion.voxels:
            kept.row(centre)

    return seconds(loop, model.device)


def first_overlay(subjects: Subjects, settings: Settings) -> Iterator[Result]:
    """Measure the time from the click to the first map against the least it needs."""
    model = subjects.model
    on_cpu = model.device.type == "cpu"
    target = Target(1.5, at_least=False) if on_cpu else None
    x, y, z = model.profile.window
    for lesion in subjects.lesions:
        warm_up(model, lesion)
        middle = np.median(lesion.voxels, axis=0).astype(int)
        start = np.clip(
            middle - np.array([x, y, z]) // 2, 0, np.array(lesion.case.shape) - (x, y, z)
        )
        a, b, c = (int(v) for v in start)
        window = noisy_volume(model, lesion.case, 0, 0)[:, a : a + x, b : b + y, c : c + z]
        inside = lesion.voxels - start
        inside = inside[((inside >= 0) & (inside < (x, y, z))).all(axis=1)]

        def minimum(crop: torch.Tensor = window, at: np.ndarray = inside) -> float:
            work = lambda: KeptForward.run(model, crop, "whole-volume").mean(at)  # noqa: E731
            return seconds(work, model.device)

        def ours(at: Lesion = lesion) -> float:
            return seconds(lambda: _first_map(model, at), model.device)

        minimum()
        repetitions = max(settings.repetitions, 5)
        times = interleaved({"ours": ours, "minimum": minimum}, repetitions)
        yield Result(
            what=f"first overlay after a click (mean), {lesion.name}",
            ours=duration(times["ours"]),
            against=f"forward and gradient of one window: {duration(times['minimum'])}",
            value=times["ours"] / times["minimum"],
            target=target,
            note=f"{_windows_holding(model, lesion)} windows hold the lesion; {repetitions} "
            "repetitions",
        )


def peak_memory(subjects: Subjects, settings: Settings, real: Path | None) -> Iterator[Result]:
    """Measure the peak memory of the confluent lesion's max map."""
    device = subjects.model.device
    peak = in_own_process(settings.rows, real, str(device)) / 1e9
    yield Result(
        what=f"peak memory beyond the network, max map, {subjects.confluent.name}",
        ours=f"{peak:.2f} GB",
        value=peak,
        target=Target(4, at_least=False, unit=" GB"),
        note=f"the first {settings.rows} rows of the lesion, and {settings.rows} rows spread over "
        "all of it: memory does not grow with rows",
    )


def segmentation(subjects: Subjects, settings: Settings) -> Iterator[Result]:
    """Measure the probability map against MONAI's inferer."""
    model, case = subjects.model, subjects.lesions[0].case
    image = network_input(model, case)
    batch = 1 if model.device.type == "cpu" else 4

    def monai() -> object:
        with torch.inference_mode():
            logits = sliding_window_inference(
                image[None].to(model.device),
                model.profile.window,
                batch,
                model.network,
                overlap=model.profile.overlap,
                mode="gaussian",
            )
            return logits.softmax(dim=1)[0, model.profile.explained_class].cpu()

    def ours() -> object:
        return probability_of(model, case, finish(logit_map(model, case)))

    difference = float(np.abs(np.asarray(ours()) - monai().numpy()).max())
    times = interleaved(
        {
            "ours": lambda: seconds(ours, model.device),
            "MONAI": lambda: seconds(monai, model.device),
        },
        settings.repetitions,
    )
    yield Result(
        what="segmentation, sliding-window",
        ours=duration(times["ours"]),
        against=f"MONAI's inferer: {duration(times['MONAI'])}",
        value=times["MONAI"] / times["ours"],
        target=Target(1),
        note=f"{batch} window(s) at a time; largest difference of the probabilities "
        f"{difference:.0e}",
    )


def work_per_row(subjects: Subjects, settings: Settings) -> Iterator[Result]:
    """Measure time and operations of a row of the max map, for one thread and for several."""
    model, forward = subjects.model, "whole-volume"
    lesion = subjects.lesions[1 if len(subjects.lesions) > 1 else 0]
    fewest = np.mean([fewest_operations(model, v) for v in lesion.thinned(8).voxels])
    for count in _thread_counts(model.device):
        with threads(count):
            peak = matrix_product_peak(model.device, settings.product)
            warm_up(model, lesion, forward)
            noisy = noisy_volume(model, lesion.case, 0, 0)
            kept = KeptForward.run(model, noisy, forward)
            used = row_operations(model, lesion, forward)
            literal = _literal_operations(kept, lesion)
            passes = lesion.thinned(settings.passes).voxels
            times = interleaved(
                {
                    "ours": lambda: row_seconds(model, lesion, forward),
                    "literal": lambda kept=kept, passes=passes: (
                        seconds(lambda: [kept.row(v) for v in passes], model.device) / len(passes)
                    ),
                },
                settings.repetitions,
            )
        speed = used / times["ours"]
        label = f", {count} thread{'s' if count > 1 else ''}" if model.device.type == "cpu" else ""
        yield Result(
            what=f"one row of the max map{label}",
            ours=f"{duration(times['ours'])}, {used / 1e9:.3g} GFLOP",
            against=f"pass of the literal loop: {duration(times['literal'])}, "
            f"{literal / 1e9:.3g} GFLOP",
            value=times["literal"] / times["ours"],
            note=f"windowed minimum {fewest / 1e9:.3g} GFLOP; ours runs at "
            f"{speed / 1e9:.3g} GFLOP/s, {speed / peak:.0%} of the matrix product's "
            f"{peak / 1e9:.3g} GFLOP/s "
            f"({fewest / times['ours'] / peak:.0%} by the minimum); {len(lesion.voxels)} rows",
        )


def row_seconds(model: SegmentationModel, lesion: Lesion, forward: str) -> float:
    """Return the time of a row: that of all rows behind the first chunk, by their number."""
    reports = _max_reports(model, lesion, forward)
    first = next(reports)
    synchronise(model.device)
    start = time.perf_counter()
    done = [report.done for report in reports]
    synchronise(model.device)
    return (time.perf_counter() - start) / max(done[-1] - first.done, 1)


def row_operations(model: SegmentationModel, lesion: Lesion, forward: str) -> float:
    """Return the operations of a row, counted over all rows behind the first chunk."""
    reports = _max_reports(model, lesion, forward)
    first = next(reports)
    rest: list[int] = []
    counted = operations(lambda: rest.extend(report.done for report in reports))
    return counted / max(rest[-1] - first.done, 1)


def _literal_operations(kept: KeptForward, lesion: Lesion) -> int:
    return operations(lambda: kept.row(lesion.voxels[0]))


def _max_reports(model: SegmentationModel, lesion: Lesion, forward: str) -> Iterator:
    return explain_progressively(
        model, lesion.case, lesion.mask, aggregation="max", n_samples=1, forward=forward
    )


def _ours(
    model: SegmentationModel, lesion: Lesion, aggregation: str, forward: str, n_samples: int = 1
) -> Saliency:
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


def _first_map(model: SegmentationModel, lesion: Lesion) -> None:
    reports = explain_progressively(model, lesion.case, lesion.mask, aggregation="mean")
    for report in reports:
        if report.result is not None:
            break
    reports.close()


def _captum(
    model: SegmentationModel, lesion: Lesion, forward: str
) -> tuple[Callable[[], float] | None, str]:
    """Return a measurement of Captum's SmoothGrad for one noise sample, or why there is none."""
    try:
        from captum.attr import NoiseTunnel, Saliency
    except ImportError:
        return None, "captum is not installed: pip install captum"
    at = tuple(torch.from_numpy(lesion.voxels).to(model.device).T)
    image = network_input(model, lesion.case)[None].to(model.device)
    sigma = NOISE * float(image[0, 0].max() - image[0, 0].min())

    def mean_logit(batch: torch.Tensor) -> torch.Tensor:
        logits = volume_logits(model, batch[0], forward)[model.profile.explained_class]
        return logits[at].mean()[None]

    tunnel = NoiseTunnel(Saliency(mean_logit))

    def attribute() -> object:
        return tunnel.attribute(
            image.clone().requires_grad_(), nt_samples=1, stdevs=sigma, abs=False
        )

    return lambda: seconds(attribute, model.device), ""


def _windows_holding(model: SegmentationModel, lesion: Lesion) -> int:
    windows = tiling(model.profile, lesion.case.shape, "sliding-window").windows
    return sum(
        bool(((lesion.voxels >= w.start) & (lesion.voxels < w.stop)).all(axis=1).any())
        for w in windows
    )


def _thread_counts(device: torch.device) -> list[int]:
    current = torch.get_num_threads()
    return [current] if device.type != "cpu" else sorted({1, 2, current})


def _max_target(model: SegmentationModel) -> Target:
    return Target(60, aim=100) if model.device.type == "cpu" else Target(100, aim=300)


def _difference(saliency: Saliency, expected: np.ndarray) -> float:
    return float(np.abs(saliency.maps - expected).max() / np.abs(expected).max())
