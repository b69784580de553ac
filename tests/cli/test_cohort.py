"""The original scripts' lines, word for word, and what a cohort's command refuses."""

from __future__ import annotations

import csv
import shlex
import shutil
from typing import get_args

import pytest
import torch
from command_line import run
from networks import build
from synthetic_cohort import PREFIXES, TARGET

from napari_ies.cli import options
from napari_ies.cli.options import cohort

README = {
    "ies.py": "python {FILENAME}.py --model_checkpoint unet_epoch_31.pth --input_val_paths "
    "{PATH_TO_INPUT1} {PATH_TO_INPUT2} --input_prefixes {INPUT1_FILENAME} {INPUT2_FILENAME} "
    "--target_val_path {TARGET_PATH} --target_prefix {TARGET_FILENAME} --num_workers 0 "
    "--cache_rate 0.01 --threshold 0.3",
    "nn-unet": "python ies_maxpool_nets.py --model_checkpoint nn-unet_epoch_31.pth "
    "--input_val_paths {PATH_TO_INPUT1} {PATH_TO_INPUT2} --input_prefixes {INPUT1_FILENAME} "
    "{INPUT2_FILENAME} --target_val_path {TARGET_PATH} --target_prefix {TARGET_FILENAME} "
    "--num_workers 0 --cache_rate 0.01 --threshold 0.4 --model nn-unet",
    "swin_unetr": "python ies_maxpool_nets.py --model_checkpoint swin_epoch_41.pth "
    "--input_val_paths {PATH_TO_INPUT1} {PATH_TO_INPUT2} --input_prefixes {INPUT1_FILENAME} "
    "{INPUT2_FILENAME} --target_val_path {TARGET_PATH} --target_prefix {TARGET_FILENAME} "
    "--num_workers 0 --cache_rate 0.01 --threshold 0.4 --model swin_unetr --use_checkpoint",
}
"""The lines of https://github.com/federicospagnolo/IES, README.md, at 066438a."""
FILLED_IN = {
    "PATH_TO_INPUT1": "data",
    "PATH_TO_INPUT2": "data",
    "TARGET_PATH": "data",
    "INPUT1_FILENAME": PREFIXES[0],
    "INPUT2_FILENAME": PREFIXES[1],
    "TARGET_FILENAME": TARGET,
    "FILENAME": "ies",
}


