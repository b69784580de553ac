"""Gradients of a window's logits with respect to its input: three engines, one result.

``loop``: a backward pass through the whole window for each row. ``batched``: several rows in one
vectorised backward pass. ``windowed``: forward and rows restricted to the boxes they depend on, for
networks whose layers are all local. Which one runs changes the time, not the map.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_ies.checkpoints.device import exact_float32
from napari_ies.errors import SaliencyError
from napari_ies.inference import network_logits
from napari_ies.saliency.local_network import LocalLinearisation, LocalNetwork, NotLocalError
from napari_ies.saliency.patches import Patch, Span, Triple, ints

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from torch import nn

    from napari_ies.checkpoints.model import SegmentationModel
    from napari_ies.saliency.footprint import Piece

logger = logging.getLogger("napari_ies")

JACOBIANS = ("auto", "loop", "batched", "windowed")
CERTIFIED = 1e-3
"""Largest relative difference (Euclidean norm) at which local and plain gradients agree."""


class Linearisation(ABC):
    """One forward of one noisy window, ready to be differentiated many times."""

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
        A patch of one row, in the window's indices.
        """

    @abstractmethod
    def rows(
        self, voxels: NDArray[np.int64], weights: torch.Tensor
    ) -> Iterator[tuple[slice, Patch]]:
        """Yield the weighted gradients of the logits at single voxels, chunk by chunk.

        Parameters
        ----------
        voxels, weights
            As for :meth:`combined`.

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
    """

    name: str
    kept_forwards = 1
    """Forwards to hold ready: the graph of a whole window can take gigabytes."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network

    def reach(self, span: Span, domain: Triple) -> Span:
        """Return the box of a window that a box of its output is computed from.

        Parameters
        ----------
        span
            Box of the output.
        domain
            Size of the window.
        """
        return (0, 0, 0), domain

    def key(self, piece: Piece) -> object:
        """Return what tells one piece's forward from another's: pieces of one key share it."""
        return piece.window

    @abstractmethod
    def linearise(
        self, image: torch.Tensor, span: Span, domain: Triple, class_index: int
    ) -> Linearisation:
        """Run the network once.

        Parameters
        ----------
        image
            (C, x, y, z): the noisy input on the box that :meth:`reach` gives.
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
        self, image: torch.Tensor, span: Span, domain: Triple, class_index: int
    ) -> Linearisation:
        with torch.enable_grad(), exact_float32():
            leaf = image.detach().clone()[None].requires_grad_()
            logits = network_logits(self._network, leaf)[0, class_index]
        return _WholeWindow(leaf, logits, self.chunk)


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

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network)
        self._local = LocalNetwork(network)

    def reach(self, span: Span, domain: Triple) -> Span:
        return self._local.reach(span, domain)

    def key(self, piece: Piece) -> object:
        return piece.window, piece.span

    def linearise(
        self, image: torch.Tensor, span: Span, domain: Triple, class_index: int
    ) -> Linearisation:
        with exact_float32():
            return _Windowed(self._local.linearise(image, span, domain, class_index))


@dataclass(frozen=True, eq=False)
class _WholeWindow(Linearisation):
    leaf: torch.Tensor
    logits: torch.Tensor
    chunk: int

    def combined(self, voxels: NDArray[np.int64], weights: torch.Tensor) -> Patch:
        cotangent = torch.zeros_like(self.logits)
        cotangent.index_put_(self._index(voxels), weights.to(cotangent))
        with exact_float32():
            (gradient,) = torch.autograd.grad(self.logits, self.leaf, cotangent, retain_graph=True)
        return Patch(gradient, np.zeros((1, 3), dtype=np.int64))

    def rows(
        self, voxels: NDArray[np.int64], weights: torch.Tensor
    ) -> Iterator[tuple[slice, Patch]]:
        def compute(part: slice) -> Patch:
            if self.chunk == 1:
                return self.combined(voxels[part], weights[part])
            picked = self.logits[self._index(voxels[part])]
            with exact_float32():
                (gradients,) = torch.autograd.grad(
                    picked,
                    self.leaf,
                    torch.diag(weights[part].to(picked)),
                    retain_graph=True,
                    is_grads_batched=True,
                )
            return Patch(gradients[:, 0], np.zeros((len(gradients), 3), dtype=np.int64))

        yield from chunked(compute, len(voxels), self.chunk)

    def _index(self, voxels: NDArray[np.int64]) -> tuple[torch.Tensor, ...]:
        return tuple(torch.from_numpy(voxels).to(self.logits.device).T)


@dataclass(frozen=True, eq=False)
class _Windowed(Linearisation):
    local: LocalLinearisation

    def combined(self, voxels: NDArray[np.int64], weights: torch.Tensor) -> Patch:
        with exact_float32():
            return self.local.combined(voxels, weights)

    def rows(
        self, voxels: NDArray[np.int64], weights: torch.Tensor
    ) -> Iterator[tuple[slice, Patch]]:
        def compute(part: slice) -> Patch:
            with exact_float32():
                return self.local.rows(voxels[part], weights[part])

        on_cpu = self.local.logits.device.type == "cpu"
        yield from chunked(compute, len(voxels), CPU_CHUNK if on_cpu else GPU_CHUNK)


