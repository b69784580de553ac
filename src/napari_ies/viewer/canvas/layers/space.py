"""Space: lesions and head as surfaces, there only while the 3-d view is.

Surfaces, because a graphics card draws them at once and a computer without one in good time;
volumes of whole heads need seconds for a picture there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.colour_maps import OUTLINE_SELECTED
from napari_ies.viewer.canvas import colours
from napari_ies.viewer.volumes.frame import AXIS_LABELS
from napari_ies.viewer.volumes.units import MM

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_ies.viewer.canvas.layers.stack import LayerStack
    from napari_ies.viewer.canvas.surfaces import Surfaces
    from napari_ies.viewer.volumes.frame import Frame

HEAD_NAME = "Head"
HEAD_OPACITY = 0.12
LESIONS_NAME = "Lesions in space"
LESIONS_OPACITY = 0.55
"""The selected lesion's saliency shines through."""


class SpaceLayers:
    """The surfaces of a reading."""

    def __init__(self, stack: LayerStack) -> None:
        self._stack = stack
        self._head: str | None = None
        self._lesions: str | None = None
        self._surfaces: Surfaces | None = None
        self._frame: Frame | None = None

    def show(
        self, surfaces: Surfaces, frame: Frame, matches: Mapping[int, str], selected: object
    ) -> None:
        """Show surfaces in place of those before.

        Parameters
        ----------
        surfaces, frame
            Of the head and of the lesions, and the frame of the grid they were found on.
        matches
            ``"TP"``, ``"FP"`` or ``"FN"`` by label; empty without a reference.
        selected
            The selected lesion's label, or anything else where none is selected.
        """
        self.hide()
        self._surfaces, self._frame = surfaces, frame
        if surfaces.head is not None:
            vertices, triangles = surfaces.head
            self._head = self._make(
                "head", HEAD_NAME, vertices, triangles, np.ones(len(vertices)), HEAD_OPACITY
            )
            self._stack.put_at_bottom(self._head)
        if surfaces.lesions is not None:
            vertices, triangles = surfaces.lesions
            values = np.zeros(len(vertices))
            self._lesions = self._make(
                "space", LESIONS_NAME, vertices, triangles, values, LESIONS_OPACITY
            )
            self.colour(matches, selected)
            self._stack.put_below(self._lesions, ("overlay",))

    def colour(self, matches: Mapping[int, str], selected: object) -> None:
        """Colour the lesions by their match, and the one that is selected."""
        layer = self._stack.find(self._lesions)
        if layer is None or self._surfaces is None:
            return
        labels = self._surfaces.labels
        colour = np.tile(np.array(colours.AMBER), (len(labels), 1))
        for kind, outline in colours.OUTLINES.items():
            of_kind = [label for label, match in matches.items() if match == kind]
            colour[np.isin(labels, of_kind)] = outline.colour
        if isinstance(selected, int):
            colour[labels == selected] = OUTLINE_SELECTED
        colour[:, 3] = 1.0
        layer.vertex_colors = colour

    def hide(self) -> None:
        """Remove the surfaces."""
        self._stack.remove(self._head, self._lesions)
        self._head = self._lesions = self._surfaces = None

    def _make(
        self, what: str, name: str, vertices: Any, triangles: Any, values: Any, opacity: float
    ) -> str:
        units, mm = (MM, 1.0) if self._frame is None else (self._frame.units, self._frame.mm)
        return self._stack.make(
            "surface",
            what,
            (vertices / mm, triangles, values.astype(np.float32)),
            name=name,
            colormap="gray",
            contrast_limits=(0.0, 1.0),
            opacity=opacity,
            shading="smooth",
            units=units,
            axis_labels=AXIS_LABELS,
        )
