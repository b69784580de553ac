"""The trained U-Net on a real patient: the same values as a loop written apart from the package."""

import dataclasses

import naive
import nibabel as nib
import numpy as np
import pytest
import torch

from napari_ies import explain, load_case, load_checkpoint, segment
from napari_ies.saliency.noise import standard_noise

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.xdist_group("real patient"),  # segmented once, by one worker
]


BLOCK = (slice(52, 108), slice(68, 116), slice(48, 96))
"""A part of the brain with lesions, 56 × 48 × 48 voxels: two windows that overlap."""


@pytest.fixture(scope="module")
def patient(real_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("patient07")
    images = {}
    for name in ("FLAIR", "T1"):
        whole = nib.load(real_file(f"data/open_ms/patient07/{name}.nii.gz"))
        images[name] = folder / f"{name}.nii"
        nib.save(whole.slicer[BLOCK], images[name])
    case = load_case(images)
    model = load_checkpoint(real_file("checkpoints/unet_flair_t1_epoch_31.pth"), device="cpu")
    # The values hang on no size; the loop's time does.
    model = model.with_profile(dataclasses.replace(model.profile, window=(48, 48, 48)))
    segmentation = segment(model, case)
    return model, case, segmentation


def relative_difference(values, expected):
    return np.abs(values - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize(("forward", "noise"), [("sliding-window", 0.05), ("whole-volume", 0.0)])
def test_smoothgrad_equals_the_loop_over_voxels(patient, forward, noise):
    model, case, segmentation = patient
    lesion = np.argwhere(segmentation.labels == segmentation.lesions.voxels.idxmin())
    mask = np.zeros(case.shape, dtype=bool)
    mask[tuple(lesion[[0, -1]].T)] = True  # every voxel takes the loop some seconds
    image = case.normalised("zscore-nonzero")
    window = tuple(slice(0, size) for size in case.shape)
    values = standard_noise(0, 0, 2, window)
    sigma = noise * (float(image[0].max()) - float(image[0].min()))
    noisy = torch.from_numpy(image + np.float32(sigma) * values).requires_grad_()
    output = naive.logits(model.network, noisy, model.profile, forward)[1]
    rows = []
    for voxel in np.argwhere(mask):
        (row,) = torch.autograd.grad(output[tuple(voxel)], noisy, retain_graph=True)
        rows.append(row.numpy())
    for aggregation in ("mean", "max"):
        saliency = explain(
            model,
            case,
            mask,
            aggregation=aggregation,
            n_samples=1,
            noise=noise,
            forward=forward,
        )
        assert saliency.provenance["jacobian"] == "windowed"
        expected = naive.aggregate(np.array(rows), aggregation)
        assert relative_difference(saliency.maps, expected) < 1e-4


def test_gradcam_equals_the_loop_over_channels(patient):
    model, case, segmentation = patient
    mask = segmentation.labels == segmentation.lesions.voxels.idxmin()
    model.network.double()
    try:
        expected = naive.gradcam(
            model,
            case.normalised("zscore-nonzero"),
            mask,
            "model.1.submodule.2.conv",
            forward="sliding-window",
        )
    finally:
        model.network.float()
    saliency = explain(model, case, mask, method="gradcam++")
    assert relative_difference(saliency.maps[0], expected) < 1e-4
