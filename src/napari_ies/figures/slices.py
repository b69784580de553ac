"""Slices: which parts of the volume a figure shows, and where they lie in millimetres.

A slice is shown with the axes (inferior, posterior, left) of the screen. Its millimetres count
from the centre of the volume's first displayed voxel along the axes that it shows, so a voxel
with the index j covers (j - 1/2) to (j + 1/2) times the voxel size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.errors import FigureError
from napari_ies.geometry.box import Box
from napari_ies.geometry.orientation import Reorientation
from napari_ies.geometry.outline import outline_segments
from napari_ies.geometry.planes import AXIAL, PLANES, Plane

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_ies.figures.content import FigureContent
    from napari_ies.figures.settings import FigureSettings

HEAD_MARGIN_MM = 4.0
"""What is left around the head where whole slices are shown."""

Window = tuple[float, float, float, float]
"""Left, right, top and bottom edge of what is shown of a slice, in mm; top is less than bottom."""


@dataclass(frozen=True)
class Slice:
    """What is shown of one slice."""

    plane: Plane
    """Its direction."""
    index: int
    """Which one, counted along the displayed axis."""
    window: Window
    """What is shown of it, in mm."""
    position: float
    """Where it lies in the scanner, in mm along `plane.coordinate`, at the figure's centre."""

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of what is shown, in mm."""
        left, right, top, bottom = self.window
        return right - left, bottom - top

    def of_height(self, height: float) -> Slice:
        """Return the same slice with empty space above and below, so that so many mm are shown."""
        left, right, top, bottom = self.window
        more = (height - (bottom - top)) / 2
        return replace(self, window=(left, right, top - more, bottom + more))


class Slicing:
    """The volumes of a figure, and the slices of them that it shows.

    Parameters
    ----------
    content
        What the figure shows.
    settings
        How.

    Raises
    ------
    FigureError
        If the centre asked for lies outside the images.
    """

    def __init__(self, content: FigureContent, settings: FigureSettings) -> None:
        self._content, self._settings = content, settings
        saliency = content.saliency
        self._turn = Reorientation.for_display(saliency.affine, saliency.shape)
        self._shape = self._turn.displayed_shape
        self.spacing = self._turn.displayed_spacing(content.case.spacing)
        """Voxel sizes in mm along the displayed axes."""

    @cached_property
    def slices(self) -> tuple[Slice, ...]:
        """The slices to show, in the order in which they are shown."""
        if self._settings.layout == "planes":
            slices = [self._slice(plane, self._centre[plane.across]) for plane in PLANES]
            tallest = max(where.size[1] for where in slices)
            return tuple(where.of_height(tallest) for where in slices)
        return tuple(self._slice(AXIAL, index) for index in self._montage())

    def image(self, sequence: str, where: Slice) -> NDArray[np.float32]:
        """Return the image of a sequence on a slice, rows x columns, the whole slice."""
        displayed = self._turn.apply(self._content.image(sequence))
        return np.ascontiguousarray(_at(displayed, where.plane.across, where.index))

    def saliency(self, sequence: str, where: Slice) -> NDArray[np.float32]:
        """Return the saliency of a sequence on a slice, rows x columns, the whole slice."""
        return self._cut_box(self._content.cropped_map(sequence), where)

    def footprint(self, where: Slice) -> NDArray[np.bool_]:
        """Return the explained voxels on a slice, rows x columns, the whole slice."""
        return self._cut_box(self._content.saliency.footprint, where)

    def extent(self, plane: Plane) -> Window:
        """Return the edges of a whole slice in mm, as :attr:`Slice.window`."""
        wide, high = self._shape[plane.along], self._shape[plane.down]
        width, height = self.spacing[plane.along], self.spacing[plane.down]
        return -0.5 * width, (wide - 0.5) * width, -0.5 * height, (high - 0.5) * height

    def reference(self, where: Slice) -> NDArray[np.bool_]:
        """Return the reference on a slice, rows x columns, the whole slice; empty without one."""
        whole = self._content.reference
        if whole is None:
            return np.zeros_like(self.footprint(where))
        displayed = self._turn.apply(whole)
        return np.ascontiguousarray(_at(displayed, where.plane.across, where.index))

    def outline(self, mask: NDArray[np.bool_], where: Slice) -> NDArray[np.float64]:
        """Return a mask's border on a slice, along voxel edges.

        Parameters
        ----------
        mask
            Rows x columns of the whole slice.
        where
            The slice.

        Returns
        -------
        (N, 2, 2): the ends of each edge as (across the image, down the image) in mm.
        """
        ends = outline_segments(mask[None], (1, 2)).astype(float)[:, :, 1:]
        steps = self.spacing[where.plane.down], self.spacing[where.plane.along]
        return np.asarray((ends * steps)[..., ::-1])

    @cached_property
    def area_by_border(self) -> float:
        """What is explained on the slices shown, its area by the length of its border, in mm."""
        area = length = 0.0
        for one in self.slices:
            mask = self.footprint(one)
            down, along = self.spacing[one.plane.down], self.spacing[one.plane.along]
            area += float(np.count_nonzero(mask)) * down * along
            length += float(np.abs(np.diff(self.outline(mask, one), axis=1)).sum())
        return area / length if length else np.inf

    @cached_property
    def _first(self) -> tuple[int, int, int]:
        """The displayed index at which the saliency's box begins."""
        return self._turn.box_to_displayed(self._content.saliency.box).start

    @cached_property
    def _lesion(self) -> NDArray[np.int64]:
        """The displayed indices of the explained voxels, (N, 3)."""
        return np.argwhere(self._turn.apply(self._content.saliency.footprint)) + self._first

    @cached_property
    def _centre(self) -> tuple[int, int, int]:
        """The displayed voxel that the figure is about.

        The one that holds the point asked for, or else the explained voxel nearest to the centre of
        mass.
        """
        if self._settings.at is not None:
            return self._turn.to_displayed(self._voxel_at(self._settings.at))
        offset = (self._lesion - self._lesion.mean(axis=0)) * self.spacing
        i, j, k = (int(index) for index in self._lesion[np.argmin((offset**2).sum(axis=1))])
        return i, j, k

    def _voxel_at(self, point: tuple[float, float, float]) -> tuple[int, int, int]:
        """Return the stored voxel that holds a point in the scanner's coordinates."""
        grid = self._content.saliency.grid
        voxel = grid.voxel_at(point)
        if voxel is None:
            low, high = grid.corners.min(axis=0), grid.corners.max(axis=0)
            reach = ", ".join(
                f"{axis} from {a:.0f} to {b:.0f}"
                for axis, a, b in zip("xyz", low, high, strict=True)
            )
            x, y, z = point
            raise FigureError(
                f"The point {x:g}, {y:g}, {z:g} mm lies outside the images ({reach} mm); choose "
                "one inside them."
            )
        return voxel

    @cached_property
    def _shown_box(self) -> tuple[tuple[float, float], ...]:
        """First and last millimetre to show along each displayed axis."""
        edges = [(-0.5 * s, (n - 0.5) * s) for n, s in zip(self._shape, self.spacing, strict=True)]
        if self._settings.margin is None:
            return tuple(
                (max(low, start), min(high, stop))
                for (low, high), (start, stop) in zip(self._head_box(), edges, strict=True)
            )
        low, high = self._lesion.min(axis=0) - 0.5, self._lesion.max(axis=0) + 0.5
        box = list(zip(low * self.spacing, high * self.spacing, strict=True))
        # A square of one size, so that the three planes have one scale.
        reach = max(high - low for low, high in box) + 2 * self._settings.margin
        middles = [(low + high) / 2 for low, high in box]
        if self._settings.at is not None:
            middles = [index * s for index, s in zip(self._centre, self.spacing, strict=True)]
        return tuple(
            _within(middle, reach, edge) for middle, edge in zip(middles, edges, strict=True)
        )

    def _head_box(self) -> list[tuple[float, float]]:
        """Where any shown image differs from an empty background, with a margin, in mm."""
        names, case = self._content.sequences(self._settings), self._content.case
        head = np.zeros(self._shape, dtype=bool)
        for name in names:
            head |= self._turn.apply(case.inside[case.sequences.index(name)])
        return [
            ((side.start - 0.5) * s - HEAD_MARGIN_MM, (side.stop - 0.5) * s + HEAD_MARGIN_MM)
            for side, s in zip(Box.around(head), self.spacing, strict=True)
        ]

    def _montage(self) -> Sequence[int]:
        """Choose slices evenly through the lesion, or neighbours where it has fewer.

        About a point they are neighbours, its own in the middle.
        """
        start, stop = int(self._lesion[:, 0].min()), int(self._lesion[:, 0].max()) + 1
        if self._settings.at is not None:
            start, stop = self._centre[0], self._centre[0] + 1
        present, wanted = stop - start, min(self._settings.slices, self._shape[0])
        if present >= wanted:
            middles = (np.arange(wanted) + 0.5) * present / wanted
            return [start + int(middle) for middle in middles]
        first = min(max(start - (wanted - present) // 2, 0), self._shape[0] - wanted)
        return range(first, first + wanted)

    def _slice(self, plane: Plane, index: int) -> Slice:
        (left, right), (top, bottom) = self._shown_box[plane.along], self._shown_box[plane.down]
        i, j, k = (index if axis == plane.across else self._centre[axis] for axis in range(3))
        stored = self._turn.to_stored((i, j, k))
        scanner = self._content.saliency.grid.to_scanner(stored)
        position = float(scanner["xyz".index(plane.coordinate)])
        return Slice(plane, index, (left, right, top, bottom), position)

    def _cut_box(self, cropped: NDArray[Any], where: Slice) -> NDArray[Any]:
        """Return a slice of what is kept on the saliency's box, with zeros around it."""
        displayed, first, plane = self._turn.apply(cropped), self._first, where.plane
        whole = np.zeros((self._shape[plane.down], self._shape[plane.along]), cropped.dtype)
        within = where.index - first[plane.across]
        if 0 <= within < displayed.shape[plane.across]:
            part = _at(displayed, plane.across, within)
            down, along = first[plane.down], first[plane.along]
            whole[down : down + part.shape[0], along : along + part.shape[1]] = part
        return whole


def _at(volume: NDArray[Any], axis: int, index: int) -> NDArray[Any]:
    """Return a slice as a view; `numpy.take` would copy the whole volume first."""
    return volume[(slice(None),) * axis + (index,)]


def _within(middle: float, reach: float, edge: tuple[float, float]) -> tuple[float, float]:
    """Return an interval around a point, moved into the volume where it fits."""
    low, high = edge
    if reach >= high - low:
        middle = (low + high) / 2
        return middle - reach / 2, middle + reach / 2
    start = min(max(middle - reach / 2, low), high - reach)
    return start, start + reach
