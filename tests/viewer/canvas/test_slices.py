"""Sliders stand on the slices of the first sequence, whatever else is in the viewer."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_ies.viewer.canvas.slices import Slices
from napari_ies.viewer.volumes.frame import Frame

SHAPE = (6, 5, 36)
AFFINE = np.diag([-0.9, 1.1, 4.0, 1.0])


@pytest.fixture
def viewer():
    """36 axial slices of 4 mm, and another image of 3.1 mm that reaches farther."""
    frame, model = Frame.of_grid(AFFINE, SHAPE), ViewerModel()
    data = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    model.add_image(frame.reorientation.apply(data), name="FLAIR", **frame.placement())
    other = Frame.of_grid(np.diag([-0.7, 0.7, 3.1, 1.0]) + _shift(20.0), (12, 12, 60))
    model.add_image(np.zeros(other.reorientation.displayed_shape), **other.placement())
    return model


def _shift(mm):
    shift = np.zeros((4, 4))
    shift[:3, 3] = -mm
    return shift


def test_each_step_shows_the_next_slice_and_none_lies_past_the_volume(viewer):
    frame = Frame.of_grid(AFFINE, SHAPE)
    napari_s_own = viewer.dims.range
    assert viewer.dims.nsteps[0] > 36
    slices = Slices(viewer, frame)
    assert viewer.dims.nsteps == frame.reorientation.displayed_shape == (36, 5, 6)
    flair = viewer.layers["FLAIR"]
    for axis in range(3):
        for step in range(viewer.dims.nsteps[axis]):
            viewer.dims.set_current_step(axis, step)
            assert np.round(flair.world_to_data(viewer.dims.point))[axis] == step
        viewer.dims.set_current_step(axis, 1000)
        assert viewer.dims.current_step[axis] == viewer.dims.nsteps[axis] - 1
    # Layers that come, move, or are of other units or more dimensions change nothing of that.
    overlay = viewer.add_image(np.zeros((2, 2, 2)), **frame.placement())
    overlay.translate = (500.0, 500.0, 500.0)
    overlay.data = np.zeros((3, 3, 3))
    assert viewer.dims.nsteps == (36, 5, 6)
    assert viewer.dims.point[0] <= frame.translate[0] + 35 * 4.0 + 1e-3
    tiny = viewer.add_image(np.zeros((4, 4, 4)), units=("um",) * 3)
    assert viewer.dims.nsteps == (36, 5, 6)
    assert viewer.dims.range[0].step == pytest.approx(4000.0)
    viewer.layers.remove(tiny)
    assert viewer.dims.range[0].step == pytest.approx(4.0)
    series = viewer.add_image(np.zeros((3, 4, 4, 4)), units=("s", "mm", "mm", "mm"))
    assert viewer.dims.nsteps == (3, 36, 5, 6)
    viewer.layers.remove(series)
    viewer.layers.remove(overlay)
    slices.release()
    np.testing.assert_allclose(viewer.dims.range, napari_s_own)
    viewer.layers.clear()
