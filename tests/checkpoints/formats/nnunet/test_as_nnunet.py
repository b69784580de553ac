"""nnU-Net v2 folders segment as nnU-Net's own predictor, and explain what that computes."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import io
import json
import threading
from itertools import combinations, product

import nibabel as nib
import numpy as np
import pytest
import torch
from naive import aggregate
from nibabel.affines import apply_affine
from scipy.ndimage import gaussian_filter, map_coordinates
from torch.nn import functional

pytest.importorskip("nnunetv2", reason="needs the extra nnunet")

from command_line import run
from nnunet_folders import RESIDUAL, make_folder

from napari_ies.checkpoints import load_checkpoint
from napari_ies.checkpoints.formats.nnunet import predicting
from napari_ies.cohort.context.growth import Growth
from napari_ies.cohort.context.one_curve import step_words
from napari_ies.cohort.context.perilesional import ContextRequest, perilesional
from napari_ies.cohort.context.step_logits import Masking, masked_case, step_logits
from napari_ies.counterfactual.counterfactual import what_if
from napari_ies.counterfactual.edit import Edit
from napari_ies.errors import CheckpointError, SaliencyError, SegmentationError
from napari_ies.geometry.box import Box
from napari_ies.network.inference import changed_logits, logit_map, predict
from napari_ies.network.members import members_of
from napari_ies.network.network_grid import footprint_on, network_case, network_turn
from napari_ies.network.windows import tiling
from napari_ies.patient.loading import load_case
from napari_ies.progress import finish
from napari_ies.results import (
    load_saliency,
    load_segmentation,
    save_saliency,
    save_segmentation,
)
from napari_ies.results.storage.json_files import sidecar_of
from napari_ies.saliency import explain
from napari_ies.saliency.engines.certification import choose_engine
from napari_ies.saliency.expected.expected_time import expected_time
from napari_ies.saliency.explanation import explain_request
from napari_ies.saliency.footprint import BoxedMask
from napari_ies.saliency.gradcam import candidate_layers, default_layer, gradcam
from napari_ies.saliency.noise import standard_noise
from napari_ies.saliency.problem import Problem
from napari_ies.saliency.request import SaliencyRequest
from napari_ies.segmentation.segmentation import segment
from napari_ies.segmentation.threshold_change import at_threshold

AFFINE = np.diag([1.2, 1.0, 0.9, 1.0])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    former = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path_factory.mktemp("nnunet")
    torch.set_num_threads(former)


@pytest.fixture(scope="module")
def files(place):
    return save_images(place / "images", AFFINE)


def save_images(folder, affine):
    folder.mkdir()
    generator = np.random.default_rng(0)
    paths = []
    for channel in range(2):
        values = 100 * gaussian_filter(generator.normal(size=(23, 25, 22)), 1.5) + 50
        values[:3] = values[:, -2:] = values[..., :4] = 0
        paths.append(folder / f"case_{channel:04d}.nii.gz")
        nib.save(nib.Nifti1Image(values.astype(np.float32), affine), paths[-1])
    return paths


def by_nnunet(folder, files, *, folds=None, mirroring=True):
    """Return nnU-Net's own segmentation and probabilities, with the axes of the files."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    with contextlib.redirect_stdout(io.StringIO()):
        predictor = nnUNetPredictor(
            use_mirroring=mirroring, device=torch.device("cpu"), allow_tqdm=False
        )
        predictor.initialize_from_trained_model_folder(str(folder), folds)
    reader = predictor.plans_manager.image_reader_writer_class()
    data, properties = reader.read_images([str(file) for file in files])
    segmented, probabilities = predictor.predict_single_npy_array(
        data, properties, save_or_return_probabilities=True
    )
    return segmented.transpose(2, 1, 0), probabilities.transpose(0, 3, 2, 1)


def loaded(folder, files, **arguments):
    model = load_checkpoint(folder, device="cpu", stated={"arguments": arguments})
    return model, load_case(dict(zip(model.profile.sequences, files, strict=True)))


FOLDERS = {
    "3d_fullres": {},
    "residual encoder": {"network": RESIDUAL, "mirrored": None},
    "3d_lowres": {"name": "3d_lowres", "spacing": [2.0, 2.2, 2.0]},
    "own spacing, larger window": {"spacing": [1.0, 0.9, 1.2], "patch_size": [32, 32, 32]},
    "thick slices": {"spacing": [1.0, 1.0, 4.0], "patch_size": [16, 20, 6]},
    "regions": {"labels": {"background": 0, "whole": [1, 2], "lesion": 2, "ignore": 3}},
    "ignore": {"labels": {"background": 0, "lesion": 1, "ignore": 2}},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FOLDERS)
