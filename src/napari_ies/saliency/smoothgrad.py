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
from napari_ies.saliency.forwards import Forwards
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
    as it grows: the windows so far of a mean, the rows so far of a max.
    """
    running = [RunningMap(problem, number, target) for number, target in enumerate(targets)]
    sigma = noise_deviation(problem, request)
    done, sample, most = 0, 0, samples_together(problem, running)
    total = request.n_samples * sum(one.steps for one in running)
    while sample < request.n_samples:
        active = [one for one in running if not one.converged(request.tolerance)]
        if not active:
            break
        # The first sample runs alone: it is what is waited for.
        samples = range(sample, min(sample + (most if sample else 1), request.n_samples))
        begun = done
        try:
            for estimate in _under_way(problem, active, request.seed, samples, sigma, begun, total):
                done = estimate.done
                shown = sample == 0 and active == running[:1] and done < total
                yield estimate if shown else replace(estimate, mean=None)
        except (RuntimeError, MemoryError) as error:
            if len(samples) == 1 or not is_out_of_memory(error):
                raise
            most, done = len(samples) // 2, begun
            logger.info("Out of memory: going on with %d noise samples at once.", most)
            for one in active:
                one.drop_samples()
            continue
        for under_way in range(len(samples)):
            for one in active:
                if under_way == 0 or not one.converged(request.tolerance):
                    one.close_sample(under_way)
                    if samples[under_way] < request.n_samples - 1:
                        # All its steps may be done while samples of the last batch are left.
                        yield one.estimate(min(done, total - 1), total)
        sample = samples.stop
    for one in running:
        yield one.estimate(total, total)


def noise_deviation(problem: Problem, request: SaliencyRequest) -> float:
    """Return the standard deviation of the noise, in the unit of the network's input."""
    return request.noise * problem.intensity_range


def _under_way(
    problem: Problem,
    active: list[RunningMap],
    seed: int,
    samples: range,
    sigma: float,
    done: int,
    total: int,
) -> Iterator[Estimate]:
    """Work on noise samples; yield an estimate after every step, sometimes with a map to show."""
    box = Box.hull([one.box for one in active])
    forwards = Forwards(problem, box, seed, samples, sigma)
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
    elif len(holders) == 1:
        yield from one.reduce(holders[0], forwards, rows)
    else:
        yield from one.reduce_blended(holders, forwards, rows)
