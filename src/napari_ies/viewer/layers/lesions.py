"""The lesions: a Labels layer, thin outlines in the slices, and their probability."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.outline import box_of, outline_segments
from napari_ies.viewer import colours

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_ies.case import Case
    from napari_ies.segmentation import Segmentation
    from napari_ies.viewer.frame import Frame, Voxel
    from napari_ies.viewer.layers.stack import LayerStack

LESIONS_NAME = "Lesions"
PROBABILITY_NAME = "Lesion probability"
OUTLINES_NAME = "Lesion outlines"
SELECTED_NAME = "Selected lesion"
OUTLINE_WIDTH_MM = 0.25


class LesionLayers:
    """The layers of a segmentation.

    Parameters
    ----------
    stack
        The viewer's layers.
    """

    def __init__(self, stack: LayerStack) -> None:
        self._stack = stack
        self._lesions: str | None = None
        self._probability: str | None = None
        self._outlines: str | None = None
        self._selected_outline: str | None = None
        self._plane: tuple[int, ...] = ()
        self._hidden: set[str] = set()
        self._frame: Frame | None = None
        self._labels: NDArray[np.int32] | None = None
        self._missed: tuple[int, ...] = ()
        self._selected: tuple[int | None, NDArray[np.bool_], Voxel] | None = None

    @property
    def layer(self) -> Any | None:
        """The Labels layer, or None if it is gone."""
        return self._stack.find(self._lesions)

    def show(self, segmentation: Segmentation, case: Case, frame: Frame) -> None:
        """Show the lesions and, hidden, the probability, in place of those before."""
        for key in (self._probability, self._lesions, self._outlines, self._selected_outline):
            self._stack.remove(key)
        self._selected, self._plane = None, ()
        self._frame = frame
        self._missed = _missed_labels(segmentation)
        self._labels = frame.reorientation.apply(segmentation.labels)
        self._probability = self._stack.make(
            "image",
            "probability",
            frame.reorientation.apply(segmentation.probability),
            name=PROBABILITY_NAME,
            colormap="viridis",
            contrast_limits=(0.0, 1.0),
            blending="translucent_no_depth",
            opacity=0.6,
            visible=False,
            known={"affine": case.affine},
            **frame.placement(),
        )
        self._lesions = self._stack.make(
            "labels",
            "lesions",
            self._labels,
            name=LESIONS_NAME,
            colormap=colours.lesion_fill(self._missed),
            blending="translucent_no_depth",
            opacity=1.0,
            known={"affine": case.affine},
            **frame.placement(),
        )
        layer = self.layer
        if layer is not None:
            layer.editable = False
            self._stack.stays_selected = self._lesions
        self.draw()

    def select(self, subject: int | str, mask: NDArray[np.bool_], origin: Voxel) -> None:
        """Outline one lesion, or another region, apart from the others.

        Parameters
        ----------
        subject
            The lesion's label, or the region's name.
        mask, origin
            Its voxels in a displayed box, and the displayed index of the box's first voxel.
        """
        label = subject if isinstance(subject, int) else None
        self._selected = (label, mask, origin)
        layer = self.layer
        if layer is not None and label is not None:
            layer.selected_label = label
        self.draw()

    def draw(self) -> None:
        """Draw the outlines in the plane that is on show; in the 3-d view fill the lesions."""
        if self._labels is None:
            return
        dims = self._stack.viewer.dims
        in_slices = dims.ndisplay == 2
        # First: napari slices no hidden layer, and data set on one would not fit its last slice.
        self._show_outlines(in_slices)
        if in_slices:
            plane = tuple(axis - (dims.ndim - 3) for axis in dims.displayed)
            self._draw_outlines(plane)
            self._draw_selected(plane)
        selected = None if self._selected is None else self._selected[0]
        layer = self.layer
        if layer is not None:
            layer.colormap = colours.lesion_fill(self._missed, selected, filled=not in_slices)

    def toggle_outlines(self) -> None:
        """Hide the outlines in the slices, or show them again."""
        if self._stack.viewer.dims.ndisplay != 2:
            return
        found = (self._stack.find(key) for key in (self._outlines, self._selected_outline))
        layers = [layer for layer in found if layer is not None]
        shown = any(layer.visible for layer in layers)
        for layer in layers:
            layer.visible = not shown

    def _show_outlines(self, shown: bool) -> None:
        """Hide the outlines in the 3-d view, and show again those that were hidden for it."""
        for key in (self._outlines, self._selected_outline):
            layer = self._stack.find(key)
            if layer is None or key is None:
                continue
            if not shown and layer.visible:
                self._hidden.add(key)
                layer.visible = False
            elif shown and key in self._hidden:
                layer.visible = True
        if shown:
            self._hidden.clear()

    def _draw_outlines(self, plane: tuple[int, ...]) -> None:
        if self._labels is None:
            return
        layer = self._stack.find(self._outlines)
        if layer is not None and self._plane == plane:
            return
        self._plane = plane
        box = box_of(self._labels)
        origin = (box[0].start, box[1].start, box[2].start)
        missed = np.isin(self._labels[box], self._missed)
        found = outline_segments(np.where(missed, 0, self._labels[box]), plane, origin)
        not_found = outline_segments(np.where(missed, self._labels[box], 0), plane, origin)
        colour = np.repeat(
            [colours.OUTLINE, colours.OUTLINE_MISSED], [len(found), len(not_found)], axis=0
        )
        visible = layer is None or layer.visible
        self._stack.remove(self._outlines)
        segments = np.concatenate([found, not_found])
        self._outlines = self._draw("outline", OUTLINES_NAME, segments, colour, visible)
        if self._outlines is not None:
            self._stack.put_below(self._outlines, ("selected",))

    def _draw_selected(self, plane: tuple[int, ...]) -> None:
        if self._selected is None:
            return
        _, mask, origin = self._selected
        segments = outline_segments(mask, plane, origin)
        layer = self._stack.find(self._selected_outline)
        if layer is not None:
            layer.data = segments
            return
        colour = [colours.OUTLINE_SELECTED]
        self._selected_outline = self._draw("selected", SELECTED_NAME, segments, colour, True)

    def _draw(self, what: str, name: str, segments: Any, colour: Any, visible: bool) -> str | None:
        if not len(segments) or self._frame is None:
            return None
        return self._stack.make(
            "vectors",
            what,
            segments,
            name=name,
            edge_color=colour,
            edge_width=OUTLINE_WIDTH_MM,
            vector_style="line",
            opacity=1.0,
            blending="translucent_no_depth",
            visible=visible,
            **self._frame.placement(),
        )


def _missed_labels(segmentation: Segmentation) -> tuple[int, ...]:
    table = segmentation.lesions
    if "match" not in table.columns:
        return ()
    return tuple(int(label) for label in table.index[table["match"] == "FN"])