def test_it_segments_as_nnunets_predictor(name, place, files):
    folder = make_folder(place / name, **FOLDERS[name])
    segmented, probabilities = by_nnunet(folder, files)
    model, case = loaded(folder, files)
    found, index = segment(model, case), model.profile.explained_class
    expected = probabilities[index]
    assert expected.min() == 0
    assert 0.6 < expected.max() <= 1
    assert np.abs(found.probability - expected).max() <= 1e-4
    sure = np.abs(expected - 0.5) > 1e-6
    if name == "regions":
        assert model.profile.classes == ("whole", "lesion")
        assert model.profile.activation == "sigmoid"
        assert ((found.labels > 0) == (expected > 0.5))[sure].all()
    else:
        assert model.profile.classes == ("background", "lesion")
        assert ((found.labels > 0) == (segmented == 1))[sure].all()
    assert any("nnU-Net cropped the images" in note for note in found.notes)


@pytest.mark.slow
def test_of_several_classes_the_most_probable_is_marked(place, files, tmp_path):
    """As nnU-Net decides; another threshold is a person's choice, and what counts is stored."""
    labels = {"background": 0, "lesion": 1, "other": 2, "third": 3}
    folder = make_folder(place / "several", labels=labels)
    segmented, probabilities = by_nnunet(folder, files)
    model, case = loaded(folder, files)
    found = segment(model, case)
    best = np.sort(probabilities, axis=0)
    sure = best[-1] - best[-2] > 1e-5
    assert np.abs(found.probability - probabilities[1]).max() <= 1e-4
    assert ((found.labels > 0) == (segmented == 1))[sure].all()
    # Somewhere it is the most probable with less than 0.5: there a threshold differs.
    assert ((segmented == 1) & (probabilities[1] < 0.499)).any()
    assert any("lesion is the most probable of 4 classes" in note for note in found.notes)

    lower = segment(model, case, threshold=0.3)
    assert ((lower.labels > 0) == (lower.probability > 0.3)).all()
    assert any("above 0.3; the network's own tool" in note for note in lower.notes)
    images = [f"--image={name}={path}" for name, path in zip(case.sequences, files, strict=True)]
    asked = ("segment", folder, *images, "--threshold", "0.3", "--out", tmp_path / "by-command")
    assert "the network's own tool marks where it is the most" in " ".join(
        run(*asked).output.split()
    )
    changed = at_threshold(found, case, threshold=0.3, smallest=1)
    assert ((changed.labels > 0) == (lower.labels > 0)).all()
    back = at_threshold(changed, case, threshold=0.5, smallest=1)
    assert ((back.labels > 0) == (found.labels > 0)).all()

    # Context marks alike; it brings logits back linearly, hence the three that win most clearly.
    margin = np.where((segmented == 1) & (probabilities[1] < 0.499), best[-1] - best[-2], 0)
    few = margin >= np.sort(margin, axis=None)[-3]
    asked = ContextRequest(growth=Growth(step_mm=4, farthest_mm=4))
    curve = perilesional(model, case, few, asked)
    assert (curve.whole_above, curve.by_tool) == (np.count_nonzero(few), True)
    assert "where lesion is the most probable class, as the network's own tool" in curve.notes[-1]
    assert "3 of 3 voxels where it is the most probable class" in step_words(curve, -1)
    by_number = perilesional(model, case, few, dataclasses.replace(asked, threshold=0.49999))
    assert (by_number.whole_above, by_number.by_tool) == (0, False)

    first, *_ = save_segmentation(tmp_path, found, case=case, model=model)
    assert json.loads(sidecar_of(first).read_text())["Decision"] == {
        "Threshold": 0.5,
        "Decided": True,
    }
    again = load_segmentation(first)
    assert ((again.marked_at(0.5)) == (found.labels > 0)).all()
    first, *_ = save_segmentation(tmp_path, changed, case=case, model=model, overwrite=True)
    with pytest.raises(SegmentationError, match="press Segment to find it anew"):
        at_threshold(load_segmentation(first), case, threshold=0.5, smallest=1)


