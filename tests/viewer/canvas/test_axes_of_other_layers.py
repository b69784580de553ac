"""An axis that only other layers have, such as time, across or down the canvas."""

from __future__ import annotations

import numpy as np

ORDERS = ((1, 2, 0, 3), (3, 2, 1, 0), (1, 2, 3, 0), (0, 1, 2, 3))


def test_any_order_of_the_axes(segmented):
    panel, viewer = segmented.panel, segmented.viewer
    viewer.add_image(np.zeros((3, 9, 9, 9), np.float32), units=("s", "mm", "mm", "mm"))
    for order in ORDERS:
        viewer.dims.order = order
        segmented.settle()
    panel.state.select(2)
    assert panel.features["planes"].outlines.count > 0
    panel.features["planes"].toggle()
    for order in ORDERS:
        viewer.dims.order = order
        panel.features["planes"].three.crosshair.move((1.0, 2.0, 3.0))
        segmented.settle()
    panel.features["planes"].toggle()
    viewer.dims.order = ORDERS[0]
    panel.features["planes"].toggle()
    assert panel.features["planes"].three is None
    assert "cannot be shown" in panel.status.text
