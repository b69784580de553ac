from __future__ import annotations

import numpy as np
import pytest

from napari_ies.geometry.outline import chained, outline_segments


@pytest.mark.parametrize("seed", range(4))
def test_chained_edges_are_the_same_edges_joined_to_closed_lines(seed):
    mask = np.random.default_rng(seed).random((1, 7, 9)) < 0.45
    edges = outline_segments(mask, (1, 2))[:, :, 1:]
    lines = chained(edges)

    def known(pairs):
        return sorted(tuple(sorted(map(tuple, pair))) for pair in pairs.tolist())

    joined = np.concatenate([np.stack([line[:-1], line[1:]], axis=1) for line in lines])
    assert known(joined) == known(edges)
    for line in lines:
        np.testing.assert_array_equal(line[0], line[-1])


def test_lines_that_end_are_joined_too():
    edges = np.array([[[0.0, 0], [1, 0]], [[2, 0], [1, 0]], [[5, 5], [5, 6]]])
    lines = sorted(len(line) for line in chained(edges))
    assert sum(lines) - len(lines) == 3
    assert chained(edges[:0]) == []