def naive_logits(networks, image, patch, mirrored):
    """Blended logits (classes, x, y, z) in float64 of an image (C, x, y, z), by nnU-Net's rules."""
    from acvl_utils.cropping_and_padding.padding import pad_nd_image
    from nnunetv2.inference.sliding_window_prediction import (
        compute_gaussian,
        compute_steps_for_sliding_window,
    )

    padded, inner = pad_nd_image(image, patch, "constant", {"value": 0}, True, None)
    gaussian = compute_gaussian(patch, 1 / 8, 10, torch.float16, torch.device("cpu")).double()
    mirrors = [axes for n in range(len(mirrored) + 1) for axes in combinations(mirrored, n)]
    total, weights = 0, torch.zeros(padded.shape[1:], dtype=torch.float64)
    starts = compute_steps_for_sliding_window(padded.shape[1:], patch, 0.5)
    for start in product(*starts):
        window = (slice(None), *(slice(a, a + n) for a, n in zip(start, patch, strict=True)))
        place = torch.zeros(padded.shape[1:], dtype=torch.float64)
        place[window[1:]] = gaussian
        weights = weights + place
        for network in networks:
            for axes in mirrors:
                dims = [axis + 2 for axis in axes]
                seen = network(padded[window][None].flip(dims)).flip(dims)[0]
                spread = torch.zeros((len(seen), *padded.shape[1:]), dtype=torch.float64)
                spread[window] = seen * gaussian / (len(networks) * len(mirrors))
                total = total + spread
    return (total / weights)[inner]


@pytest.fixture(scope="module")
def folds(place):
    return make_folder(place / "folds", folds=("0", "1"), patch_size=[16, 20, 16], mirrored=(2,))


EXPLAINED = {
    "folds in mirrors": {"folds": ("0", "1"), "patch_size": [16, 20, 16], "mirrored": (2,)},
    "residual encoder": {"network": RESIDUAL, "mirrored": None, "patch_size": [16, 20, 16]},
    "3d_lowres": {"name": "3d_lowres", "spacing": [2.0, 2.2, 2.0], "mirrored": (0,)},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPLAINED)
def test_it_explains_what_nnunet_computes(name, place, files):
    mirrored = EXPLAINED[name]["mirrored"] or ()
    folder = make_folder(place / f"explained {name}", **EXPLAINED[name])
    model, case = loaded(folder, files)
    mask = np.zeros(case.shape, dtype=bool)
    mask[11:13, 10:12, 12] = True
    seen = network_case(model, case)
    turn = network_turn(model, seen)
    image = torch.from_numpy(np.ascontiguousarray(turn.apply(seen.data))).double()
    networks = [copy.deepcopy(one).double() for one in members_of(model.network)]
    noise = standard_noise(0, 0, 2, tuple(slice(0, size) for size in seen.shape))
    deviation = 0.05 * float(image[0].max() - image[0].min())
    noisy = (image + deviation * torch.from_numpy(turn.apply(noise).copy())).requires_grad_()
    patch = model.profile.window
    logits = naive_logits(networks, noisy, patch, mirrored)[1]
    tiles = tiling(model.profile, turn.displayed_shape, "sliding-window")
    voxels = np.argwhere(turn.apply(footprint_on(mask, case.grid, seen.grid)))
    rows = np.array(
        [torch.autograd.grad(logits[tuple(v)], noisy, retain_graph=True)[0] for v in voxels]
    )
    assert 1 <= len(rows) <= 4
    for aggregation in ("mean", "max"):
        expected = turn.invert(aggregate(rows, aggregation))
        found = explain(model, case, mask, aggregation=aggregation, n_samples=1, noise=0.05)
        there = found.in_network
        whole = there.box.lay(there.cropped, Box.whole(there.shape))
        assert np.abs(whole - expected).max() < 1e-4 * np.abs(expected).max()
        # On the case's grid: interpolated linearly between the centres of the network's voxels.
        inner = np.argwhere(np.abs(found.maps[0]) > 0.2 * np.abs(found.maps[0]).max())
        at = apply_affine(np.linalg.inv(seen.affine) @ case.affine, inner).T
        interpolated = map_coordinates(expected[0], at, order=1, mode="nearest")
        away = np.abs(found.maps[0][tuple(inner.T)] - interpolated).max()
        assert away < 1e-4 * np.abs(expected).max()
    problem = Problem(
        network=copy.deepcopy(model.network).double(),
        engine=choose_engine(model),
        device=torch.device("cpu"),
        image=image,
        tiles=tiles,
        class_index=1,
        turn=turn,
    )
    assert candidate_layers(model) == (
        *(f"encoder.stages.{i}" for i in range(3)),
        *(f"decoder.{name}.{i}" for i in range(2) for name in ("transpconvs", "stages")),
    )
    layer = default_layer(model)
    *_, last = gradcam(problem, voxels, layer)
    found = np.zeros(turn.displayed_shape)
    found[(*last.box,)] = last.mean[0].numpy()
    expected = naive_gradcam(networks, image, voxels, layer, tiles, mirrored)
    assert np.abs(found - expected).max() < 1e-5 * expected.max()
    assert explain(model, case, mask, method="gradcam++").maps.max() > 0


