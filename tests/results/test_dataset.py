"""A folder of results is a BIDS derivative, and what earlier versions wrote is still read."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import command_line
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from saved_maps import newest_session

from napari_ies import explain, load_case, load_saliency
from napari_ies.results import load_segmentation, save_saliency, save_segmentation
from napari_ies.results.dataset import dataset_root, source_file, source_uris
from napari_ies.results.explained import load_explained, load_images
from napari_ies.results.session import SessionWriter, load_session, new_session_folder
from napari_ies.segmentation.segmentation import segment

pytestmark = pytest.mark.xdist_group("a folder of results")  # made once, by one worker

FORMER = Path(__file__).parents[1] / "data" / "written_by_0_1_0"


def problems(folder: Path) -> dict[str, list[str]]:
    """Return what the standard's validator finds: codes of errors and of warnings."""
    beside = Path(sys.executable).with_name("bids-validator-deno")
    program = str(beside) if beside.exists() else shutil.which("bids-validator-deno")
    if program is None:
        pytest.skip("the validator is not installed (pip install bids-validator-deno)")
    done = subprocess.run(
        [program, "--format", "json", str(folder)], capture_output=True, text=True, check=False
    )
    found: dict[str, list[str]] = {"error": [], "warning": []}
    for issue in json.loads(done.stdout)["issues"]["issues"]:
        found[issue["severity"]].append(f"{issue['code']} {issue.get('location', '')}")
    return found


def run(*arguments: object) -> str:
    result = command_line.run(*arguments)
    assert result.exit_code == 0, result.output
    return result.stderr


@pytest.fixture(scope="module")
def bids(small, tmp_path_factory) -> dict[str, Path]:
    """The images of the small case in a BIDS dataset."""
    root = tmp_path_factory.mktemp("study") / "bids"
    images = {}
    for name, path in small.images.items():
        images[name] = root / "sub-P07" / "ses-1" / "anat" / f"sub-P07_ses-1_{name}.nii.gz"
        images[name].parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, images[name])
    (root / "dataset_description.json").write_text('{"Name": "Study", "BIDSVersion": "1.10.0"}')
    return images


@pytest.fixture(scope="module")
def results(small, bids, tmp_path_factory) -> Path:
    """What segment, explain, figure and a session leave in one folder."""
    out = tmp_path_factory.mktemp("out") / "results"
    given = [f"--image={name}={path}" for name, path in bids.items()]
    said = run("segment", small.checkpoint, *given, "--reference", small.reference, "--out", out)
    assert "sub-P07, ses-1" in said
    run("explain", small.checkpoint, *given, "--lesion", 1, "--samples", 1, "--out", out)
    run(
        *("explain", small.checkpoint, *given, "--mask", small.reference),
        *("--method", "gradcam++", "--out", out),
    )
    run("figure", *out.rglob("*lesion-001*mask.json"), "--out", out / "figures")
    run("segment", small.checkpoint, *small.arguments[1:], "--out", out, "--visit", "2")
    model, case = small.model(), load_case(bids)
    for visit in ("", "1"):
        folder = new_session_folder(out, "P07", visit)
        session = SessionWriter.begin(folder, segment(model, case), case=case, model=model)
        session.set_regions({"rim": np.ones(case.shape, dtype=bool)})
    return out


@pytest.mark.slow
def test_results_and_sessions_pass_the_standards_validator(results):
    found = problems(results)
    assert found["error"] == []
    # Of what is not ours to say.
    codes = {one.partition(" ")[0] for one in found["warning"]}
    assert codes <= {"README_FILE_MISSING", "TOO_FEW_AUTHORS"}


@pytest.mark.slow
def test_results_beside_those_of_the_former_version_pass_too(small, bids, tmp_path):
    out = tmp_path / "results"
    shutil.copytree(FORMER / "results", out)
    shutil.copytree(FORMER / "sub-07" / "napari-ies" / "sub-07", out / "sub-07")
    given = [f"--image={name}={path}" for name, path in bids.items()]
    run("segment", small.checkpoint, *given, "--out", out, "--subject", "07", "--visit", "")
    assert (out / "sub-07x2" / "anat").is_dir()  # not the images of the former results
    assert problems(out)["error"] == []


