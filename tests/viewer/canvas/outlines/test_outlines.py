"""Which edges are outlined in a slice, against a loop over its pixels."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ies.colour_maps import OUTLINE_SELECTED
from napari_ies.geometry.orientation import Reorientation
from napari_ies.viewer.canvas.colours import OUTLINE, OUTLINE_MISSED
from napari_ies.viewer.canvas.outlines.outlines import Outlines
from napari_ies.viewer.volumes.frame import Frame

SHAPE = (6, 7, 8)
PLANES = ((1, 2), (0, 2), (0, 1), (2, 1))


@pytest.fixture
def frame():
    affine = np.diag([-1.0, -1.0, -1.0, 1.0])
    reorientation = Reorientation.for_display(affine, SHAPE)
    return Frame(reorientation, (2.0, 0.5, 1.5), (10.0, -4.0, 3.0))


@pytest.fixture
def labels():
    generator = np.random.default_rng(3)
    labels = np.zeros(SHAPE, np.int32)
    labels[1:5, 1:6, 2:8] = generator.integers(0, 4, (4, 5, 6))
    return labels


def edges_of(labels, plane, index):
    """The borders within one slice, each as its two ends in voxel indices along the plane."""
    (depth,) = {0, 1, 2} - set(plane)
    order = (depth, *plane)
    slice_ = labels.transpose(order)[index]
    rows, columns = slice_.shape

    def value(row, column):
        return slice_[row, column] if 0 <= row < rows and 0 <= column < columns else 0

    found = set()
    for row in range(-1, rows):
        for column in range(-1, columns):
            if value(row, column) != value(row + 1, column):
                found.add(((row + 0.5, column - 0.5), (row + 0.5, column + 0.5)))
            if value(row, column) != value(row, column + 1):
                found.add(((row - 0.5, column + 0.5), (row + 0.5, column + 0.5)))
    return found


def drawn(outlines, frame, plane, index, colour):
    """The edges drawn in a colour, in voxel indices."""
    (depth,) = {0, 1, 2} - set(plane)
    ends, colours = outlines.lines(plane, frame.translate[depth] + index * frame.scale[depth])
    mine = ends[np.all(np.isclose(colours, colour), axis=1)].astype(float)
    axes = list(plane)
    voxels = (mine - np.array(frame.translate)[axes]) / np.array(frame.scale)[axes]
    return [tuple(tuple(np.round(end, 3).tolist()) for end in edge) for edge in voxels]


@pytest.mark.parametrize("plane", PLANES)
def test_lines_are_the_borders_of_each_slice(labels, frame, plane):
    outlines = Outlines()
    outlines.set_lesions(labels, frame, missed=(2,))
    mask = labels[2:5, 2:5, 3:7] == 1
    outlines.select(mask, (2, 2, 3), frame)
    whole = np.zeros(SHAPE, bool)
    whole[2:5, 2:5, 3:7] = mask
    (depth,) = {0, 1, 2} - set(plane)
    for index in range(SHAPE[depth]):
        for colour, which in (
            (OUTLINE, np.where(labels == 2, 0, labels)),
            (OUTLINE_MISSED, np.where(labels == 2, 2, 0)),
            (OUTLINE_SELECTED, whole),
        ):
            found = drawn(outlines, frame, plane, index, colour)
            assert len(found) == len(set(found))
            assert set(found) == edges_of(which, plane, index)


def test_nothing_is_outlined_outside_the_grid_or_after_clearing(labels, frame):
    outlines = Outlines()
    assert len(outlines.lines((1, 2), 0.0)[0]) == 0
    told = []
    outlines.changed.connect(lambda: told.append(outlines.shown))
    outlines.set_lesions(labels, frame)
    inside = frame.translate[0] + 2 * frame.scale[0]
    assert len(outlines.lines((1, 2), inside)[0]) > 0
    for far in (-1e3, 1e3):
        assert len(outlines.lines((1, 2), far)[0]) == 0
    outlines.toggle()
    outlines.clear()
    assert len(outlines.lines((1, 2), inside)[0]) == 0
    assert told == [True, False, False]
