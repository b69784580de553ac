"""A network at its own voxel size, against resampling by scipy and one forward or gradient."""

import dataclasses

import numpy as np
import pytest
import torch
from cases import ball, random_case
from networks import small_model
from scipy.ndimage import map_coordinates

from napari_ies.counterfactual.counterfactual import what_if
from napari_ies.counterfactual.edit import Edit
from napari_ies.errors import SegmentationError
from napari_ies.geometry.box import Box
from napari_ies.network.network_grid import (
    footprint_on,
    map_to_stored,
    network_case,
    network_turn,
    runs_resampled,
    touched_box,
)
from napari_ies.patient.background import Background
from napari_ies.progress import finish
from napari_ies.saliency.explanation import explain
from napari_ies.segmentation.segmentation import segment, segment_progressively

SHAPE = (18, 16, 7)
STORED = (1.0, 1.0, 3.0)
AFFINE = np.array([[-1.0, 0, 0, 9], [0, 1, 0, -8], [0, 0, 3, 4], [0, 0, 0, 1]])
NETWORK_SHAPE = (18, 16, 21)
REGION = ball(SHAPE, (9, 8, 3), 2)


def _model(**profile):
    return small_model(window=(64, 64, 64), spacing=(1.0, 1.0, 1.0), resample=True, **profile)


def _case(seed=0):
    return random_case(SHAPE, seed, affine=AFFINE)


def _sample(volume, index):
    """Sample (X, Y, Z) linearly where index gives the coordinates along the last axis."""
    x, y = np.arange(volume.shape[0]), np.arange(volume.shape[1])
    at = np.meshgrid(x, y, index, indexing="ij")
    return map_coordinates(volume.astype(np.float64), at, order=1, mode="nearest")


THERE = (np.arange(21) - 1) / 3
"""Where the network's slices of 1 mm lie among the stored ones of 3 mm."""
BACK = np.arange(7) * 3.0 + 1
"""Where the stored slices lie among the network's."""


def _naive_input(case):
    """Return (C, 18, 16, 21): resampled, masked, z-scored over the patient."""
    channels = []
    for volume in case.data:
        moved = _sample(volume, THERE)
        patient = _sample(volume != 0, THERE) >= 0.5
        values = moved[patient]
        channels.append(np.where(patient, (moved - values.mean()) / values.std(), 0))
    return torch.from_numpy(np.stack(channels).astype(np.float32))


def _padded(image):
    """Return (1, C, 20, 16, 24): zeros at the far ends, as the whole-volume forward has."""
    return torch.nn.functional.pad(image, (0, 3, 0, 0, 0, 2))[None]


def _naive_logits(model, image):
    with torch.no_grad():
        logits = model.network(_padded(image))[0, :, :18, :16, :21].numpy()
    return np.stack([_sample(channel, BACK) for channel in logits])


def test_segmentation_is_that_of_the_resampled_images_brought_back():
    model, case = _model(), _case()

    report = finish(segment_progressively(model, case, forward="whole-volume", keep_logits=True))

    logits = _naive_logits(model, _naive_input(case))
    probability = 1 / (1 + np.exp(logits[0] - logits[1]))
    assert network_case(model, case).shape == NETWORK_SHAPE
    np.testing.assert_allclose(report.logits, logits, atol=2e-4)
    np.testing.assert_allclose(report.probability, probability, atol=1e-4)
    assert report.labels.shape == SHAPE
    (note,) = [each for each in report.notes if "resampled linearly" in each]
    assert note.startswith("The network ran at 1 × 1 × 1 mm: the images, which have 1 × 1 × 3 mm")


@pytest.mark.parametrize("orientation", ["LAS", "PSR"])
def test_the_voxel_size_belongs_to_the_networks_axes(orientation):
    spacing = {"LAS": (1.0, 1.0, 2.0), "PSR": (1.0, 2.0, 1.0)}[orientation]
    model = small_model(spacing=spacing, resample=True, orientation=orientation)

    seen = network_case(model, _case())

    turn = network_turn(model, seen)
    assert seen.spacing == pytest.approx((1, 1, 2))
    assert turn.displayed_spacing(seen.spacing) == pytest.approx(spacing)
    assert segment(model, _case()).probability.shape == SHAPE


