"""Regions: Labels layers to paint in. They belong to the person who paints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_ies.viewer.canvas.layers.stack import key_of
from napari_ies.viewer.volumes.layer_data import METADATA_KEY

if TYPE_CHECKING:
    from napari_ies.patient.case import Case
    from napari_ies.viewer.canvas.layers.stack import LayerStack
    from napari_ies.viewer.volumes.frame import Frame

BRUSH_MM = 4.0


def add_region(stack: LayerStack, case: Case, frame: Frame) -> str:
    """Add an empty Labels layer on a case's grid, with the brush in hand; return its key.

    From then on it is the user's own layer: nothing here changes or removes it.
    """
    names = {layer.name for layer in stack}
    number = next(n for n in range(1, len(names) + 2) if f"Region {n}" not in names)
    layer = stack.viewer.add_labels(
        np.zeros(frame.reorientation.displayed_shape, dtype=np.uint8),
        name=f"Region {number}",
        opacity=0.5,
        metadata={METADATA_KEY: {"affine": case.affine}},
        **frame.placement(),
    )
    key = key_of(layer)
    layer.brush_size = max(round(BRUSH_MM / min(frame.scale)), 1)
    stack.viewer.layers.selection.active = stack.find(key)
    layer.mode = "paint"
    return key
