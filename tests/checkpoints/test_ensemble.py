"""Several checkpoints as one model: averaged as they say, explained by the mean of their logits."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from cases import random_case
from monai.networks.nets import SegResNet, UNet
from naive_model import check_model

from napari_ies.checkpoints import load_checkpoint, profile_path
from napari_ies.checkpoints.sidecar import write_profile_to_complete
from napari_ies.errors import CheckpointError, SegmentationError
from napari_ies.network.inference import changed_logits, predict
from napari_ies.network.profile import questions
from napari_ies.progress import finish
from napari_ies.saliency import explain
from napari_ies.segmentation.segmentation import segment

SHAPE = (20, 16, 16)


@pytest.fixture
def members(saved):
    paths = []
    for seed in range(2):
        torch.manual_seed(seed)
        network = SegResNet(3, 8, 2, 2, blocks_down=(1, 1), blocks_up=(1,))
        paths.append(saved(network, f"{seed}.pth"))
        stated = {"window": [16, 16, 16], "overlap": 0.5, "smallest_lesion": 1}
        profile_path(paths[-1]).write_text(json.dumps(stated))
    return paths


def together(members, **said):
    path = members[0].with_name("both.json")
    path.write_text(json.dumps({"ensemble": [member.name for member in members], **said}))
    return path


@pytest.mark.slow
def test_probabilities_are_averaged_and_the_mean_logit_is_explained(members):
    case = random_case(SHAPE)
    models = [load_checkpoint(path, device="cpu") for path in members]
    alone = [finish(predict(model, case, keep_logits=True)) for model in models]
    by_probability = load_checkpoint(together(members), device="cpu")
    assert by_probability.format == "ensemble"
    assert [one["file"] for one in by_probability.profile.arguments["members"]] == [
        "0.pth",
        "1.pth",
    ]
    mean = np.mean([one.probability for one in alone], axis=0)
    assert np.abs(segment(by_probability, case).probability - mean).max() < 1e-6

    reports = list(predict(by_probability, case, keep_logits=True))
    assert [report.finished for report in reports] == [False] * (len(reports) - 1) + [True]
    logits = np.mean([one.logits for one in alone], axis=0)
    assert np.abs(reports[-1].result.logits - logits).max() < 1e-5
    by_logit = load_checkpoint(together(members, average="logit"), device="cpu")
    expected = torch.from_numpy(logits).softmax(dim=0)[1].numpy()
    assert np.abs(segment(by_logit, case).probability - expected).max() < 1e-5
    assert np.abs(expected - mean).max() > 1e-4

    mask = np.zeros(SHAPE, dtype=bool)
    mask[10, 8, 7:9] = True
    own = [explain(model, case, mask, n_samples=1) for model in models]
    found = explain(by_probability, case, mask, n_samples=1)
    maps = [one.maps for one in own]
    assert np.abs(found.maps - np.mean(maps, axis=0)).max() < 1e-5 * np.abs(found.maps).max()
    spread = np.std(maps, axis=0, ddof=1)
    whole = np.zeros_like(spread)
    whole[(slice(None), *found.box)] = found.cropped_spread
    assert np.abs(whole - spread).max() < 1e-5 * spread.max()

    with pytest.raises(SegmentationError, match="have it average logits"):
        next(changed_logits(by_probability, case, case, logits))


def test_members_whose_strides_are_guessed_segment(members, saved):
    network = UNet(3, 2, 2, (4, 6), (2,), norm="batch")  # without residuals they leave no trace
    for path in members:
        saved(network, path.name)
    model = load_checkpoint(together(members), device="cpu")
    assert any("The strides" in text for text in model.profile.guessed)
    assert segment(model, random_case(SHAPE)).probability.max() > 0


@pytest.mark.slow
def test_the_mean_logit_is_explained_as_the_loop_says(members, caplog):
    model = load_checkpoint(together(members, average="logit"), device="cpu")
    mask = np.zeros(SHAPE, dtype=bool)
    mask[10, 8, 7:9] = True
    check_model(model, random_case(SHAPE), mask, caplog, engine="loop")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"ensemble": ["0.pth"]}, r"^both\.json lists one checkpoint alone: expected 2 to 64 diff"),
        ({"ensemble": ["0.pth", "0.pth"]}, r"^both\.json lists 0\.pth twice: expected 2 to 64"),
        ({"ensemble": []}, "lists no checkpoint: expected"),
        ({"ensemble": [0, "0.pth"]}, "lists no checkpoints by their names: expected"),
        ({"ensemble": [f"{n}.pth" for n in range(65)]}, "lists 65 checkpoints: expected"),
        ({"average": "votes"}, "is 'votes': expected probability or logit"),
        ({"weights": 3}, r"says more than an ensemble may \(weights\)"),
        ({"ensemble": ["0.pth", "2.pth"]}, r"^both\.json lists .*: there is no file .*2\.pth"),
        ({"ensemble": ["0.pth", "both.json"]}, "lists itself"),
    ],
)
def test_what_is_no_ensemble_is_refused(members, said, why):
    path = together(members, **said)
    with pytest.raises(CheckpointError, match=why):
        load_checkpoint(path, device="cpu")


def test_members_are_of_one_architecture(members, saved):
    deeper = SegResNet(3, 8, 2, 2, blocks_down=(1, 1, 1), blocks_up=(1, 1))
    profile_path(saved(deeper, "2.pth")).write_text(profile_path(members[0]).read_text())
    path = together(members, ensemble=["0.pth", "2.pth"])
    with pytest.raises(CheckpointError, match="in divisor, which follows from the weights"):
        load_checkpoint(path, device="cpu")


def test_members_are_read_alike(members):
    profile_path(members[1]).write_text(json.dumps({"window": [32, 16, 16], "overlap": 0.5}))
    with pytest.raises(CheckpointError, match=r"1\.pth of both\.json differs .* in window"):
        load_checkpoint(together(members), device="cpu")


def test_a_profile_beside_it_holds_for_each_member_and_what_is_open_is_asked(members):
    path = together(members)
    before = load_checkpoint(path, device="cpu").profile
    asked = {guess.field: guess for guess in questions(before.guessed)}
    assert {"arguments.norm", "arguments.act", "activation"} <= asked.keys()
    choice = asked["arguments.norm"].candidates[1]
    profile_path(path).write_text(
        json.dumps({"name": "Both", "arguments": {"norm": choice}, "threshold": 0.7})
    )

    both = load_checkpoint(path, device="cpu")

    stated = {"arguments": {"norm": choice}}
    alone = [load_checkpoint(one, device="cpu", stated=stated) for one in members]
    image = torch.randn(1, 2, 16, 16, 16)
    mean = torch.stack([one.network(image) for one in alone]).mean(0)
    torch.testing.assert_close(both.network(image), mean)
    assert (both.profile.name, both.profile.threshold) == ("Both", 0.7)
    assert "arguments.norm" not in [guess.field for guess in questions(both.profile.guessed)]


def test_what_is_written_to_be_completed_is_read_again(members):
    path = together(members)
    model = load_checkpoint(path, device="cpu")
    write_profile_to_complete(model)
    again = load_checkpoint(path, device="cpu")
    assert (again.profile, again.profile.guessed) == (model.profile, model.profile.guessed)


def test_what_is_open_of_one_member_alone_names_it(members):
    profile_path(members[0]).write_text(
        json.dumps({**json.loads(profile_path(members[0]).read_text()), "activation": "softmax"})
    )
    guessed = load_checkpoint(together(members), device="cpu").profile.guessed
    assert any(text.startswith("1.pth: The 2 outputs are taken") for text in guessed)