@pytest.mark.slow
@pytest.mark.parametrize("aggregation", ["mean", "max"])
def test_a_map_is_the_gradient_on_the_networks_grid_brought_back(aggregation):
    model, case = _model(), _case()
    settings = {"forward": "whole-volume", "aggregation": aggregation, "n_samples": 1, "noise": 0.0}

    found = explain(model, case, REGION, **settings)

    image = _naive_input(case).requires_grad_(True)
    logits = model.network(_padded(image))[0, 1, :18, :16, :21]
    footprint = torch.from_numpy(_sample(REGION, THERE) >= 0.5)
    rows = [torch.autograd.grad(y, image, retain_graph=True)[0].numpy() for y in logits[footprint]]
    if aggregation == "mean":
        gradient = np.mean(rows, axis=0)
    else:
        high, low = np.max(rows, axis=0), np.min(rows, axis=0)
        gradient = np.where(high >= -low, high, low)
    wanted = np.stack([_sample(channel, BACK) for channel in gradient])
    assert len(rows) > np.count_nonzero(REGION)
    np.testing.assert_allclose(found.maps, wanted, atol=1e-4 * np.abs(wanted).max())
    assert found.maps.shape == (2, *SHAPE)
    np.testing.assert_array_equal(found.mask, REGION)


def test_a_map_says_where_it_was_computed_and_keeps_its_unit():
    found = explain(_model(), _case(), REGION, n_samples=3, noise=0.1)

    assert found.unit == "logit per standard deviation"
    assert found.provenance["network_grid"]["shape"] == list(NETWORK_SHAPE)
    notes = " ".join(found.provenance["notes"])
    assert "The network ran at 1 × 1 × 1 mm" in notes
    assert "noise was drawn for the voxels of that grid" in notes
    assert "an upper bound" in notes
    assert found.standard_error.shape == (2, *SHAPE)


@pytest.mark.parametrize("spacing", [(0.7, 1.3, 1.0), (2.5, 2.0, 5.0)])
@pytest.mark.parametrize("start", [(0, 0, 0), (2, 1, 1), (4, 5, 1)])
def test_a_map_on_a_box_comes_back_as_the_whole_does(spacing, start):
    model, case = small_model(spacing=spacing, resample=True), _case()
    there = network_case(model, case).grid
    box = Box(start, [min(a + 3, n) if a else 2 for a, n in zip(start, there.shape, strict=True)])
    values = np.random.default_rng(1).normal(size=[2, *box.shape])
    whole = np.zeros((2, *there.shape), dtype=np.float32)
    whole[(slice(None), *box)] = values
    stored_box = touched_box(box, there, case.grid)

    found = map_to_stored(values.astype(np.float32), box, there, case.grid, stored_box)

    index = np.linalg.inv(there.affine) @ case.affine
    voxels = np.array(list(np.ndindex(SHAPE))) @ index[:3, :3].T + index[:3, 3]
    for channel, wanted in zip(found, whole, strict=True):
        sampled = map_coordinates(wanted, voxels.T, order=1, mode="nearest").reshape(SHAPE)
        np.testing.assert_allclose(channel, sampled[stored_box], atol=1e-5)


def test_a_change_is_computed_there_and_brought_back():
    model, case = _model(), _case()
    before = finish(segment_progressively(model, case, forward="whole-volume", keep_logits=True))

    result = what_if(model, case, before, REGION, Edit("FLAIR", "brighten", 3.0))

    old = np.stack(list(case.data))
    new = np.stack(list(result.case.data))
    image = []
    for was, now in zip(old, new, strict=True):
        patient = _sample(was != 0, THERE) >= 0.5
        statistics = _sample(was, THERE)[patient]
        scaled = (_sample(now, THERE) - statistics.mean()) / statistics.std()
        image.append(np.where(patient, scaled, 0).astype(np.float32))
    logits = _naive_logits(model, torch.from_numpy(np.stack(image)))
    wanted = 1 / (1 + np.exp(logits[0] - logits[1]))
    np.testing.assert_allclose(result.probability, wanted, atol=1e-4)
    assert np.abs(result.difference).max() > 0.01


