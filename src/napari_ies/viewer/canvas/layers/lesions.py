"""The lesions: a Labels layer and their probability; their outlines are no layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.viewer.canvas import colours
from napari_ies.viewer.canvas.layers.stack import spare_thumbnail
from napari_ies.viewer.canvas.outlines.outlines import Outlines

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_ies.patient.case import Case
    from napari_ies.segmentation.segmentation import Segmentation
    from napari_ies.viewer.canvas.layers.stack import LayerStack
    from napari_ies.viewer.volumes.frame import Frame, Voxel

LESIONS_NAME = "Lesions"
PROBABILITY_NAME = "Lesion probability"
FILL_OPACITY = 0.6


class LesionLayers:
    """The layers of a segmentation.

    In slices the outlines say where the lesions are, so that nothing covers them; the filled
    lesions are hidden, one click away in the layer list, and shown in the 3-d view.

    Attributes
    ----------
    outlines
        What is outlined in the slices.
    matches
        ``"TP"``, ``"FP"`` or ``"FN"`` by label; empty without a reference.
    replaced
        Whether surfaces stand for the lesions in the 3-d view.
    """

    def __init__(self, stack: LayerStack) -> None:
        self._stack = stack
        self.outlines = Outlines()
        self.replaced = False
        self._lesions: str | None = None
        self._probability: str | None = None
        self._shown_for_space = False
        self.matches: dict[int, str] = {}
        self._frame: Frame | None = None

    @property
    def layer(self) -> Any | None:
        """The Labels layer, or None if it is gone."""
        return self._stack.find(self._lesions)

    def show(self, segmentation: Segmentation, case: Case, frame: Frame) -> None:
        """Show the lesions and, hidden, the probability, in place of those before."""
        same = frame == self._frame
        self._frame = frame
        table, self.matches = segmentation.lesions, {}
        if "match" in table:
            self.matches = dict(zip(map(int, table.index), map(str, table["match"]), strict=True))
        labels = frame.reorientation.apply(segmentation.labels)
        probability = frame.reorientation.apply(segmentation.probability)
        # On the same grid the layers stay: napari takes seconds to make them anew.
        if not (same and self._show_others(labels, probability)):
            self._make(labels, probability, case, frame)
        self.outlines.set_lesions(labels, frame, self.matches)
        self.follow_view()

    def _show_others(self, labels: NDArray[np.int32], probability: NDArray[np.float32]) -> bool:
        """Show other values in the layers that are there; return whether both are."""
        layer, below = self.layer, self._stack.find(self._probability)
        if layer is None or below is None or layer.data.shape != labels.shape:
            return False
        layer.colormap = colours.lesion_fill(self.matches)
        layer.data = labels
        layer.editable = False
        if not np.may_share_memory(below.data, probability):  # at another threshold it is the same
            below.data = probability
        return True

    def _make(
        self,
        labels: NDArray[np.int32],
        probability: NDArray[np.float32],
        case: Case,
        frame: Frame,
    ) -> None:
        self._stack.remove(self._probability, self._lesions)
        self._shown_for_space = False
        placed = {"known": {"affine": case.affine}, **frame.placement()}
        self._probability = self._stack.make(
            "image",
            "probability",
            probability,
            name=PROBABILITY_NAME,
            colormap="viridis",
            contrast_limits=(0.0, 1.0),
            opacity=0.6,
            visible=False,
            **placed,
        )
        self._lesions = self._stack.make(
            "labels",
            "lesions",
            labels,
            name=LESIONS_NAME,
            colormap=colours.lesion_fill(self.matches),
            opacity=FILL_OPACITY,
            visible=False,
            **placed,
        )
        layer = self.layer
        if layer is not None:
            layer.editable = False
            spare_thumbnail(layer)
            self._stack.stays_selected = self._lesions

    def select(self, subject: int | str, mask: NDArray[np.bool_], origin: Voxel) -> None:
        """Outline one lesion, or another region, apart from the others.

        Parameters
        ----------
        subject
            The lesion's label, or the region's name.
        mask, origin
            Its voxels in a displayed box, and the displayed index of the box's first voxel.
        """
        if self._frame is None:
            return
        layer = self.layer
        if layer is not None:
            label = subject if isinstance(subject, int) else None
            layer.colormap = colours.lesion_fill(self.matches, label)
            if label is not None:
                layer.selected_label = label
        match = self.matches.get(subject) if isinstance(subject, int) else None
        self.outlines.select(mask, origin, self._frame, match)

    def follow_view(self) -> None:
        """Show the filled lesions in napari's 3-d view, which has no outlines; not in slices."""
        layer = self.layer
        if layer is None:
            return
        if self._stack.viewer.dims.ndisplay == 3:
            if not layer.visible and not self.replaced:
                layer.visible = self._shown_for_space = True
        elif self._shown_for_space:
            layer.visible = self._shown_for_space = False

    def clear(self) -> None:
        """Show no lesions any more."""
        self._stack.remove(self._probability, self._lesions)
        self._stack.stays_selected = self._probability = None
        self.follow_layers()

    def follow_layers(self) -> None:
        """Outline nothing once a person removed the lesions' layer."""
        if self._lesions is not None and self.layer is None:
            self._lesions = None
            self.outlines.clear()
