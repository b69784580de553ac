"""What is wrong with an nnU-Net folder is said in one sentence, and nothing in it runs."""

from __future__ import annotations

import json
import pickle
import shutil
import sys
from pathlib import Path

import pytest
import torch
from command_line import run

from napari_ies.checkpoints import load_checkpoint
from napari_ies.checkpoints.formats import format_of, nnunet
from napari_ies.checkpoints.formats.nnunet.trainer import ELSEWHERE, trainer_class
from napari_ies.checkpoints.sidecar import write_profile_to_complete
from napari_ies.errors import CheckpointError
from napari_ies.network.profile import questions


def bare(place):
    """Make what a folder is told by: plans and dataset."""
    place.mkdir()
    (place / "plans.json").write_text(json.dumps({"plans_name": "p", "configurations": {}}))
    (place / "dataset.json").write_text(json.dumps({"labels": {"background": 0}}))
    return place


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    folder = bare(tmp_path / "results")
    monkeypatch.setitem(sys.modules, "nnunetv2", None)
    with pytest.raises(CheckpointError, match=r"pip install napari-ies\[nnunet\]"):
        load_checkpoint(folder, device="cpu")


def test_it_is_told_by_its_plans(tmp_path):
    folder = bare(tmp_path / "any name")
    fold = folder / "fold_2"
    fold.mkdir()
    file = fold / "checkpoint_best.pth"
    file.write_bytes(b"")
    for path in (folder, fold, file):
        assert format_of(path) is nnunet
    assert set(nnunet.files(folder)) == {"plans.json", "dataset.json"}
    assert nnunet.files(file) == {}
    assert format_of(folder / "plans.json") is not nnunet
    file.unlink()
    (folder / "plans.json").write_text('{"name": "a bundle"}')
    assert format_of(folder) is not nnunet
    # With folds it is what is left of a results folder, whatever became of its plans.
    file.write_bytes(b"")
    for content in ('{"version": 3}', "", "[]", None):
        if content is None:
            (folder / "plans.json").unlink()
        else:
            (folder / "plans.json").write_text(content)
        for path in (folder, fold, file):
            assert format_of(path) is nnunet
    (folder / "dataset.json").unlink()
    assert format_of(folder) is nnunet
    assert format_of(file) is not nnunet  # a checkpoint by itself is said to be what it is


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    pytest.importorskip("nnunetv2", reason="needs the extra nnunet")
    from nnunet_folders import make_folder

    return make_folder(tmp_path_factory.mktemp("whole") / "results", folds=("0", "1"))


@pytest.fixture
def folder(whole, tmp_path):
    return Path(shutil.copytree(whole, tmp_path / "results"))


def changed(folder, change, name="plans.json"):
    content = json.loads((folder / name).read_text())
    change(content)
    (folder / name).write_text(json.dumps(content))


def of_slices(plans):
    plans["configurations"]["3d_fullres"]["patch_size"] = [16, 16]


def planned(**fields):
    return lambda plans: plans["configurations"]["3d_fullres"].update(fields)


def of_a_cascade(plans):
    plans["configurations"]["3d_fullres"]["previous_stage"] = "3d_lowres"


def foreign(plans):
    plans["configurations"]["3d_fullres"]["architecture"]["network_class_name"] = "canary.Canary"


def foreign_layer(plans):
    architecture = plans["configurations"]["3d_fullres"]["architecture"]
    architecture["arch_kwargs"]["nonlin"] = "canary.Canary"


def otherwise_resampled(plans):
    plans["configurations"]["3d_fullres"]["resampling_fn_data"] = "os.system"


def unknown_normalisation(plans):
    plans["configurations"]["3d_fullres"]["normalization_schemes"] = ["Unheard"] * 2


def of_the_future(plans):
    plans["configurations"]["3d_fullres"]["architecture"] = {"v3": 1}


