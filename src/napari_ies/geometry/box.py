"""Box: a part of a volume along its axes, as a value and as an index."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray

Triple = tuple[int, int, int]


class Box(tuple[slice, slice, slice]):
    """A box of voxels; ``volume[box]`` is what a volume holds there.

    It may reach beyond a volume, as a window does, and is then no index of that.

    Parameters
    ----------
    start
        First index along each axis.
    stop
        Index behind the last one.
    """

    __slots__ = ()

    def __new__(cls, start: Iterable[int], stop: Iterable[int]) -> Box:  # noqa: D102 - described above
        sides = (slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
        return super().__new__(cls, sides)

    def __reduce__(self) -> tuple[Any, ...]:
        return Box, (self.start, self.stop)

    def __hash__(self) -> int:
        return hash((self.start, self.stop))

    @classmethod
    def of(cls, sides: Iterable[slice]) -> Box:
        """Make a box of three slices, as `scipy.ndimage.find_objects` gives."""
        return cls(*zip(*((side.start, side.stop) for side in sides), strict=True))

    @classmethod
    def whole(cls, shape: Iterable[int]) -> Box:
        """Return the box of all voxels of a volume."""
        return cls((0, 0, 0), shape)

    @classmethod
    def around(cls, mask: NDArray[Any]) -> Box:
        """Return the smallest box with all that a volume marks; the first voxel for nothing."""
        start, stop = [], []
        for others in ((1, 2), (0, 2), (0, 1)):
            present = np.flatnonzero(mask.any(axis=others))
            start.append(present[0] if present.size else 0)
            stop.append(present[-1] + 1 if present.size else 1)
        return cls(start, stop)

    @classmethod
    def of_voxels(cls, voxels: NDArray[np.int64]) -> Box:
        """Return the smallest box that holds voxels, (V, 3), of which there is one at least."""
        return cls(voxels.min(axis=0), voxels.max(axis=0) + 1)

    @classmethod
    def hull(cls, boxes: Sequence[Box]) -> Box:
        """Return the smallest box that holds these boxes."""
        starts = zip(*(box.start for box in boxes), strict=True)
        return cls(map(min, starts), map(max, zip(*(box.stop for box in boxes), strict=True)))

    @property
    def start(self) -> Triple:
        """First index along each axis."""
        x, y, z = self
        return x.start, y.start, z.start

    @property
    def stop(self) -> Triple:
        """Index behind the last one along each axis."""
        x, y, z = self
        return x.stop, y.stop, z.stop

    @property
    def shape(self) -> Triple:
        """Number of voxels along each axis."""
        x, y, z = self
        return x.stop - x.start, y.stop - y.start, z.stop - z.start

    @property
    def size(self) -> int:
        """Number of voxels."""
        return math.prod(self.shape)

    def holds(self, voxel: Sequence[int]) -> bool:
        """Whether a voxel lies in the box."""
        return all(side.start <= index < side.stop for side, index in zip(self, voxel, strict=True))

    def grow(self, margins: ArrayLike) -> Box:
        """Return the box with so many more voxels on both sides of each axis."""
        return Box(np.subtract(self.start, margins), np.add(self.stop, margins))

    def margins(self, part: Box) -> list[int]:
        """Return how far the box reaches beyond another on both sides, the last axis first."""
        sides = zip(reversed(self), reversed(part), strict=True)
        return [n for own, its in sides for n in (its.start - own.start, own.stop - its.stop)]

    def shift(self, by: Iterable[int]) -> Box:
        """Return the box moved by so many voxels along each axis."""
        return self._moved(by, 1)

    def within(self, box: Box) -> Box:
        """Return this part of a volume in the indices of a box of it."""
        return self._moved(box.start, -1)

    def meet(self, box: Box) -> Box | None:
        """Return the part that two boxes share, or None."""
        start = tuple(map(max, self.start, box.start))
        stop = tuple(map(min, self.stop, box.stop))
        if any(a >= b for a, b in zip(start, stop, strict=True)):
            return None
        return Box(start, stop)

    def lay(self, values: NDArray[Any], box: Box) -> NDArray[Any]:
        """Return values on this box, (..., x, y, z), on another: 0 around them, what is out cut."""
        laid = np.zeros((*values.shape[:-3], *box.shape), dtype=values.dtype)
        shared = self.meet(box)
        if shared is not None:
            laid[(..., *shared.within(box))] = values[(..., *shared.within(self))]
        return laid

    def clip(self, shape: Sequence[int]) -> Box:
        """Return the part that lies in a volume; at least its voxel nearest to the box."""
        start = [max(min(a, n - 1), 0) for a, n in zip(self.start, shape, strict=True)]
        ends = zip(self.stop, start, shape, strict=True)
        return Box(start, [min(max(b, a + 1), n) for b, a, n in ends])

    def _moved(self, by: Iterable[int], sign: int) -> Box:
        steps = [sign * int(step) for step in by]
        return Box(map(int.__add__, self.start, steps), map(int.__add__, self.stop, steps))