def test_the_files_lie_and_are_named_as_bids_has_them(results):
    anat = results / "sub-P07" / "ses-1" / "anat"
    names = {path.name for path in anat.iterdir()}
    assert {
        "sub-P07_ses-1_desc-lesions_dseg.nii.gz",
        "sub-P07_ses-1_desc-lesions_dseg.tsv",
        "sub-P07_ses-1_desc-lesions_probseg.nii.gz",
        "sub-P07_ses-1_seq-FLAIR_lesion-001_method-smoothgrad_agg-mean_saliency.nii.gz",
    } <= names
    assert all(name.startswith("sub-P07_ses-1_") for name in names)
    table = pd.read_csv(anat / "sub-P07_ses-1_desc-lesions_dseg.tsv", sep="\t")
    assert list(table.columns[:2]) == ["index", "name"]
    labels = np.asarray(nib.load(anat / "sub-P07_ses-1_desc-lesions_dseg.nii.gz").dataobj)
    assert list(table["index"]) == list(np.unique(labels[labels > 0]))


def test_sources_lead_to_the_images(results, bids):
    result = next((results / "sub-P07" / "ses-1").rglob("*_dseg.json"))
    content = json.loads(result.read_text())
    uris = content["Sources"]
    assert uris[0] == "bids:source:sub-P07/ses-1/anat/sub-P07_ses-1_FLAIR.nii.gz"
    assert content["SpatialReference"] == uris[0]
    assert [source_file(uri, result) for uri in uris] == list(bids.values())
    description = json.loads((results / "dataset_description.json").read_text())
    link = results / description["DatasetLinks"]["source"]
    assert link.resolve() == dataset_root(bids["FLAIR"])
    assert description["GeneratedBy"][0]["Name"] == "napari-ies"


def test_the_images_of_a_result_are_found_where_its_sources_say(results, bids):
    explained = load_explained(next(results.rglob("*lesion-001*mask.json")))
    case, notes = load_images(explained, {})
    assert list(case.paths) == list(bids.values())
    assert notes == ()


def test_the_images_of_a_result_are_found_above_its_folder(small, tmp_path):
    images = {name: shutil.copy(path, tmp_path) for name, path in small.images.items()}
    case, model = load_case(images, subject="7", visit="1"), small.model()
    saliency = explain(model, case, segment(model, case).labels == 1, n_samples=1)
    path = save_saliency(tmp_path / "a" / "results", saliency, case=case, lesion=1)[0]
    found, _ = load_images(load_explained(path), {})
    assert [image.parent for image in found.paths] == [tmp_path, tmp_path]


def test_an_image_outside_of_any_dataset_is_named_without_its_folders(small, tmp_path):
    case = small.case()
    assert source_uris(case, tmp_path) == ["FLAIR.nii.gz", "T1.nii.gz"]
    assert source_uris(case, None) == ["FLAIR.nii.gz", "T1.nii.gz"]
    assert source_file("FLAIR.nii.gz", tmp_path / "x.json") is None


def test_the_description_of_someone_elses_dataset_is_left_alone(small, tmp_path):
    (tmp_path / "dataset_description.json").write_text('{"Name": "Study"}')
    (tmp_path / ".bidsignore").write_text("own/\n")
    case, model = small.case(), small.model()
    save_segmentation(tmp_path, segment(model, case), case=case, model=model)
    assert (tmp_path / "dataset_description.json").read_text() == '{"Name": "Study"}'
    assert (tmp_path / ".bidsignore").read_text() == "own/\n"


def test_lines_that_others_add_to_bidsignore_stay(small, tmp_path):
    case, model = small.case(), small.model()
    marked = segment(model, case)
    save_segmentation(tmp_path, marked, case=case, model=model)
    written = (tmp_path / ".bidsignore").read_text()
    (tmp_path / ".bidsignore").write_text("own/\n*_saliency.*\n")
    save_segmentation(tmp_path, marked, case=case, model=model, overwrite=True)
    lines = (tmp_path / ".bidsignore").read_text().splitlines()
    assert lines[:2] == ["own/", "*_saliency.*"]
    assert sorted(lines[1:]) == sorted(written.splitlines())


