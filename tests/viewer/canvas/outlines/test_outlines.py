"""Which edges are outlined in a slice, against a loop over its pixels."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ies.colour_maps import OUTLINE_SELECTED
from napari_ies.geometry.orientation import Reorientation
from napari_ies.viewer.canvas.colours import OUTLINES, UNMATCHED
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


def kept(edges, dash, gap):
    """The edges that dashes leave, counted along the axis that each of them runs along."""
    along = (edge[0][0] if edge[0][0] != edge[1][0] else edge[0][1] for edge in edges)
    numbers = (int(start + 0.5) for start in along)
    return {e for e, n in zip(edges, numbers, strict=True) if (n - 1) % (dash + gap) < dash}


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("matches", [None, {1: "TP", 2: "FN", 3: "FP"}])
def test_lines_are_the_borders_of_each_slice(labels, frame, plane, matches):
    outlines = Outlines()
    outlines.set_lesions(labels, frame, matches)
    mask = labels[2:5, 2:5, 3:7] == 1
    outlines.select(mask, (2, 2, 3), frame, "FP" if matches else None)
    whole = np.zeros(SHAPE, bool)
    whole[2:5, 2:5, 3:7] = mask
    (depth,) = {0, 1, 2} - set(plane)
    for index in range(SHAPE[depth]):
        drawn_as = [(UNMATCHED.colour, (1, 0), labels), (OUTLINE_SELECTED, (1, 0), whole)]
        if matches:
            drawn_as = [(OUTLINE_SELECTED, OUTLINES["FP"].dashes, whole)] + [
                (OUTLINES[match].colour, OUTLINES[match].dashes, labels * (labels == label))
                for label, match in matches.items()
            ]
        for colour, dashes, which in drawn_as:
            found = drawn(outlines, frame, plane, index, colour)
            assert len(found) == len(set(found))
            assert set(found) == kept(edges_of(which, plane, index), *dashes)


def test_dashes_leave_gaps_along_every_side_and_every_stair():
    """Of a disc: no eight edges in a row are all drawn, or all left out, the way round."""
    rows, columns = np.indices((24, 24)) - 11.5
    labels = (rows**2 + columns**2 < 81).astype(np.int32)[None]
    frame = Frame(Reorientation.for_display(np.eye(4), (1, 24, 24)), (1.0, 1.0, 1.0), (0, 0, 0))
    for match in ("FP", "FN"):
        outlines = Outlines()
        outlines.set_lesions(labels, frame, {1: match})
        found = set(drawn(outlines, frame, (1, 2), 0, OUTLINES[match].colour))
        every = edges_of(labels, (1, 2), 0)
        middle = {edge: np.mean(edge, axis=0) for edge in every}
        around = sorted(every, key=lambda edge: np.arctan2(*middle[edge]))
        there = "".join("x" if edge in found else " " for edge in around)
        assert "x" * 12 not in there * 2
        assert " " * 6 not in there * 2


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
