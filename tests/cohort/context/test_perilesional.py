"""The context of a lesion equals the naive loop: change the images, run all of it, read off."""

from __future__ import annotations

import dataclasses

import naive
import numpy as np
import pytest
import torch
from cases import ball, random_case
from networks import small_model
from scipy import ndimage

from napari_ies.cohort.context.growth import PAPER, Growth
from napari_ies.cohort.context.perilesional import (
    ContextRequest,
    perilesional,
    perilesional_progressively,
)
from napari_ies.cohort.context.reached import reached
from napari_ies.cohort.context.step_logits import masked_case
from napari_ies.cohort.context.window_steps import Forwards
from napari_ies.errors import CaseError, SegmentationError
from napari_ies.network.inference import logit_map, probability_of
from napari_ies.progress import finish

SHAPE = (12, 11, 13)
LESION = ball(SHAPE, (6, 5, 7), 1.5)
ISOTROPIC = np.diag([-1.0, 1, 1, 1])
GROWTH = Growth(step_mm=2.0, farthest_mm=5.0)


def naive_distance(mask, spacing):
    """Distance from each voxel's centre to the nearest point of the lesion's voxels, by a loop."""
    grid = np.stack(np.indices(mask.shape), axis=-1)
    found = np.full(mask.shape, np.inf)
    for voxel in np.argwhere(mask):
        apart = np.maximum(np.abs(grid - voxel) - 0.5, 0) * spacing
        found = np.minimum(found, np.sqrt((apart**2).sum(axis=-1)))
    return np.where(mask, 0, found)


def kept_at(growth, mask, spacing):
    """Which voxels each step keeps, from the definitions."""
    if growth.dilations:
        struct = ndimage.generate_binary_structure(3, 2)
        return [mask] + [
            ndimage.binary_dilation(mask, struct, iterations=step)
            for step in range(1, growth.steps + 1)
        ]
    distance = naive_distance(mask, spacing)
    return [
        mask | (distance <= step * growth.step_mm + 1e-9) & (step > 0)
        for step in range(growth.steps + 1)
    ]


def naive_input(case, sequences, kept):
    """The network's input, z-scored over the nonzero voxels of the images as they are."""
    image = np.zeros_like(case.data, dtype=np.float64)
    for channel, volume in enumerate(case.data):
        brain = volume[volume != 0].astype(np.float64)
        image[channel] = np.where(volume != 0, (volume - brain.mean()) / brain.std(), 0)
        if case.sequences[channel] in sequences:
            image[channel][~kept] = 0
    return image.astype(np.float32)


def run_whole(model, case):
    """The probability by all windows of a case."""
    return probability_of(model, case, finish(logit_map(model, case)))


@pytest.mark.parametrize(
    ("name", "forward", "growth", "sequences"),
    [
        ("unet", "sliding-window", GROWTH, ()),
        ("unet", "sliding-window", Growth(dilations=3), ("T1",)),
        ("unet", "whole-volume", GROWTH, ()),
        ("dynunet", "whole-volume", Growth(dilations=1), ()),
    ],
)
def test_it_equals_the_naive_loop(name, forward, growth, sequences):
    model, case = small_model(name, window=(8, 8, 8)), random_case(SHAPE)
    request = ContextRequest(sequences, growth, threshold=0.4, forward=forward)
    found = perilesional(model, case, LESION, request)
    steps = [*kept_at(growth, LESION, case.spacing), np.ones(SHAPE, dtype=bool)]
    means, above = [], []
    for kept in steps:
        image = torch.from_numpy(naive_input(case, sequences or case.sequences, kept))
        logits = naive.logits(model.network, image, model.profile, forward)
        inside = logits.softmax(0)[1].numpy()[LESION].astype(np.float64)
        means.append(inside.mean())
        above.append(np.count_nonzero(inside > 0.4))
    np.testing.assert_allclose(found.mean_probability, means[:-1], atol=1e-5)
    assert found.whole_probability == pytest.approx(means[-1], abs=1e-5)
    assert found.voxels_above.tolist() == above[:-1]
    assert found.whole_above == above[-1]
    assert found.kept_voxels.tolist() == [np.count_nonzero(kept) for kept in steps[:-1]]
    assert np.ptp(means) > 1e-4


@pytest.mark.parametrize("method", ["zscore", "minmax", "none"])
def test_the_background_is_that_of_the_images_whatever_the_normalisation(method):
    case = random_case(SHAPE)
    data = case.data - np.float32(50)
    case = dataclasses.replace(case, data=data, backgrounds=())
    assert {one.value for one in case.backgrounds} == {-50.0}
    model = small_model(normalisation=method)
    request = ContextRequest(("FLAIR",), GROWTH)
    found = perilesional(model, case, LESION, request)
    means = []
    for kept in kept_at(GROWTH, LESION, case.spacing):
        changed = masked_case(case, ("FLAIR",), kept)
        assert set(np.unique(changed.data[0][~kept])) == {-50.0}
        means.append(run_whole(model, changed)[LESION].mean(dtype=np.float64))
    np.testing.assert_allclose(found.mean_probability, means, atol=1e-5)