@pytest.mark.slow
def test_a_flat_folder_of_the_former_version_is_read(tmp_path):
    marked = load_segmentation(FORMER / "results" / "sub-07_desc-lesions_dseg.nii.gz")
    written = FORMER / "results" / "sub-07_desc-lesions_dseg.tsv"
    table = pd.read_csv(written, sep="\t")
    assert marked.lesions.index.name == "label"
    assert list(marked.lesions.index) == list(table["label"]) == [1, 2, 3]
    assert list(marked.lesions["match"]) == ["TP", "FP", "FP"]
    assert [repr(float(v)) for v in marked.lesions["volume_mm3"]] == [
        line.split("\t")[2]
        for line in (FORMER / "results" / "sub-07_desc-lesions_dseg.tsv")
        .read_text()
        .splitlines()[1:]
    ]
    for path in (FORMER / "results").glob("*_saliency.nii.gz"):
        saliency = load_saliency(path)
        sequence = path.name.partition("seq-")[2].partition("_")[0]
        if "standarderror" not in path.name and sequence:
            stored = np.asarray(nib.load(path).dataobj)
            np.testing.assert_array_equal(saliency.maps[saliency.sequences.index(sequence)], stored)
    folder = tmp_path / "study" / "results"
    shutil.copytree(FORMER / "results", folder)
    shutil.copytree(FORMER / "sub-07", tmp_path / "study", dirs_exist_ok=True)
    run("figure", *folder.glob("*region-ball*mask.nii.gz"), "--out", tmp_path / "ball.png")
    assert (tmp_path / "ball.png").is_file()


def test_a_session_of_the_former_version_is_opened_and_goes_on(tmp_path):
    shutil.copytree(FORMER / "sub-07", tmp_path / "sub-07")
    folder = tmp_path / "sub-07" / "napari-ies" / "sub-07"
    session = load_session(folder)
    assert session.complete
    assert session.notes == {1: "dark rim"}
    assert [one.subject for one in session.maps] == [1]
    assert list(session.regions) == ["ball"]
    assert all("unet.pth" in problem for problem in session.problems)
    case = session.load_case()
    assert (case.subject, case.visit) == ("07", "")
    saliency = session.maps[0].load()
    writer = SessionWriter.resume(session, case)
    writer.add_map(2, saliency, session.absent_model())
    again = load_session(folder)
    assert [one.subject for one in again.maps] == [1, 2]
    assert all(path.name.startswith("sub-07_") for path in folder.glob("sub-*"))


def test_sessions_of_two_visits_have_folders_and_files_of_their_own(small, tmp_path):
    model = small.model()
    for visit in ("1", "2"):
        case = load_case(small.images, subject="P07", visit=visit)
        folder = new_session_folder(tmp_path, case.subject, case.visit)
        assert folder.name == f"sub-P07_ses-{visit}"
        writer = SessionWriter.begin(folder, segment(model, case), case=case, model=model)
        writer.set_notes({1: visit})
        assert all(path.name.startswith(f"sub-P07_ses-{visit}_") for path in folder.glob("sub-*"))
        reopened = load_session(folder)
        assert (reopened.load_case().subject, reopened.load_case().visit) == ("P07", visit)
    found = newest_session(
        tmp_path, dict(zip(case.sequences, case.sha256, strict=True)), model.sha256
    )
    assert found is not None
    assert found.folder.name.startswith("sub-P07_ses-")


def test_a_session_is_no_dataset(small, tmp_path):
    case, model = small.case(), small.model()
    SessionWriter.begin(tmp_path / "s", segment(model, case), case=case, model=model)
    assert not (tmp_path / "s" / "dataset_description.json").exists()
    assert not (tmp_path / "s" / ".bidsignore").exists()


def test_an_empty_table_of_lesions_comes_back(small, tmp_path):
    case, model = small.case(), small.model()
    nothing = segment(model, case, threshold=0.9999)
    assert len(nothing.lesions) == 0
    path = save_segmentation(tmp_path, nothing, case=case, model=model)[0]
    lesions = load_segmentation(path).lesions
    assert list(lesions.columns) == list(nothing.lesions.columns)
    assert (len(lesions), lesions.index.name) == (0, "label")