CPU_CHUNK, GPU_CHUNK = 8, 128
"""Rows at once in the windowed engine: on the CPU few, so that a click need not wait long."""


def chunked(
    compute: Callable[[slice], Patch], count: int, size: int
) -> Iterator[tuple[slice, Patch]]:
    """Compute rows in chunks, smaller ones from where memory runs out.

    Parameters
    ----------
    compute
        Computes the rows of a slice.
    count
        Number of rows.
    size
        Rows in a chunk.

    Raises
    ------
    SaliencyError
        If there is not enough memory for a single row.
    """
    start = 0
    while start < count:
        part = slice(start, min(start + size, count))
        try:
            patch = compute(part)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if size == 1:
                raise SaliencyError(
                    "There is not enough memory for the gradient of a single voxel; close other "
                    "programs, or choose the forward sliding-window."
                ) from error
            size = max(size // 2, 1)
            logger.info("Out of memory: going on with %d rows at once.", size)
            continue
        yield part, patch
        start = part.stop


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device or the machine has no memory left."""
    kinds = (torch.OutOfMemoryError, MemoryError)
    return isinstance(error, kinds) or "not enough memory" in str(error)


def choose_engine(model: SegmentationModel, jacobian: str = "auto") -> Engine:
    """Choose how gradients are computed.

    Parameters
    ----------
    model
        Its network and device decide; the choice is made once per model.
    jacobian
        ``"loop"``, ``"batched"``, ``"windowed"``, or ``"auto"``: windowed where the network is
        local and its gradients are certified, else batched on a GPU and loop on the CPU.

    Raises
    ------
    SaliencyError
        If there is no such engine, or windowed is asked for and not possible.
    """
    if jacobian not in JACOBIANS:
        raise SaliencyError(
            f"There is no jacobian {jacobian!r}; expected one of {', '.join(JACOBIANS)}."
        )
    if jacobian == "loop":
        return LoopEngine(model.network)
    if jacobian == "batched":
        return BatchedEngine(model.network)
    windowed, reason = model.derive("windowed engine", lambda: _certified(model))
    if windowed is not None:
        return windowed
    if jacobian == "windowed":
        raise SaliencyError(
            f"The gradients of this network cannot be windowed: {reason}; choose auto, loop or "
            "batched."
        )
    engine = LoopEngine if model.device.type == "cpu" else BatchedEngine
    logger.info("Whole windows, %s: %s.", engine.name, reason)
    return engine(model.network)


def _certified(model: SegmentationModel) -> tuple[WindowedEngine | None, str]:
    """Return the windowed engine if it equals plain autograd on a trial, else the reason."""
    if model.profile.fixed_size is not None:
        return None, "it takes windows of one size only"
    try:
        engine = WindowedEngine(model.network)
    except NotLocalError as error:
        return None, str(error)
    x, y, z = (4 * divisor for divisor in model.profile.divisor)
    generator = torch.Generator().manual_seed(0)
    image = torch.randn((len(model.profile.sequences), x, y, z), generator=generator)
    parameter = next(model.network.parameters(), image)
    image = image.to(parameter)
    voxels = np.array([(x // 2, y // 2 + 1, z // 2 - 1), (0, y - 1, z // 3)])
    weights = torch.ones(2)
    difference = 0.0
    plain = LoopEngine(model.network).linearise(image, ((0, 0, 0), (x, y, z)), (x, y, z), 0)
    for voxel in voxels:
        a, b, c = (int(v) for v in voxel)
        span = (a, b, c), (a + 1, b + 1, c + 1)
        low, high = engine.reach(span, (x, y, z))
        crop = image[:, low[0] : high[0], low[1] : high[1], low[2] : high[2]]
        local = engine.linearise(crop, span, (x, y, z), 0)
        expected = plain.combined(voxel[None], weights[:1]).values[0]
        found = torch.zeros_like(expected)
        add_to(found, local.combined(voxel[None], weights[:1]), (0, 0, 0))
        difference = max(difference, float((found - expected).norm() / expected.norm()))
    if not difference <= CERTIFIED:
        return None, f"its windowed gradients differ from autograd's by {difference:.1e}"
    return engine, ""


def add_to(canvas: torch.Tensor, patch: Patch, origin: Triple) -> None:
    """Add a patch of one row to a canvas (C, x, y, z); what lies outside it is dropped.

    Parameters
    ----------
    canvas
        Written to.
    patch
        One row.
    origin
        Where the canvas starts, in the patch's indices.
    """
    target, source = overlap(patch.base[0], patch.size, origin, canvas.shape[1:])
    if target is not None:
        canvas[(slice(None), *target)] += patch.values[0][(slice(None), *source)]


def overlap(
    base: NDArray[np.int64], size: NDArray[np.int64], origin: Triple, shape: torch.Size
) -> tuple[tuple[slice, ...] | None, tuple[slice, ...]]:
    """Return the part of a canvas that a box covers, and that part in the box's own indices."""
    low = np.maximum(base, origin)
    high = np.minimum(base + size, ints(origin) + ints(shape))
    if (high <= low).any():
        return None, ()
    target = tuple(slice(int(a), int(b)) for a, b in zip(low - origin, high - origin, strict=True))
    source = tuple(slice(int(a), int(b)) for a, b in zip(low - base, high - base, strict=True))
    return target, source
