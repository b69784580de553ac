"""Bundles whose transforms no profile can say: MONAI does them, and undoes them, as it would."""

from __future__ import annotations

import copy
import dataclasses
import json

import naive
import nibabel as nib
import numpy as np
import pytest
import torch
from bundles import NETWORK, NORMALISED, config, monai_probability, trained_unet, write_bundle
from cases import random_case
from naive_model import check_gradcam
from nibabel.affines import apply_affine
from nibabel.eulerangles import euler2mat
from scipy.ndimage import map_coordinates

from napari_ies import explain, load_case, segment
from napari_ies.checkpoints import load_checkpoint, profile_path, write_profile
from napari_ies.checkpoints.ensemble import FORMAT
from napari_ies.counterfactual.counterfactual import what_if
from napari_ies.counterfactual.edit import Edit
from napari_ies.errors import CheckpointError, SegmentationError
from napari_ies.geometry.box import Box
from napari_ies.network.network_grid import footprint_on, network_case, network_turn
from napari_ies.network.trained_grid import with_geometry
from napari_ies.results import load_saliency, save_saliency
from napari_ies.saliency.noise import standard_noise


def spatial(name, **arguments):
    return {"_target_": f"{name}d", "keys": "@image_key", **arguments}


ORIENTED = spatial("Orientation", axcodes="PLS")
SPACED = spatial("Spacing", pixdim=[1.5, 1.1, 1.3], mode="bilinear")
CROPPED = spatial("CropForeground", source_key="@image_key", margin=1)
RANGE = spatial("ScaleIntensityRange", a_min=20, a_max=80, b_min=0, b_max=1, clip=True)
SOFTMAX = {"_target_": "Activationsd", "keys": "pred", "softmax": True}
SIGMOID = {"_target_": "Activationsd", "keys": "pred", "sigmoid": True}


def invert(**arguments):
    return {
        "_target_": "Invertd",
        "keys": "pred",
        "transform": "@preprocessing",
        "orig_keys": "@image_key",
        "nearest_interp": False,
        **arguments,
    }


BACK = (SOFTMAX, invert())


def bundle(folder, transforms, post=BACK, network=NETWORK, **more):
    content = config(
        network, transforms, postprocessing={"_target_": "Compose", "transforms": [*post]}, **more
    )
    weights = None
    if network.get("norm") != "batch":
        torch.manual_seed(0)
        made = {key: value for key, value in network.items() if key != "_target_"}
        weights = type(trained_unet())(**made).state_dict()
    return write_bundle(folder, content, weights=weights)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """FLAIR and T1, oblique, on voxels of 1 × 1.2 × 2 mm, with a background of 0 around them."""
    affine = np.eye(4)
    turned = euler2mat(z=0.2, y=-0.15, x=0.1) @ np.diag([-1, 1.2, 2])
    affine[:3] = np.column_stack([turned, [40, -30, 12]])
    case = random_case((22, 20, 17), affine=affine)
    paths, folder = {}, tmp_path_factory.mktemp("images")
    for sequence, volume in zip(case.sequences, case.data, strict=True):
        volume = volume.copy()
        volume[:3] = volume[:, -2:] = volume[..., :2] = 0
        paths[sequence] = folder / f"{sequence}.nii.gz"
        nib.save(nib.Nifti1Image(volume, affine), paths[sequence])
    return paths


CHAINS = {
    "voxels": (SPACED, NORMALISED),
    "turned": (ORIENTED, SPACED, NORMALISED),
    "turned after": (SPACED, ORIENTED, {**NORMALISED, "nonzero": False}),
    "cropped": (ORIENTED, CROPPED, SPACED, NORMALISED),
    "intensities first": (ORIENTED, RANGE, CROPPED, SPACED),
    "padded": (
        SPACED,
        RANGE,
        spatial("SpatialPad", spatial_size=[24, 20, 32]),
        spatial("DivisiblePad", k=8),
    ),
    "to a size": (spatial("Resize", spatial_size=[20, 24, 18], mode="trilinear"), NORMALISED),
    "in the middle": (spatial("CenterSpatialCrop", roi_size=[18, 16, 14]), RANGE),
    "nearest": (spatial("Spacing", pixdim=1.4, mode="nearest"), RANGE),
    "together": (SPACED, {**NORMALISED, "channel_wise": False}),
    "percentiles": (
        spatial("ScaleIntensityRangePercentiles", lower=1, upper=99, b_min=0, b_max=1),
        NORMALISED,
    ),
}
INVERTED = {
    "nearest back": (SOFTMAX, invert(nearest_interp=True)),
    "logits back": (invert(), SOFTMAX),
    "sigmoid": (SIGMOID, invert()),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CHAINS, *INVERTED])
