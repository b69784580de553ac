"""The blend of windows' logits, ``Σ_w b_w f(x_w)``, as far as its memory goes on the device.

The volume is sent to the device once; windows are cut out of it, run and added there, and nothing
is asked of the device on the way, so that it never waits for Python and Python hardly for it. Where
image and sum do not fit there, windows are sent and fetched one batch at a time.
"""

from __future__ import annotations

import copy
import logging
import math
from collections import deque
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from napari_ies.errors import SegmentationError
from napari_ies.free_memory import is_out_of_memory, not_enough_memory
from napari_ies.geometry.box import Box
from napari_ies.network.device import device_label, exact_float32, free_on, runs_ahead, when_done
from napari_ies.network.finite import all_finite, where_not_finite
from napari_ies.network.forward_memory import layer_bytes
from napari_ies.network.model import network_logits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from napari_ies.network.model import SegmentationModel
    from napari_ies.network.windows import Tiling

logger = logging.getLogger("napari_ies")

SMALLER = "choose the forward sliding-window, or give the profile a smaller window"
"""What takes less memory."""
TOO_LARGE = (
    "The logits of overlapping windows are too large for float32 together; check the checkpoint, "
    "and the normalisation in its profile."
)
MOST_TOGETHER = 16
"""Windows in one pass on a GPU at most: more fill no card better."""
LAYERS_HELD = 4
"""How often a pass holds what its largest layer takes: that layer, and what is kept for others."""
SHARE_OF_FREE = 0.5
"""This part of what is free on a GPU is planned with: others need memory too."""
UNDER_WAY = 2
"""Batches that a GPU is given ahead: enough to keep it busy, few enough to be stopped soon."""
CPU = torch.device("cpu")

Constant = tuple[float, ...] | None
"""The value of each sequence where all of them are constant on a window."""


