"""Gradients of a window's logits with respect to its input: three engines, one result.

``loop``: a backward pass through the whole window for each row. ``batched``: several rows in one
vectorised backward pass. ``windowed``: forward and rows restricted to the boxes they depend on, for
networks whose layers are all local. Which one runs changes the time, not the map.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_ies.geometry.box import Box, Triple
from napari_ies.network.device import arithmetic
from napari_ies.network.inference import network_logits
from napari_ies.network.layers import out_of_place, watched
from napari_ies.saliency.engines.chunks import chunked, rows_within
from napari_ies.saliency.engines.local_network import LocalLinearisation, LocalNetwork
from napari_ies.saliency.engines.patches import Patch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import nn

    from napari_ies.saliency.footprint import Piece


class Linearisation(ABC):
    """One forward of one or more noisy windows, ready to be differentiated many times."""

    logits: torch.Tensor
    """What the windows' gradients are of: those of the network there."""

    @abstractmethod
    def combined(self, voxels: NDArray[np.int64], weights: torch.Tensor) -> Patch:
        """Return the gradient of a weighted sum of the logits at voxels of the window.

        Parameters
        ----------
        voxels
            int64 (R, 3), in the window's indices.
        weights
            (R,)

        Returns
        -------
        A patch with a row for each noisy window, in the window's indices.
        """

    @abstractmethod
    def rows(
        self, voxels: NDArray[np.int64], weights: torch.Tensor, memory: int
    ) -> Iterator[tuple[slice, Patch]]:
        """Yield the weighted gradients of the only window's logits at single voxels, in chunks.

        Parameters
        ----------
        voxels, weights
            As for :meth:`combined`.
        memory
            Bytes that a chunk may take while it is computed; a chunk has one row at the least.

        Yields
        ------
        Which of the voxels a chunk holds, and their rows.
        """


class Engine(ABC):
    """A way to compute gradients of one network.

    Parameters
    ----------
    network
        In evaluation mode, its weights not requiring gradients.
    precision
        See :func:`~napari_ies.network.device.arithmetic`.
    """

    name: str
    kept_forwards = 1
    """Forwards to hold ready: the graph of a whole window can take gigabytes."""
    shares_forwards = True
    """Whether one forward serves all footprints of a window."""

    def __init__(self, network: nn.Module, precision: str = "float32") -> None:
        self._network, self._precision = network, precision

    def samples_together(self, found: Sequence[Piece], device: torch.device, memory: int) -> int:
        """Return how many noise samples of a mean run through the network at once.

        Parameters
        ----------
        found
            The pieces whose forwards each sample takes.
        device
            Where the network computes.
        memory
            Bytes that these forwards may take; one sample at the least.
        """
        return 1

    def reach(self, span: Box, domain: Triple) -> Box:
        """Return the box of a window that a box of its output comes from; `domain` is its size."""
        return Box.whole(domain)

    def key(self, piece: Piece) -> object:
        """Return what tells one piece's forward from another's: pieces of one key share it."""
        return piece.window

    @abstractmethod
    def linearise(
        self, images: torch.Tensor, span: Box, domain: Triple, class_index: int
    ) -> Linearisation:
        """Run the network once.

        Parameters
        ----------
        images
            (N, C, x, y, z): noisy inputs on the box that :meth:`reach` gives.
        span
            Box of the output that will be differentiated.
        domain
            Size of the window.
        class_index
            Output channel that will be differentiated.
        """


