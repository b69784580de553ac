import itertools

import numpy as np
import pandas as pd
import pytest
from cases import OBLIQUE, random_case
from scipy import ndimage

from napari_ies.geometry.box import Box
from napari_ies.patient.midline import Midline
from napari_ies.segmentation.lesions import (
    find_lesions,
    found_words,
    lesion_boxes,
    lesion_table,
    match_reference,
)


def flood(mask):
    """Return the 18-connected components of a mask by flooding, in scan order."""
    steps = [s for s in itertools.product((-1, 0, 1), repeat=3) if 0 < np.abs(s).sum() <= 2]
    left, components = {tuple(v) for v in np.argwhere(mask).tolist()}, []
    for seed in np.argwhere(mask).tolist():
        if tuple(seed) not in left:
            continue
        component, frontier = set(), [tuple(seed)]
        left.discard(tuple(seed))
        while frontier:
            voxel = frontier.pop()
            component.add(voxel)
            for step in steps:
                neighbour = tuple(a + b for a, b in zip(voxel, step, strict=True))
                if neighbour in left:
                    left.discard(neighbour)
                    frontier.append(neighbour)
        components.append(component)
    return components


@pytest.mark.parametrize("smallest", [1, 6])
def test_instances_equal_flooding_with_18_neighbours(smallest):
    probability = np.random.default_rng(0).random((14, 13, 15)).astype(np.float32)
    labels = find_lesions(probability, 0.9, smallest)
    expected = np.zeros_like(labels)
    kept = [c for c in flood(probability > 0.9) if len(c) >= smallest]
    assert len(kept) > 1
    for number, component in enumerate(kept, 1):
        for voxel in component:
            expected[voxel] = number
    assert np.array_equal(labels, expected)


def test_a_voxel_at_the_threshold_is_background_and_five_voxels_are_too_few():
    probability = np.zeros((5, 5, 9), dtype=np.float32)
    probability[0, 0] = 0.3
    probability[2, 2, :5] = 0.31
    probability[4, 4, :6] = 0.31
    labels = find_lesions(probability, 0.3)
    assert labels.max() == 1
    assert np.argwhere(labels).tolist() == [[4, 4, z] for z in range(6)]


def test_corner_neighbours_are_apart_and_edge_neighbours_together():
    probability = np.zeros((4, 4, 4), dtype=np.float32)
    probability[0, 0, 0] = probability[1, 1, 1] = probability[1, 2, 2] = 1
    labels = find_lesions(probability, 0.5, smallest=1)
    assert labels[0, 0, 0] != labels[1, 1, 1]
    assert labels[1, 1, 1] == labels[1, 2, 2]


def test_match_says_tp_fp_and_fn_and_labels_the_missed():
    labels = np.zeros((3, 3, 12), dtype=np.int32)
    labels[0, 0, :3], labels[0, 0, 6:8] = 1, 2
    reference = np.zeros(labels.shape, dtype=bool)
    reference[0, 0, 2:5] = reference[2, 2, :2] = reference[2, 2, 6] = True
    matched, match = match_reference(labels, reference)
    assert match == {1: "TP", 2: "FP", 3: "FN", 4: "FN"}
    assert np.array_equal(matched[labels > 0], labels[labels > 0])
    assert np.argwhere(matched == 3).tolist() == [[2, 2, 0], [2, 2, 1]]
    assert np.argwhere(matched == 4).tolist() == [[2, 2, 6]]
    # The missed part of a reference instance that was found belongs to no lesion.
    assert matched[0, 0, 4] == 0


def test_match_of_nothing_with_nothing():
    nothing = np.zeros((2, 2, 2), dtype=np.int32)
    matched, match = match_reference(nothing, nothing.astype(bool))
    assert match == {}
    assert not matched.any()


def test_table_describes_each_lesion_in_millimetres():
    case = random_case((6, 5, 7))
    labels = np.zeros(case.shape, dtype=np.int32)
    labels[1, 1:3, 2], labels[4, 4, 4:7] = 1, 2
    probability = np.random.default_rng(0).random(case.shape).astype(np.float32)
    table = lesion_table(labels, probability, case, {1: "TP", 2: "FP"})
    voxel_mm3 = abs(np.linalg.det(OBLIQUE[:3, :3]))
    for label in (1, 2):
        voxels = np.argwhere(labels == label)
        row = table.loc[label]
        assert row.voxels == len(voxels)
        assert row.volume_mm3 == pytest.approx(len(voxels) * voxel_mm3)
        assert row.mean_probability == pytest.approx(probability[labels == label].mean())
        assert row.max_probability == pytest.approx(probability[labels == label].max())
        centre = OBLIQUE @ [*voxels.mean(axis=0), 1]
        assert [row.centre_x_mm, row.centre_y_mm, row.centre_z_mm] == pytest.approx(centre[:3])
    assert table.match.tolist() == ["TP", "FP"]