def test_a_network_that_runs_on_its_own_grid_and_orientation():
    case = random_case(SHAPE, affine=np.diag([-1.0, 1.2, 1.5, 1]))
    model = small_model(spacing=(1.1, 1.3, 1.2), resample=True, orientation="SLP")
    request = ContextRequest((), GROWTH)
    found = perilesional(model, case, LESION, request)
    means = []
    for kept in [*kept_at(GROWTH, LESION, case.spacing), np.ones(SHAPE, dtype=bool)]:
        changed = masked_case(case, case.sequences, kept)
        means.append(run_whole(model, changed)[LESION].mean(dtype=np.float64))
    np.testing.assert_allclose(found.mean_probability, means[:-1], atol=1e-5)
    assert found.whole_probability == pytest.approx(means[-1], abs=1e-5)


def test_only_windows_that_hold_the_lesion_run_and_none_twice_on_the_same_input():
    model, case = small_model(window=(8, 8, 8)), random_case(SHAPE, affine=ISOTROPIC)
    lesion = np.zeros(SHAPE, dtype=bool)
    lesion[2:4, 2:4, 2:4] = True
    seen = []
    model.network.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    perilesional(model, case, lesion, ContextRequest((), Growth(1.0, 20.0)))
    crops = [crop for batch in seen for crop in batch]
    assert len({crop.numpy().tobytes() for crop in crops}) == len(crops)
    # One window of the grid holds all of the lesion; voxels more than 4 away lie out of it.
    assert {crop.shape for crop in crops} == {(2, 8, 8, 8)}
    assert len(crops) < 20


def test_as_the_paper_grows_them():
    assert PAPER.steps == 34
    assert PAPER.distances((1.0, 1.0, 1.0)).tolist() == list(range(35))
    box, order = reached(PAPER, boxed(LESION), (1.0, 1.0, 1.0))
    whole = np.full(SHAPE, 35)
    whole[box] = order
    for step, kept in enumerate(kept_at(PAPER, LESION, (1.0, 1.0, 1.0))):
        np.testing.assert_array_equal(whole <= step, kept)


def boxed(mask):
    from napari_ies.saliency.footprint import BoxedMask

    return BoxedMask.of(mask)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 1.2, 3.0)])
@pytest.mark.parametrize("step", [0.3, 1.0, 2.5])
def test_millimetres_are_true_on_any_grid(spacing, step):
    growth = Growth(step, 6.0)
    box, order = reached(growth, boxed(LESION), spacing)
    whole = np.full(SHAPE, growth.steps + 1)
    whole[box] = order
    distance = naive_distance(LESION, np.array(spacing))
    for number, reach in enumerate(growth.distances(spacing)):
        kept = LESION | (distance <= reach + 5e-4) if number else LESION
        np.testing.assert_array_equal(whole <= number, kept)


def test_from_which_distance_on_it_is_detected():
    model, case = small_model(), random_case(SHAPE)
    found = perilesional(model, case, LESION, ContextRequest((), Growth(4.0, 16.0)))
    for above, expected in (
        ([0, 3, 0, 2, 1], 12.0),
        ([1, 1, 1, 1, 1], 0.0),
        ([5, 5, 5, 5, 0], np.nan),
    ):
        changed = dataclasses.replace(found, voxels_above=np.array(above))
        np.testing.assert_equal(changed.needed_mm, expected)
        assert changed.detected.tolist() == [count > 0 for count in above]


def test_what_cannot_be_is_refused_in_a_sentence():
    model, case = small_model(), random_case(SHAPE)
    with pytest.raises(CaseError, match="choose a larger step"):
        Growth(0.01, 100.0)
    with pytest.raises(SegmentationError, match="threshold"):
        ContextRequest(threshold=1.5)
    with pytest.raises(CaseError, match="no sequence T2"):
        perilesional(model, case, LESION, ContextRequest(("T2",)))


@pytest.mark.parametrize("at_once", [1, 3])
@pytest.mark.parametrize("resampled", [False, True])
def test_the_curve_grows_step_by_step_and_what_is_known_stays(monkeypatch, at_once, resampled):
    """Whatever runs in one pass; the images as they are come first, for all to be compared with."""
    grid = {"spacing": (1.1, 1.3, 1.2), "resample": True} if resampled else {}
    model, case = small_model(window=(8, 8, 8), **grid), random_case(SHAPE)
    begin = Forwards.__init__

    def with_room(self, network):
        begin(self, network)
        self.size = at_once

    monkeypatch.setattr(Forwards, "__init__", with_room)
    request = ContextRequest((), Growth(1.0, 4.0))
    reports = list(perilesional_progressively(model, case, LESION, request))
    assert [report.finished for report in reports] == [False] * (len(reports) - 1) + [True]
    found = [report.result for report in reports if report.result is not None]
    lengths = [len(one.distance_mm) for one in found]
    at_a_time = 1 if resampled else at_once
    assert lengths == [0, *range(at_a_time, 5, at_a_time), 5, 5]
    assert [one.finished for one in found] == [length == 5 for length in lengths]
    last = found[-1]
    for one, known in zip(found, lengths, strict=True):
        for values in ("distance_mm", "kept_voxels", "mean_probability", "voxels_above"):
            np.testing.assert_array_equal(getattr(one, values), getattr(last, values)[:known])
        assert (one.whole_probability, one.whole_above, one.voxels) == (
            *(last.whole_probability, last.whole_above),
            np.count_nonzero(LESION),
        )
    whole = run_whole(model, case)[LESION]
    assert last.whole_probability == pytest.approx(whole.mean(dtype=np.float64), abs=1e-5)
