"""A trial among several ways to compute one thing: right first, then fast."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

logger = logging.getLogger("napari_ies")

T = TypeVar("T")

TOLERATED = {"float32": 1e-5, "tf32": 3e-3, "bf16": 3e-2}
"""Largest difference from float64, relative to the largest value, by the precision asked for."""
REPETITIONS = 5
ENDING = threading.Event()
"""Set when the program ends: nothing more is tried."""


class Ended(Exception):  # noqa: N818 - nothing went wrong
    """The program ends in the middle of a trial."""


@dataclass(frozen=True)
class Candidate(Generic[T]):
    """One way to compute it: its name for the log and the provenance, and what makes it ready."""

    name: str
    make: Callable[[], T]


@dataclass(frozen=True)
class Trial(Generic[T]):
    """What is computed, and how a way to do so is tried.

    Parameters
    ----------
    what
        Is computed, for the log.
    expected
        The value, float64.
    check
        Computes the value by one way.
    work
        Does what the time is taken of.
    tolerance
        Largest difference, relative to the largest expected value.
    clock
        Tells how long a call takes.
    """

    what: str
    expected: torch.Tensor
    check: Callable[[T], torch.Tensor]
    work: Callable[[T], object]
    tolerance: float
    clock: Callable[[Callable[[], object]], float]

    def fastest(self, candidates: Sequence[Candidate[T]]) -> tuple[str, T] | None:
        """Return the fastest candidate that is right, with its name; None if none is.

        A candidate that raises is refused, whatever it raises: compilers raise anything.
        """
        best: tuple[float, str, T] | None = None
        for candidate in candidates:
            if ENDING.is_set():
                raise Ended
            try:
                took, way = self._took(candidate)
            except Exception as error:
                said = " ".join(str(error).split())[:200]
                logger.info(
                    "%s: no %s (%s: %s).", self.what, candidate.name, type(error).__name__, said
                )
                continue
            if best is None or took < best[0]:
                best = took, candidate.name, way
        if best is None:
            return None
        logger.info("%s: %s.", self.what, best[1])
        return best[1:]

    def _took(self, candidate: Candidate[T]) -> tuple[float, T]:
        way = candidate.make()
        difference = self.check(way).double().sub(self.expected).abs().max()
        relative = float(difference / self.expected.abs().max())
        if not relative <= self.tolerance:
            raise ArithmeticError(f"off by {relative:.1e}")
        took = self.clock(lambda: self.work(way))
        logger.debug("%s: %s takes %.3f ms.", self.what, candidate.name, took)
        return took, way


def device_clock(run: Callable[[], object]) -> float:
    """Return how long a call keeps the current CUDA device, in ms: the least of several."""
    run()
    least = float("inf")
    for _ in range(REPETITIONS):
        start = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        stop = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        start.record()
        run()
        stop.record()
        stop.synchronize()
        least = min(least, start.elapsed_time(stop))
    return least
