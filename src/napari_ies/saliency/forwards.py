"""Noisy forwards, each run once for all that is asked of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_ies.network.finite import all_finite
from napari_ies.saliency.noise import standard_noise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_ies.geometry.box import Box
    from napari_ies.saliency.engines.jacobian import Linearisation
    from napari_ies.saliency.footprint import Piece
    from napari_ies.saliency.problem import Problem


class Forwards:
    """The forwards of some noise samples, of which as many are kept as the engine says.

    Parameters
    ----------
    problem
        What they depend on.
    box
        Part of the grid on which the noise is drawn.
    seed, samples, sigma
        Which noise, and its standard deviation.
    """

    def __init__(
        self, problem: Problem, box: Box, seed: int, samples: Sequence[int], sigma: float
    ) -> None:
        self._problem, self._box = problem, box
        self._noisy = [noisy_image(problem, box, seed, sample, sigma) for sample in samples]
        self._ready: dict[object, Linearisation] = {}
        self._watched: list[tuple[torch.Tensor, str, Box]] = []

    def of(self, piece: Piece) -> Linearisation:
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

    def watch(self, values: torch.Tensor, what: str, window: Box) -> None:
        """Have values looked at: at once on the CPU, at the next :meth:`check` on a GPU.

        Asking a GPU for an answer would make it wait for what comes next.
        """
        if values.device.type == "cpu":
            self._problem.check(all_finite(values), what, window)
        else:
            self._watched.append((values.isfinite().all(), what, window))

    def check(self) -> None:
        """Refuse what was watched and is not finite; see :meth:`Problem.check`."""
        watched, self._watched = self._watched, []
        if watched and not torch.stack([finite for finite, _, _ in watched]).all():
            for finite, what, window in watched:
                self._problem.check(bool(finite), what, window)

    def keep(self, piece: Piece, forward: Linearisation) -> None:
        """Have a piece's forward ready that was run by :meth:`linearised`."""
        self._ready[self._problem.engine.key(piece)] = forward

    def linearised(self, piece: Piece) -> Linearisation:
        """Run a piece's forward, whether it is ready or not."""
        problem = self._problem
        images = torch.stack(
            [problem.tiles.crop(noisy, piece.seen, self._box) for noisy in self._noisy]
        )
        window = piece.window
        found = problem.engine.linearise(images, piece.span, window.shape, problem.class_index)
        self.watch(found.logits, "logits", window)
        return found


def noisy_image(problem: Problem, box: Box, seed: int, sample: int, sigma: float) -> torch.Tensor:
    """Return the noisy input on a box, (C, x, y, z), on the network's device."""
    image = problem.image[(slice(None), *box)]
    if sigma == 0:
        return image.to(problem.device)
    stored = standard_noise(seed, sample, len(image), problem.turn.box_to_stored(box))
    noise = torch.from_numpy(np.ascontiguousarray(problem.turn.apply(stored)))
    return (image + sigma * noise.to(image.dtype)).to(problem.device)