@pytest.fixture
def here(twelve, tmp_path, monkeypatch):
    """Give a working folder with the data of two patients and the networks of the lines."""
    for name in ("P04", "P02"):
        shutil.copytree(twelve.data / name, tmp_path / "data" / name)
    for ending in (".pth", ".profile.json"):
        shutil.copy(twelve.checkpoint.with_suffix(ending), tmp_path / f"unet_epoch_31{ending}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def network(folder, name, file, window):
    torch.manual_seed(0)
    torch.save(build(name)[0].state_dict(), folder / f"{file}.pth")
    profile = f'{{"sequences": ["FLAIR", "T1"], "window": {window}, "smallest_lesion": 200}}'
    (folder / f"{file}.profile.json").write_text(profile)


def words(line, **more):
    python, script, *options = shlex.split(line)
    assert (python, script.rpartition(".")[2]) == ("python", "py")
    return [option.format(**FILLED_IN) for option in options]


def table(folder):
    with (folder / "cohort-results" / "cohort" / "cases.tsv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.mark.slow
def test_the_u_nets_line_runs_as_it_stands(here):
    result = run("cohort", *words(README["ies.py"]), "--samples", 2)
    assert result.exit_code == 0, result.output
    assert [row["subject"] for row in table(here)] == ["P02", "P04"]
    assert [row["status"] for row in table(here)] == ["done", "done"]
    for said in ("--num_workers 0 has no effect", "--cache_rate 0.01 has no effect"):
        assert said in result.stderr
    maps = [path.name for path in (here / "cohort-results").rglob("*_saliency.nii.gz")]
    assert {name.partition("_method-")[2].partition("_")[0] for name in maps} == {
        "smoothgrad",
        "gradcampp",
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "name", "file", "window"),
    [
        ("nn-unet", "dynunet", "nn-unet_epoch_31", "16"),
        ("swin_unetr", "swin", "swin_epoch_41", "[64, 32, 32]"),
    ],
)
def test_the_other_networks_lines_run_as_they_stand(here, line, name, file, window):
    network(here, name, file, window)
    shutil.rmtree(here / "data" / "P02")
    few = ("--samples", 1, "--largest", 1, "--method", "smoothgrad")
    result = run("cohort", *words(README[line]), *few)
    assert result.exit_code == 0, result.output
    (row,) = table(here)
    assert row["status"] == "done"
    assert "use_checkpoint has no effect" not in result.stderr


def test_a_claim_is_checked_against_the_weights(here):
    result = run("cohort", *words(README["ies.py"]), "--model", "nn-unet")
    said = " ".join(result.stderr.replace("│", " ").split())
    assert result.exit_code == 2
    assert "holds the weights of a UNet (--model unet-), not of the DynUNet that" in said
    assert not (here / "cohort-results").exists()


def test_what_has_no_effect_is_said(here):
    more = ("--data", "x", "--input_size", 96, "--use_checkpoint", "--dry-run", "--samples", 2)
    result = run("cohort", *words(README["ies.py"]), *more, "--method", "gradcam++")
    assert result.exit_code == 0, result.output
    for said in ("--data x has", "--input_size 96 has", "--use_checkpoint has"):
        assert f"{said} no effect: " in result.stderr
    assert "2 cases, 2 to do; maps of each lesion: gradcam++" in result.stdout
    assert "By sub-P02_ses-1 with 3 lesions: less than a minute and " in result.stdout
    assert not (here / "cohort-results").exists()


@pytest.mark.parametrize(
    ("more", "words_"),
    [
        (["--input_prefixes", "x.nii", "y.nii"], "No case was found: searched for"),
        (["--bids", "data"], "--input_val_paths and --bids exclude each other"),
        (["--input_val_paths", "data"], "the network takes 2 images (FLAIR, T1)"),
        (["--target_prefix", "t1*"], ""),
        (["--out", "unet_epoch_31.pth"], "unet_epoch_31.pth is a file"),
        (["--lesions", "TN"], "Invalid value for '--lesions'"),
        (["--smallest-volume", 9, "--largest-volume", 3], "at least 9 and at most 3 mm³"),
        (["--class", "tumour"], "There is no class tumour"),
        (["--image", "FLAIR=*"], "are about --bids"),
        (["--layer", "model.9"], "The network has no layer 'model.9'"),
        (["--dry-run", "--out", "unet_epoch_31.pth/x"], "cannot be a folder"),
        (["--lesions", "TP"], "No case has a reference"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_written(here, more, words_):
    asked = words(README["ies.py"])
    if more[0] == "--input_prefixes":
        at = asked.index("--input_prefixes")
        asked[at : at + 3] = []
    if more[0] == "--input_val_paths":
        at = asked.index("--input_val_paths")
        asked[at : at + 3] = []
    if more == ["--lesions", "TP"]:
        at = asked.index("--target_val_path")
        asked[at : at + 4] = []
    if more == ["--target_prefix", "t1*"]:  # a folder without one
        (here / "data/P04/ses1" / TARGET).unlink()
        more, words_ = [], f"{TARGET} (the reference) is missing in P04/ses1"
    before = sorted(here.rglob("*"))
    result = run("cohort", *asked, *more)
    assert result.exit_code == 2, result.output
    assert words_ in " ".join(result.stderr.replace("│", " ").split())
    assert "Traceback" not in result.output
    assert sorted(here.rglob("*")) == before


def test_the_other_layouts_of_data_are_read_and_lesions_from_elsewhere_explained(here):
    (here / "imagesTs").mkdir()
    (here / "labelsTs").mkdir()
    case = here / "data/P04/ses1"
    for number, prefix in enumerate(PREFIXES):
        shutil.copy(case / prefix, here / "imagesTs" / f"MS4_{number:04d}.nii.gz")
    shutil.copy(case / TARGET, here / "labelsTs" / "MS4.nii.gz")
    network_ = ("--checkpoint", "unet_epoch_31.pth", "--samples", 1, "--out")
    nnunet = ("--nnunet", "imagesTs", "--lesions-from")
    result = run("cohort", *network_, "a", *nnunet, "../labelsTs")
    assert result.exit_code == 2
    assert "No label map of lesions was found: searched for ../labelsTs" in result.stderr
    assert not (here / "a").exists()
    result = run("cohort", *network_, "a", *nnunet, "./labelsTs")
    assert result.exit_code == 1  # a folder is no label map
    assert "sub-MS4 failed" in result.stderr
    elsewhere = ("--lesions-from", "labelsTs/MS4.nii.gz")
    result = run("cohort", *network_, "b", "--nnunet", "imagesTs", *elsewhere)
    assert result.exit_code == 0, result.output
    rows = (here / "b/cohort/cases.tsv").read_text().splitlines()
    assert "The lesions are those of MS4.nii.gz" in rows[1]
    row = dict(zip(*(line.split("\t") for line in rows), strict=True))
    assert (row["dice"], row["explained"]) == ("1.0", "2")
    (here / "cases.tsv").write_text(
        f"subject\tFLAIR\tT1w\treference\nA\t{case / PREFIXES[0]}\t{case / PREFIXES[1]}\tn/a\n"
        f"B\t{case / PREFIXES[0]}\tn/a\t{case / TARGET}\n"
    )
    result = run("cohort", *network_, "c", "--table", "cases.tsv", "--lesions", "TP")
    assert result.exit_code == 1
    assert "1/2 sub-A_ses-1 failed: Without a reference, nothing tells" in result.stderr
    assert "2/2 sub-B_ses-1 failed: Row 2 of the table names no image for T1." in result.stderr


def test_the_choices_are_those_of_the_other_commands():
    assert {one.value for one in cohort.Method} == {*get_args(options.Method)}
    assert {one.value for one in cohort.Aggregation} == {*get_args(options.Aggregation)}
