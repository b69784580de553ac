"""Profiles for every day: written to be completed, found by hash, checked by their schema."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
from command_line import run
from monai.networks.nets import AttentionUnet, BasicUNet, DynUNet, SegResNet, SegResNetDS, UNet
from networks import small_model

from napari_ies.checkpoints import (
    checkpoint_sha256,
    inspect_checkpoint,
    load_checkpoint,
    profile_path,
    profile_to_json,
)
from napari_ies.checkpoints.profile_file import published_schema
from napari_ies.checkpoints.sidecar import FOLDER_VARIABLE, path_in_folder, to_complete
from napari_ies.errors import CheckpointError
from napari_ies.network.profile import Guess, questions

PUBLISHED = Path(__file__).parents[2] / "docs" / "profile.schema.json"


@pytest.fixture
def checkpoint(saved) -> Path:
    return saved(UNet(3, 2, 3, (4, 8, 8), (2, 2), act="RELU"))


def test_a_guess_knows_what_it_is_about_in_another_process_too():
    guess = Guess("It is guessed.", "activation", "softmax", ("sigmoid", "softmax"))

    again = pickle.loads(pickle.dumps(guess))  # noqa: S301

    assert again == "It is guessed."
    assert (again.field, again.assumed) == ("activation", "softmax")
    assert again.candidates == ("softmax", "sigmoid")
    assert json.dumps([again]) == '["It is guessed."]'


@pytest.mark.slow
@pytest.mark.parametrize(
    "network",
    [
        lambda: UNet(3, 2, 3, (4, 8, 8), (2, 2), act="RELU", norm=("instance", {"affine": True})),
        lambda: DynUNet(3, 2, 2, [3] * 3, [1, 2, 2], [2, 2], filters=[4, 4, 8]),
        lambda: BasicUNet(3, 2, 2, (4, 4, 4, 4, 4, 4)),
        lambda: SegResNet(3, 16, 2, 2, blocks_down=(1, 1), blocks_up=(1,)),
        lambda: SegResNetDS(3, 4, 2, 2, norm="instance", blocks_down=(1, 1)),
        lambda: AttentionUnet(3, 2, 2, (4, 8), (2,)),
    ],
    ids=["UNet", "DynUNet", "BasicUNet", "SegResNet", "SegResNetDS", "AttentionUnet"],
)
def test_the_file_fits_each_candidate_and_the_choice_is_a_guess_no_more(network, saved):
    path = saved(network())
    asked = questions(load_checkpoint(path, device="cpu").profile.guessed)

    for guess in asked:
        assert guess.candidates[0] == guess.assumed
        # Each kind of candidate once more, and the last.
        value = guess.candidates[-1]
        name = guess.field.removeprefix("arguments.")
        stated = {"arguments": {name: value}} if name != guess.field else {name: value}
        profile = load_checkpoint(path, device="cpu", stated=stated).profile
        assert guess not in profile.guessed
        found = profile.arguments[name] if name != guess.field else getattr(profile, name)
        assert found == value
    assert asked


def test_inspect_writes_what_is_known_and_lists_what_is_to_be_completed(checkpoint):
    before = load_checkpoint(checkpoint, device="cpu").profile

    shown = run("inspect", checkpoint, "--write-profile")

    assert shown.exit_code == 0
    assert "arguments.strides: [2, 2] or [1, 2] or [2, 1]" in shown.stdout
    content = json.loads(profile_path(checkpoint).read_text(encoding="utf-8"))
    assert content["sha256"] == checkpoint_sha256(checkpoint)
    assert content["to_complete"].keys() == to_complete(before).keys()
    assert "strides" not in content["arguments"]
    assert "activation" not in content
    # Nothing was confirmed by being written.
    again = load_checkpoint(checkpoint, device="cpu").profile
    assert (again, again.guessed) == (before, before.guessed)

    refused = run("inspect", checkpoint, "--write-profile")

    assert refused.exit_code == 1
    assert "is there already" in refused.stderr
    assert run("inspect", checkpoint, "--write-profile", "--overwrite").exit_code == 0


def test_a_profile_of_another_checkpoint_is_refused(checkpoint):
    profile_path(checkpoint).write_text(json.dumps({"sha256": "0" * 64, "threshold": 0.4}))

    with pytest.raises(CheckpointError, match="profile of another checkpoint"):
        load_checkpoint(checkpoint, device="cpu")


def test_a_folder_of_profiles_is_searched_by_hash_and_the_one_beside_wins(
    checkpoint, tmp_path, monkeypatch
):
    folder = tmp_path / "mine"
    folder.mkdir()
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    sha256 = checkpoint_sha256(checkpoint)
    file = path_in_folder(folder, "anything", sha256)
    file.write_text('{"threshold": 0.4}')
    path_in_folder(folder, "another", "0" * 64).write_text('{"threshold": 0.6}')
    (folder / "odd.profile.json").write_text("not read")
    moved = checkpoint.rename(tmp_path / "moved.pt")

    found = inspect_checkpoint(moved)

    assert (found.profile.threshold, found.profile_file) == (0.4, file)
    assert load_checkpoint(moved, device="cpu", profiles=tmp_path).profile.threshold == 0.3
    path_in_folder(folder, "twice", sha256).write_text("{}")
    with pytest.raises(CheckpointError, match="There are 2 profiles of moved"):
        load_checkpoint(moved, device="cpu")
    profile_path(moved).write_text('{"threshold": 0.2}')
    assert load_checkpoint(moved, device="cpu").profile.threshold == 0.2


def test_the_class_to_find_is_chosen_by_name_or_index(checkpoint):
    for chosen in ("class 2", 2):
        profile = load_checkpoint(
            checkpoint, device="cpu", stated={"explained_class": chosen}
        ).profile
        assert profile.explained_class == 2
        assert not any("is explained" in text for text in profile.guessed)
    with pytest.raises(CheckpointError, match="expected one of the classes background, class 1"):
        load_checkpoint(checkpoint, device="cpu", stated={"explained_class": "tumour"})


def test_the_published_schema_is_what_profile_files_are_checked_by():
    jsonschema = pytest.importorskip(
        "jsonschema", reason="napari brings it; the published schema is checked by it"
    )
    outdated = "write published_schema() to docs/profile.schema.json"
    schema = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    assert schema == published_schema(), outdated
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    good = json.loads(profile_to_json(small_model().profile, "a" * 64))
    assert list(validator.iter_errors(good)) == []
    wrong = {
        "overlap": 1,
        "threshold": 0,
        "window": 0,
        "spacing": [1, 1],
        "sequences": [],
        "sha256": "x",
        "activation": "relu",
        "brain_extracted": 1,
        "treshold": 0.4,
    }
    assert len(list(validator.iter_errors(wrong))) == len(wrong)
