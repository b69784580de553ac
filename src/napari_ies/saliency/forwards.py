"""Noisy forwards, each run once for all that is asked of it, and the watch over what they give."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import torch

from napari_ies.network.finite import all_finite
from napari_ies.saliency.arrivals import largest
from napari_ies.saliency.noise import drawn

if TYPE_CHECKING:
    from napari_ies.geometry.box import Box
    from napari_ies.saliency.arrivals import Arrival
    from napari_ies.saliency.engines.jacobian import Forward
    from napari_ies.saliency.footprint import Piece
    from napari_ies.saliency.noise import Noise
    from napari_ies.saliency.problem import Problem


class Watch:
    """Refuses what came out of the network and is not finite: at once on the CPU, else later.

    What is watched before values are sent has come, and was looked at, before these are shown:
    a device does its work in order.

    Parameters
    ----------
    problem
        What the values came from.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._largest: list[torch.Tensor] = []
        self._where: list[tuple[str, Box]] = []
        self._sent: deque[tuple[Arrival, list[tuple[str, Box]]]] = deque()

    def add(self, values: torch.Tensor, what: str, window: Box) -> None:
        """Watch values; on the CPU they are looked at now."""
        if self._problem.immediate:
            self._problem.check(all_finite(values), what, window)
        else:
            self._largest.append(largest(values))
            self._where.append((what, window))

    def send(self) -> None:
        """Send what is watched so far to the host."""
        if self._largest:
            arrival = self._problem.bring([torch.stack(self._largest)])
            self._sent.append((arrival, self._where))
            self._largest, self._where = [], []

    def look(self, *, wait: bool = False) -> None:
        """Refuse what has come, or all that was sent; see :meth:`Problem.check`."""
        while self._sent and (wait or self._sent[0][0].here):
            arrival, where = self._sent.popleft()
            finite = arrival.values()[0].isfinite().tolist()
            for one, (what, window) in zip(finite, where, strict=True):
                self._problem.check(one, what, window)


class Forwards:
    """The forwards of some noise samples, of which as many are kept as the engine says.

    Parameters
    ----------
    problem
        What they depend on.
    box
        Part of the grid on which the noise is drawn.
    noise, samples
        Which noise.
    watch
        Looks at what comes out of the network.

    Attributes
    ----------
    samples
        Numbers of the samples in here, from 0.
    """

    def __init__(
        self, problem: Problem, box: Box, noise: Noise, samples: range, watch: Watch | None = None
    ) -> None:
        self._problem, self._box = problem, box
        self.samples = range(len(samples))
        self._noisy = noisy_images(problem, box, noise, samples)
        self._ready: dict[object, Forward] = {}
        self._watch = watch or Watch(problem)

    def of(self, piece: Piece) -> Forward:
        """Return a piece's forward."""
        engine = self._problem.engine
        key = engine.key(piece)
        found = self._ready.pop(key, None)
        kept = engine.forwards_kept(piece.window.shape, self._problem.memory)
        while len(self._ready) >= kept:
            self._ready.pop(next(iter(self._ready)))  # before the next one takes memory
        if found is None:
            found = self.linearised(piece)
        self._ready[key] = found
        return found

    def of_sample(self, piece: Piece, number: int) -> Forward:
        """Return a piece's forward in one of the samples alone."""
        return self.of(piece).of_sample(number)

    def watch(self, values: torch.Tensor, what: str, window: Box) -> None:
        """Have values refused that are not finite: at once on the CPU, else when it is known."""
        self._watch.add(values, what, window)

    def check(self) -> None:
        """Send what was watched, and refuse what is known; see :class:`Watch`."""
        self._watch.send()
        self._watch.look()

    def keep(self, piece: Piece, forward: Forward) -> None:
        """Have a piece's forward ready that was run by :meth:`linearised`."""
        self._ready[self._problem.engine.key(piece)] = forward

    def linearised(self, piece: Piece) -> Forward:
        """Run a piece's forward, whether it is ready or not."""
        problem = self._problem
        images = problem.tiles.crop(self._noisy, piece.seen, self._box)
        images = images.clone(memory_format=torch.contiguous_format)
        window = piece.window
        found = problem.engine.linearise(images, piece.span, window.shape, problem.class_index)
        found.watched_by(lambda logits: self.watch(logits, "logits", window))
        return found


def noisy_images(problem: Problem, box: Box, noise: Noise, samples: range) -> torch.Tensor:
    """Return the noisy inputs of samples on a box, (N, C, x, y, z), on the network's device."""
    image = problem.image_on(box)
    if noise.deviation == 0:
        return image.expand(len(samples), *image.shape)
    turn = problem.turn
    stored = drawn(noise, samples, len(image), turn.box_to_stored(box), problem.device)
    turned = stored.permute(0, 1, *(2 + axis for axis in turn.axes))
    flipped = [2 + axis for axis, flip in enumerate(turn.flips) if flip]
    turned = turned.flip(flipped) if flipped else turned
    # Two operations, each rounded: fused, as devices may, they would give other bits.
    return image + turned.to(image.dtype).contiguous() * noise.deviation
