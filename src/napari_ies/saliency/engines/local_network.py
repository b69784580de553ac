"""A network as a list of local layers: exact gradients for the work their footprint needs.

A network of convolutions, batch norms in evaluation mode, pointwise activations, max pooling, sums,
concatenations and upsampling is, for a given input, a linear map made of local ones. What
one output voxel depends on is then a box that the layers' kernels and strides give, and nothing
outside that box has to be computed: neither in the forward nor for the gradients. Networks with
instance statistics, attention or global pooling have no such box, and are refused here with the
reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_ies.geometry.box import Box, Triple
from napari_ies.saliency.engines.kernel_steps import pulled, worth_trying
from napari_ies.saliency.engines.kernels.choice import PLAIN
from napari_ies.saliency.engines.local_convolutions import Convolution
from napari_ies.saliency.engines.local_layers import (
    Affine,
    Concatenation,
    MaxPooling,
    Pointwise,
    Sum,
)
from napari_ies.saliency.engines.local_translation import Node, translated
from napari_ies.saliency.engines.moves import Cutting
from napari_ies.saliency.engines.patches import Boxes, Kept, Patch, ints, packed
from napari_ies.saliency.engines.plan import Join, Plan, Seeds, Step, by_index, sent, together

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn

    from napari_ies.saliency.engines.kernels.choice import Kernels, Subject
    from napari_ies.saliency.engines.kernels.strided import Canvases
    from napari_ies.saliency.engines.local_layers import Layer

DEMANDS_KEPT = 1024
"""Boxes of the output of which it is kept what they depend on."""


class LocalNetwork:
    """A network in evaluation mode whose layers are all local.

    Raises
    ------
    NotLocalError
        If a layer is not local or not known, with the reason.
    """

    def __init__(self, network: nn.Module) -> None:
        self._nodes = translated(network)
        self._sizes: dict[Triple, list[Triple]] = {}
        self._known_demands: dict[tuple[Box, Triple], dict[int, Box]] = {}
        self._kernels = PLAIN

    def convolving_in(self, dtype: torch.dtype) -> LocalNetwork:
        """Return this network with convolutions, in both directions, of another data type.

        What lies between them keeps the type of the input.
        """
        return self._with(node.layer.convolving_in(dtype) for node in self._nodes)

    def using(self, kernels: Kernels) -> LocalNetwork:
        """Return this network with kernels that take rows through its layers."""
        twin = self._with(
            replace(node.layer, kernel=kernels.rows[index])
            if index in kernels.rows and isinstance(node.layer, Convolution)
            else node.layer
            for index, node in enumerate(self._nodes)
        )
        twin._kernels = kernels
        return twin

    def _with(self, layers: Iterable[Layer]) -> LocalNetwork:
        twin = object.__new__(LocalNetwork)
        pairs = zip(self._nodes, layers, strict=True)
        twin._nodes = [replace(node, layer=layer) for node, layer in pairs]
        twin._sizes, twin._known_demands, twin._kernels = {}, {}, PLAIN
        return twin

    def subjects(self, domain: Triple) -> list[Subject]:
        """Return the convolutions that kernels may take rows through, for an input of a size."""
        return worth_trying(self._nodes, self._demands(self._one_voxel(domain), domain))

    def sizes(self, domain: Triple) -> list[Triple]:
        """Return the size of every node's output for an input of a size."""
        sizes = self._sizes.get(domain, [])
        if not sizes:
            for node in self._nodes:
                sizes.append(node.layer.output_size(self._sources(node, sizes, domain)))
            self._sizes[domain] = sizes
        return sizes

    def reach(self, span: Box, domain: Triple) -> Box:
        """Return the box of the input that a box of the output depends on."""
        return self._demands(span, domain)[-1]

    def values(self, span: Box, domain: Triple) -> int:
        """Return how many numbers all layers together have for a box of the output.

        As many activations a forward computes, and as many cotangents a backward pass; most of
        them are gone before the last are there. `domain` is the size of the input.
        """
        demands = self._demands(span, domain)
        return sum(node.channels * demands[index].size for index, node in enumerate(self._nodes))

    def row_values(self, domain: Triple) -> int:
        """Return the same for a single voxel in the middle of the output."""
        return self.values(self._one_voxel(domain), domain)

    def linearise(
        self, images: torch.Tensor, span: Box, domain: Triple, class_index: int
    ) -> LocalLinearisation:
        """Run the network for a box of its output.

        Parameters
        ----------
        images
            (N, C, x, y, z): inputs on the box that :meth:`reach` gives.
        span
            Box of the output.
        domain
            Size of the whole input.
        class_index
            Output channel whose gradients will be asked for.
        """
        sizes = self.sizes(domain)
        demands = self._demands(span, domain)
        last_use = {source: i for i, node in enumerate(self._nodes) for source in node.inputs}
        kept = {-1: Kept(packed(images), demands[-1])}
        slopes: dict[int, Kept] = {}
        with torch.no_grad():
            for index, node in enumerate(self._nodes):
                values, slope = node.layer.forward(
                    [kept[source] for source in node.inputs],
                    demands[index],
                    self._sources(node, sizes, domain),
                )
                kept[index] = Kept(values, demands[index])
                if slope is not None:
                    slopes[index] = Kept(packed(slope), demands[index])
                for source in set(node.inputs):
                    if last_use[source] == index:
                        del kept[source]
        logits = kept[len(self._nodes) - 1].part(span)
        return LocalLinearisation(self, slopes, span, domain, class_index, logits)

    def plan(
        self, boxes: Boxes, slopes: dict[int, Kept], domain: Triple, like: torch.Tensor | None
    ) -> Plan:
        """Return how cotangents on boxes of the output go back to the input.

        It depends on the boxes of the slopes, not on their values. By index where there is a
        tensor to be like.
        """
        sizes, steps = self.sizes(domain), []
        waiting = {len(self._nodes) - 1: boxes}
        for index in range(len(self._nodes) - 1, -1, -1):
            node, reached = self._nodes[index], waiting.pop(index, None)
            if reached is None:
                continue
            known = slopes[index].box if index in slopes else None
            route = node.layer.route(reached, self._sources(node, sizes, domain), known)
            route = route.cropped() if like is None else route
            joins: list[Join | None] = []
            for source, part in zip(node.inputs, route.inputs, strict=True):
                if source in waiting:
                    waiting[source], join = Join.of(waiting[source], part)
                    joins.append(join)
                else:
                    waiting[source] = part
                    joins.append(None)
            moves = route.moves
            if like is not None and all(map(self._cuts, node.inputs)):
                moves = tuple(move for move in moves if not isinstance(move, Cutting))
            steps.append(Step(index, moves, tuple(joins)))
        plan = Plan(tuple(steps), waiting[-1])
        return plan if like is None else plan.by_index(like)

    def _cuts(self, index: int) -> bool:
        """Whether by index a node's pull leaves nothing outside the domain.

        Activations and pooling do so: slopes by index are 0 there.
        """
        if index < 0:
            return False
        node = self._nodes[index]
        if isinstance(node.layer, Concatenation | Sum | Affine):
            return all(map(self._cuts, node.inputs))
        return isinstance(node.layer, Pointwise | MaxPooling)

    def pull(self, seeds: torch.Tensor, plan: Plan, slopes: dict[int, Kept]) -> Patch:
        """Take cotangents of the output, (R, classes, x, y, z), back to the input, as planned."""
        rows = pulled(self._nodes, seeds, plan.steps, slopes)[-1]
        landing = None if plan.landing is None else plan.landing.canvases
        return Patch(rows, plan.boxes.base, landing)

    @property
    def reduces(self) -> bool:
        """Whether :meth:`pull_into` has a kernel for it."""
        return self._kernels.last is not None or self._kernels.reduces is not None

    def pull_into(
        self, seeds: torch.Tensor, plan: Plan, slopes: dict[int, Kept], canvases: Canvases
    ) -> None:
        """Take cotangents of the output back to the input and into extremes, by a kernel.

        The plan is one by index, and the canvases lie in the indices of the input.
        """
        last, reduces = self._kernels.last, self._kernels.reduces
        if last is not None:
            steps = plan.steps[:-1]
            values = pulled(self._nodes, seeds, steps, slopes)[plan.steps[-1].node]
            last(values, plan.start, canvases)
        elif reduces is not None:
            rows = pulled(self._nodes, seeds, plan.steps, slopes)[-1]
            reduces(rows, plan.start, canvases)

    def _sources(self, node: Node, sizes: list[Triple], domain: Triple) -> list[Triple]:
        return [domain if source < 0 else sizes[source] for source in node.inputs]

    def _one_voxel(self, domain: Triple) -> Box:
        """Return a voxel in the middle of the output."""
        middle = ints(self.sizes(domain)[-1]) // 2
        return Box(middle, middle + 1)

    def _demands(self, span: Box, domain: Triple) -> dict[int, Box]:
        """Return what a box of the output depends on, by node; it is asked for again and again."""
        known, sizes = self._known_demands, self.sizes(domain)
        if (span, domain) not in known:
            asked: dict[int, list[Box]] = {len(self._nodes) - 1: [span]}
            demands: dict[int, Box] = {}
            for index in range(len(self._nodes) - 1, -1, -1):
                node = self._nodes[index]
                demands[index] = Box.hull(asked[index])
                needed = node.layer.demand(demands[index], self._sources(node, sizes, domain))
                for source in node.inputs:
                    asked.setdefault(source, []).append(needed)
            demands[-1] = Box.hull(asked[-1])
            if len(known) >= DEMANDS_KEPT:
                known.clear()
            known[span, domain] = demands
        return known[span, domain]


