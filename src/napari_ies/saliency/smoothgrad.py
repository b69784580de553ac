"""SmoothGrad of footprints: the mean over noise samples of their aggregated gradients.

Source: Smilkov et al., *SmoothGrad* (2017), arXiv:1706.03825; restricted to an instance and
aggregated over its voxels as in Spagnolo et al., *Scientific Reports* (2026),
doi:10.1038/s41598-026-36560-9.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_ies.free_memory import is_out_of_memory
from napari_ies.geometry.box import Box
from napari_ies.saliency.expected.portions import in_order, samples_together
from napari_ies.saliency.forwards import Forwards, Watch
from napari_ies.saliency.noise import Noise
from napari_ies.saliency.problem import Estimate, Problem, Target
from napari_ies.saliency.running_map import RunningMap, Step

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_ies.saliency.footprint import Piece
    from napari_ies.saliency.request import SaliencyRequest

logger = logging.getLogger("napari_ies")


def smoothgrad(
    problem: Problem, targets: Sequence[Target], request: SaliencyRequest
) -> Iterator[Estimate]:
    """Compute the SmoothGrad of footprints, sample by sample.

    One noisy forward serves all targets that it covers.

    Parameters
    ----------
    problem
        What the gradients depend on.
    targets
        What is explained; each one's result is the same as if it were alone.
    request
        Number of samples, noise, seed and tolerance; the targets' aggregations count.

    Yields
    ------
    An estimate after every step of work (a piece's gradient or a chunk of rows), and after each
    sample one for each target, with its running map. A single target's first sample is shown
    as it grows: the windows so far of a mean, the rows so far of a max. On a GPU only some of
    the estimates after a sample carry a map: see :meth:`RunningMap.estimate`.
    """
    running = [RunningMap(problem, number, target) for number, target in enumerate(targets)]
    noise, watch = noise_of(problem, request), Watch(problem)
    done, sample = 0, 0
    most = samples_together(problem, running, request.n_samples)
    total = request.n_samples * sum(one.steps for one in running)
    while sample < request.n_samples:
        active = [one for one in running if not one.converged(request.tolerance)]
        if not active:
            break
        # The first sample runs alone: it is what is waited for.
        samples = range(sample, min(sample + (most if sample else 1), request.n_samples))
        begun = done
        try:
            for estimate in _under_way(problem, active, noise, samples, watch, begun, total):
                done = estimate.done
                shown = sample == 0 and active == running[:1] and done < total
                yield estimate if shown else replace(estimate, mean=None)
        except (RuntimeError, MemoryError) as error:
            if len(samples) == 1 or not is_out_of_memory(error):
                raise
            most, done = (len(samples) + 1) // 2, begun
            logger.info("Out of memory: going on with %d noise samples at once.", most)
            for one in active:
                one.drop_samples()
            continue
        for part in closed_together(problem, len(samples), request.tolerance):
            for one in active:
                if part.start == 0 or not one.converged(request.tolerance):
                    one.close_samples(part)
                    if samples[part[-1]] < request.n_samples - 1:
                        # All its steps may be done while samples of the last batch are left.
                        yield one.estimate(min(done, total - 1), total, watch)
        sample = samples.stop
    watch.look(wait=True)
    for one in running:
        yield one.estimate(total, total, watch, last=True)


def noise_of(problem: Problem, request: SaliencyRequest) -> Noise:
    """Return the noise of a request, its deviation in the unit of the network's input."""
    deviation = request.noise * problem.intensity_range
    return Noise(request.seed, deviation, request.noise_version)


def closed_together(problem: Problem, samples: int, tolerance: float | None) -> list[range]:
    """Return which samples of a batch are taken into a map at once.

    All of them on a GPU, for which each operation counts; one after another where each one's map
    is shown, or decides whether it is the last.
    """
    if problem.immediate or tolerance is not None:
        return [range(number, number + 1) for number in range(samples)]
    return [range(samples)]


def _under_way(
    problem: Problem,
    active: list[RunningMap],
    noise: Noise,
    samples: range,
    watch: Watch,
    done: int,
    total: int,
) -> Iterator[Estimate]:
    """Work on noise samples; yield an estimate after every step, sometimes with a map to show."""
    box = Box.hull([one.box for one in active])
    forwards = Forwards(problem, box, noise, samples, watch)
    # In an order in which a forward is needed again as rarely as can be.
    for place, holders, rows in in_order(problem, active):
        one = active[place]
        for steps, preview in _work(one, holders, rows, forwards):
            done += steps
            yield Estimate(done, total, samples.start, one.box, preview, target=one.number)
    forwards.check()


def _work(
    one: RunningMap, holders: tuple[Piece, ...], rows: NDArray[np.int64], forwards: Forwards
) -> Iterator[Step]:
    """Work on the rows of one target that the same pieces hold."""
    if one.target.aggregation != "max":
        yield one.combine(holders[0], forwards)
    elif one.sums_rows(holders):
        yield from one.reduce_summed(holders, forwards, rows)
    else:
        yield from one.reduce(holders[0], forwards, rows)
