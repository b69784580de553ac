"""Another threshold: the same lesions as segmenting anew, numbered as before where they stay."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from cases import random_case
from scipy import ndimage

from napari_ies.errors import SegmentationError
from napari_ies.segmentation.change import change_of
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


def is_found(segmentation, label):
    """Whether the network found it, so that it is no lesion of the reference that was missed."""
    lesions = segmentation.lesions
    return "match" not in lesions or lesions["match"][label] != "FN"


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


@pytest.mark.parametrize("matched", [False, True])
@pytest.mark.parametrize(("before", "after"), [(0.6, 0.5), (0.5, 0.6), (0.55, 0.72), (0.72, 0.5)])
def test_what_changed_is_told_from_what_is_new(
    case, probability, reference, matched, before, after
):
    mask = reference if matched else None
    earlier = found(case, probability, before, mask)
    later = at_threshold(earlier, case, threshold=after, smallest=4, reference=mask)
    told = change_of(earlier, later)
    was, now = (
        {n: one for n, one in voxels(s).items() if is_found(s, n)} for s in (earlier, later)
    )
    touching = {n: tuple(o for o in was if was[o] & now[n]) for n in now}
    same = [n for n in now if n in was]
    assert list(told.same) == same
    assert told.changed == {n: touching[n] for n in now if touching[n] and n not in same}
    assert list(told.new) == [n for n in now if not touching[n]]
    assert list(told.gone) == [o for o in was if not any(o in touching[n] for n in now)]
    # Each lesion of either table is in one of the kinds that are counted.
    assert len(now) == len(told.same) + len(told.changed) + len(told.new)
    into = {o: [n for n in told.changed if told.changed[n] == (o,)] for o in was}
    assert told.parts == {o: tuple(those) for o, those in into.items() if len(those) > 1}
    assert told.merged == {n: were for n, were in told.changed.items() if len(were) > 1}
    single = [n for n, were in told.changed.items() if len(were) == 1 and were[0] not in told.parts]
    grown = [n for n in single if len(now[n]) > len(was[told.changed[n][0]])]
    assert grown == (single if after < before else [])
    for count, what in (
        (len(same), "stayed the same"),
        (len(told.changed), "changed"),
        (len(told.new), "new"),
        (len(told.gone), "gone"),
        *([(len(single), "larger" if grown else "smaller")] if single else []),
        *([(len(told.merged), "merged")] if told.merged else []),
    ):
        assert re.search(rf"\b{count} (lesions? )?{what}", told.words), told.words
    for n, were in told.changed.items():
        assert re.search(rf"\b{were[-1]} (is|are) now [^a-z]*(and )?{n}\b", later.notes[-1])


def test_splitting_and_merging_are_said(case):
    probability = np.zeros(SHAPE, dtype=np.float32)
    probability[2:12, 4:7, 4:7] = 0.5
    probability[2:5, 4:7, 4:7] = probability[9:12, 4:7, 4:7] = 0.9  # two with a bridge between
    probability[15:19, 4:7, 4:7] = 0.7
    probability[16:18, 5, 5] = 0.9  # too small at 0.8
    whole = found(case, probability, 0.4)
    parts = at_threshold(whole, case, threshold=0.8, smallest=4)
    split = change_of(whole, parts)
    assert split.words == (
        "0 lesions stayed the same, 2 changed (2 parts of 1 that split), 0 new, 1 gone"
    )
    assert parts.notes[-1].endswith("others have new ones: 1 is now 3 and 4. Gone: 2.")
    again = at_threshold(parts, case, threshold=0.4, smallest=4, used=4)
    merged = change_of(parts, again)
    assert merged.words == ("0 lesions stayed the same, 1 changed (1 merged from 2), 1 new, 0 gone")
    assert again.notes[-1].endswith("others have new ones: 3 and 4 are now 5.")
    boxes = lesion_boxes(whole.labels)
    former = {n: (box, whole.labels[box] == n) for n, box in boxes.items()}
    known = at_threshold(parts, case, threshold=0.4, smallest=4, former=former)
    back = change_of(parts, known, former)
    assert back.words == (
        "0 lesions stayed the same, 0 changed, 0 new, 0 gone, 2 back as they were"
    )


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
