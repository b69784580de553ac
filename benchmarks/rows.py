"""One row of the max map: its time and its operations."""

from __future__ import annotations

import copy
import time
from typing import TYPE_CHECKING
from unittest.mock import patch

import numpy as np
import torch

from benchmarks.host_time import host_time
from benchmarks.literal import KeptForward
from benchmarks.maps import max_reports, warm_up
from benchmarks.report import Result, Target, duration
from benchmarks.subjects import noisy_volume
from benchmarks.timing import interleaved, matrix_product_peak, seconds, synchronise, threads
from benchmarks.work import fewest_operations, operations
from napari_ies.saliency.engines.jacobian import WindowedEngine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.settings import Settings
    from benchmarks.subjects import Lesion, Subjects
    from napari_ies.network.model import SegmentationModel


HOST_ROWS = (8, 64, 128)
"""Chunks whose time of the host is measured."""


def work_per_row(subjects: Subjects, settings: Settings) -> Iterator[Result]:
    """Measure time and operations of a row of the max map, for one thread and for several."""
    model, forward = subjects.model, "whole-volume"
    lesion = subjects.lesions[1 if len(subjects.lesions) > 1 else 0]
    if model.device.type != "cpu":  # whose chunks are large: there have to be some behind the first
        lesion = max(subjects.lesions, key=lambda one: len(one.voxels))
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
                    "ours": lambda: row_seconds(model, lesion, forward)[0],
                    "literal": lambda kept=kept, passes=passes: (
                        seconds(lambda: [kept.row(v) for v in passes], model.device) / len(passes)
                    ),
                },
                settings.repetitions,
            )
        given = row_seconds(model, lesion, forward)[1]
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
            f"({fewest / times['ours'] / peak:.0%} by the minimum); {len(lesion.voxels)} rows"
            + ("" if model.device.type == "cpu" else f"; {duration(given)} of the host for a row"),
        )


def host_of_rows(subjects: Subjects) -> Iterator[Result]:
    """Measure what a row takes of the host, on no device, and what chunks launch."""
    model = subjects.model
    network = copy.deepcopy(model.network).to("meta")
    x, y, z = model.profile.window
    grid = np.indices((x, y, z)).reshape(3, -1).T
    distance = ((grid - np.array([x, y, z]) // 2) ** 2).sum(axis=1)
    ball = grid[np.sort(np.argsort(distance, kind="stable")[: HOST_ROWS[-1]])]
    found = {rows: host_time(network, (x, y, z), ball, rows) for rows in HOST_ROWS}
    largest = found[HOST_ROWS[-1]]
    counts = ", ".join(f"{one.operations:,} of {rows}" for rows, one in found.items())
    yield Result(
        what=f"host's time for a row, chunk of {largest.rows} rows",
        ours=duration(largest.seconds / largest.rows),
        value=1e6 * largest.seconds / largest.rows,
        target=Target(20, aim=8, at_least=False, unit=" µs"),
        note=f"on PyTorch's meta device; {duration(largest.first_seconds / largest.rows)} in the "
        f"first noise sample; {largest.launches:,} launches; operations for chunks: {counts}",
    )


def row_seconds(model: SegmentationModel, lesion: Lesion, forward: str) -> tuple[float, float]:
    """Return the time of a row, and until a device has been given the work for it.

    Both are those of all rows behind the first chunk, by their number.
    """
    reports = max_reports(model, lesion, forward)
    first = next(reports)
    synchronise(model.device)
    start = time.perf_counter()
    given, done = 0.0, first.done
    for report in reports:
        if report.done > done:  # what comes behind the last chunk is not a row's
            given, done = time.perf_counter() - start, report.done
    synchronise(model.device)
    rows = max(done - first.done, 1)
    return (time.perf_counter() - start) / rows, given / rows


def row_operations(model: SegmentationModel, lesion: Lesion, forward: str) -> float:
    """Return the operations of a row, counted over all rows behind the first chunk.

    PyTorch sees none of those in kernels of our own: they are counted where none is used.
    """
    rest: list[int] = []
    with patch.object(WindowedEngine, "settled", lambda engine: engine):
        reports = max_reports(model, lesion, forward)
        first = next(reports)
        counted = operations(lambda: rest.extend(report.done for report in reports))
    return counted / max(rest[-1] - first.done, 1)


def _literal_operations(kept: KeptForward, lesion: Lesion) -> int:
    return operations(lambda: kept.row(lesion.voxels[0]))


def _thread_counts(device: torch.device) -> list[int]:
    current = torch.get_num_threads()
    return [current] if device.type != "cpu" else sorted({1, 2, current})
