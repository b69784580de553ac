"""Engines for whole windows: a pass of autograd for each row, or for many rows at once.

They take any network. Instance statistics and attention make every cotangent dense from the last
block on, so nothing of a window can be left out (``docs/performance.md``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_ies.network.device import arithmetic
from napari_ies.network.inference import network_logits
from napari_ies.network.layers import (
    forget_outputs,
    is_innermost,
    out_of_place,
    see_layers,
    small_size,
    watched,
)
from napari_ies.saliency.engines.chunks import rows_within
from napari_ies.saliency.engines.jacobian import Engine, Linearisation
from napari_ies.saliency.engines.norms import rows_in_few_passes
from napari_ies.saliency.engines.patches import Patch
from napari_ies.saliency.engines.whole.packed_passes import packed_passes, said_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from torch import nn

    from napari_ies.geometry.box import Box, Triple
    from napari_ies.network.model import SegmentationModel
    from napari_ies.saliency.engines.plan import Seeds


class LoopEngine(Engine):
    """One backward pass through the whole window for each row.

    Parameters
    ----------
    network, precision
        See :class:`~napari_ies.saliency.engines.jacobian.Engine`.
    packed
        Layers of the network that run by `packed_passes`, in float32.
    """

    name = "loop"
    chunk = 1

    def __init__(
        self, network: nn.Module, precision: str = "float32", packed: Sequence[nn.Module] = ()
    ) -> None:
        super().__init__(network, precision)
        self._packed = packed
        if packed:
            self.kernels = said_of(packed)

    def linearise(
        self, images: torch.Tensor, span: Box, domain: Triple, class_index: int
    ) -> Linearisation:
        leaf, largest = images.detach().clone().requires_grad_(), 0

        def see(_name: str, _module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
            nonlocal largest
            for values in (*inputs, output):
                if isinstance(values, torch.Tensor):
                    largest = max(largest, values.nbytes // len(values))

        with (
            torch.enable_grad(),
            arithmetic(self._precision, leaf.device),
            out_of_place(self._network),
            self._differentiable(),
            watched(self._network, see),
        ):
            logits = network_logits(self._network, leaf)[:, class_index].to(leaf.dtype)
        forget_outputs(self._network)
        return _WholeWindow(leaf, logits, self.chunk, largest, self._precision)

    def _differentiable(self) -> AbstractContextManager[None]:
        """Prepare the network's layers for the passes through them."""
        return packed_passes(self._packed)


class BatchedEngine(LoopEngine):
    """Several rows in one vectorised backward pass; fewer where memory runs out.

    Parameters
    ----------
    network, precision
        See :class:`~napari_ies.saliency.engines.jacobian.Engine`.
    graph_bytes
        What the graph of a forward takes for each voxel of a window; None where it is not known.
    """

    name = "batched"
    chunk = 16

    def __init__(
        self, network: nn.Module, precision: str = "float32", graph_bytes: float | None = None
    ) -> None:
        super().__init__(network, precision)
        self._graph_bytes = graph_bytes

    def forwards_kept(self, window: Triple, memory: int) -> int:
        if not self._graph_bytes:
            return 1
        # A quarter of the memory: others are for a chunk of rows and for its sums over windows.
        return 1 + int(memory / 4 / (self._graph_bytes * math.prod(window)))

    def _differentiable(self) -> AbstractContextManager[None]:
        return rows_in_few_passes(self._network)


@dataclass(frozen=True, eq=False)
class _WholeWindow(Linearisation):
    leaf: torch.Tensor
    logits: torch.Tensor
    chunk: int
    layer_bytes: int
    precision: str

    def combined(self, seeds: Seeds) -> Patch:
        (x, y, z), weights = self._known(seeds)
        cotangent = torch.zeros_like(self.logits)
        cotangent[:, x, y, z] = weights
        return self._patch(self._pulled(cotangent))

    def rows(self, seeds: Seeds, part: slice) -> Patch:
        at, weights = self._known(seeds)
        x, y, z = at[:, part]
        cotangents = self.logits.new_zeros((len(x), *self.logits.shape))
        cotangents[torch.arange(len(x), device=x.device), 0, x, y, z] = weights[part]
        if len(x) == 1:
            return self._patch(self._pulled(cotangents[0]))
        # Not `is_grads_batched`: it runs most layers' passes in a loop over the rows.
        return self._patch(torch.func.vmap(self._pulled)(cotangents)[:, 0])

    def rows_at_once(self, memory: int) -> int:
        # Measured for DynUNet, U-Net, UNETR and SwinUNETR: 2.1 to 3.1 times its largest layer's
        # input or output is held at once for a row; a convolution's own workspace comes to it.
        return rows_within(memory, 4 * self.layer_bytes, at_most=self.chunk)

    def _pulled(self, cotangent: torch.Tensor) -> torch.Tensor:
        with arithmetic(self.precision):
            (gradient,) = torch.autograd.grad(self.logits, self.leaf, cotangent, retain_graph=True)
        return gradient

    def _patch(self, gradients: torch.Tensor) -> Patch:
        return Patch(gradients, np.zeros((len(gradients), 3), dtype=np.int64))

    def _known(self, seeds: Seeds) -> tuple[torch.Tensor, torch.Tensor]:
        """Return where the seeds are, and their weights, on the device: the same in all samples."""
        logits = self.logits

        def make() -> tuple[torch.Tensor, torch.Tensor]:
            at = torch.from_numpy(seeds.voxels).to(logits.device)
            return at.T, seeds.weights.to(logits)

        return seeds.known(("whole window", logits.device, logits.dtype), make)


def graph_bytes(model: SegmentationModel) -> float:
    """Return what the graph of a forward takes for each voxel, at most: its layers' outputs."""
    taken = 0

    def see(_name: str, module: nn.Module, _inputs: object, output: object) -> None:
        nonlocal taken
        if isinstance(output, torch.Tensor) and is_innermost(module):
            taken += output.nbytes

    see_layers(model, see)
    return taken / math.prod(small_size(model))
