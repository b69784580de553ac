"""Another threshold: the same lesions as segmenting anew, numbered as before where they stay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cases import random_case
from scipy import ndimage

from napari_ies.errors import SegmentationError
from napari_ies.segmentation.lesions import (
    find_lesions,
    lesion_boxes,
    lesion_table,
    match_reference,
)
from napari_ies.segmentation.segmentation import Segmentation
from napari_ies.segmentation.threshold_change import at_threshold, matched_anew

SHAPE = (24, 22, 20)


@pytest.fixture(scope="module")
def case():
    return random_case(shape=SHAPE)


@pytest.fixture(scope="module")
def probability():
    """Blobs, some with steep borders that no threshold moves."""
    noise = ndimage.gaussian_filter(np.random.default_rng(2).normal(size=SHAPE), 1.6)
    smooth = (noise - noise.min()) / np.ptp(noise)
    smooth[:7, :7, :7] = smooth[16:, :7, 12:] = 0.0
    smooth[2:5, 2:5, 2:5] = smooth[18:21, 2:5, 14:18] = 1.0
    return smooth.astype(np.float32)


@pytest.fixture(scope="module")
def reference(probability):
    mask = np.zeros(SHAPE, dtype=bool)
    mask[2:5, 2:5, 2:5] = mask[10:13, 18:21, 1:4] = True
    return mask


def found(case, probability, threshold, reference=None, smallest=4):
    labels, match = find_lesions(probability, threshold, smallest), None
    if reference is not None:
        labels, match = match_reference(labels, reference)
    table = lesion_table(labels, probability, case, match)
    return Segmentation(
        probability, labels, table, threshold, "sliding-window", "CPU", smallest=smallest
    )


def voxels(segmentation):
    return {
        label: frozenset(map(tuple, np.argwhere(segmentation.labels == label)))
        for label in segmentation.lesions.index
    }


@pytest.mark.parametrize("matched", [False, True])
@pytest.mark.parametrize("threshold", [0.5, 0.72, 0.9])
def test_what_stays_the_same_keeps_its_number_and_no_number_is_used_again(
    case, probability, reference, matched, threshold
):
    mask = reference if matched else None
    before = found(case, probability, 0.6, mask)
    after = at_threshold(before, case, threshold=threshold, smallest=4, reference=mask)
    anew = found(case, probability, threshold, mask)
    assert (after.threshold, after.smallest) == (threshold, 4)
    was, now = voxels(before), voxels(after)
    assert sorted(now.values(), key=sorted) == sorted(voxels(anew).values(), key=sorted)
    same = 0
    for label, those in now.items():
        former = [one for one, others in was.items() if others == those]
        assert former == ([label] if former else [])
        assert former or label > max(was)
        same += len(former)
    assert same > 0
    if matched:
        kinds = {those: anew.lesions["match"][label] for label, those in voxels(anew).items()}
        assert {label: kinds[those] for label, those in now.items()} == dict(after.lesions["match"])
    assert "The threshold was 0.6 before" in after.notes[-1]
    # And back again: numbers of what changed twice are new ones once more,
    again = at_threshold(after, case, threshold=0.6, smallest=4, reference=mask)
    for label, those in voxels(again).items():
        assert now.get(label, those) == those
    # unless it is known what there was before: then all is as it was.
    boxes = lesion_boxes(before.labels)
    former = {n: (box, before.labels[box] == n) for n, box in boxes.items() if n not in now}
    again = at_threshold(after, case, threshold=0.6, smallest=4, reference=mask, former=former)
    np.testing.assert_array_equal(again.labels, before.labels)
    assert again.lesions.equals(before.lesions)
    assert again.notes[-1].startswith(f"The threshold was {threshold:g} before")
    assert [note for note in again.notes if "The threshold was" in note] == [again.notes[-1]]
    assert "new ones" in again.notes[-1]  # no number that a way back makes false


def test_another_reference_changes_the_matches_and_no_number(case, probability, reference):
    before = found(case, probability, 0.6)
    after = matched_anew(before, case, reference)
    anew = found(case, probability, 0.6, reference)
    np.testing.assert_array_equal(after.labels, anew.labels)
    assert after.lesions.equals(anew.lesions)
    # Another one: what was missed of the first goes, and its numbers are not used again.
    other = np.zeros_like(reference)
    other[6, 6, 3:7] = True
    assert (after.labels[other] == 0).all()
    again = matched_anew(after, case, other, used=0)
    assert set(again.lesions["match"]) == {"FP", "FN"}
    (missed,) = again.lesions.index[again.lesions["match"] == "FN"]
    assert missed > max(after.lesions.index)
    assert (np.argwhere(again.labels == missed) == np.argwhere(other)).all()
    none = matched_anew(again, case, None)
    np.testing.assert_array_equal(none.labels, before.labels)
    assert none.lesions.equals(before.lesions)


def test_lesions_that_are_not_of_the_threshold_are_left_alone(case, probability, reference):
    before = found(case, probability, 0.6)
    corrected = before.labels.copy()
    corrected[corrected == 1] = 0
    with pytest.raises(SegmentationError, match="corrected by hand"):
        at_threshold(replace(before, labels=corrected), case, threshold=0.5, smallest=4)
    matched = found(case, probability, 0.6, reference)
    with pytest.raises(SegmentationError, match="reference"):
        at_threshold(matched, case, threshold=0.5, smallest=4)
