"""Boxes against masks of the whole volume: what a box says is what its voxels say."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from napari_ies.geometry.box import Box

SHAPE = (5, 6, 7)
RANDOM = np.random.default_rng(0)
BOXES = [
    Box(start, start + RANDOM.integers(1, 6, 3)) for start in RANDOM.integers(-3, 7, size=(40, 3))
]
LARGE = Box((-5, -5, -5), (15, 15, 15))


def mask_of(box):
    """Return the box's voxels in a volume that holds every box here, voxel by voxel."""
    voxels = np.stack(np.indices(LARGE.shape), axis=-1) + LARGE.start
    return np.all((voxels >= box.start) & (voxels < box.stop), axis=-1)


def test_a_box_is_an_index_and_a_value():
    box = Box(np.array([1, 2, 3]), (2, 5, 7))
    volume = np.arange(5 * 6 * 7).reshape(SHAPE)
    assert np.array_equal(volume[box], volume[1:2, 2:5, 3:7])
    assert torch.equal(torch.from_numpy(volume)[box], torch.from_numpy(volume[1:2, 2:5, 3:7]))
    assert (box.start, box.stop, box.shape, box.size) == ((1, 2, 3), (2, 5, 7), (1, 3, 4), 12)
    assert (
        box == Box((1, 2, 3), (2, 5, 7)) == Box.of(slice(a, b) for a, b in ((1, 2), (2, 5), (3, 7)))
    )
    assert {box: 1}[Box((1, 2, 3), (2, 5, 7))] == 1
    assert copy.deepcopy(box) == box
    with pytest.raises(ValueError, match="argument"):
        Box((1, 2), (3, 4, 5))


@pytest.mark.parametrize("box", BOXES)
def test_it_holds_its_voxels_and_no_others(box):
    marked = np.argwhere(mask_of(box)) + LARGE.start
    assert len(marked) == box.size
    assert Box.of_voxels(marked) == box
    assert Box.around(mask_of(box)).shift(LARGE.start) == box
    assert all(box.holds(voxel) for voxel in marked)
    assert not box.holds(box.stop)


@pytest.mark.parametrize("one", BOXES[:12])
@pytest.mark.parametrize("other", BOXES[12:24])
def test_what_two_boxes_share_and_what_holds_both(one, other):
    both = mask_of(one) & mask_of(other)
    shared = one.meet(other)
    assert both.any() == (shared is not None)
    if shared is not None:
        assert np.array_equal(mask_of(shared), both)
    either = np.argwhere(mask_of(one) | mask_of(other)) + LARGE.start
    assert Box.hull([one, other]) == Box.of_voxels(either)


@pytest.mark.parametrize("box", BOXES)
def test_a_part_of_a_volume_in_the_indices_of_a_box_of_it(box):
    values = RANDOM.random(LARGE.shape)
    part = box.meet(Box.whole(SHAPE)) or Box.whole(SHAPE)
    held = values[box.within(LARGE)]
    if box.meet(part) == part:
        assert np.array_equal(held[part.within(box)], values[part.within(LARGE)])
    assert box.within(LARGE).shift(LARGE.start) == box


@pytest.mark.parametrize("box", BOXES)
def test_grown_and_cut_to_the_volume(box):
    grown = box.grow((1, 0, 2))
    near = np.argwhere(mask_of(box)) + LARGE.start
    assert grown.start == tuple(near.min(axis=0) - (1, 0, 2))
    assert grown.stop == tuple(near.max(axis=0) + 1 + (1, 0, 2))
    clipped, shared = box.clip(SHAPE), box.meet(Box.whole(SHAPE))
    if shared is not None:
        assert clipped == shared
    else:  # one voxel at the least, the nearest on every axis
        assert clipped.meet(Box.whole(SHAPE)) == clipped
        for side, own, size in zip(clipped, box, SHAPE, strict=True):
            assert side.start == min(max(own.start, 0), size - 1)


def test_a_mask_of_nothing_has_the_first_voxel():
    assert Box.around(np.zeros(SHAPE, dtype=bool)) == Box((0, 0, 0), (1, 1, 1))


@pytest.mark.parametrize("one", BOXES[:8])
@pytest.mark.parametrize("other", BOXES[8:16])
def test_values_laid_on_another_box_are_where_they_were(one, other):
    whole = np.zeros((2, *LARGE.shape))
    values = RANDOM.random((2, *one.shape))
    whole[(..., *one.within(LARGE))] = values
    assert np.array_equal(one.lay(values, other), whole[(..., *other.within(LARGE))])
