"""One target's map while it is computed: its samples under way, and the mean of those before."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_ies.network.finite import all_finite
from napari_ies.saliency.engines.kernels.strided import Canvases
from napari_ies.saliency.engines.moves import landed
from napari_ies.saliency.engines.plan import Seeds
from napari_ies.saliency.expected.portions import Portions
from napari_ies.saliency.problem import Estimate, Problem, Target, too_large
from napari_ies.saliency.reduction import RunningExtremes, RunningMoments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from napari_ies.saliency.arrivals import Arrival
    from napari_ies.saliency.footprint import Piece
    from napari_ies.saliency.forwards import Forwards, Watch

Step = tuple[int, torch.Tensor | None]
"""How many steps of work were done, and a map to show, now and then."""

NEAR = 16
"""Edge in voxels of the blocks that rows are taken in: the total stride of the common U-Nets, whose
rows of one block have the same box."""


class RunningMap(Portions):
    """What is kept of one target: its map so far, and the noise samples under way.

    Those of the network's members, if there are several, come as more channels behind its own.
    """

    def __init__(self, problem: Problem, number: int, target: Target) -> None:
        super().__init__(problem, number, target)
        like = torch.zeros((), dtype=problem.image.dtype, device=problem.device)
        self._channels = len(problem.image)
        self._canvases = like.new_zeros((1, self.maps * self._channels, *self.box.shape))
        self._moments = RunningMoments(self._canvases[0])
        self._extremes: RunningExtremes | None = None
        self._chunks, self._next_preview = 0, 1
        self._known_seeds: dict[tuple[tuple[Piece, ...], Piece], Seeds] = {}
        self._coming: tuple[int, Arrival] | None = None
        self._next_shown = 2

    def combine(self, piece: Piece, forwards: Forwards) -> Step:
        """Add the gradient of a piece's summed or mean logits, in each sample under way."""
        seeds, samples = self._seeds((piece,), piece, piece.rows), len(forwards.samples)
        if len(self._canvases) < samples:
            self._canvases = self._canvases.new_zeros((samples, *self._canvases.shape[1:]))
        canvases = self._canvases[:samples]
        for member, part in forwards.of(piece).parts():
            gradient = part.combined(seeds)
            del part  # before the next pass takes memory
            forwards.watch(gradient.values, "gradients", piece.window)
            for rows, values, at in landed(gradient, self.box.within(piece.window)):
                canvases[(rows, self._own(member), *at)] += values
        if self._moments.count or self.steps == 1:
            return samples, None
        return samples, self._shown(self._mean_first(self._canvases[:1])[0].clone, forwards)

    def reduce(self, piece: Piece, forwards: Forwards, rows: NDArray[np.int64]) -> Iterator[Step]:
        """Take in the gradients of voxels that one piece alone holds."""
        seeds, whole = self._seeds((piece,), piece, rows), self.box.within(piece.window)
        for number in forwards.samples:
            ((_, forward),) = forwards.of_sample(piece, number).parts()
            extremes = self._reduction(forwards).of_sample(number)
            canvases = Canvases(extremes.highest, extremes.lowest, whole.start, piece.window.shape)
            for part, found in forward.chunks(
                seeds, slice(0, len(rows)), self.row_memory, whole, canvases
            ):
                for _, values, at in found:
                    for extreme in extremes.add(values, (slice(None), *at)):
                        forwards.watch(extreme, "gradients", piece.window)
                if not found:  # a kernel took them in
                    for extreme in (extremes.highest, extremes.lowest):
                        forwards.watch(extreme, "gradients", piece.window)
                yield part.stop - part.start, self._preview(forwards)

    def reduce_summed(
        self, found: tuple[Piece, ...], forwards: Forwards, rows: NDArray[np.int64]
    ) -> Iterator[Step]:
        """Take in the gradients of voxels that come in parts: summed over them first."""
        area, together = self.area(found), self.rows_summed(found)
        here = (slice(None), *area.within(self.box))
        starts = range(0, len(rows), together)
        for number, start in product(forwards.samples, starts):
            chunk = slice(start, min(start + together, len(rows)))
            shape = chunk.stop - start, self._canvases.shape[1], *area.shape
            sums = self._canvases.new_zeros(shape)
            for piece in found:
                seeds, whole = self._seeds(found, piece, rows), area.within(piece.window)
                for member, forward in forwards.of_sample(piece, number).parts():
                    for part, given in forward.chunks(seeds, chunk, self.row_memory, whole):
                        ours = sums[part.start - start : part.stop - start]
                        for some, values, at in given:
                            forwards.watch(values, "gradients", piece.window)
                            ours[(some, self._own(member), *at)] += values
                        yield 0, None
                    del forward  # before the next pass takes memory
            self._reduction(forwards).of_sample(number).add(self._mean_first(sums), here)
            yield len(sums), self._preview(forwards)

    def _seeds(self, holders: tuple[Piece, ...], piece: Piece, rows: NDArray[np.int64]) -> Seeds:
        """Return a piece's share of voxels that these pieces hold: the same in every sample."""
        seeds = self._known_seeds.get((holders, piece))
        if seeds is None:
            voxels = self.target.voxels
            engine = self._problem.engine  # a member's gradient is the mean of its passes'
            scale = max(engine.members, 1) / engine.passes
            scale /= len(voxels) if self.target.aggregation == "mean" else 1
            # Block by block: rows of a chunk lie close together then, and so do their boxes.
            rows = rows[np.lexsort((voxels[rows] // NEAR).T)]
            entry = np.searchsorted(piece.rows, rows)
            seeds = Seeds(piece.local[entry], scale * piece.weight[torch.from_numpy(entry)])
            self._known_seeds[holders, piece] = seeds
        return seeds

    def _own(self, member: int) -> slice:
        """Return the channels of a member; of a single network, all."""
        first = 0 if self.maps == 1 else 1 + member
        return slice(first * self._channels, (first + 1) * self._channels)

    def _mean_first(self, values: torch.Tensor) -> torch.Tensor:
        """Fill the first channels with the mean of the members', in place; (N, channels, …)."""
        if self.maps > 1:
            by_map = values.view(len(values), self.maps, self._channels, *values.shape[2:])
            by_map[:, 0] = by_map[:, 1:].mean(dim=1)
        return values

    def close_samples(self, under_way: range) -> None:
        """Take some of the samples under way into the map."""
        found = slice(under_way.start, under_way.stop)
        if self._extremes is None:
            values = self._mean_first(self._canvases[found])
        else:
            values = self._extremes.of_sample(found).result()
        if len(under_way) == 1:
            self._moments.add(values[0])
        else:
            self._moments.add_all(values)
        if self._extremes is None:
            values.zero_()
        elif under_way.stop == len(self._extremes.highest):
            self._extremes = None

    def drop_samples(self) -> None:
        """Forget the samples under way."""
        # Nothing is allocated here: what filled the memory is not yet gone. `combine` does.
        self._canvases = self._canvases.new_empty((0, *self._canvases.shape[1:]))
        self._extremes = None

    def converged(self, tolerance: float | None) -> bool:
        """Whether the standard error of the map, relative to the map, is within the tolerance.

        Waits for the device, if there is a tolerance.
        """
        error = None if tolerance is None else self._moments.standard_error()
        if tolerance is None or error is None:
            return False
        own = slice(self._channels)
        return bool(error[own].norm() <= tolerance * self._moments.mean()[own].norm())

    def estimate(self, done: int, total: int, watch: Watch, *, last: bool = False) -> Estimate:
        """Return the map so far, once what it is made of was looked at.

        On a GPU the first sample's map and the last one are waited for. Of those between, a map of
        twice the samples is sent whenever the one before has come, and is in the first estimate
        after it has come itself; the others carry none.
        """
        count = self._moments.count
        waited = last or count == 1 or self._problem.immediate
        if waited or (self._coming is None and count >= self._next_shown):
            error = self._moments.standard_error()
            sent = [self._moments.mean(), *([] if error is None else [error])]
            self._coming = count, self._problem.bring(sent)
            self._next_shown = 2 * count
        if self._coming is None or not (waited or self._coming[1].here):
            return Estimate(done, total, count, self.box, target=self.number)
        (n_used, arrival), self._coming = self._coming, None
        mean, *errors = arrival.values()
        watch.look()  # what was sent before has come too, and says more than the map does
        if not all(all_finite(values) for values in (mean, *errors)):
            raise too_large()
        first, *members = mean.view(self.maps, self._channels, *mean.shape[1:])
        error = errors[0][: self._channels] if errors else None
        alone = tuple(members) if last else ()
        return Estimate(done, total, n_used, self.box, first, error, self.number, alone)

    def _reduction(self, forwards: Forwards) -> RunningExtremes:
        """Return the extremes of each of the samples under way."""
        if self._extremes is None:
            shape = len(forwards.samples), *self._canvases.shape[1:]
            self._extremes = RunningExtremes(shape, self._canvases)
        return self._extremes

    def _preview(self, forwards: Forwards) -> torch.Tensor | None:
        """Return the rows' map after 1, 2, 4, … chunks of the first sample."""
        if self._moments.count:
            return None
        self._chunks += 1
        if self._chunks < self._next_preview:
            return None
        self._next_preview *= 2
        return self._shown(self._reduction(forwards).of_sample(0).result, forwards)

    def _shown(self, first: Callable[[], torch.Tensor], forwards: Forwards) -> torch.Tensor | None:
        """Have the first sample's map sent as it is, unless one is still on its way.

        Returns
        -------
        The last one that has come.
        """
        come = self._arrived()
        if self._coming is None:
            forwards.check()  # what it is made of comes before it
            self._coming = 0, self._problem.bring([first()])
            if (at_once := self._arrived()) is not None:
                forwards.check()  # it came at once, and so did what was watched before
                come = at_once
        return come[0][: self._channels] if come else None

    def _arrived(self) -> list[torch.Tensor] | None:
        if self._coming is None or not self._coming[1].here:
            return None
        (_, arrival), self._coming = self._coming, None
        return arrival.values()