def naive_gradcam(networks, image, voxels, layer, tiles, mirrored):
    """Grad-CAM++ (x, y, z) where each mirror image of a window is a window of its own."""
    mirrors = [axes for n in range(len(mirrored) + 1) for axes in combinations(mirrored, n)]
    share, passes = 1 / (len(networks) * len(mirrors)), []
    for window in tiles.windows:
        inside = [v for v in voxels if window.holds(tuple(v))]
        for axes in mirrors if inside else ():
            dims, kept = [axis + 2 for axis in axes], []
            score = 0
            for network in networks:
                handle = network.get_submodule(layer).register_forward_hook(
                    lambda _module, _in, output, kept=kept: kept.append(output) or output.clone()
                )
                crop = tiles.crop(image, window)[None].flip(dims).requires_grad_()
                logits = network(crop).flip(dims)[0, 1]
                handle.remove()
                for voxel in inside:
                    local = tuple(voxel - np.array(window.start))
                    weight = tiles.window_importance[local] / tiles.total[tuple(voxel)]
                    score = score + share * weight * logits[local]
            gradients = torch.autograd.grad(score, kept)
            a, g = (torch.cat([one.flip(dims)[0] for one in ones]) for ones in (kept, gradients))
            passes.append((window, a.detach(), g))
    total = sum((a * g**3).sum(dim=(1, 2, 3)) for _, a, g in passes)
    result = torch.zeros(image.shape[1:], dtype=torch.float64)
    for window, a, g in passes:
        raw = sum(
            (g[k] ** 2 / (2 * g[k] ** 2 + total[k])).nan_to_num() * g[k].relu() * a[k]
            for k in range(len(a))
        ).relu()
        whole = functional.interpolate(raw[None, None], size=window.shape, mode="trilinear")[0, 0]
        part = tiles.visible(window)
        result[(*part,)] += whole[(*part.within(window),)]
    return result.numpy()


@pytest.mark.slow
def test_folds_are_explained_together_with_the_spread_between_them(folds, files, tmp_path):
    model, case = loaded(folds, files, mirroring=False)
    mask = np.zeros(case.shape, dtype=bool)
    mask[11:13, 10:12, 12] = True
    request = SaliencyRequest(n_samples=2)
    reports = list(explain_request(model, case, mask, request))
    assert [report.finished for report in reports] == [False] * (len(reports) - 1) + [True]
    assert [report.done for report in reports] == sorted(report.done for report in reports)
    found = reports[-1].result
    singles = []
    for fold in (0, 1):
        one, _ = loaded(folds / f"fold_{fold}", files, mirroring=False)
        alone = explain(one, case, mask, n_samples=2)
        assert alone.cropped_spread is None
        singles.append(alone.maps)
    assert np.abs(found.maps - np.mean(singles, axis=0)).max() < 1e-5 * np.abs(found.maps).max()
    whole = found.box.lay(found.cropped_spread, Box.whole(case.shape))
    expected = np.std(singles, axis=0, ddof=1)
    assert np.abs(whole - expected).max() < 1e-5 * expected.max()
    assert found.cropped_standard_error is not None

    mirrors, _ = loaded(folds, files)
    shorter = expected_time(mirrors, case, [mask], request, few_steps=10**9).shorter
    assert shorter[:2] == (
        "one of 2 folds (Profile… or --folds)",
        "no mirroring (2 images; Profile… or --no-mirroring)",
    )
    first, *_ = save_saliency(tmp_path, found, case=case, lesion=1)
    again = load_saliency(first)
    assert np.array_equal(again.cropped_spread, found.cropped_spread)
    own, known = again.in_network, found.in_network
    assert own.box == known.box
    assert np.array_equal(own.affine, known.affine)
    assert np.array_equal(own.cropped, known.cropped)
    assert np.array_equal(own.cropped_standard_error, known.cropped_standard_error)


def by_hand(data, original, mask_for_norm):
    """What nnU-Net would see of changed images (C, x, y, z): z-scored as the original was."""
    inside = (original != 0).any(axis=0)
    box = tuple(slice(int(at.min()), int(at.max()) + 1) for at in np.nonzero(inside))
    seen = []
    for channel, masked in enumerate(mask_for_norm):
        was, now = (one[channel][box].astype(np.float64) for one in (original, data))
        known = was[inside[box]] if masked else was
        scaled = (now - known.mean()) / known.std()
        patient = (data != 0).any(axis=0)[box]
        seen.append(np.where(patient, scaled, now) if masked else scaled)
    return np.array(seen)


