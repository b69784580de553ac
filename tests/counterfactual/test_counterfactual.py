import dataclasses

import naive
import numpy as np
import pandas as pd
import pytest
import torch
from cases import ball, random_case
from networks import small_model

from napari_ies.counterfactual.counterfactual import edit_case, what_if, what_if_progressively
from napari_ies.counterfactual.edit import Edit
from napari_ies.counterfactual.lesion_changes import (
    NOTHING_CHANGED,
    change_sentences,
    lesion_changes,
)
from napari_ies.errors import CaseError
from napari_ies.patient.case import Case
from napari_ies.progress import finish
from napari_ies.segmentation.segmentation import Segmentation, segment, segment_progressively

SHAPE = (20, 18, 22)
REGION = ball(SHAPE, (9, 8, 10), 2)


def segmented(model, case, **settings):
    return finish(segment_progressively(model, case, keep_logits=True, **settings))


def nothing_marked(case):
    """Return a segmentation in which no lesion is in the way."""
    return Segmentation(
        probability=np.zeros(case.shape, np.float32),
        labels=np.zeros(case.shape, np.int32),
        lesions=pd.DataFrame(),
        threshold=0.5,
        forward="sliding-window",
        device="CPU",
    )


def frozen(original, changed):
    """Return the network's input by the original's mean and deviation over nonzero voxels."""
    image = np.zeros_like(changed, dtype=np.float64)
    for channel, (old, new) in enumerate(zip(original, changed, strict=True)):
        values = old[old != 0].astype(np.float64)
        image[channel][new != 0] = (new[new != 0] - values.mean()) / values.std()
    return torch.from_numpy(image.astype(np.float32))


@pytest.mark.parametrize(
    ("name", "forward"),
    [("unet", "sliding-window"), ("dynunet", "sliding-window"), ("unet", "whole-volume")],
)
def test_the_changed_windows_give_what_a_whole_run_gives(name, forward):
    model, case = small_model(name, window=(12, 12, 8)), random_case(SHAPE)
    region = ball(SHAPE, (5, 4, 4), 2)
    before = segmented(model, case, forward=forward)
    seen = []
    model.network.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    result = what_if(model, case, before, region, Edit("T1", "brighten", 2.0))
    passes = sum(len(batch) for batch in seen)
    image = frozen(case.data, result.case.data)
    logits = naive.logits(model.network, image, model.profile, forward)
    expected = logits.softmax(0)[1].numpy()
    np.testing.assert_allclose(result.probability, expected, atol=1e-5)
    assert np.abs(result.probability - before.probability).max() > 0.01
    np.testing.assert_array_equal(result.difference, result.probability - before.probability)
    if forward == "sliding-window":
        starts = np.stack(np.meshgrid(*map(np.array, _starts(model.profile)), indexing="ij"), -1)
        holding = [
            start
            for start in starts.reshape(-1, 3)
            if region[
                tuple(slice(a, a + n) for a, n in zip(start, model.profile.window, strict=True))
            ].any()
        ]
        assert passes == 2 * len(holding) < len(starts.reshape(-1, 3))
        untouched = np.ones(SHAPE, dtype=bool)
        for start in holding:
            window = zip(start, model.profile.window, strict=True)
            untouched[tuple(slice(a, a + n) for a, n in window)] = False
        assert untouched.any()
        assert np.array_equal(result.probability[untouched], before.probability[untouched])


def _starts(profile):
    """Return where windows with an overlap of a quarter start, as MONAI places them."""
    for length, size in zip(SHAPE, profile.window, strict=True):
        step = int(size * 0.75)
        yield sorted({min(i, length - size) for i in range(0, length - size + step, step)})


def test_an_orientation_in_the_profile_is_followed():
    model, case = small_model(orientation="SLP"), random_case(SHAPE)
    before = segmented(model, case)
    result = what_if(model, case, before, REGION, Edit("FLAIR", "darken", 1.0))
    whole = segment(model, result.case)
    np.testing.assert_allclose(result.probability, whole.probability, atol=1e-5)


def test_without_kept_logits_they_are_computed_and_kept_for_the_next_time():
    model, case = small_model(), random_case(SHAPE)
    plain, kept = segment(model, case), segmented(model, case)
    edit = Edit("FLAIR", "brighten", 50, "percent")
    result = what_if(model, case, plain, REGION, edit)
    np.testing.assert_array_equal(result.before.logits, kept.logits)
    expected = what_if(model, case, kept, REGION, edit).probability
    np.testing.assert_array_equal(result.probability, expected)
    reports = list(what_if_progressively(model, case, result.before, REGION, edit))
    assert [report.finished for report in reports] == [False] * (len(reports) - 1) + [True]


