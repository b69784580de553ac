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
    panel.select(2)
    assert panel._planes.outlines.count > 0
    panel.toggle_planes()
    for order in ORDERS:
        viewer.dims.order = order
        panel._planes.three.crosshair.move((1.0, 2.0, 3.0))
        segmented.settle()
    panel.toggle_planes()
    viewer.dims.order = ORDERS[0]
    panel.toggle_planes()
    assert panel._planes.three is None
    assert "cannot be shown" in panel.status.text