def test_it_segments_as_monai(name, tmp_path, images):
    chain = CHAINS.get(name, CHAINS["turned"])
    folder = bundle(tmp_path / "b", chain, INVERTED.get(name, BACK))
    model, case = load_checkpoint(folder, device="cpu"), load_case(images)

    found = segment(model, case)

    index = model.profile.explained_class
    expected = monai_probability(folder, list(images.values()))[index]
    assert expected.shape == case.shape
    assert np.ptp(expected) > 0.1
    assert np.abs(found.probability - expected).max() < 1e-5
    kind = "logits" if name == "logits back" else "probabilities"
    assert any(f"; {kind} came back by their inverse" in note for note in found.notes)


def test_sequences_on_their_own_until_they_are_joined(tmp_path, images):
    both = ["flair", "t1"]
    transforms = (
        {**SPACED, "keys": both},
        {**NORMALISED, "keys": both},
        {"_target_": "ConcatItemsd", "keys": both, "name": "image"},
    )
    load = [
        {"_target_": "LoadImaged", "keys": both},
        {"_target_": "EnsureChannelFirstd", "keys": both},
    ]
    content = config(
        preprocessing={"_target_": "Compose", "transforms": [*load, *transforms]},
        postprocessing={
            "_target_": "Compose",
            "transforms": [SOFTMAX, invert(orig_keys="flair")],
        },
    )
    folder = write_bundle(tmp_path / "b", content)
    model = load_checkpoint(folder, device="cpu")
    assert model.profile.sequences == ("FLAIR", "T1")

    found = segment(model, load_case(images)).probability

    files = dict(zip(both, images.values(), strict=True))
    expected = monai_probability(folder, files)[1]
    assert np.abs(found - expected).max() < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_it_explains_what_the_network_sees(norm, tmp_path, images):
    """Maps are those of the loop in float64 on MONAI's grid, and come back linearly."""
    folder = bundle(tmp_path / "b", CHAINS["cropped"], network={**NETWORK, "norm": norm})
    model, case = load_checkpoint(folder, device="cpu"), load_case(images)
    mask = np.zeros(case.shape, dtype=bool)
    mask[11:13, 10, 9] = True
    seen = network_case(model, case)
    image = seen.normalised("zscore-nonzero").astype(np.float64)
    turn = network_turn(model, seen)
    footprint = footprint_on(mask, case.grid, seen.grid)
    noise = standard_noise(0, 0, 2, tuple(slice(0, size) for size in seen.shape))
    noisy = image + 0.05 * np.ptp(image[0]) * noise
    rows = naive.jacobian(
        model,
        turn.apply(noisy),
        turn.apply(footprint),
        forward="sliding-window",
        class_index=1,
    )
    for aggregation in ("mean", "max"):
        expected = turn.invert(naive.aggregate(rows, aggregation))
        found = explain(model, case, mask, aggregation=aggregation, n_samples=1, noise=0.05)
        assert found.provenance["jacobian"] == ("windowed" if norm == "batch" else "loop")
        there = found.in_network
        whole = there.box.lay(there.cropped, Box.whole(there.shape))
        assert np.abs(whole - expected).max() < 1e-4 * np.abs(expected).max()
        inner = np.argwhere(np.abs(found.maps[0]) > 0.2 * np.abs(found.maps[0]).max())
        at = apply_affine(np.linalg.inv(seen.affine) @ case.affine, inner).T
        interpolated = map_coordinates(expected[0], at, order=1)
        away = np.abs(found.maps[0][tuple(inner.T)] - interpolated).max()
        assert away < 1e-4 * np.abs(expected).max()
    exact = torch.from_numpy(turn.apply(image).copy())
    twin = copy.deepcopy(model.network).double()
    expected = turn.invert(check_gradcam(model, turn.apply(footprint), twin, exact.numpy(), exact))
    layered = explain(model, case, mask, method="gradcam++")
    there = layered.in_network
    whole = there.box.lay(there.cropped, Box.whole(there.shape))[0]
    assert np.abs(whole - expected).max() < 1e-4 * expected.max()
    inner = np.argwhere(layered.maps[0] > 0.2 * layered.maps[0].max())
    at = apply_affine(np.linalg.inv(seen.affine) @ case.affine, inner).T
    away = np.abs(layered.maps[0][tuple(inner.T)] - map_coordinates(whole, at, order=1)).max()
    assert len(inner) > 10
    assert away < 1e-4 * expected.max()

    first, *_ = save_saliency(tmp_path, found, case=case, lesion=1)
    again = load_saliency(first)
    assert np.array_equal(again.in_network.cropped, found.in_network.cropped)
    assert np.array_equal(again.maps, found.maps)