@pytest.mark.parametrize(
    ("edit", "change"),
    [
        (Edit("T1", "brighten", 1.5), lambda v, sd: v + 1.5 * sd),
        (Edit("T1", "darken", 0.5), lambda v, sd: v - 0.5 * sd),
        (Edit("T1", "brighten", 30, "percent"), lambda v, sd: v + 0.3 * abs(v)),
        (Edit("T1", "darken", 30, "percent"), lambda v, sd: v - 0.3 * abs(v)),
    ],
)
def test_one_sequence_changes_in_the_region_and_nothing_else(edit, change):
    case = random_case(SHAPE)
    case.data[:, 9, 8, 10] = -3.0
    original = case.data.copy()
    changed, after = edit_case(case, REGION, edit, nothing_marked(case))
    np.testing.assert_array_equal(changed, REGION)
    np.testing.assert_array_equal(case.data, original)
    deviation = np.std([v for v in original[1].astype(float).ravel() if v != 0])
    for voxel in np.argwhere(REGION):
        at = tuple(voxel)
        expected = change(float(original[1][at]), deviation)
        assert after.data[1][at] == pytest.approx(expected, rel=1e-5)
    untouched = np.broadcast_to(~REGION, original.shape).copy()
    untouched[0] = True
    np.testing.assert_array_equal(after.data[untouched], original[untouched])
    # The normalisation stays the original's: the network sees the same everywhere else.
    was, now = (c.normalised("zscore-nonzero") for c in (case, after))
    np.testing.assert_array_equal(now[untouched], was[untouched])
    np.testing.assert_allclose(now, frozen(original, after.data), atol=1e-5)
    assert "not the patient's image" in after.notes[-1]


def test_a_voxel_that_turns_exactly_black_is_not_background():
    case = random_case(SHAPE)
    changed, after = edit_case(
        case, REGION, Edit("T1", "darken", 100, "percent"), nothing_marked(case)
    )
    inside = case.data[1][case.data[1] != 0].astype(float)
    expected = -inside.mean() / inside.std()
    np.testing.assert_allclose(after.normalised("zscore-nonzero")[1][changed], expected, rtol=1e-5)


def test_the_margin_is_in_mm_and_background_stays():
    case = random_case(SHAPE, affine=np.diag([1.0, 2.0, 3.0, 1.0]))
    case.data[:, :10] = 0
    changed, after = edit_case(
        case, REGION, Edit("FLAIR", "brighten", margin_mm=2.5), nothing_marked(case)
    )
    painted = np.argwhere(REGION)
    for voxel in np.argwhere(np.ones(SHAPE, dtype=bool)):
        distance = np.sqrt((((painted - voxel) * [1.0, 2.0, 3.0]) ** 2).sum(axis=1)).min()
        assert changed[tuple(voxel)] == (distance <= 2.5 and voxel[0] >= 10)
    assert (after.data[:, :10] == 0).all()


def _tissue(seed=0):
    """Return a patient with white matter, fluid on one side, and a bright lesion on FLAIR."""
    generator = np.random.default_rng(seed)
    shape, affine = (24, 22, 14), np.diag([-1.0, 1.0, 2.0, 1.0])
    data = np.stack([generator.normal(100, 4, shape), generator.normal(150, 5, shape)])
    data[:, :9] = generator.normal(20, 3, (2, 9, *shape[1:]))
    data[:, :, :2] = 0
    lesion = ball(shape, (12, 11, 7), 2)
    data[0][lesion] += 60
    return Case(("FLAIR", "T1"), data.astype(np.float32), affine), lesion


def test_the_fill_is_the_interpolation_it_says_it_is():
    case, lesion = _tissue()
    marked = nothing_marked(case)
    probability, labels = marked.probability.copy(), marked.labels.copy()
    probability[18, 10:12, 6:8], labels[10, 15, 6:9] = 0.2, 1
    marked = dataclasses.replace(marked, probability=probability, labels=labels)
    changed, after = edit_case(case, lesion, Edit("FLAIR"), marked)
    np.testing.assert_array_equal(changed, lesion)

    spacing, painted = np.array([1.0, 1.0, 2.0]), np.argwhere(lesion)
    candidates = []
    for voxel in np.argwhere(np.ones(case.shape, dtype=bool)):
        at = tuple(voxel)
        distance = np.sqrt((((painted - voxel) * spacing) ** 2).sum(axis=1)).min()
        unmarked = not labels[at] and probability[at] < 0.05
        if 2 < distance <= 20 and case.data[0][at] != 0 and unmarked:
            candidates.append(at)
    healthy = []
    columns = [np.array([float(v[at]) for at in candidates]) for v in case.data]
    middles = [np.median(c) for c in columns]
    reaches = [2 * 1.4826 * np.median(abs(c - m)) for c, m in zip(columns, middles, strict=True)]
    for row, at in enumerate(candidates):
        if all(abs(c[row] - m) <= r for c, m, r in zip(columns, middles, reaches, strict=True)):
            healthy.append(at)
    assert min(case.data[0][at] for at in healthy) > 60  # no fluid
    positions = np.array(healthy) * spacing
    known = np.array([float(case.data[0][at]) for at in healthy])
    for voxel in painted:
        distances = np.sqrt(((positions - voxel * spacing) ** 2).sum(axis=1))
        farthest = np.sort(distances)[63]
        total = weights = 0.0
        for d, value in zip(distances, known, strict=True):
            if d < farthest:
                weight = ((farthest - d) / (farthest * d)) ** 2
                total, weights = total + weight * value, weights + weight
        assert after.data[0][tuple(voxel)] == pytest.approx(total / weights, rel=1e-6)
    assert abs(after.data[0][lesion].mean() - 100) < 2
    np.testing.assert_array_equal(after.data[1], case.data[1])