def wider(plans):
    network = plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
    network["features_per_stage"] = [5, 6, 8]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (of_slices, "was trained on slices"),
        (of_a_cascade, "second stage of a cascade"),
        (foreign, "'canary.Canary', which is no layer"),
        (otherwise_resampled, "resampling function named 'os.system'"),
        (foreign_layer, "'canary.Canary', which is no layer"),
        (of_the_future, "cannot build the network"),
        (wider, "does not fit the network of its plans"),
        (lambda plans: plans.pop("configurations"), "lacks configurations"),
        (lambda plans: plans.update(configurations=[]), "says that configurations is a list"),
        (
            lambda plans: plans.update(configurations={"2d": {}}),
            "describes no configuration '3d_fullres', .* but 2d",
        ),
        (lambda plans: plans.update(label_manager="Other"), "names the label manager 'Other', w"),
        (unknown_normalisation, "names the normalisation 'Unheard', which the nnunetv2"),
        (planned(patch_size=["a", "b", "c"]), "says a patch_size of .*, expected three numbers"),
        (planned(spacing=[0.0, float("nan"), 1.3]), "says a spacing of .*, expected three sizes"),
        (planned(patch_size=[10**6] * 3), r"patch_size of \[1000000, .* voxels, at most 4096"),
        (planned(patch_size=[4096] * 3), "window is 4096×4096×4096, 7e.10 voxels in all, exp"),
        (planned(spacing=[1e-6] * 3), "expected three sizes in mm, from 0.01 to 100"),
        (planned(spacing=1.0), "says a spacing of 1.0, expected three sizes in mm"),
    ],
)
def test_plans_that_are_not_taken(folder, change, said, tmp_path, monkeypatch):
    (tmp_path / "canary.py").write_text("raise SystemExit('it was imported')")
    monkeypatch.syspath_prepend(tmp_path)
    changed(folder, change)
    with pytest.raises(CheckpointError, match=said):
        load_checkpoint(folder, device="cpu")


class Canary:
    def __reduce__(self):
        return exec, ("raise SystemExit('it ran')",)


def spoilt(file, change):
    content = torch.load(file, weights_only=False)
    change(content)
    torch.save(content, file)


def renamed(content):
    content["weights"] = content.pop("network_weights")


def nan(content):
    content["network_weights"]["decoder.seg_layers.1.weight"][0, 0] = torch.nan


def contradicting(content):
    """The decoder lists the encoder's tensors once more."""
    weights = content["network_weights"]
    name = next(name for name in weights if name.startswith("decoder.encoder."))
    weights[name] = weights[name] + 1


@pytest.mark.parametrize("name", ["plans.json", "dataset.json"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "results has no {}, which nnU-Net v2 writes beside its folds"),
        ("", r"{} cannot be read \(it is empty\)"),
        ("{", r"{} cannot be read \(it is no JSON in UTF-8\)"),
        ("[1]", "{} holds a list, expected an object"),
        ("3", "{} holds a number, expected an object"),
        ('{"version": 3}', "{} lacks .*another version's is not taken"),
    ],
)
def test_what_is_wrong_with_plans_or_dataset_is_said(folder, name, content, said):
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content)
    for path in (folder, folder / "fold_0", folder / "fold_1" / "checkpoint_final.pth"):
        with pytest.raises(CheckpointError, match=said.format(name)):
            load_checkpoint(path, device="cpu")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (nan, r"decoder.seg_layers.1.weight\) hold NaN"),
        (renamed, "has no network_weights"),
        (lambda content: content.pop("init_args"), "does not say its trainer"),
        (lambda content: content.update(trainer_name="NobodyKnows"), "names the trainer 'Nobody"),
        (contradicting, "are one in the network, and hold different numbers"),
        (lambda content: content.update(logging=Canary()), "holds Python objects"),
        (lambda content: content.update(inference_allowed_mirroring_axes=(7,)), "mirroring as"),
    ],
)
def test_checkpoints_that_are_not_taken(folder, change, said):
    spoilt(folder / "fold_0" / "checkpoint_final.pth", change)
    with pytest.raises(CheckpointError, match=said):
        load_checkpoint(folder / "fold_0", device="cpu")