def test_changed_images_are_cropped_and_scaled_as_the_original(tmp_path, images):
    model = load_checkpoint(bundle(tmp_path / "b", CHAINS["cropped"]), device="cpu")
    case = load_case(images)
    segmentation = segment(model, case)
    mask = np.zeros(case.shape, dtype=bool)
    mask[3:6, 10, 9] = True  # at the border of what it crops to

    found = what_if(model, case, segmentation, mask, Edit("FLAIR", "darken", 400.0, "percent"))
    seen, origin = network_case(model, found.case), network_case(model, case)

    assert seen.grid.same_as(origin.grid)
    old, new = (one.normalised("zscore-nonzero") for one in (origin, seen))
    assert 0 < np.count_nonzero(old[0] != new[0]) < 100
    assert np.array_equal(old[1], new[1])
    changed = found.probability != segmentation.probability
    assert changed[:8].any()
    assert not changed[-6:].any()


def test_changed_images_are_refused_where_it_would_scale_them_anew(tmp_path, images):
    model = load_checkpoint(bundle(tmp_path / "b", CHAINS["together"]), device="cpu")
    case = load_case(images)
    with pytest.raises(SegmentationError, match=r"its NormalizeIntensity would scale them anew"):
        network_case(model, dataclasses.replace(case, normalised_as=case))


def test_a_profile_may_state_the_grid_itself(tmp_path):
    folder = bundle(tmp_path / "b", CHAINS["cropped"])
    model = load_checkpoint(folder, device="cpu")
    assert (model.profile.spacing, model.profile.resample) == ((1.5, 1.1, 1.3), True)
    write_profile(profile_path(folder), model.profile)
    assert load_checkpoint(folder, device="cpu").preparation == model.preparation

    profile_path(folder).write_text('{"spacing": [1, 1, 1], "resample": true}')
    own = load_checkpoint(folder, device="cpu")
    assert own.preparation is None
    said = " ".join(own.profile.guessed)
    assert "CropForeground is left out, as its profile states the spacing" in said

    own = with_geometry(model, spacing=(2, 2, 2))
    assert (own.preparation, own.profile.spacing, own.profile.resample) == (None, (2, 2, 2), True)
    scaled = load_checkpoint(bundle(tmp_path / "c", CHAINS["together"]), device="cpu")
    with pytest.raises(CheckpointError, match="says itself which orientation and voxel size"):
        with_geometry(scaled, orientation="LAS")


def test_members_of_an_ensemble_see_the_images_alike(tmp_path, images):
    for name, chain in (("a", "voxels"), ("b", "voxels"), ("c", "cropped")):
        bundle(tmp_path / name, CHAINS[chain])
    file = tmp_path / "both.json"
    file.write_text(json.dumps({"ensemble": ["a", "b"], "average": "probability"}))
    model = load_checkpoint(file, device="cpu")
    assert model.format == FORMAT
    alone = load_checkpoint(tmp_path / "a", device="cpu")
    case = load_case(images)
    both = segment(model, case).probability
    assert np.abs(both - segment(alone, case).probability).max() < 1e-6

    file.write_text(json.dumps({"ensemble": ["a", "c"], "average": "probability"}))
    with pytest.raises(CheckpointError, match="has other transforms around its network than a"):
        load_checkpoint(file, device="cpu")


@pytest.mark.parametrize(
    ("transform", "said"),
    [
        (spatial("RandFlip", prob=1.0), "RandFlipd (configs"),
        (spatial("Spacing", pixdim=[1, 1]), "not three voxel sizes"),
        (spatial("Spacing", pixdim=1, diagonal=True), "with diagonal, which turns the axes"),
        (spatial("Orientation", axcodes="XYZ"), "not such as RAS"),
        (spatial("SpatialPad"), "which MONAI cannot make"),
        ({"_target_": "scripts.Own", "keys": "image"}, "has scripts.Own"),
        ({"_target_": "os.system", "command": "ls"}, "which is no transform of MONAI's and is"),
    ],
)
def test_what_is_not_taken_over_is_refused(transform, said, tmp_path):
    with pytest.raises(CheckpointError) as raised:
        load_checkpoint(bundle(tmp_path / "b", (transform,)), device="cpu")
    assert said in str(raised.value)
    assert "state the normalisation in its profile" in str(raised.value)


def test_images_it_cannot_be_done_to(tmp_path):
    case = random_case((16, 16, 16))
    empty = dataclasses.replace(case, data=np.full_like(case.data, -1))
    cropping = load_checkpoint(bundle(tmp_path / "a", (CROPPED,)), device="cpu")
    with pytest.raises(SegmentationError, match="CropForeground"):
        segment(cropping, empty)
    tiny = (spatial("Spacing", pixdim=[0.01, 0.01, 0.01]),)
    spacing = load_checkpoint(bundle(tmp_path / "b", tiny), device="cpu")
    with pytest.raises(SegmentationError, match="which needs"):
        segment(spacing, case)
