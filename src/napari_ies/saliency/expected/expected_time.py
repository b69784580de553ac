"""How long maps will take: their work is counted, and a little of it is done and timed.

What is timed is kept with the model, so that only the first request of a kind waits for it.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import torch

from napari_ies.duration import HOUR, about
from napari_ies.errors import SaliencyError
from napari_ies.free_memory import is_out_of_memory, within_memory
from napari_ies.progress import Progress, to_its_end
from napari_ies.saliency.case_explanations import CaseExplanations
from napari_ies.saliency.expected.cheaper import cheaper
from napari_ies.saliency.expected.portions import Portions, samples_together
from napari_ies.saliency.expected.work import Work, work_of_gradcam, work_of_sample
from napari_ies.saliency.footprint import Piece, pieces
from napari_ies.saliency.forwards import Forwards, Watch
from napari_ies.saliency.gradcam import layer_pass, window_map
from napari_ies.saliency.running_map import RunningMap
from napari_ies.saliency.smoothgrad import closed_together, noise_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import ArrayLike

    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case
    from napari_ies.saliency.problem import Problem, Target
    from napari_ies.saliency.request import SaliencyRequest

T = TypeVar("T")

FEW_STEPS = 20
"""Work of fewer steps is not timed: that would take a good part of it."""
QUICK = 0.5
"""What takes less seconds is timed twice: the first time often pays for more."""
ROWS_TRIED = 128
"""As many as the largest chunk of any engine."""
TIMED = ("forward_voxels", "gradient_voxels", "rows", "noise_voxels", "map_voxels", "passes")
"""The parts of the work whose seconds are known once they were timed."""


@dataclass(frozen=True)
class ExpectedTime:
    """How long maps will take on this device.

    Parameters
    ----------
    work
        What there is to do.
    seconds
        What it will take; None for work of a few steps, which is not worth timing.
    at_most
        Whether a tolerance may end it sooner.
    shorter
        What would make it shorter, in words.
    """

    work: Work
    seconds: float | None
    at_most: bool
    shorter: tuple[str, ...]

    @property
    def long(self) -> bool:
        """Whether a person is asked before it starts."""
        return self.seconds is not None and self.seconds > HOUR

    @property
    def text(self) -> str:
        """The duration in words, such as ``"about 3 hours"``; empty where it was not timed."""
        if self.seconds is None:
            return ""
        return f"at most {about(self.seconds)}" if self.at_most else about(self.seconds)

    @property
    def shorter_with(self) -> str:
        """What would make it shorter, as one phrase."""
        *others, last = self.shorter
        return f"{', '.join(others)} or {last}" if others else last


def expecting(
    model: SegmentationModel,
    case: Case,
    footprints: Iterable[ArrayLike],
    request: SaliencyRequest,
    *,
    aggregations: Sequence[str] = (),
    one_by_one: bool = False,
    jacobian: str = "auto",
    memory_gib: float | None = None,
    few_steps: int = FEW_STEPS,
    explained: CaseExplanations | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Progress[ExpectedTime]]:
    """Estimate how long the maps of footprints will take, from a little of the work.

    Parameters
    ----------
    model, case, request
        See :func:`~napari_ies.saliency.explanation.explain_request`.
    footprints
        Masks (X, Y, Z) on the case's grid; taken one after another.
    aggregations
        See :func:`~napari_ies.saliency.explanation.explain_together`.
    one_by_one
        Whether each footprint is explained alone, and not together with others.
    jacobian, memory_gib
        As for the explanation.
    few_steps
        Work of fewer runs of the network is not timed, unless it is known how long they take.
    explained
        What the explanations of the case share; made where it is not given.
    clock
        Gives the time in seconds.

    Yields
    ------
    A report after each batch of footprints and each timed piece of work; the last one holds the
    estimate.

    Raises
    ------
    SaliencyError
        If a footprint or a setting is not possible.
    """
    step, reports = "Estimating the time", 0
    with within_memory(SaliencyError, "explain this region", "choose a smaller region"):
        if explained is None:
            explained = CaseExplanations(model, case, request, jacobian, memory_gib)
        problem, done = explained.problem.settled(), explained.request
        ways = tuple(aggregations) or (request.aggregation,)
        together = (
            1 if one_by_one or not done.is_smoothgrad else explained.footprints_together(len(ways))
        )
        work = Work()
        first: list[Target] = []
        tried: list[Portions] = []
        for batch in _batches(footprints, together):
            targets = [explained.target(one, way) for one in batch for way in ways]
            first = first or targets
            if not done.is_smoothgrad:
                work += work_of_gradcam(problem, targets[0].voxels)
            else:
                portions = [Portions(problem, *numbered) for numbered in enumerate(targets)]
                yield Progress(step, reports := reports + 1, 0, "steps")
                work += work_of_sample(problem, portions).times(done.n_samples)
                tried = tried or portions
            yield Progress(step, reports := reports + 1, 0, "steps")
        window = problem.tiles.windows[0].shape
        largest = max((p.seen.size for one in tried for p in one.pieces), default=0)
        # Small parts of a window take longer by voxel than large ones: each size has its rates.
        engine = problem.engine.name, bool(problem.engine.kernels)
        key = *engine, done.precision, done.layer, window, largest.bit_length()
        every = model.derive("seconds of a step", dict[object, dict[str, float]])
        rates = every.setdefault(key, {})
        parts = {name: count for name, count in asdict(work).items() if count and name in TIMED}
        if parts.keys() - rates and work.steps >= few_steps:
            trial = _Trial(problem, first, done, clock)
            for name, seconds in trial.smoothgrad() if done.is_smoothgrad else trial.gradcam():
                rates[name] = seconds
                yield Progress(step, reports := reports + 1, 0, "steps")
        expected = ExpectedTime(
            work=work,
            seconds=None
            if parts.keys() - rates
            else float(sum(count * rates[name] for name, count in parts.items())),
            at_most=done.is_smoothgrad and done.tolerance is not None,
            shorter=cheaper(model, problem, first, done, jacobian),
        )
    yield Progress(step, reports, reports, "steps", expected)


expected_time = to_its_end("expected_time", expecting)


class _Trial:
    """Does a little of the work on footprints and times it.

    Parameters
    ----------
    problem, request
        What the work depends on.
    targets
        What is explained together first.
    clock
        Gives the time in seconds.
    """

    def __init__(
        self,
        problem: Problem,
        targets: Sequence[Target],
        request: SaliencyRequest,
        clock: Callable[[], float],
    ) -> None:
        # Its passes are alike: one of them is timed.
        self._passes = problem.engine.passes
        self._problem, self._targets = problem.changed(engine=problem.engine.one_pass()), targets
        self._request, self._clock = request, clock

    def smoothgrad(self) -> Iterator[tuple[str, float]]:
        """Time a part of each kind of a noise sample's work; yield the seconds of each unit."""
        problem = self._problem
        running = [RunningMap(problem, *numbered) for numbered in enumerate(self._targets)]
        one = running[0]
        piece = max(one.pieces, key=lambda piece: piece.seen.size)
        voxels = piece.seen.size
        shown = len(problem.image) * one.box.size
        count = samples_together(problem, running, self._request.n_samples)
        try:
            noise, forward, forwards = self._forward(one, piece, count)
        except (RuntimeError, MemoryError) as error:
            if count == 1 or not is_out_of_memory(error):
                raise
            count = 1
            noise, forward, forwards = self._forward(one, piece, count)
        yield "noise_voxels", noise / (shown * count)
        yield "forward_voxels", self._passes * forward / (voxels * count)
        # A first sample is shown as it grows, and waited for: not what the others take.
        for _ in range(2):
            one.close_samples(range(1))
        ways = {target.aggregation for target in self._targets}
        if ways != {"max"}:
            seconds, _ = self._timed(lambda: one.combine(piece, forwards))
            yield "gradient_voxels", self._passes * seconds / (voxels * count)
        if "max" in ways:
            rows = piece.rows[:ROWS_TRIED]
            seconds, (chunk, _) = self._timed(lambda: next(one.reduce(piece, forwards, rows)))
            yield "rows", self._passes * seconds / chunk

        part = closed_together(problem, count, self._request.tolerance)[0]

        def finish() -> None:
            one.close_samples(part)
            one.converged(self._request.tolerance)
            one.estimate(0, 1, Watch(problem))

        seconds, _ = self._timed(finish)
        yield "map_voxels", seconds / (shown * len(part))

    def gradcam(self) -> Iterator[tuple[str, float]]:
        """Time a window's pass to the layer and back, and its map; yield their seconds."""
        problem, layer = self._problem, self._request.layer or ""
        piece = pieces(self._targets[0].voxels, problem.tiles)[0]
        window = problem.tiles.crop(problem.image, piece.window).to(problem.device)

        def whole() -> None:
            activations, gradients = (
                values.cpu() for values in layer_pass(problem, piece, window, layer)
            )
            total = (activations * gradients**3).sum(dim=(0, 2, 3, 4))
            window_map(activations, gradients, total, piece)

        seconds, _ = self._timed(whole)
        yield "passes", seconds

    def _forward(self, one: RunningMap, piece: Piece, count: int) -> tuple[float, float, Forwards]:
        """Time the noise of samples and a piece's forward with it."""
        problem, request = self._problem, self._request
        which = noise_of(problem, request)
        noise, forwards = self._timed(lambda: Forwards(problem, one.box, which, range(count)))
        seconds, linearised = self._timed(lambda: forwards.linearised(piece))
        forwards.keep(piece, linearised)
        return noise, seconds, forwards

    def _timed(self, work: Callable[[], T]) -> tuple[float, T]:
        """Return the seconds that a piece of work takes, and what it gives."""
        seconds, result = self._once(work)
        if seconds < QUICK:
            del result
            seconds, result = self._once(work)
        return seconds, result

    def _once(self, work: Callable[[], T]) -> tuple[float, T]:
        self._settle()
        started = self._clock()
        result = work()
        self._settle()
        return self._clock() - started, result

    def _settle(self) -> None:
        """Wait for a GPU, which computes on while Python goes on."""
        if self._problem.device.type == "cuda":
            torch.cuda.synchronize(self._problem.device)


def _batches(footprints: Iterable[ArrayLike], size: int) -> Iterator[list[ArrayLike]]:
    waiting = iter(footprints)
    while batch := list(islice(waiting, size)):
        yield batch
