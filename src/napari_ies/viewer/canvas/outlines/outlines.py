"""Outlines: which lesions are outlined in which colour, slice by slice; knows no canvas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.colour_maps import OUTLINE_SELECTED
from napari_ies.geometry.box import Box
from napari_ies.geometry.outline import outline_segments
from napari_ies.viewer.canvas.colours import OUTLINES, UNMATCHED, Outline
from napari_ies.viewer.state.event import Event
from napari_ies.viewer.volumes.units import MM

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_ies.viewer.volumes.frame import Frame, Voxel

Lines = tuple["NDArray[np.float32]", "NDArray[np.float32]"]
"""Ends (N, 2, 2) of lines, and their colours (N, 4)."""

NO_LINES: Lines = (np.zeros((0, 2, 2), np.float32), np.zeros((0, 4), np.float32))


NO_MATCHES: Mapping[int, str] = {}


class Outlines:
    """The borders of the lesions along voxel edges, and of the selected lesion or region."""

    def __init__(self) -> None:
        self._frame: Frame | None = None
        self._labels: _Placed | None = None
        self._of: dict[Outline, tuple[int, ...]] = {}
        self._selected: _Placed | None = None
        self._drawn_as = UNMATCHED
        self.shown = True
        """Whether a person wants to see the outlines."""
        self.changed: Event[[]] = Event()
        """Anything else is to be outlined, or nothing."""

    @property
    def units(self) -> tuple[str, str, str]:
        """Of the layers that what is outlined lies on."""
        return MM if self._frame is None else self._frame.units

    def set_shown(self, shown: bool) -> None:
        """Show the outlines, or not."""
        self.shown = shown
        self.changed.emit()

    def toggle(self) -> None:
        """Hide the outlines, or show them again."""
        self.set_shown(not self.shown)

    def set_lesions(
        self, labels: NDArray[np.int32], frame: Frame, matches: Mapping[int, str] = NO_MATCHES
    ) -> None:
        """Outline these lesions and none that was selected before.

        Parameters
        ----------
        labels
            (I, J, K) as displayed; 0 is the background.
        frame
            Where that grid lies.
        matches
            ``"TP"``, ``"FP"`` or ``"FN"`` by label, which are outlined each in its own way; none
            without a reference.
        """
        box = Box.around(labels)
        self._frame, self._selected = frame, None
        self._of = {
            outline: tuple(label for label, match in matches.items() if match == kind)
            for kind, outline in OUTLINES.items()
            if matches
        }
        self._labels = _Placed(labels[box], box.start)
        self.changed.emit()

    def select(
        self, mask: NDArray[np.bool_], origin: Voxel, frame: Frame, match: str | None = None
    ) -> None:
        """Outline one lesion or region apart from the others.

        Parameters
        ----------
        mask, origin
            Its voxels in a displayed box, and the displayed index of the box's first voxel.
        frame
            Where the grid lies.
        match
            ``"TP"``, ``"FP"`` or ``"FN"``: it keeps the dashes of its kind.
        """
        self._selected, self._frame = _Placed(mask, origin), frame
        self._drawn_as = Outline(OUTLINE_SELECTED, OUTLINES.get(match or "", UNMATCHED).dashes)
        self.changed.emit()

    def clear(self) -> None:
        """Outline nothing."""
        self._labels = self._selected = None
        self.changed.emit()

    def lines(self, plane: tuple[int, int], position: float) -> Lines:
        """Return the outlines in one slice.

        Parameters
        ----------
        plane
            The axes of the rows and of the columns that the slice shows.
        position
            Where the slice lies on the third axis, in mm.

        Returns
        -------
        float32 (N, 2, 2): start and end of each edge, each as mm along the two axes of the
        plane; float32 (N, 4): their colours. What is selected comes last.
        """
        (depth,) = {0, 1, 2} - set(plane)
        frame = self._frame
        if frame is None:
            return NO_LINES
        at = [position if axis == depth else 0.0 for axis in range(3)]
        index = int(frame.displayed_index(at)[depth])
        found: list[Lines] = []
        if self._labels is not None:
            part = self._labels.slice(depth, index)
            if not self._of:
                found.append(_drawn(part, plane, UNMATCHED))
            for outline, labels in self._of.items():
                found.append(_drawn(part.where(np.isin(part.values, labels)), plane, outline))
        if self._selected is not None:
            found.append(_drawn(self._selected.slice(depth, index), plane, self._drawn_as))
        if not found:
            return NO_LINES
        ends = np.concatenate([ends for ends, _ in found])
        axes = list(plane)
        scale = np.asarray(frame.scale, np.float32)[axes]
        translate = np.asarray(frame.translate, np.float32)[axes]
        return ends * scale + translate, np.concatenate([colours for _, colours in found])


class _Placed:
    """Labels in a box whose first voxel lies at an origin of the displayed grid."""

    def __init__(self, values: NDArray[Any], origin: Sequence[int]) -> None:
        self.values, self.origin = values, tuple(origin)

    def slice(self, axis: int, index: int) -> _Placed:
        """Return one slice, one voxel thick; none where the box does not reach."""
        at = index - self.origin[axis]
        at = at if 0 <= at < self.values.shape[axis] else self.values.shape[axis]
        part = [slice(None)] * 3
        part[axis] = slice(at, at + 1)
        origin = [index if a == axis else self.origin[a] for a in range(3)]
        return _Placed(self.values[tuple(part)], origin)

    def where(self, which: NDArray[np.bool_]) -> _Placed:
        return _Placed(np.where(which, self.values, 0), self.origin)


def _drawn(part: _Placed, plane: tuple[int, int], outline: Outline) -> Lines:
    if not part.values.any():
        return NO_LINES
    ends = outline_segments(part.values, plane, part.origin)[:, :, list(plane)]
    dash, gap = outline.dashes
    if gap:
        # Counted along the rows and along the columns, so that stairs in any direction have gaps.
        low = ends.min(axis=1)
        along = np.where(ends[:, 0, 0] != ends[:, 1, 0], low[:, 0], low[:, 1])
        ends = ends[np.floor(along).astype(int) % (dash + gap) < dash]
    return ends, np.repeat(np.array([outline.colour], np.float32), len(ends), axis=0)