def test_a_fold_that_was_chosen_is_no_other_one(folder):
    for place in (folder / "fold_0", folder / "fold_0" / "checkpoint_final.pth"):
        with pytest.raises(CheckpointError, match="fold_0 was chosen, and fold 1 asked for"):
            load_checkpoint(place, device="cpu", stated={"arguments": {"folds": ("1",)}})
        load_checkpoint(place, device="cpu", stated={"arguments": {"folds": ("0",)}})


@pytest.mark.slow
def test_what_is_chosen_has_to_be_there(folder):
    for choice, said in (
        ({"folds": (0, 4)}, "no fold 4"),
        ({"folds": ("",)}, "No fold of results is asked for: choose among 0, 1"),
        ({"folds": ()}, "No fold of results is asked for"),
        ({"folds": ("a",)}, "'a' is no fold, expected a number such as 0, or all"),
        ({"folds": (-1,)}, "'-1' is no fold"),
        ({"checkpoint": "checkpoint_best.pth"}, "no fold with checkpoint_best.pth"),
        ({"mirroring": 3}, "mirroring is 3"),
        ({"step": 1}, "states the arguments step"),
    ):
        with pytest.raises(CheckpointError, match=said):
            load_checkpoint(folder, device="cpu", stated={"arguments": choice})
    with pytest.raises(CheckpointError, match="states spacing otherwise than its plans"):
        load_checkpoint(folder, device="cpu", stated={"spacing": (1.0, 1.0, 1.0)})
    with pytest.raises(CheckpointError, match="leave both as they are"):
        load_checkpoint(folder, device="cpu", orientation="LAS")


def test_what_the_command_line_says_of_a_folder(folder):
    for folds, said in (("", "it names no fold"), ("0,a", "'a' is no fold"), ("-1", "'-1' is")):
        asked = run("inspect", folder, "--folds", folds)
        assert asked.exit_code == 2
        assert said in " ".join(asked.stderr.replace("│", "").split())
    shown = run("inspect", folder, "--folds", "1", "--class", "background", "--no-mirroring")
    assert shown.exit_code == 0, shown.output
    for said in (
        "nnU-Net's own: cropped to what is not 0, normalised",
        "1 voxel ",
        "is background, so that what is no lesion is marked",
        "choose lesion (--class",
    ):
        assert said in shown.stdout


def test_a_torchvision_that_does_not_fit_is_named(folder, monkeypatch):
    def build(*_, **__):
        raise RuntimeError("operator torchvision::nms does not exist")

    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    monkeypatch.setattr(nnUNetTrainer, "build_network_architecture", build)
    said = (
        r"no network or trainer of the name that .* gives, or one that needs torchvision, .*"
        r"nms does not exist\): install the version of nnU-Net that trained it"
    )
    with pytest.raises(CheckpointError, match=said):
        load_checkpoint(folder, device="cpu")


@pytest.mark.slow
def test_which_folds_are_there_is_said_and_which_are_missing(folder):
    def said(**stated):
        arguments = {"arguments": stated} if stated else None
        guessed = load_checkpoint(folder, device="cpu", stated=arguments).profile.guessed
        return " ".join(one for one in guessed if "Of the training's folds" in one)

    assert "folds 0 and 1 are used: folds 2, 3 and 4 are not there. nnU-Net trains 5" in said()
    assert "in between" not in said()
    shutil.move(folder / "fold_1", folder / "fold_2")
    assert "folds 0 and 2 are used: folds 1, 3 and 4 are not there" in said()
    assert "one in between is missing, so copy the folder again" in said()
    assert not said(folds=("0", "2"))  # a person's choice
    for number in (1, 3):
        shutil.copytree(folder / "fold_2", folder / f"fold_{number}")
    assert "fold 4 is not there" in said()
    shutil.copytree(folder / "fold_2", folder / "fold_4")
    assert not said()