def test_table_says_on_which_side_of_the_midline_each_lesion_lies():
    case = random_case((6, 5, 7))
    normal, offset = np.array([2.0, 1.0, -2.0]) / 3, -3.5
    case.__dict__["midline"] = Midline(tuple(normal), offset, 1.0)
    labels = np.zeros(case.shape, dtype=np.int32)
    labels[0, 0, 0:2], labels[5, 4, 6], labels[2, 1:3, 3] = 1, 2, 3
    table = lesion_table(labels, np.ones(case.shape, np.float32), case)
    sides = set()
    for label in (1, 2, 3):
        x, y, z = (OBLIQUE @ [*np.argwhere(labels == label).mean(axis=0), 1])[:3]
        # 2x/3 + y/3 - 2z/3 = -3.5 is the plane, its normal points to the patient's right.
        distance = (2 * x + y - 2 * z) / 3 + 3.5
        side = "midline" if abs(distance) <= 2 else "right" if distance > 0 else "left"
        sides.add(side)
        assert table.hemisphere[label] == side
        assert table.midline_mm[label] == pytest.approx(abs(distance))
    assert sides == {"left", "right", "midline"}


def test_table_gives_no_side_where_the_images_show_no_midline():
    case = random_case((30, 30, 30))
    labels = np.zeros(case.shape, dtype=np.int32)
    labels[5, 5, 5] = 1
    table = lesion_table(labels, np.ones(case.shape, np.float32), case)
    assert table.hemisphere.tolist() == ["unknown"]
    assert table.midline_mm.isna().tolist() == [True]


def test_table_of_no_lesion_is_empty():
    case = random_case((3, 3, 3))
    table = lesion_table(np.zeros(case.shape, np.int32), np.zeros(case.shape, np.float32), case)
    assert table.empty
    assert "volume_mm3" in table


def test_a_high_label_takes_no_memory_by_its_number():
    """Counting up to it would take 16 GB."""
    case = random_case((6, 7, 8))
    labels = np.zeros((6, 7, 8), np.int32)
    labels[1, 1, 1], labels[4, 5, 5:7] = 2, 2**31 - 1
    table = lesion_table(labels, np.ones(labels.shape, np.float32), case)
    assert table["voxels"].to_dict() == {2: 1, 2**31 - 1: 2}


def test_labels_of_any_size_have_their_boxes_in_little_memory():
    labels = np.zeros((9, 8, 7), dtype=np.int32)
    labels[1:3, 2, 3], labels[5, 4:7, 6], labels[8, 0, 0:2] = 2**31 - 1, 5, 2**30
    assert lesion_boxes(labels) == {
        5: Box((5, 4, 6), (6, 7, 7)),
        2**30: Box((8, 0, 0), (9, 1, 2)),
        2**31 - 1: Box((1, 2, 3), (3, 3, 4)),
    }
    assert lesion_boxes(np.maximum(labels, 1))[1] == Box.whole(labels.shape)
    assert lesion_boxes(np.zeros_like(labels)) == {}


def test_the_table_looks_at_each_lesions_box_and_finds_what_the_whole_grid_gives():
    generator = np.random.default_rng(2)
    labels = generator.integers(0, 9, (14, 12, 10)).astype(np.int32)
    labels[labels == 4] = 0
    probability = generator.random(labels.shape).astype(np.float32)
    table = lesion_table(labels, probability, random_case(labels.shape))
    index = np.unique(labels[labels > 0])
    assert table.index.tolist() == index.tolist()
    assert table.voxels.tolist() == np.bincount(labels.ravel())[index].tolist()
    np.testing.assert_allclose(
        table.mean_probability, ndimage.mean(probability, labels, index), rtol=1e-12
    )
    np.testing.assert_array_equal(
        table.max_probability, ndimage.maximum(probability, labels, index)
    )
    centres = np.array(ndimage.center_of_mass(labels > 0, labels, index))
    at = random_case(labels.shape).grid.to_scanner(centres)
    np.testing.assert_allclose(table[[f"centre_{a}_mm" for a in "xyz"]], at, rtol=1e-12)


@pytest.mark.parametrize(
    ("matches", "said"),
    [
        (None, "4 lesions found"),
        (["TP", "FN", "FP", "TP"], "3 found (2 TP, 1 FP), 1 of the reference missed"),
        (["FN"], "0 found, 1 of the reference missed"),
        ([], "0 found, 0 of the reference missed"),
    ],
)
def test_what_was_found_is_told_from_what_was_missed(matches, said):
    table = pd.DataFrame(index=range(4)) if matches is None else pd.DataFrame({"match": matches})
    assert found_words(table) == said
