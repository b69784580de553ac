"""Gradients of a window's logits with respect to its input: three engines, one result.

``loop``: a backward pass through the whole window for each row. ``batched``: several rows in one
vectorised backward pass (both in `whole_windows`). ``windowed``: forward and rows restricted to the
boxes they depend on, for networks whose layers are all local. Which one runs changes the time, not
the map.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch

from napari_ies.geometry.box import Box, Triple
from napari_ies.network.device import arithmetic
from napari_ies.saliency.engines.chunks import chunked, rows_within
from napari_ies.saliency.engines.kernels.choice import PLAIN, Choosing, choose_kernels
from napari_ies.saliency.engines.local_network import LocalLinearisation, LocalNetwork
from napari_ies.saliency.engines.moves import Landed, landed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import nn

    from napari_ies.saliency.engines.kernels.choice import Kernels
    from napari_ies.saliency.engines.kernels.strided import Canvases
    from napari_ies.saliency.engines.patches import Patch
    from napari_ies.saliency.engines.plan import Seeds
    from napari_ies.saliency.footprint import Piece

    See = Callable[[torch.Tensor], None]


class Forward(ABC):
    """A forward of one or more noisy windows: of a network, or of several whose mean counts."""

    @abstractmethod
    def parts(self) -> Iterator[tuple[int, Linearisation]]:
        """Yield the passes that it is made of, each with the number of the network.

        A network's logits are the mean of its passes', and the mean of all networks counts.
        """

    @abstractmethod
    def watched_by(self, see: See) -> None:
        """Have a function see the logits of each pass, once it has run."""

    def of_sample(self, number: int) -> Forward:
        """Return the forward of one of the inputs alone: rows are of an only one."""
        return self


class Linearisation(Forward):
    """One pass of a network, ready to be differentiated many times."""

    logits: torch.Tensor
    """What the windows' gradients are of: those of the network there."""

    @abstractmethod
    def combined(self, seeds: Seeds) -> Patch:
        """Return the gradient of a weighted sum of the logits at voxels of the window.

        Returns
        -------
        A patch with a row for each noisy window, in the window's indices.
        """

    @abstractmethod
    def rows(self, seeds: Seeds, part: slice) -> Patch:
        """Return the weighted gradients of the only window's logits at some of the voxels."""

    @abstractmethod
    def rows_at_once(self, memory: int) -> int:
        """Return how many rows a chunk may have that takes so many bytes: one at the least."""

    def parts(self) -> Iterator[tuple[int, Linearisation]]:
        yield 0, self

    def watched_by(self, see: See) -> None:
        see(self.logits)

    def rows_into(self, seeds: Seeds, part: slice, canvases: Canvases) -> bool:
        """Take these rows into extremes on the window, or say that no kernel does so."""
        return False

    def chunks(
        self,
        seeds: Seeds,
        part: slice,
        memory: int,
        box: Box,
        canvases: Canvases | None = None,
    ) -> Iterator[tuple[slice, list[Landed]]]:
        """Compute rows in chunks; fewer at once from where memory runs out.

        Parameters
        ----------
        seeds, part
            Which rows.
        memory
            Bytes that a chunk may take while it is computed.
        box
            Part of the window that matters.
        canvases
            Extremes that rows are taken into by a kernel, if there is one: none is yielded then.

        Yields
        ------
        Which of the seeds' voxels a chunk holds, and its rows as they lie in the box.
        """

        def compute(chunk: slice) -> list[Landed]:
            here = slice(part.start + chunk.start, part.start + chunk.stop)
            if canvases is not None and self.rows_into(seeds, here, canvases):
                return []
            return list(landed(self.rows(seeds, here), box))

        for chunk, rows in chunked(compute, part.stop - part.start, self.rows_at_once(memory)):
            yield slice(part.start + chunk.start, part.start + chunk.stop), rows


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
    shares_forwards = True
    """Whether one forward serves all footprints of a window."""
    rows_of_each_sample = False
    """Whether a forward of several noise samples gives the rows of each of them."""
    kernels: Mapping[str, str] = MappingProxyType({})
    """What computes which layer's rows, where kernels were tried: for the provenance."""
    members = 0
    """Of how many networks the gradients are the mean, each known alone; 0 for a single one."""
    passes = 1
    """How many passes, all alike, a forward is made of."""

    def __init__(self, network: nn.Module, precision: str = "float32") -> None:
        self._network, self._precision = network, precision

    def one_pass(self) -> Engine:
        """Return the engine of one of the passes."""
        return self

    def settled(self, *, wait: bool = False) -> Engine:
        """Return this engine with what has been found out about it by now, for an explanation.

        With `wait`, with all that is still being found out.
        """
        return self

    def forwards_kept(self, window: Triple, memory: int) -> int:
        """Return how many forwards of windows of a size to hold ready.

        The graph of a whole window can take gigabytes; `memory` is what may be taken besides one.
        """
        return 1

    def samples_together(self, found: Sequence[Piece], device: torch.device, memory: int) -> int:
        """Return how many noise samples run through the network at once.

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
    ) -> Forward:
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
    rows_of_each_sample = True

    def __init__(self, network: nn.Module, precision: str = "float32") -> None:
        super().__init__(network, precision)
        self._local = LocalNetwork(network)
        if precision == "bf16":
            self._local = self._local.convolving_in(torch.bfloat16)
        self._choosing: Choosing | None = None
        self._with_kernels: WindowedEngine | None = None

    def try_kernels(self, device: torch.device, domain: Triple) -> None:
        """Have kernels tried in the background, for windows of a size; on CUDA only."""
        if device.type != "cuda" or self._choosing is not None:
            return
        subjects, precision = self._local.subjects(domain), self._precision
        self._choosing = Choosing(lambda: choose_kernels(subjects, device, precision))

    def settled(self, *, wait: bool = False) -> WindowedEngine:
        choosing = self._choosing
        kernels = PLAIN
        if choosing is not None:
            kernels = choosing.wait() if wait else choosing.now()
        if kernels is PLAIN:
            return self
        if self._with_kernels is None:
            self._with_kernels = self.using(kernels)
        return self._with_kernels

    def using(self, kernels: Kernels) -> WindowedEngine:
        """Return this engine with kernels."""
        twin = copy.copy(self)
        twin._local, twin.kernels, twin._choosing = self._local.using(kernels), kernels.said, None
        return twin

    def forwards_kept(self, window: Triple, memory: int) -> int:
        return self.kept_forwards

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
class _Windowed(Linearisation):
    local: LocalLinearisation
    row_values: int
    precision: str

    @property
    def logits(self) -> torch.Tensor:  # type: ignore[override]
        return self.local.logits

    def combined(self, seeds: Seeds) -> Patch:
        with arithmetic(self.precision):
            return self.local.combined(seeds)

    def of_sample(self, number: int) -> Linearisation:
        return replace(self, local=self.local.of_sample(number))

    def rows(self, seeds: Seeds, part: slice) -> Patch:
        with arithmetic(self.precision):
            return self.local.rows(seeds, part)

    def rows_into(self, seeds: Seeds, part: slice, canvases: Canvases) -> bool:
        with arithmetic(self.precision):
            return self.local.rows_into(seeds, part, canvases)

    def rows_at_once(self, memory: int) -> int:
        logits = self.local.logits
        most = CPU_CHUNK if logits.device.type == "cpu" else GPU_CHUNK
        # Twice the cotangents: convolutions work on copies (1.6 times was measured). When rows
        # land, these are gone, and canvases of three times a row's box take less (U-Nets).
        return rows_within(memory, 2 * self.row_values * logits.element_size(), at_most=most)


CPU_CHUNK, GPU_CHUNK = 8, 128
"""Rows at once in the windowed engine: on the CPU few, so that a click need not wait long."""
CPU_SAMPLES, GPU_SAMPLES = 2, 32
"""Noise samples of a mean at once in the windowed engine, if the memory holds them: deep layers are
small, their weights are read once for all, and a GPU is told once what to do with all of them; more
than two gained nothing on the CPU (``docs/performance.md``)."""
