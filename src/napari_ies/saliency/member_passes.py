"""Gradients of several networks as one, and of one seen in mirrors: pass by pass.

The mean's gradient is the mean of the gradients, so no graph has to hold more than one pass of one
network: a fold of nnU-Net's in eight mirrors takes an eighth of the memory. And the maps of the
members alone, whose spread is stored beside the Monte-Carlo error, come of the same passes.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_ies.geometry.box import Box, Triple
from napari_ies.network.members import InMirrors, members_of, mirrors_together
from napari_ies.saliency.engines.jacobian import Engine, Forward
from napari_ies.saliency.engines.whole.whole_windows import graph_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import torch

    from napari_ies.network.model import SegmentationModel
    from napari_ies.saliency.engines.jacobian import Linearisation, See
    from napari_ies.saliency.footprint import Piece

GRAPHS = 2**30
"""Bytes of graphs that are held at once, if they take no more; else one pass's at a time."""


def engine_of_members(
    model: SegmentationModel, choose: Callable[[SegmentationModel], Engine]
) -> Engine:
    """Return the engine of a network that is the mean of several, or of mirror images.

    Parameters
    ----------
    model
        Its network is of :class:`~napari_ies.network.members.Members`.
    choose
        Chooses the engine of a single network.
    """
    network, voxels = model.network, math.prod(model.profile.window)
    members = members_of(network)
    parts = mirrors_together(network, voxels)
    alone = parts == [((),)]  # such a network may be local
    engines = [
        [choose(replace(model, network=one if alone else InMirrors(one, part))) for part in parts]
        for one in members
    ]
    if len(members) == len(parts) == 1:
        return engines[0][0]
    one_graph = graph_bytes(replace(model, network=members[0])) * voxels
    return MembersEngine(engines, len(members) * sum(map(len, parts)) * one_graph <= GRAPHS)


class MembersEngine(Engine):
    """The passes of several networks, each by an engine of its own.

    Parameters
    ----------
    engines
        Of each member, one for each of its passes, whose mean is the member's.
    kept
        Whether the graphs of all passes may be held at once.
    """

    def __init__(self, engines: Sequence[Sequence[Engine]], kept: bool) -> None:
        first = engines[0][0]
        self._engines, self._kept = engines, kept
        self._all = [one for passes in engines for one in passes]
        self._network, self._precision = first._network, first._precision
        self.name, self.kernels = first.name, first.kernels
        self.members = len(engines) if len(engines) > 1 else 0
        self.passes = len(self._all)
        self.shares_forwards = kept and all(one.shares_forwards for one in self._all)

    def one_pass(self) -> Engine:
        return self._all[0]

    def settled(self, *, wait: bool = False) -> Engine:
        settled = [[one.settled(wait=wait) for one in passes] for passes in self._engines]
        return MembersEngine(settled, self._kept)

    def forwards_kept(self, window: Triple, memory: int) -> int:
        share = memory // self.passes
        return min(one.forwards_kept(window, share) for one in self._all) if self._kept else 1

    def samples_together(self, found: Sequence[Piece], device: torch.device, memory: int) -> int:
        share = memory // self.passes
        return min(one.samples_together(found, device, share) for one in self._all)

    def reach(self, span: Box, domain: Triple) -> Box:
        return Box.hull([one.reach(span, domain) for one in self._all])

    def key(self, piece: Piece) -> object:
        return tuple(dict.fromkeys(one.key(piece) for one in self._all))

    def linearise(
        self,
        images: torch.Tensor,
        span: Box,
        domain: Triple,
        class_index: int,
    ) -> Forward:
        seen = self.reach(span, domain)

        def run(engine: Engine) -> Linearisation:
            own = images[(..., *engine.reach(span, domain).within(seen))]
            ((_, found),) = engine.linearise(own, span, domain, class_index).parts()
            return found

        ready = {one: run(one) for one in self._all} if self._kept else {}
        return _Passes(self._engines, run, ready)


class _Passes(Forward):
    """Passes that are run when they are asked for, unless they are ready."""

    def __init__(
        self,
        engines: Sequence[Sequence[Engine]],
        run: Callable[[Engine], Linearisation],
        ready: dict[Engine, Linearisation],
    ) -> None:
        self._engines, self._run, self._ready = engines, run, ready
        self._see: See = lambda _logits: None

    def watched_by(self, see: See) -> None:
        self._see = see
        for one in self._ready.values():
            one.watched_by(see)

    def parts(self) -> Iterator[tuple[int, Linearisation]]:
        for number, passes in enumerate(self._engines):
            for engine in passes:
                found = self._ready.get(engine)
                if found is None:
                    found = self._run(engine)
                    found.watched_by(self._see)
                yield number, found
                del found  # before the next pass takes memory