class Blend:
    """The weighed sum of windows' logits, while it grows.

    Parameters
    ----------
    model
        The network; it computes on its device, and on the CPU once there is no memory left there.
    image
        float32 (C, X, Y, Z) on the CPU.
    tiles
        The windows of the forward, with their weights.
    windows
        Those to run; by default all.
    there
        The same image on the device, if it is there already.

    Attributes
    ----------
    box
        The part of the volume that the windows lie in.
    sum
        float32 (classes, x, y, z) on `box`: on the device where it fits there, else on the CPU.
    """

    def __init__(
        self,
        model: SegmentationModel,
        image: torch.Tensor,
        tiles: Tiling,
        windows: Sequence[Box] | None = None,
        *,
        there: torch.Tensor | None = None,
    ) -> None:
        self._image, self._tiles = image, tiles
        self._sent = image if there is None else there
        self._network, self._device = model.network, model.device
        self._windows = tiles.windows if windows is None else windows
        self._constant = constant_windows(image, tiles, self._windows)
        self._shared: dict[Constant, torch.Tensor] = {}
        self._done = self._surely_done = 0
        self._given: deque[tuple[int, Callable[[], None]]] = deque()
        self._batch, self._there = 1, False
        self._classes = len(model.profile.classes)
        self.box = Box.hull([tiles.visible(window) for window in self._windows])
        self.sum: torch.Tensor
        if runs_ahead(self._device):
            self._plan(model)
        else:
            self._begin(CPU)

    def run(self) -> Iterator[tuple[int, str]]:
        """Add all windows.

        Yields
        ------
        After each batch how many windows are surely done, and a note when memory ran out.

        Raises
        ------
        SegmentationError
            If there is not enough memory, or the logits are not finite.
        """
        while self._done < len(self._windows):
            full = False
            try:
                self._add_batch()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if not runs_ahead(self._device):
                    said = not_enough_memory("run the network on this volume", SMALLER)
                    raise SegmentationError(said) from error
                full = True
            # Not where the error is handled: it holds on to what was computed.
            note = self._take_less() if full else ""
            if note or not full:
                yield self._count(), note

    def mean(self) -> torch.Tensor:
        """Return the sum, divided in place by the weights of all windows of the forward.

        Raises
        ------
        SegmentationError
            If a logit, or the sum of some, is not a finite number.
        """
        if self._tiles.blended:
            full = False
            try:
                self.sum /= self._total()
            except (RuntimeError, MemoryError) as error:
                if not (self._there and is_out_of_memory(error)):
                    raise
                full = True
            if full:
                self._leave()
                self.sum /= self._total()
        self.check()
        return self.sum

    def less(self, other: Blend) -> None:
        """Take the sum of another blend of the same windows from this one."""
        if self._there != other._there:
            self._leave()
            other._leave()
        self.sum -= other.sum

    def check(self) -> None:
        """Refuse logits that are not finite, in the first window that has such.

        The sum is looked at, once: it is finite only if all that was added is.

        Raises
        ------
        SegmentationError
            If there are some.
        """
        if all_finite(self.sum):
            return
        for window in self._windows:
            self._check_window(window, self._logits([window]))
        raise SegmentationError(TOO_LARGE)

    def _total(self) -> torch.Tensor:
        place = self._device if self._there else CPU
        return self._tiles.total_on(place, self.box).to(self.sum)

    def _plan(self, model: SegmentationModel) -> None:
        """Keep image and sum on the device if they fit, and choose how many windows run at once."""
        free = SHARE_OF_FREE * free_on(self._device)
        inputs, classes = len(self._image), self._classes
        # The image; the sum, and as much again for probabilities; the weights' sum, twice.
        needed = 4 * (inputs * self._image[0].numel() + (2 * classes + 4) * self.box.size)
        if needed <= free:
            try:
                self._begin(self._device)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            else:
                self._there = True
        if not self._there:
            self._begin(CPU)
        try:
            each = LAYERS_HELD * layer_bytes(model) * self._windows[0].size
            left = free - (needed if self._there else 0)
            most = min(max(int(left / each), 1), MOST_TOGETHER)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            most = 1
        distinct = self._constant.count(None) + len({*self._constant} - {None})
        # As even as can be: a GPU's libraries look at each new size anew.
        self._batch = math.ceil(distinct / math.ceil(distinct / most))

    def _begin(self, place: torch.device) -> None:
        """Begin with a sum of nothing at a place, and have there what is needed for it."""
        self._seen = (self._image if place == CPU else self._sent).to(place)
        self._weights = self._tiles.window_importance.to(torch.float32).to(place)
        self.sum = torch.zeros((self._classes, *self.box.shape), device=place)

    def _add_batch(self) -> None:
        """Run the next windows, as many as run at once and those equal to some, and add them."""
        known, distinct, stop = {*self._shared}, list[int](), self._done
        for stop in range(self._done, len(self._windows) + 1):
            constant = self._constant[stop] if stop < len(self._windows) else None
            if constant is not None and constant in known:
                continue
            if stop == len(self._windows) or len(distinct) == self._batch:
                break
            distinct.append(stop)
            known.add(constant)
        logits = self._logits([self._windows[number] for number in distinct]) if distinct else ()
        found = dict(zip(distinct, logits, strict=True))
        for number in range(self._done, stop):
            window, constant = self._windows[number], self._constant[number]
            if number not in found:
                self._add(window, self._shared[constant])
            else:
                if not self._there:
                    self._check_window(window, found[number])
                if constant is not None:
                    self._shared[constant] = found[number].clone()
                self._add(window, found[number])
            self._done += 1

    def _logits(self, windows: Sequence[Box]) -> torch.Tensor:
        """Return windows' logits, (N, classes, x, y, z), where the sum is."""
        with torch.inference_mode(), exact_float32():
            crops = torch.stack([self._tiles.crop(self._seen, window) for window in windows])
            logits = network_logits(self._network, crops.to(self._device))
            return logits.float().to(self._device if self._there else CPU)

    def _add(self, window: Box, logits: torch.Tensor) -> None:
        part = self._tiles.visible(window)
        there, inside = (..., *part.within(self.box)), part.within(window)
        self.sum[there].addcmul_(logits[(..., *inside)], self._weights[inside])

    def _check_window(self, window: Box, logits: torch.Tensor) -> None:
        if not all_finite(logits):
            raise SegmentationError(
                "The network's logits are not finite numbers (NaN or infinity) "
                f"{where_not_finite(self._network, self._image, self._tiles, window)}; check the "
                "checkpoint, and the normalisation in its profile."
            )

    def _take_less(self) -> str:
        """Take less of a GPU's memory from now on; return what is to be said of that."""
        note = ""
        self._shared.clear()
        if self._batch > 1:
            self._batch //= 2
        elif self._there:
            self._leave()
        else:
            note = (
                f"{device_label(self._device)} ran out of memory; the rest is computed on the CPU."
            )
            logger.warning(note)
            self._network, self._device = _on_cpu(self._network), CPU
        torch.cuda.empty_cache()
        return note

    def _leave(self) -> None:
        """Take the sum so far to the CPU, and image and weights from there."""
        self._there = False
        self.sum, self._weights = self.sum.cpu(), self._weights.cpu()
        self._seen = self._image

    def _count(self) -> int:
        """Return how many windows are surely done; wait if a GPU was given too many ahead."""
        if not self._there:
            return self._done
        self._given.append((self._done, when_done(self._device)))
        if len(self._given) > UNDER_WAY:
            self._surely_done, wait = self._given.popleft()
            wait()
        return self._surely_done


def constant_windows(image: torch.Tensor, tiles: Tiling, windows: Sequence[Box]) -> list[Constant]:
    """Find windows that are constant in every sequence, such as the background around a head.

    Equal windows give equal outputs: one of them is enough.

    Parameters
    ----------
    image
        (C, X, Y, Z) on the CPU.
    tiles, windows
        The forward, and which of its windows.

    Returns
    -------
    For each window the value of each sequence, or None where a sequence is not constant.
    """
    if len(windows) == 1:
        return [None]
    return [_constant(tiles.crop(image, window)) for window in windows]


def _constant(crop: torch.Tensor) -> Constant:
    first = crop[:, :1, :1, :1]
    # A few voxels tell of nearly every window that it is not.
    for voxels in (crop[:, ::8, ::8, ::8], crop):
        if not bool((voxels == first).all()):
            return None
    return tuple(first.flatten().tolist())


def _on_cpu(network: nn.Module) -> nn.Module:
    """Return a copy of a network on the CPU; the network itself stays where it is.

    It is not moved there and back: another thread may be using it, and there may be no memory left
    to come back to.
    """
    there: dict[int, Any] = {
        id(one): nn.Parameter(one.detach().to(CPU), requires_grad=False)
        for one in network.parameters()
    }
    there |= {id(one): one.to(CPU) for one in network.buffers()}
    return copy.deepcopy(network, there)