@pytest.mark.slow
def test_changed_images_are_cropped_and_scaled_as_the_original(place, files):
    """Where its voxels are those of the images, what it sees is known by hand."""
    kept = {"spacing": [1.0, 0.9, 1.2], "mirrored": (1,)}  # its axes are y, z and x
    folder = make_folder(place / "changed", folds=("0", "1"), **kept)
    model, case = loaded(folder, files)
    before = segment(model, case)
    mask = np.zeros(case.shape, dtype=bool)
    mask[10:13, 9:12, 11:14] = True
    edit = Edit("FLAIR", "darken", 40.0, "percent")
    found = what_if(model, case, before, mask, edit)

    seen, origin = network_case(model, found.case), network_case(model, case)
    assert seen.grid.same_as(origin.grid)
    assert seen.shape == (20, 23, 18)
    for one, values in ((origin, case.data), (seen, found.case.data)):
        expected = by_hand(values, case.data, (True, False))
        assert np.abs(one.data - expected).max() < 1e-4
    different = (seen.data != origin.data).any(axis=0)
    assert np.count_nonzero(different) == np.count_nonzero(mask)  # and not every voxel
    turn = network_turn(model, seen)
    image = torch.from_numpy(np.ascontiguousarray(turn.apply(seen.data))).double()
    networks = [copy.deepcopy(one).double() for one in members_of(model.network)]
    with torch.no_grad():
        logits = naive_logits(networks, image, model.profile.window, (1,))
    inner = turn.invert(logits.softmax(dim=0)[1].numpy())
    # nnU-Net adds in float16: at the borders, where its weights are next to 0, that tells.
    middle = (slice(4, -4),) * 3
    away = np.abs(found.probability[3:, :-2, 4:] - inner)[middle]
    assert away.max() < 2e-3
    assert np.abs(found.difference).max() > 0.1

    same = dataclasses.replace(case, data=case.data.copy(), normalised_as=case)
    logits = finish(logit_map(model, case))
    assert finish(changed_logits(model, case, same, logits)) is logits
    emptied = masked_case(case, case.sequences, mask)
    known = by_hand(emptied.data, case.data, (True, False))
    assert np.abs(network_case(model, emptied).data - known).max() < 1e-4


@pytest.mark.slow
def test_a_lesion_alone_is_as_nnunet_sees_it_and_all_of_the_images_as_they_are(folds, files):
    model, case = loaded(folds, files, mirroring=False)
    mask = np.zeros(case.shape, dtype=bool)
    mask[11:13, 10:12, 12] = True
    masking = Masking.of(case, BoxedMask.of(mask), case.sequences, Growth(step_mm=4, farthest_mm=8))
    known = {}
    for report in step_logits(model, case, masking, "sliding-window"):
        if report.result is not None:
            known |= dict(zip(report.result.steps, report.result.logits, strict=True))
    assert sorted(known) == list(range(masking.count))
    whole = finish(logit_map(model, case))[:, mask]
    assert np.abs(known[masking.count - 1] - whole).max() < 0.05 * np.abs(whole).max()
    alone = finish(logit_map(model, masked_case(case, case.sequences, masking.order <= 0)))
    assert np.abs(known[0] - alone[:, mask]).max() < 0.05 * np.abs(alone).max()


def test_it_can_be_stopped_and_says_what_it_does_not_compute(folds, files, monkeypatch):
    model, case = loaded(folds, files)
    run, runs = predicting._Passes.forward, []
    monkeypatch.setattr(
        predicting._Passes, "forward", lambda *of: (runs.append(of[0].stopped), run(*of))[1]
    )
    reports = predict(model, case)
    first = next(reports)
    assert 0 < first.done < first.total
    reports.close()
    # The rest of a fold without mirrors, after the window that was under way, and no other fold.
    mirrors, folds_there = len(model.network.mirrors), len(model.network.members)
    windows = (first.total - 1) // (mirrors * folds_there)
    assert (first.total - 1) > windows + 2 * mirrors >= sum(runs)
    assert not [one for one in threading.enumerate() if one.name == "nnU-Net's predictor"]

    outside = np.zeros(case.shape, dtype=bool)
    outside[0, 0, 0] = True  # cropped away
    with pytest.raises(SaliencyError, match="outside of what the network sees"):
        explain(model, case, outside, n_samples=1)
    with pytest.raises(CheckpointError, match="takes 2 sequences"):
        segment(model, load_case({"FLAIR": files[0]}))
