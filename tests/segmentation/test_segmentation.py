import dataclasses

import naive
import numpy as np
import pytest
import torch
from cases import random_case
from monai.inferers import sliding_window_inference
from networks import small_model

from napari_ies.errors import CheckpointError, SegmentationError
from napari_ies.geometry.orientation import Reorientation
from napari_ies.network.inference import logit_map, probability_of
from napari_ies.progress import finish
from napari_ies.segmentation.segmentation import Segmentation, segment, segment_progressively

SHAPE = (12, 10, 14)


@pytest.mark.parametrize("forward", ["sliding-window", "whole-volume"])
@pytest.mark.parametrize("name", ["unet", "unet-anisotropic", "dynunet"])
def test_probability_equals_the_softmax_of_the_blended_logits(name, forward):
    model, case = small_model(name), random_case(SHAPE)
    image = torch.from_numpy(case.normalised("zscore-nonzero").copy())
    expected = naive.logits(model.network, image, model.profile, forward).softmax(0)[1]
    result = segment(model, case, forward=forward)
    np.testing.assert_allclose(result.probability, expected.numpy(), atol=1e-5)
    assert np.array_equal(result.labels > 0, result.probability > model.profile.threshold)


def test_one_output_channel_is_a_sigmoid():
    model, case = small_model(), random_case(SHAPE)

    class FirstChannel(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = model.network

        def forward(self, batch):
            return self.network(batch)[:, :1]

    single = dataclasses.replace(
        model,
        network=FirstChannel(),
        profile=dataclasses.replace(model.profile, classes=("lesion",), explained_class=0),
    )
    image = torch.from_numpy(case.normalised("zscore-nonzero").copy())
    expected = naive.logits(single.network, image, single.profile, "sliding-window")[0].sigmoid()
    np.testing.assert_allclose(segment(single, case).probability, expected.numpy(), atol=1e-5)


def test_several_outputs_that_do_not_exclude_each_other_take_the_sigmoid():
    model, case = small_model(), random_case(SHAPE)
    profile = dataclasses.replace(model.profile, activation="sigmoid")
    labelled = dataclasses.replace(model, profile=profile)
    image = torch.from_numpy(case.normalised("zscore-nonzero").copy())
    logits = naive.logits(model.network, image, profile, "sliding-window")

    probability = segment(labelled, case).probability

    np.testing.assert_allclose(probability, 1 / (1 + np.exp(-logits[1].numpy())), atol=1e-5)


def test_constant_windows_are_computed_once_and_change_nothing():
    model = small_model(window=(8, 8, 8))
    case = random_case((40, 10, 14))
    case.data[:, 4:30] = 0
    seen = []
    model.network.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    image = torch.from_numpy(case.normalised("zscore-nonzero").copy())
    probability = probability_of(model, case, finish(logit_map(model, case)))
    passes = sum(len(batch) for batch in seen)
    expected = sliding_window_inference(
        image[None], (8, 8, 8), 1, model.network, overlap=0.25, mode="gaussian"
    )
    np.testing.assert_allclose(probability, expected.softmax(1)[0, 1].numpy(), atol=1e-5)
    assert passes < len(seen) - passes  # MONAI ran each of the windows
    assert sum(bool((batch == 0).all()) for batch in seen[:passes]) == 1


def test_an_orientation_in_the_profile_is_that_of_the_turned_case():
    model, case = small_model(), random_case(SHAPE)
    turn = Reorientation.between(case.affine, case.shape, ("S", "L", "P"))
    turned = dataclasses.replace(case, data=np.ascontiguousarray(turn.apply(case.data)))
    profile = dataclasses.replace(model.profile, orientation="SLP")
    result = segment(dataclasses.replace(model, profile=profile), case)
    np.testing.assert_allclose(
        turn.apply(result.probability), segment(model, turned).probability, atol=1e-6
    )


def test_a_reference_adds_the_match_and_the_missed_lesions():
    model, case = small_model(), random_case(SHAPE)
    plain = segment(model, case, threshold=0.6)
    reference = np.zeros(SHAPE, dtype=bool)
    reference[tuple(np.argwhere(plain.labels == 1)[0])] = True
    missed = tuple(np.argwhere(plain.labels == 0)[-1])
    reference[missed] = True
    result = segment(model, case, threshold=0.6, reference=reference)
    assert result.lesions.match[1] == "TP"
    assert result.lesions.match[result.labels[missed]] == "FN"
    assert set(result.lesions.match[2 : plain.labels.max()]) == {"FP"}


def test_voxel_sizes_other_than_the_trained_are_noted():
    case = random_case(SHAPE, affine=np.diag([0.7, 0.7, 3.0, 1.0]))
    trained = small_model(spacing=(1.0, 1.0, 1.0))
    (note,) = segment(trained, case).notes
    assert "trained on voxels of 1 × 1 × 1 mm and these images have 0.7 × 0.7 × 3 mm" in note
    same = random_case(SHAPE, affine=np.diag([1.02, 1.0, 0.98, 1.0]))
    assert segment(trained, same).notes == ()


def test_every_window_is_reported_and_only_the_last_report_has_a_result():
    model, case = small_model(), random_case(SHAPE)
    every = list(segment_progressively(model, case))
    reports = [report for report in every if report.step == "Segmenting"]
    tested = every[: -len(reports)]
    assert {(report.step, report.finished) for report in tested} == {
        ("Testing what was guessed", False)
    }
    assert [report.done for report in reports] == list(range(1, len(reports) + 1))
    assert [report.finished for report in reports] == [False] * (len(reports) - 1) + [True]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"threshold": 0.0}, "threshold is 0"),
        ({"threshold": 1.5}, "threshold is 1.5"),
        ({"smallest": 0}, "smallest lesion is 0"),
        ({"reference": np.zeros((2, 2, 2), bool)}, "reference mask has the size"),
    ],
)
def test_impossible_settings_are_refused(settings, sentence):
    with pytest.raises(SegmentationError, match=sentence):
        segment(small_model(), random_case(SHAPE), **settings)


def test_a_case_with_too_few_sequences_is_refused():
    with pytest.raises(CheckpointError, match=r"takes 2 sequences .* the case has 1"):
        segment(small_model(), random_case(SHAPE, sequences=("FLAIR",)))


@pytest.mark.parametrize("label", [2**31 - 1, 100_001, -1])
def test_labels_that_no_lesions_have_are_refused(label):
    """What follows takes memory by the highest one: a list of all up to it, 16 GB."""
    labels = np.zeros((3, 3, 3), np.int32)
    labels[1, 1, 1] = label
    with pytest.raises(SegmentationError, match="expected 1 to 100,000, so raise the threshold"):
        Segmentation(
            probability=np.zeros((3, 3, 3), np.float32),
            labels=labels,
            lesions=None,
            threshold=0.5,
            forward="sliding-window",
            device="cpu",
        )