@dataclass(frozen=True, eq=False)
class LocalLinearisation:
    """One local forward of one or more inputs, ready to be differentiated many times.

    Parameters
    ----------
    network, slopes, span, domain
        The network, and what its pull needs of the forward, which covered this box of the output.
    class_index
        Output channel that is differentiated.
    logits
        (N, classes, x, y, z) on that box.
    """

    network: LocalNetwork
    slopes: dict[int, Kept]
    span: Box
    domain: Triple
    class_index: int
    logits: torch.Tensor

    def of_sample(self, number: int) -> LocalLinearisation:
        """Return the linearisation of one of the inputs alone."""
        if len(self.logits) == 1:
            return self
        one = slice(number, number + 1)
        slopes = {node: Kept(kept.values[one], kept.box) for node, kept in self.slopes.items()}
        return replace(self, slopes=slopes, logits=self.logits[one])

    def rows(self, seeds: Seeds, part: slice | None = None) -> Patch:
        """Return the weighted gradients of single output voxels with respect to the only input.

        Each row has a box of its own. The voxels lie in that of the output; `part` says which of
        them, all by default.
        """
        return self._pull(*self._planned(seeds, part or slice(0, len(seeds.voxels))))

    def rows_into(self, seeds: Seeds, part: slice, canvases: Canvases) -> bool:
        """Take these rows into extremes that lie in the input, or say that no kernel does so."""
        exact = self.logits.dtype == canvases.highest.dtype == torch.float32
        if not (exact and self.network.reduces and by_index(self.logits.device)):
            return False
        with torch.no_grad():
            cotangents, plan = self._planned(seeds, part)
            self.network.pull_into(cotangents, plan, self.slopes, canvases)
        return True

    def _planned(self, seeds: Seeds, part: slice) -> tuple[torch.Tensor, Plan]:
        """Return the cotangents of some of the voxels, and their way."""
        indexed = by_index(self.logits.device)
        planned = together(part, len(seeds.voxels)) if indexed else part

        def make() -> tuple[Plan, torch.Tensor]:
            boxes = Boxes(seeds.voxels[planned], (1, 1, 1))
            cotangents = self._cotangents(planned.stop - planned.start, (1, 1, 1))
            cotangents[:, self.class_index, 0, 0, 0] = seeds.weights[planned]
            like = self.logits if indexed else None
            plan = self.network.plan(boxes, self.slopes, self.domain, like)
            return plan, sent(cotangents, self.logits.device)

        if indexed:
            plan, cotangents = seeds.known((*self._key, planned.start, planned.stop), make)
        else:
            # Quickly made; small things that outlive a chunk on the CPU keep the memory of its
            # large ones apart: half as much again was held at the peak.
            plan, cotangents = make()
        rows = slice(part.start - planned.start, part.stop - planned.start)
        return cotangents[rows], plan.part(rows)

    def combined(self, seeds: Seeds) -> Patch:
        """Return the gradient of the weighted sum of output voxels: a row for each input."""
        inputs = len(self.logits)

        def make() -> tuple[Plan, torch.Tensor]:
            box = Box.of_voxels(seeds.voxels)
            boxes = Boxes(np.repeat(ints(box.start)[None], inputs, axis=0), box.shape)
            cotangents = self._cotangents(1, box.shape)
            x, y, z = (seeds.voxels - box.start).T
            cotangents[0, self.class_index, x, y, z] = seeds.weights.to(cotangents)
            # All rows lie alike: in slices.
            plan = self.network.plan(boxes, self.slopes, self.domain, None)
            return plan, sent(cotangents, self.logits.device)

        plan, cotangents = seeds.known((*self._key, "combined", inputs), make)
        return self._pull(cotangents.expand(inputs, -1, -1, -1, -1), plan)

    @property
    def _key(self) -> tuple[object, ...]:
        """What a plan depends on beside the voxels."""
        like = self.logits
        return self.network, self.span, self.domain, self.class_index, like.device, like.dtype

    def _cotangents(self, rows: int, size: Triple) -> torch.Tensor:
        return torch.zeros((rows, self.logits.shape[1], *size), dtype=self.logits.dtype)

    def _pull(self, cotangents: torch.Tensor, plan: Plan) -> Patch:
        with torch.no_grad():
            return self.network.pull(cotangents, plan, self.slopes)
