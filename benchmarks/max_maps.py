"""The max map against the literal loop over its voxels."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.literal import KeptForward, Noisy
from benchmarks.maps import max_difference, ours, warm_up
from benchmarks.report import Result, duration
from benchmarks.settings import N, max_target
from benchmarks.timing import interleaved, seconds, synchronise
from benchmarks.usage import used

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.settings import Settings
    from benchmarks.subjects import Lesion, Subjects
    from napari_ies.network.model import SegmentationModel


def max_map(subjects: Subjects, settings: Settings, forward: str) -> Iterator[Result]:
    """Measure the max map of each lesion against the literal loop over its voxels."""
    model, samples = subjects.model, settings.max_samples
    for lesion in subjects.lesions:
        warm_up(model, lesion, forward)

        def run(at: Lesion = lesion, count: int = samples) -> object:
            return ours(model, at, "max", forward, count)

        times = interleaved(
            {
                "ours": lambda run=run: seconds(run, model.device) / samples,
                "literal": lambda at=lesion: literal_max_seconds(model, at, forward, settings),
            },
            settings.repetitions,
        )
        difference = max_difference(model, lesion.thinned(min(settings.passes, 3)), forward)
        yield Result(
            what=f"max map, {forward}, {lesion.name}",
            ours=duration(N * times["ours"]),
            against=f"literal loop: {duration(N * times['literal'])}",
            value=times["literal"] / times["ours"],
            target=max_target(model.device, len(lesion.voxels), forward),
            note=f"{samples} of ours' samples and {settings.passes} of the loop's passes timed; "
            f"the two maps of 3 voxels differ by {difference:.0e} of the largest value; one "
            f"sample takes {used(lambda run=run: run(count=1), model.device)}",
        )


def confluent_max_map(subjects: Subjects, settings: Settings) -> Iterator[Result]:
    """Measure rows of the confluent lesion, and what they make of its whole map."""
    model, lesion, forward = subjects.model, subjects.confluent, "whole-volume"
    warm_up(model, lesion.thinned(4), forward)
    few, many = lesion.patches(settings.rows // 3), lesion.patches(settings.rows)
    times = interleaved(
        {
            "few": lambda: seconds(lambda: ours(model, few, "max", forward), model.device),
            "many": lambda: seconds(lambda: ours(model, many, "max", forward), model.device),
            "literal": lambda: literal_max_seconds(model, lesion, forward, settings),
        },
        settings.repetitions,
    )
    # A straight line through both: what all rows share, and what each of them takes.
    n_few, n_many = len(few.voxels), len(many.voxels)
    row = max(times["many"] - times["few"], 0) / (n_many - n_few)
    whole = times["many"] + (len(lesion.voxels) - n_many) * row
    yield Result(
        what=f"max map, {forward}, {lesion.name}",
        ours=duration(N * whole),
        against=f"literal loop: {duration(N * times['literal'])}",
        value=times["literal"] / whole,
        target=max_target(model.device, len(lesion.voxels), forward),
        note=f"extrapolated from {n_few} and {n_many} rows in cubes spread over the lesion "
        f"({duration(row)} per row) and {settings.passes} of the loop's passes",
    )


def literal_max_seconds(
    model: SegmentationModel, lesion: Lesion, forward: str, settings: Settings
) -> float:
    """Return the literal loop's time for one noise sample: noise, a forward, a pass per voxel.

    The comparison of magnitudes is left out, which favours the loop.
    """
    noisy = Noisy.of(model, lesion.case)
    synchronise(model.device)
    start = time.perf_counter()
    kept = KeptForward.run(model, noisy.draw(), forward)
    synchronise(model.device)
    forward_time = time.perf_counter() - start
    timed = lesion.thinned(settings.passes).voxels
    kept.row(timed[0])
    passes = seconds(lambda: [kept.row(voxel) for voxel in timed], model.device)
    return forward_time + passes / len(timed) * len(lesion.voxels)
