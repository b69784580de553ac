"""What the outlines look like on a canvas, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ies.colour_maps import OUTLINE_SELECTED
from napari_ies.viewer.canvas.outlines.lines import WIDTH


def near(picture, colour, tolerance=30):
    """Pixels of a colour (N, 2), as row and column."""
    wanted = 255 * np.array(colour[:3])
    return np.argwhere(np.all(np.abs(picture[..., :3].astype(float) - wanted) < tolerance, axis=-1))


def on_canvas(hands, mask, world):
    """Where the canvas shows the borders of a mask (displayed voxels) in the slice on show."""
    layer = hands.lesions_layer()
    index = np.round(layer.world_to_data(world)).astype(int)
    rows, columns = hands.viewer.dims.displayed
    (depth,) = {0, 1, 2} - {rows, columns}
    slice_ = np.pad(np.moveaxis(mask, depth, 0)[index[depth]], 1)
    if rows > columns:
        slice_ = slice_.T
    found = []
    for row, column in np.ndindex(slice_.shape[0] - 1, slice_.shape[1] - 1):
        for step in ((1, 0), (0, 1)):
            if slice_[row, column] != slice_[row + step[0], column + step[1]]:
                # The padding shifts by one voxel; a border lies half a voxel further.
                at = np.array(index, float)
                at[rows], at[columns] = row - 1 + step[0] / 2, column - 1 + step[1] / 2
                found.append(hands.pixel_of(layer.data_to_world(at)))
    return found


def test_lines_lie_on_the_borders_and_nowhere_else_and_come_and_go(segmented):
    visible = [(layer, layer.visible) for layer in segmented.viewer.layers]
    segmented.panel.state.select(2)
    for order in ((1, 0, 2), (2, 1, 0), (0, 1, 2)):
        lines_lie_on_the_borders(segmented, order)
    for layer, was in visible:
        layer.visible = was
    segmented.viewer.reset_view()
    segmented.afresh()
    lines_come_and_go_with_what_is_shown(segmented)
    a_hidden_layer_is_removed_and_the_others_are_moved(segmented)


def lines_lie_on_the_borders(segmented, order):
    viewer = segmented.viewer
    viewer.dims.order = order
    viewer.reset_view()
    segmented.settle()
    for layer in viewer.layers:
        layer.visible = False
    for zoom in (1.0, 2.5):
        viewer.scene.camera.zoom *= zoom
        segmented.settle()
        picture = viewer.screenshot(flash=False)
        ratio = picture.shape[1] / viewer.window._qt_viewer.canvas.native.width()
        at = viewer.dims.point
        labels = np.asarray(segmented.lesions_layer().data)
        borders = [(p.y() * ratio, p.x() * ratio) for p in on_canvas(segmented, labels == 2, at)]
        inside = [
            (row, column)
            for row, column in borders
            if 2 < row < picture.shape[0] - 3 and 2 < column < picture.shape[1] - 3
        ]
        assert len(inside) > 8
        pixels = near(picture, OUTLINE_SELECTED)
        for border in inside:
            assert np.abs(pixels - border).max(axis=1).min() <= 2
        # Lines of constant width: their area is their length on screen.
        size = viewer.scene.camera.zoom * ratio
        scale = np.array(segmented.lesions_layer().scale)
        rows, columns = viewer.dims.displayed
        if len(inside) == len(borders):
            length = size * sum_of_edges(labels == 2, at, segmented, (rows, columns), scale)
            assert len(pixels) == pytest.approx(length * WIDTH * ratio, rel=0.5)


def sum_of_edges(mask, world, hands, plane, scale):
    """Length of the borders in the slice on show, in mm."""
    (depth,) = {0, 1, 2} - set(plane)
    index = int(np.round(hands.lesions_layer().world_to_data(world))[depth])
    slice_ = np.moveaxis(mask, depth, 0)[index]
    first, second = sorted(plane)
    across = np.sum(np.diff(np.pad(slice_, 1).astype(int), axis=0) != 0) * scale[second]
    down = np.sum(np.diff(np.pad(slice_, 1).astype(int), axis=1) != 0) * scale[first]
    return float(across + down)


def lines_come_and_go_with_what_is_shown(segmented):
    viewer, panel = segmented.viewer, segmented.panel
    panel.state.select(2)
    segmented.settle()
    lines = panel.features["planes"].outlines
    there = lines.count
    assert there > 0

    def selected_pixels():
        return len(near(viewer.screenshot(flash=False), OUTLINE_SELECTED))

    assert selected_pixels() > 0
    segmented.into_space()
    assert lines.count == 0
    assert segmented.lesions_layer().visible  # filled instead
    viewer.dims.ndisplay = 2
    segmented.settle()
    assert lines.count == there
    assert not segmented.lesions_layer().visible
    panel.services.scene.lesions.outlines.toggle()
    segmented.settle()
    assert lines.count == 0
    assert selected_pixels() == 0
    panel.services.scene.lesions.outlines.toggle()
    viewer.layers.remove(segmented.lesions_layer())
    segmented.settle()
    assert lines.count == 0
    panel.state.select(2)
    segmented.settle()
    assert lines.count > 0


def a_hidden_layer_is_removed_and_the_others_are_moved(segmented):
    # Plain napari ends here with a segmentation fault: it frees textures of another context.
    viewer = segmented.viewer
    segmented.panel.services.scene.lesions.outlines.toggle()
    viewer.add_image(np.zeros((4, 5, 6)), name="mine").visible = False
    segmented.settle()
    viewer.layers.remove("mine")
    segmented.settle()
    for _ in range(len(viewer.layers)):
        viewer.layers.move(0, len(viewer.layers))
        segmented.settle()
        assert viewer.screenshot(flash=False).any()
