"""Where rows go, layer by layer: known before any noise is, and kept over samples and chunks."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from napari_ies.saliency.engines.moves import Adding, Cropping, Cutting, Move, Placing
from napari_ies.saliency.engines.patches import Boxes, ints, triple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

Known = TypeVar("Known")

TOGETHER, OVERLAP = 16384, 512
"""So many rows are planned together for a device, and the first of the next ones with them, so that
a chunk finds all of its rows in one plan."""
KEPT = 8
"""So many plans of the same voxels are kept, of 1 kB a row; more are made again."""


@dataclass(frozen=True, eq=False)
class Seeds:
    """Output voxels of a window whose gradients are asked for, sample after sample.

    Parameters
    ----------
    voxels
        int64 (R, 3), in the window's indices.
    weights
        (R,), on the CPU: what the gradients are multiplied by.
    """

    voxels: NDArray[np.int64]
    weights: torch.Tensor
    _known: dict[object, Any] = field(default_factory=dict)

    def known(self, key: object, make: Callable[[], Known]) -> Known:
        """Return what does not depend on the noise, made once; not all of very many voxels."""
        if key not in self._known:
            made = make()
            if len(self._known) >= KEPT:
                self._known.clear()
            self._known[key] = made
        found: Known = self._known[key]
        return found


@dataclass(frozen=True, eq=False)
class Route:
    """A layer's pull: where rows on boxes of its output go in each of its inputs, and how."""

    inputs: tuple[Boxes, ...]
    moves: tuple[Move, ...] = ()

    def cropped(self) -> Route:
        """Return the route with boxes cropped, in slices, where rows reach beyond the domain.

        Else they would grow on, layer by layer, to many times a small window.
        """
        if not (self.moves and isinstance(self.moves[-1], Cutting)):
            return self
        cropping = Cropping.of(self.moves[-1])
        return Route((cropping.boxes,), (*self.moves[:-1], cropping))


@dataclass(frozen=True, eq=False)
class Join:
    """The sum of cotangents that two layers give for the output of one.

    Parameters
    ----------
    first_is_larger
        Which of the two takes the other in.
    canvas
        Where that one is placed before; None where it holds the sum as it is.
    adding
        How the other is added.
    """

    first_is_larger: bool
    canvas: Placing | None
    adding: Adding

    @classmethod
    def of(cls, one: Boxes, other: Boxes) -> tuple[Boxes, Join]:
        """Return the boxes that hold both, and how they are added."""
        base = np.minimum(one.base, other.base)
        reach = [(boxes.base - base).max(axis=0) + boxes.size for boxes in (one, other)]
        size = triple(np.maximum(*reach))
        first_is_larger = np.prod(one.size) >= np.prod(other.size)
        large, small = (one, other) if first_is_larger else (other, one)
        canvas = None
        if large.size != size or (large.base != base).any():
            canvas = Placing(large.base - base, large.size, size)
        adding = Adding(small.base - base, small.size, size)
        return Boxes(base, size), cls(bool(first_is_larger), canvas, adding)

    def add(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """Add the cotangents (R, C, …) of the same rows; the larger ones may be overwritten."""
        large, small = (one, other) if self.first_is_larger else (other, one)
        total = large if self.canvas is None else self.canvas.canvases(large)
        return self.adding.add(total, small)

    def changed(self, change: Callable[[Any], Any]) -> Join:
        """Return the join with its moves changed by a function."""
        canvas = None if self.canvas is None else change(self.canvas)
        return Join(self.first_is_larger, canvas, change(self.adding))


@dataclass(frozen=True, eq=False)
class Step:
    """One layer's part of a plan.

    Parameters
    ----------
    node
        Number of the layer's node.
    moves
        What its pull needs.
    joins
        For each of its inputs: how its cotangents are added to those that are there already.
    """

    node: int
    moves: tuple[Move, ...]
    joins: tuple[Join | None, ...]

    def all_moves(self) -> Iterator[Move]:
        """Yield its moves, and those of its joins."""
        yield from self.moves
        for join in self.joins:
            if join is not None:
                yield join.adding
                if join.canvas is not None:
                    yield join.canvas

    def changed(self, change: Callable[[Any], Any]) -> Step:
        """Return the step with every move changed by a function."""
        joins = tuple(None if join is None else join.changed(change) for join in self.joins)
        return Step(self.node, tuple(map(change, self.moves)), joins)


@dataclass(frozen=True, eq=False)
class Plan:
    """The way of some rows from the output to the input.

    Parameters
    ----------
    steps
        The layers, the last one first.
    boxes
        Where the rows lie in the input.
    start
        By index: the first voxels of the boxes along each axis, int64 (R,) on the device.
    """

    steps: tuple[Step, ...]
    boxes: Boxes
    start: tuple[torch.Tensor, ...] = ()
    _parts: dict[tuple[int, int], Plan] = field(default_factory=dict)

    def by_index(self, like: torch.Tensor) -> Plan:
        """Return the same plan by index, sent to a tensor's device in one transfer."""
        moves = [move for step in self.steps for move in step.all_moves()]
        ready = [move.with_margins() for move in moves]
        numbers = np.stack([*self.boxes.base.T, *(move.numbers() for move in ready)])
        x, y, z, *others = sent(torch.from_numpy(numbers), like.device).unbind()
        made = [move.by_index(at, like) for move, at in zip(ready, others, strict=True)]
        known = dict(zip(moves, made, strict=True))
        steps = tuple(step.changed(known.__getitem__) for step in self.steps)
        return Plan(steps, self.boxes, (x, y, z))

    def part(self, rows: slice) -> Plan:
        """Return the plan of some of the rows."""
        key = rows.start, rows.stop
        if key == (0, len(self.boxes.base)):
            return self
        if key not in self._parts:
            self._parts[key] = Plan(
                tuple(step.changed(lambda move: move.part(rows)) for step in self.steps),
                self.boxes.part(rows),
                tuple(axis[rows] for axis in self.start),
            )
        return self._parts[key]

    @cached_property
    def landing(self) -> Placing | None:
        """How the rows come on canvases of the smallest box that holds them all."""
        if not self.start:
            return None
        base, (x, y, z) = self.boxes.base, self.start
        first = base.min(axis=0)
        hull = triple(base.max(axis=0) + self.boxes.size - first)
        move = Placing(base - first, self.boxes.size, hull)
        canvas, place = math.prod(hull), int(first @ ints((hull[1] * hull[2], hull[2], 1)))
        rows = torch.arange(-place, len(base) * canvas - place, canvas, device=x.device)
        at = z.add(y, alpha=hull[2]).add_(x, alpha=hull[1] * hull[2]).add_(rows)
        return move.by_index(at, at)


def by_index(device: torch.device) -> bool:
    """Whether rows are moved by index on a device, and not in slices.

    On the CPU slices cost less (``docs/architecture.md``). Apple's MPS copies a strided view whole,
    and that of all boxes is many times the volume. So does CUDA where PyTorch was told to use
    deterministic algorithms alone, and then it writes boxes over each other.
    """
    return device.type in ("cuda", "meta") and not torch.are_deterministic_algorithms_enabled()


def together(part: slice, count: int) -> slice:
    """Return which of the rows are planned together with those of a chunk."""
    first = part.start // TOGETHER * TOGETHER
    last = max(first + TOGETHER + OVERLAP, part.stop)
    return slice(first, min(last, count))


def sent(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Send values from the CPU to a device without waiting for it."""
    if device.type == "cuda":
        values = values.pin_memory()
    return values.to(device, non_blocking=True)
