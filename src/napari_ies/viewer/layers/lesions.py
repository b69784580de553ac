"""The lesions: a Labels layer, thin outlines in the slices, and their probability."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.colour_maps import OUTLINE_SELECTED
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
        self._off: set[str] = set()
        self._frame: Frame | None = None
        self._labels: NDArray[np.int32] | None = None
        self._missed: tuple[int, ...] = ()
        self._selected: tuple[int | None, NDArray[np.bool_], Voxel] | None = None

    @property
    def missed(self) -> tuple[int, ...]:
        """Reference lesions that the network missed."""
        return self._missed

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

    @property
    def outlined(self) -> bool:
        """Whether any outline is visible in the slices; without any, whether one would be."""
        layers = {
            what: layer for what, layer in self._outline_layers().items() if layer is not None
        }
        if not layers:
            return not self._off
        return any(layer.visible or what in self._hidden for what, layer in layers.items())

    def set_outlined(self, on: bool) -> None:
        """Hide the outlines, or show again those that were hidden so."""
        in_slices = self._stack.viewer.dims.ndisplay == 2
        layers = self._outline_layers()
        if not on:
            self._off = {
                what
                for what, layer in layers.items()
                if layer is None or layer.visible or what in self._hidden
            }
            self._hidden.clear()
            self._set_visible(set(layers), False)
        else:
            shown, self._off = self._off or set(layers), set()
            self._hidden.update(shown)
            self._show_outlines(in_slices)

    def toggle_outlines(self) -> None:
        """Hide the outlines, or show them again."""
        self.set_outlined(not self.outlined)

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

    def _outline_layers(self) -> dict[str, Any | None]:
        keys = {"outline": self._outlines, "selected": self._selected_outline}
        return {what: self._stack.find(key) for what, key in keys.items()}

    def _show_outlines(self, shown: bool) -> None:
        """Hide the outlines in the 3-d view, and show again those that were hidden for it."""
        if not shown:
            layers = self._outline_layers().items()
            visible = {what for what, layer in layers if layer is not None and layer.visible}
            self._hidden.update(visible)
            self._set_visible(visible, False)
            return
        self._set_visible(self._hidden, True)
        self._hidden.clear()

    def _set_visible(self, which: set[str], visible: bool) -> None:
        for what, layer in self._outline_layers().items():
            if what in which and layer is not None:
                layer.visible = visible

    def outline(self, what: str, plane: tuple[int, ...]) -> tuple[Any, Any]:
        """Return the segments of an outline in a plane, and their colours.

        Parameters
        ----------
        what
            ``"outline"`` for all lesions, ``"selected"`` for the selected one.
        plane
            The two axes that a slice shows.

        Returns
        -------
        float32 (N, 2, 3): as a Vectors layer takes them; colours (N, 4), or (1, 4) for all.
        """
        if what == "selected":
            if self._selected is None:
                return np.zeros((0, 2, 3), np.float32), [OUTLINE_SELECTED]
            _, mask, origin = self._selected
            return outline_segments(mask, plane, origin), [OUTLINE_SELECTED]
        if self._labels is None:
            return np.zeros((0, 2, 3), np.float32), [colours.OUTLINE]
        box = box_of(self._labels)
        corner = (box[0].start, box[1].start, box[2].start)
        missed = np.isin(self._labels[box], self._missed)
        found = outline_segments(np.where(missed, 0, self._labels[box]), plane, corner)
        not_found = outline_segments(np.where(missed, self._labels[box], 0), plane, corner)
        colour = np.repeat(
            [colours.OUTLINE, colours.OUTLINE_MISSED], [len(found), len(not_found)], axis=0
        )
        return np.concatenate([found, not_found]), colour

    def _draw_outlines(self, plane: tuple[int, ...]) -> None:
        if self._labels is None:
            return
        layer = self._stack.find(self._outlines)
        if layer is not None and self._plane == plane:
            return
        self._plane = plane
        segments, colour = self.outline("outline", plane)
        visible = "outline" not in self._off if layer is None else layer.visible
        self._stack.remove(self._outlines)
        self._outlines = self._draw("outline", OUTLINES_NAME, segments, colour, visible)
        if self._outlines is not None:
            self._stack.put_below(self._outlines, ("selected",))

    def _draw_selected(self, plane: tuple[int, ...]) -> None:
        if self._selected is None:
            return
        segments, colour = self.outline("selected", plane)
        layer = self._stack.find(self._selected_outline)
        if layer is not None:
            layer.data = segments
            return
        visible = "selected" not in self._off
        self._selected_outline = self._draw("selected", SELECTED_NAME, segments, colour, visible)

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