def test_an_erased_lesion_is_no_longer_marked_and_said_so():
    """The network is a threshold: lesion where FLAIR is three deviations above the mean."""
    case, lesion = _tissue()
    model = small_model()
    network = torch.nn.Conv3d(2, 2, 1)
    with torch.no_grad():
        network.weight.zero_()
        network.weight[1, 0], network.bias[0], network.bias[1] = 10.0, 0.0, -15.0
    model = dataclasses.replace(model, network=network)
    before = segmented(model, case, threshold=0.5)
    assert len(before.lesions) == 1
    result = what_if(model, case, before, lesion, Edit("FLAIR"))
    (change,) = result.changes
    volume = 2.0 * np.count_nonzero(before.labels == 1)
    assert (change.label, change.volume_before_mm3, change.volume_after_mm3) == (1, volume, 0)
    was = float(before.lesions.mean_probability[1])
    assert change.mean_before == pytest.approx(was)
    assert change.mean_after == pytest.approx(
        result.probability[before.labels == 1].astype(float).mean(), abs=1e-6
    )
    assert result.lesions.empty
    assert result.sentences[0] == (
        f"Lesion 1: mean probability {was:.2f} → 0.00, volume {volume:.0f} → 0 mm³: the network "
        "no longer marks it."
    )
    same = what_if(model, case, before, lesion, Edit("T1", "darken"))
    assert same.sentences[0] == NOTHING_CHANGED


def test_what_became_of_each_lesion():
    """Five lesions along a line: gone, smaller, two joined, missed but found now; and a new one."""
    labels = np.zeros((30, 3, 3), np.int32)
    for label, part in enumerate(((0, 2), (4, 8), (10, 12), (14, 16), (18, 20)), start=1):
        labels[slice(*part)] = label
    before = Segmentation(
        probability=np.where(labels > 0, 0.9, 0.1).astype(np.float32),
        labels=labels,
        lesions=pd.DataFrame(
            {"match": ["TP", "FP", "TP", "TP", "FN"]}, index=pd.Index(range(1, 6), name="label")
        ),
        threshold=0.5,
        forward="sliding-window",
        device="CPU",
    )
    now = np.zeros_like(labels)
    now[4:6], now[10:16], now[18:20], now[24:27] = 1, 2, 3, 4
    probability = np.where(now > 0, 0.8, 0.2).astype(np.float32)
    changes = {c.label: c for c in lesion_changes(before, now, probability, 0.5)}
    volumes = {k: (c.volume_before_mm3, c.volume_after_mm3) for k, c in changes.items()}
    assert volumes == {
        1: (9, 0), 2: (18, 9), 3: (9, 27), 4: (9, 27), 5: (0, 9), None: (0, 13.5)
    }  # fmt: skip
    assert (changes[3].joined, changes[4].joined, changes[2].joined) == ((4,), (3,), ())
    assert changes[2].mean_after == pytest.approx((0.8 + 0.2) / 2)
    assert (changes[None].mean_before, changes[None].mean_after) == pytest.approx((0.1, 0.8))
    text = " ".join(change_sentences(tuple(changes.values())))
    for outcome in (
        "Lesion 1: mean probability 0.90 → 0.20, volume 9 → 0 mm³: the network no longer marks",
        "Lesion 2: mean probability 0.90 → 0.50, volume 18 → 9 mm³: the network marks it, smaller",
        "as one with lesion 4",
        "volume 0 → 9 mm³: the network marks it now",
        "New lesion: mean probability 0.10 → 0.80, volume 0 → 14 mm³",
    ):
        assert outcome in text


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"kind": "erase"}, "no edit 'erase'"),
        ({"unit": "grey"}, "no unit 'grey'"),
        ({"amount": 0}, "changed by 0"),
        ({"margin_mm": -1}, "margin is -1 mm"),
    ],
)
def test_impossible_edits_are_refused(settings, sentence):
    with pytest.raises(CaseError, match=sentence):
        Edit("FLAIR", **settings)


def test_impossible_regions_are_refused():
    case = random_case(SHAPE)
    outside = np.zeros(SHAPE, dtype=bool)
    outside[0, 4, 4] = True
    crowded = dataclasses.replace(nothing_marked(case), probability=np.ones(SHAPE, np.float32))
    for region, edit, marked, sentence in (
        (np.zeros(SHAPE), Edit("FLAIR"), None, "holds no voxel"),
        (np.ones((2, 2, 2)), Edit("FLAIR"), None, r"size \(2, 2, 2\)"),
        (outside, Edit("FLAIR"), None, "outside the brain: FLAIR is background"),
        (REGION, Edit("T2"), None, "no sequence T2; it holds FLAIR, T1"),
        (REGION, Edit("FLAIR"), crowded, "only 0 voxels of healthy-appearing tissue"),
    ):
        with pytest.raises(CaseError, match=sentence):
            edit_case(case, region, edit, marked or nothing_marked(case))