class LoopEngine(Engine):
    """One backward pass through the whole window for each row."""

    name = "loop"
    chunk = 1

    def linearise(
        self, images: torch.Tensor, span: Box, domain: Triple, class_index: int
    ) -> Linearisation:
        leaf, largest = images.detach().clone().requires_grad_(), 0

        def see(_name: str, _module: nn.Module, _inputs: object, output: object) -> None:
            nonlocal largest
            if isinstance(output, torch.Tensor):
                largest = max(largest, output.nbytes // len(output))

        with (
            torch.enable_grad(),
            arithmetic(self._precision, leaf.device),
            out_of_place(self._network),
            watched(self._network, see),
        ):
            logits = network_logits(self._network, leaf)[:, class_index].to(leaf.dtype)
        return _WholeWindow(leaf, logits, self.chunk, largest, self._precision)


class BatchedEngine(LoopEngine):
    """Several rows in one vectorised backward pass; fewer where memory runs out."""

    name = "batched"
    chunk = 16


class WindowedEngine(Engine):
    """Forward and rows on the boxes they depend on.

    Raises
    ------
    NotLocalError
        If the network is not local.
    """

    name = "windowed"
    kept_forwards = 16
    shares_forwards = False

    def __init__(self, network: nn.Module, precision: str = "float32") -> None:
        super().__init__(network, precision)
        self._local = LocalNetwork(network)
        if precision == "bf16":
            self._local = self._local.convolving_in(torch.bfloat16)

    def samples_together(self, found: Sequence[Piece], device: torch.device, memory: int) -> int:
        most = CPU_SAMPLES if device.type == "cpu" else GPU_SAMPLES
        values = sum(self._local.values(piece.span, piece.window.shape) for piece in found)
        return max(min(memory // (4 * values), most), 1)

    def reach(self, span: Box, domain: Triple) -> Box:
        return self._local.reach(span, domain)

    def key(self, piece: Piece) -> object:
        return piece.window, piece.span

    def linearise(
        self, images: torch.Tensor, span: Box, domain: Triple, class_index: int
    ) -> Linearisation:
        with arithmetic(self._precision):
            local = self._local.linearise(images, span, domain, class_index)
        return _Windowed(local, self._local.row_values(domain), self._precision)


@dataclass(frozen=True, eq=False)
class _WholeWindow(Linearisation):
    leaf: torch.Tensor
    logits: torch.Tensor
    chunk: int
    layer_bytes: int
    precision: str

    def combined(self, voxels: NDArray[np.int64], weights: torch.Tensor) -> Patch:
        cotangent = torch.zeros_like(self.logits)
        x, y, z = self._at(voxels)
        cotangent[:, x, y, z] = weights.to(cotangent)
        with arithmetic(self.precision):
            (gradient,) = torch.autograd.grad(self.logits, self.leaf, cotangent, retain_graph=True)
        return Patch(gradient, np.zeros((len(gradient), 3), dtype=np.int64))

    def rows(
        self, voxels: NDArray[np.int64], weights: torch.Tensor, memory: int
    ) -> Iterator[tuple[slice, Patch]]:
        def compute(part: slice) -> Patch:
            if self.chunk == 1:
                return self.combined(voxels[part], weights[part])
            x, y, z = self._at(voxels[part])
            picked = self.logits[0, x, y, z]
            with arithmetic(self.precision):
                (gradients,) = torch.autograd.grad(
                    picked,
                    self.leaf,
                    torch.diag(weights[part].to(picked)),
                    retain_graph=True,
                    is_grads_batched=True,
                )
            return Patch(gradients[:, 0], np.zeros((len(gradients), 3), dtype=np.int64))

        # A layer's pull holds the cotangents of its output and of its input, and works on one.
        size = rows_within(memory, 3 * self.layer_bytes, at_most=self.chunk)
        yield from chunked(compute, len(voxels), size)

    def _at(self, voxels: NDArray[np.int64]) -> tuple[torch.Tensor, ...]:
        return tuple(torch.from_numpy(voxels).to(self.logits.device).T)


@dataclass(frozen=True, eq=False)
class _Windowed(Linearisation):
    local: LocalLinearisation
    row_values: int
    precision: str

    @property
    def logits(self) -> torch.Tensor:  # type: ignore[override]
        return self.local.logits

    def combined(self, voxels: NDArray[np.int64], weights: torch.Tensor) -> Patch:
        with arithmetic(self.precision):
            return self.local.combined(voxels, weights)

    def rows(
        self, voxels: NDArray[np.int64], weights: torch.Tensor, memory: int
    ) -> Iterator[tuple[slice, Patch]]:
        def compute(part: slice) -> Patch:
            with arithmetic(self.precision):
                return self.local.rows(voxels[part], weights[part])

        logits = self.local.logits
        most = CPU_CHUNK if logits.device.type == "cpu" else GPU_CHUNK
        # Twice the cotangents: convolutions work on copies (1.6 times was measured).
        size = rows_within(memory, 2 * self.row_values * logits.element_size(), at_most=most)
        yield from chunked(compute, len(voxels), size)


CPU_CHUNK, GPU_CHUNK = 8, 128
"""Rows at once in the windowed engine: on the CPU few, so that a click need not wait long."""
CPU_SAMPLES, GPU_SAMPLES = 2, 32
"""Noise samples of a mean at once in the windowed engine, if the memory holds them: deep layers are
small, their weights are read once for all, and a GPU is told once what to do with all of them; more
than two gained nothing on the CPU (``docs/performance.md``)."""
