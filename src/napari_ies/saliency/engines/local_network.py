"""A network as a list of local layers: exact gradients for the work their footprint needs.

A network of convolutions, batch norms in evaluation mode, pointwise activations, sums,
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
from napari_ies.saliency.engines.local_translation import Node, translated
from napari_ies.saliency.engines.patches import (
    Kept,
    Patch,
    add_patches,
    ints,
    packed,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn


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

    def convolving_in(self, dtype: torch.dtype) -> LocalNetwork:
        """Return this network with convolutions, in both directions, of another data type.

        What lies between them keeps the type of the input.
        """
        twin = object.__new__(LocalNetwork)
        twin._nodes = [replace(node, layer=node.layer.convolving_in(dtype)) for node in self._nodes]
        twin._sizes = {}
        return twin

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
        demands = self._demands(span, domain, self.sizes(domain))
        return demands[-1]

    def values(self, span: Box, domain: Triple) -> int:
        """Return how many numbers all layers together have for a box of the output.

        As many activations a forward computes, and as many cotangents a backward pass; most of
        them are gone before the last are there. `domain` is the size of the input.
        """
        demands = self._demands(span, domain, self.sizes(domain))
        return sum(node.channels * demands[index].size for index, node in enumerate(self._nodes))

    def row_values(self, domain: Triple) -> int:
        """Return the same for a single voxel in the middle of the output."""
        middle = ints(self.sizes(domain)[-1]) // 2
        return self.values(Box(middle, middle + 1), domain)

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
        demands = self._demands(span, domain, sizes)
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
        return LocalLinearisation(self, slopes, sizes, domain, class_index, logits)

    def pull(
        self, seeds: Patch, slopes: dict[int, Kept], sizes: list[Triple], domain: Triple
    ) -> Patch:
        """Take cotangents of the output back to the input."""
        waiting = {len(self._nodes) - 1: seeds}
        for index in range(len(self._nodes) - 1, -1, -1):
            node, patch = self._nodes[index], waiting.pop(index, None)
            if patch is None:
                continue
            pulled = node.layer.pull(patch, slopes.get(index), self._sources(node, sizes, domain))
            for source, part in zip(node.inputs, pulled, strict=True):
                before = waiting.get(source)
                waiting[source] = part if before is None else add_patches(before, part)
        return waiting[-1]

    def _sources(self, node: Node, sizes: list[Triple], domain: Triple) -> list[Triple]:
        return [domain if source < 0 else sizes[source] for source in node.inputs]

    def _demands(self, span: Box, domain: Triple, sizes: list[Triple]) -> dict[int, Box]:
        asked: dict[int, list[Box]] = {len(self._nodes) - 1: [span]}
        demands: dict[int, Box] = {}
        for index in range(len(self._nodes) - 1, -1, -1):
            node = self._nodes[index]
            demands[index] = Box.hull(asked[index])
            needed = node.layer.demand(demands[index], self._sources(node, sizes, domain))
            for source in node.inputs:
                asked.setdefault(source, []).append(needed)
        demands[-1] = Box.hull(asked[-1])
        return demands


@dataclass(frozen=True, eq=False)
class LocalLinearisation:
    """One local forward of one or more inputs, ready to be differentiated many times.

    Parameters
    ----------
    network, slopes, sizes, domain
        The network and what its pull needs of the forward.
    class_index
        Output channel that is differentiated.
    logits
        (N, classes, x, y, z) on the box of the output that the forward covered.
    """

    network: LocalNetwork
    slopes: dict[int, Kept]
    sizes: list[Triple]
    domain: Triple
    class_index: int
    logits: torch.Tensor

    def rows(self, voxels: NDArray[np.int64], weights: torch.Tensor) -> Patch:
        """Return the weighted gradients of single output voxels with respect to the only input.

        Each row has a box of its own; the voxels, int64 (R, 3), lie in that of the output, and
        the weights are (R,).
        """
        seeds = self.logits.new_zeros((len(voxels), self.logits.shape[1], 1, 1, 1))
        seeds[:, self.class_index, 0, 0, 0] = weights.to(seeds)
        return self._pull(Patch(seeds, np.asarray(voxels)))

    def combined(self, voxels: NDArray[np.int64], weights: torch.Tensor) -> Patch:
        """Return the gradient of the weighted sum of output voxels: a row for each input."""
        low, high = voxels.min(axis=0), voxels.max(axis=0) + 1
        inputs, classes = self.logits.shape[:2]
        seeds = self.logits.new_zeros((inputs, classes, *(int(n) for n in high - low)))
        x, y, z = torch.from_numpy(voxels - low).to(seeds.device).T
        seeds[:, self.class_index, x, y, z] = weights.to(seeds)
        return self._pull(Patch(seeds, np.repeat(low[None], inputs, axis=0)))

    def _pull(self, seeds: Patch) -> Patch:
        with torch.no_grad():
            laid_out = Patch(packed(seeds.values), seeds.base)
            return self.network.pull(laid_out, self.slopes, self.sizes, self.domain)