def test_a_trainer_is_found_though_others_cannot_be_imported(folder, monkeypatch):
    """That of FLAMeS: nnU-Net itself looks for it in modules that need what may not be there."""

    def fails(name):
        raise RuntimeError("operator torchvision::nms does not exist")

    from nnunetv2.utilities import find_objects

    monkeypatch.setenv(ELSEWHERE, str(folder))
    monkeypatch.setattr(find_objects, "recursive_find_trainer_class_by_name", fails)
    found = trainer_class("nnUNetTrainer_8000epochs")
    assert (found.__name__, found.__mro__[1].__name__) == (
        "nnUNetTrainer_8000epochs",
        "nnUNetTrainer",
    )
    file = folder / "fold_0" / "checkpoint_final.pth"
    content = torch.load(file, weights_only=False)
    torch.save(content | {"trainer_name": "nnUNetTrainerOfMine"}, file)
    with pytest.raises(CheckpointError, match=r"no network or trainer of the name .*torchvision"):
        load_checkpoint(file, device="cpu")


def test_a_fold_without_its_checkpoint_is_said_to_be_left_out(folder):
    said = "fold_1 without checkpoint_final.pth: left out of the average."
    assert said not in load_checkpoint(folder, device="cpu").profile.guessed
    (folder / "fold_1" / "checkpoint_final.pth").unlink()
    assert said in load_checkpoint(folder, device="cpu").profile.guessed
    chosen = {"arguments": {"folds": (0,)}}
    assert said not in load_checkpoint(folder, device="cpu", stated=chosen).profile.guessed


def test_what_takes_longer_than_need_be_is_said_and_asked(folder):
    """As nnU-Net takes it by default; the panel's profile asks with these candidates."""
    model = load_checkpoint(folder, device="cpu")
    asked = {one.field: one for one in questions(model.profile.guessed)}
    assert asked["arguments.folds"].candidates == (["0", "1"], ["0"], ["1"])
    assert asked["arguments.mirroring"].candidates == (True, False)
    assert "8 mirror images" in asked["arguments.mirroring"]
    assert "takes an eighth of" in asked["arguments.mirroring"]
    for field, value in (("folds", ["0"]), ("mirroring", False)):
        stated = {"arguments": {field: value}}
        again = load_checkpoint(folder, device="cpu", stated=stated)
        assert again.profile.arguments[field] == value  # stored with every result
        left = {one.field for one in questions(again.profile.guessed)}
        assert left == asked.keys() - {f"arguments.{field}"}
    alone = load_checkpoint(folder / "fold_1", device="cpu")
    assert {one.field for one in questions(alone.profile.guessed)} == {"arguments.mirroring"}


def test_a_pickle_that_is_no_checkpoint_is_refused(folder):
    file = folder / "fold_1" / "checkpoint_final.pth"
    file.write_bytes(pickle.dumps(Canary()))
    with pytest.raises(CheckpointError, match=r"checkpoint_final\.pth"):
        load_checkpoint(folder, device="cpu")
    for content in (b"", b"PK\x03\x04"):
        file.write_bytes(content)
        # All folds' files have this name.
        with pytest.raises(CheckpointError, match=r"^fold_1/checkpoint_final\.pth is "):
            load_checkpoint(file, device="cpu")


def test_a_profile_that_is_written_is_read_and_holds_the_choice(folder):
    model = load_checkpoint(
        folder, device="cpu", stated={"arguments": {"folds": "1", "mirroring": False}}
    )
    write_profile_to_complete(model)
    again = load_checkpoint(folder, device="cpu")
    assert again.profile == model.profile
    assert again.profile.arguments["folds"] == ["1"]