def test_windows_that_do_not_change_leave_the_probability_as_it_was():
    model = small_model(window=(8, 8, 8), spacing=(1.0, 1.0, 1.0), resample=True)
    case = random_case((30, 12, 8), affine=AFFINE)
    before = finish(segment_progressively(model, case, keep_logits=True))

    result = what_if(model, case, before, ball(case.shape, (4, 5, 3), 1), Edit("T1", "darken", 2.0))

    whole = segment(model, result.case).probability
    np.testing.assert_allclose(result.probability, whole, atol=1e-4)
    np.testing.assert_array_equal(result.difference[20:], 0)


@pytest.mark.parametrize(
    "profile",
    [
        {"spacing": STORED, "resample": True},
        {"spacing": (1.004, 1.0, 3.0), "resample": True},
        {"spacing": (1.0, 1.0, 1.0), "resample": False},
        {"spacing": None, "resample": True},
    ],
)
def test_nothing_is_resampled_where_voxels_are_alike_or_it_is_not_wanted(profile):
    plain, case = small_model(), _case()
    model = dataclasses.replace(plain, profile=dataclasses.replace(plain.profile, **profile))

    assert not runs_resampled(model, case)
    assert network_case(model, case) is case
    np.testing.assert_array_equal(
        segment(model, case).probability, segment(plain, case).probability
    )
    assert explain(model, case, REGION, n_samples=1).provenance["network_grid"] is None


def test_background_stays_the_background_and_a_voxel_of_it_holds_its_very_value():
    model = _model()
    case = _case()
    data = np.where(case.data == 0, np.float32(-1000), case.data)
    odd = dataclasses.replace(case, data=data, backgrounds=(Background(-1000.0),) * 2)

    one, other = network_case(model, case), network_case(model, odd)

    np.testing.assert_array_equal(one.inside, other.inside)
    assert np.unique(other.data[~other.inside]).tolist() == [-1000]
    np.testing.assert_allclose(one.normalised("zscore-nonzero")[0].std(), 1, atol=0.2)


def test_the_case_on_the_networks_grid_is_made_once():
    model, case = _model(), _case()

    assert network_case(model, case) is network_case(model, case)


def test_a_footprint_too_small_for_the_networks_grid_keeps_its_nearest_voxel():
    model = small_model(spacing=(4.0, 4.0, 12.0), resample=True)
    case = _case()
    mask = np.zeros(SHAPE, dtype=bool)
    mask[6, 6, 3] = True
    coarse = network_case(model, case).grid

    moved = footprint_on(mask, case.grid, coarse)

    where = case.affine @ [6, 6, 3, 1]
    centres = np.array([coarse.affine @ [*index, 1] for index in np.ndindex(coarse.shape)])
    nearest = np.linalg.norm((centres - where)[:, :3] / [4, 4, 12], ord=np.inf, axis=1).argmin()
    assert np.flatnonzero(moved).tolist() == [nearest]
    assert explain(model, case, mask, n_samples=1).mask.sum() == 1


@pytest.mark.parametrize("spacing", [(0.7, 1.3, 1.0), (2.5, 2.0, 5.0)])
def test_the_box_that_a_map_reaches_is_neither_too_small_nor_empty(spacing):
    model, case = small_model(spacing=spacing, resample=True), _case()
    there = network_case(model, case).grid
    box = Box((2, 0, 1), (4, 2, 2))
    whole = np.zeros(there.shape)
    whole[box] = 1
    index = np.linalg.inv(there.affine) @ case.affine

    found = touched_box(box, there, case.grid)

    voxels = np.array(list(np.ndindex(SHAPE))) @ index[:3, :3].T + index[:3, 3]
    weight = map_coordinates(whole, voxels.T, order=1, mode="nearest").reshape(SHAPE)
    outside = np.ones(SHAPE, dtype=bool)
    outside[found] = False
    assert np.abs(weight[outside]).max() < 1e-9
    assert weight.sum() > 0


def test_a_voxel_size_that_no_memory_holds_is_refused():
    model = small_model(spacing=(0.001, 0.001, 0.001), resample=True)

    with pytest.raises(SegmentationError, match="too many for any memory; state the voxel size"):
        segment(model, _case())
