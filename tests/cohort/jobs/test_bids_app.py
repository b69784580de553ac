"""A BIDS dataset by the arguments of BIDS Apps: jobs of a participant each, then the group."""

from __future__ import annotations

import json
import shutil

import pytest
from command_line import run
from meeting import program_meeting
from synthetic_cohort import HEALTHY, PREFIXES, TARGET, UNREADABLE

PLACES = ("P01/ses1", "P01/ses2", "P04/ses1", HEALTHY, UNREADABLE)
QUICK = ("--method", "gradcam++", "--largest", "1")


@pytest.fixture(scope="module")
def dataset(twelve, tmp_path_factory):
    """Give a folder with ``in``, a dataset whose references are derivatives; not to be changed."""
    root = tmp_path_factory.mktemp("bids")
    for place in PLACES:
        subject, visit = place[:3], place[-1]
        name = f"sub-{subject}_ses-{visit}"
        for folder, files in {
            root / "in": dict(zip(PREFIXES, ("FLAIR", "T1w"), strict=True)),
            root / "in/derivatives/experts": {TARGET: "label-lesion_mask"},
        }.items():
            anat = folder / f"sub-{subject}/ses-{visit}/anat"
            anat.mkdir(parents=True)
            for file, suffix in files.items():
                shutil.copy(twelve.data / place / file, anat / f"{name}_{suffix}.nii.gz")
    for folder in (root / "in", root / "in/derivatives/experts"):
        content = {"Name": "synthetic", "BIDSVersion": "1.10.0"}
        (folder / "dataset_description.json").write_text(json.dumps(content))
    return root


def options(twelve, dataset, *more):
    return [
        *("--model-checkpoint", twelve.checkpoint, "--reference", "*_label-lesion_mask.nii.gz"),
        *("-d", dataset / "in/derivatives/experts", *QUICK, *more),
    ]


def participant(twelve, dataset, out, *labels):
    spelled = ("--participant_label", *labels) if labels else ()
    return ("bids-app", dataset / "in", out, "participant", *spelled, *options(twelve, dataset))


def written(folder):
    """Return what files hold that depends on nothing but the data: maps, tables, description."""
    kept = ("*.nii.gz", "*.tsv", "dataset_description.json")
    files = {path for pattern in kept for path in folder.rglob(pattern)}
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def jobs(twelve, dataset, tmp_path_factory, forks):
    """Run two jobs that are in the middle of their work at once; not to be changed."""
    out = tmp_path_factory.mktemp("jobs") / "out"
    meeting = forks.Barrier(2)
    processes = [
        forks.Process(
            target=program_meeting,
            args=(meeting, [str(word) for word in participant(twelve, dataset, out, *labels)]),
        )
        for labels in (("sub-P01", "P03"), ("P04", "P05"))
    ]
    for one in processes:
        one.start()
    for one in processes:
        one.join(timeout=300)
    return out, [one.exitcode for one in processes]


@pytest.mark.slow
def test_jobs_at_once_and_the_group_write_what_one_run_does(twelve, dataset, jobs, tmp_path):
    out, statuses = jobs
    assert statuses == [1, 0]  # one case cannot be read
    assert not (out / "cohort/cases.tsv").exists()
    together = shutil.copytree(out, tmp_path / "together")
    group = run("bids-app", dataset / "in", together, "group")
    assert group.exit_code == 1
    assert "Not done: 1 case (sub-P03_ses-1)" in group.stderr
    alone = tmp_path / "alone"
    run("cohort", "--bids", dataset / "in", "--out", alone, *options(twelve, dataset))
    assert len(written(alone)) > 20
    assert written(together) == written(alone)
    assert {"statistics.pdf", "summary.csv"} <= {
        path.name for path in (together / "statistics").iterdir()
    }
    assert "sub-P04_ses-1" in (together / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_job_goes_on_where_it_was_and_says_so_in_its_own_log(twelve, dataset, jobs, tmp_path):
    out = shutil.copytree(jobs[0], tmp_path / "out")
    again = run(*participant(twelve, dataset, out, "P04"), "--session-label", "ses-1", "-w", "x")
    assert "1 case (1 there already)" in again.stdout
    assert "--work-dir x has no effect" in again.stderr
    log = (out / "cohort/cases/sub-P04_ses-1.log.txt").read_text()
    assert [line.rpartition("1/1 ")[2] for line in log.splitlines() if "1/1 " in line] == [
        "sub-P04_ses-1 there already, 1 lesions"
    ]


def test_the_group_says_who_lacks_and_refuses_to_compare_what_is_not_alike(
    twelve, dataset, tmp_path
):
    out = tmp_path / "out"
    assert run(*participant(twelve, dataset, out, "P05")).exit_code == 0
    group = run("bids-app", dataset / "in", out, "group", "--participant-label", "P05")
    assert group.exit_code == 1
    assert "No lesion was explained, so there are no statistics" in group.stderr
    assert "Not done: 4 cases (sub-P01_ses-1, sub-P01_ses-2, sub-P03_ses-1" in group.stderr
    rows = (out / "cohort/cases.tsv").read_text().splitlines()
    assert [row.split("\t")[:3] for row in rows[1:]] == [
        ["P01", "1", "not done"],
        ["P01", "2", "not done"],
        ["P03", "1", "not done"],
        ["P04", "1", "not done"],
        ["P05", "1", "no lesions"],
    ]
    run(*participant(twelve, dataset, out, "P03"), "--threshold", 0.7)
    before = written(out)
    refused = run("bids-app", dataset / "in", out, "group")
    assert refused.exit_code == 2
    assert "another network, version or settings" in said(refused)
    assert written(out) == before


def said(result):
    assert "Traceback" not in result.output
    return " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    ("level", "more", "sentence"),
    [
        ("participant", ("--participant-label", "P04", "sub-P9"), "sub-P9 is not in "),
        ("participant", ("--session_label", "7"), "ses-7 is not in "),
        ("participant", ("--mem_mb", 20), "program and network alone take "),
        ("participant", ("--mem", 9000, "--memory-gib", 1), "exclude each other"),
        ("participant", ("--reference", "*_mask.nii", "--image", "T7=*"), "has no input T7"),
        ("group", (), "run the level participant first"),
        ("everyone", (), "'everyone' is not one of 'participant', 'group'"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_written(
    twelve, dataset, tmp_path, level, more, sentence
):
    words = ("--model-checkpoint", twelve.checkpoint)
    refused = run("bids-app", dataset / "in", tmp_path / "out", level, *words, *more)
    assert refused.exit_code == 2, refused.output
    assert sentence in said(refused)
    assert not (tmp_path / "out").exists()


def test_a_dataset_says_that_it_is_one_and_takes_no_results_among_its_images(
    twelve, dataset, tmp_path
):
    words = ("participant", "--model-checkpoint", twelve.checkpoint)
    raw = dataset / "in"
    here = run("bids-app", raw, raw, *words)
    assert here.exit_code == 2
    assert "The results would lie among the raw images" in said(here)
    shutil.copytree(raw / "sub-P05", tmp_path / "in/sub-P05")
    other = run("bids-app", tmp_path / "in", tmp_path / "out", *words)
    assert other.exit_code == 2
    assert "searched for dataset_description.json with a BIDSVersion; " in said(other)
    assert "/in holds sub-P05/ses-1/anat/sub-P05_ses-1_FLAIR.nii.gz, sub-P05" in said(other)
    skipped = ("--skip_bids_validation", "--dry-run", *QUICK)
    result = run("bids-app", tmp_path / "in", tmp_path / "out", *words, *skipped)
    assert result.exit_code == 0, result.output
    assert "1 case, 1 to do" in result.stdout
    assert run("bids-app", raw, tmp_path / "out", "participant").exit_code == 2
    assert not (tmp_path / "out").exists()
