"""A cohort is done as `segment` and `explain` do its cases, and goes on wherever it was stopped."""

from __future__ import annotations

import csv
import gc
import json
import os
import re
import shutil
import signal
import weakref
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pytest
from command_line import one_line, run
from dying import program_dying
from synthetic_cohort import HEALTHY, OTHER_GRID, PLACES, PREFIXES, TARGET, UNREADABLE

from napari_ies.cohort import one_case
from napari_ies.patient.case import Case
from napari_ies.results.segmentation import load_segmentation

if TYPE_CHECKING:
    from pathlib import Path

QUICK = ("--samples", 2)
OF_EACH_KIND = ("P01/ses2", "P02/ses1", HEALTHY, OTHER_GRID)
"""Cases that differ in more than their noise: visits, kinds of lesions, none, another grid."""
TIMES = {"peak_memory_gib", "peak_memory_of"}


def contents(folder: Path) -> dict[str, object]:
    """Return what files say, but for what depends on the moment: memory taken, and the log."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*.*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".json":
            content = json.loads(path.read_text())
            for key in TIMES:
                content.get("Provenance", {}).pop(key, None)
            if name.startswith("cohort/cases/"):
                jsons = [file for file in content["files"] if file.endswith(".json")]
                content["files"] = {**content["files"], **dict.fromkeys(jsons, "")}
            found[name] = content
        elif path.is_file():
            found[name] = path.read_bytes()
    for name in ("cohort/log.txt", "cohort/run.json"):
        found.pop(name, None)
    return found


def rows(folder: Path, table="cases") -> list[dict[str, str]]:
    with (folder / "cohort" / f"{table}.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.fixture(scope="session")
def done(twelve, tmp_path_factory):
    """Run the cohort once; not to be changed."""
    folder = tmp_path_factory.mktemp("done") / "out"
    result = run("cohort", *twelve.arguments(), *QUICK, "--layout", "ies", "--out", folder)
    return folder, result


@pytest.fixture
def copy(done, tmp_path):
    return shutil.copytree(done[0], tmp_path / "out")


def names():
    return [f"sub-{place[:3]}_ses-{place[-1]}" for place in PLACES]


def boxed(result) -> str:
    """Return what is said of wrong usage, without the box around it."""
    return " ".join(result.stderr.replace("│", " ").split())


def few(twelve, folder, *patients):
    """Return the arguments for some patients, copied to a folder."""
    for name in patients:
        shutil.copytree(twelve.data / name, folder / "data" / name)
    there, here = str(twelve.data), str(folder / "data")
    return [word.replace(there, here) for word in twelve.arguments()]


def test_a_bad_case_is_a_row_with_its_sentence_and_the_rest_goes_on(done):
    folder, result = done
    assert result.exit_code == 1
    assert "12 cases (11 done, 1 failed)" in result.stdout
    table = rows(folder)
    assert [f"sub-{row['subject']}_ses-{row['visit']}" for row in table] == names()
    by_place = dict(zip(PLACES, table, strict=True))
    assert by_place[UNREADABLE]["status"] == "failed"
    assert by_place[UNREADABLE]["problem"].startswith("flair.nii.gz is damaged or cut short")
    assert (by_place[HEALTHY]["status"], by_place[HEALTHY]["lesions"]) == ("no lesions", "0")
    assert "lay on another grid" in by_place[OTHER_GRID]["notes"]
    rest = [row for place, row in by_place.items() if place not in (UNREADABLE, HEALTHY)]
    assert {row["status"] for row in rest} == {"done"}
    lines = [line for line in result.stderr.splitlines() if "sub-" in line]
    assert len(lines) == 12
    assert "4/12 sub-P03_ses-1 failed: flair.nii.gz is damaged" in result.stderr
    left = re.compile("(less than a minute|about [0-9]+ (second|minute|hour)s?) left$")
    assert [bool(left.search(line)) for line in lines] == [True] * 11 + [False]
    log = (folder / "cohort" / "log.txt").read_text()
    assert all(name in log for name in names())


@pytest.mark.slow
def test_every_file_is_what_segment_and_explain_write(twelve, done, tmp_path):
    folder, _ = done
    for place in OF_EACH_KIND:
        data = twelve.data / place
        named = zip(("FLAIR", "T1"), PREFIXES, strict=True)
        images = [f"--image={name}={data / prefix}" for name, prefix in named]
        common = (twelve.checkpoint, *images, "--out", tmp_path)
        segmented = run("segment", *common, "--reference", data / TARGET)
        assert segmented.exit_code == 0, segmented.output
        if place == HEALTHY:
            continue
        labels = tmp_path / f"sub-{place[:3]}/ses-{place[-1]}/anat" / (
            f"sub-{place[:3]}_ses-{place[-1]}_desc-lesions_dseg.nii.gz"
        )  # fmt: skip
        for method in ("smoothgrad", "gradcam++"):
            explained = run(
                *("explain", *common, "--labels", labels, "--all", "--method", method),
                *("--forward", "whole-volume", *QUICK),
            )
            assert explained.exit_code == 0, explained.output
    alone = contents(tmp_path)
    together = {name: content for name, content in contents(folder).items() if name in alone}
    assert together.keys() == alone.keys()
    assert sum(name.endswith("_saliency.nii.gz") for name in alone) > 20
    for name, content in alone.items():
        assert together[name] == content, name
    compared = {name.partition("/")[0] for name in alone if name.startswith("sub-")}
    beside = {name.partition("/")[0] for name in contents(folder).keys() - alone.keys()}
    assert beside & compared <= {"sub-P01"}  # the other visit is not compared
    assert {name for name in beside if not name.startswith("sub-")} == {"cohort", "attention_maps"}


def test_what_is_done_is_not_done_again_but_what_failed_is(twelve, copy, monkeypatch):
    before = contents(copy)
    stamps = {path: path.stat().st_mtime_ns for path in copy.rglob("*_saliency.nii.gz")}
    worked = []
    work = one_case.working_on

    def counted(model, planned, *more):
        worked.append(planned.name)
        return work(model, planned, *more)

    monkeypatch.setattr("napari_ies.cohort.run.working_on", counted)
    result = run("cohort", *twelve.arguments(), *QUICK, "--layout", "ies", "--out", copy)
    assert worked == ["sub-P03_ses-1"]
    assert "11 there already, 1 failed" in result.stdout
    assert contents(copy) == before
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps


@pytest.mark.slow
def test_only_what_is_missing_or_changed_is_done_again(twelve, copy, tmp_path, monkeypatch):
    before = contents(copy)
    data = shutil.copytree(twelve.root, tmp_path / "twelve")
    missing = next(copy.rglob("sub-P02_ses-1_seq-FLAIR_lesion-001_*saliency.nii.gz"))
    missing.unlink()
    changed = data / "data" / "P06/ses1"
    shutil.copy(data / "data" / "P08/ses1" / PREFIXES[0], changed / PREFIXES[0])
    saved, save = [], one_case.save_segmentation

    def counted(folder, segmentation, *, case, **more):
        saved.append(case.subject)
        return save(folder, segmentation, case=case, **more)

    monkeypatch.setattr(one_case, "save_segmentation", counted)
    arguments = [word.replace(str(twelve.root), str(data)) for word in twelve.arguments()]
    result = run("cohort", *arguments, *QUICK, "--layout", "ies", "--out", copy)
    assert "2 done, 9 there already, 1 failed" in result.stdout, result.output
    assert saved == ["P06"]  # the other's was there
    after = contents(copy)
    different = {name for name in before if after.get(name) != before[name]}
    assert {name.split("/")[0] for name in different if "P06" not in name} <= {"cohort"}
    name = missing.relative_to(copy).as_posix()
    assert after[name] == before[name]
    flair = next(name for name in different if "P06" in name and name.endswith("dseg.json"))
    assert after[flair]["Images"][0]["SHA256"] != before[flair]["Images"][0]["SHA256"]


@pytest.mark.slow
def test_other_settings_are_done_again_and_other_lesions_leave_no_old_maps(twelve, tmp_path):
    out = tmp_path / "out"
    asked = (
        "cohort",
        *few(twelve, tmp_path, "P04"),
        "--method",
        "smoothgrad",
        *QUICK,
        "--out",
        out,
    )
    assert "1 done" in run(*asked).stdout
    assert "1 there already" in run(*asked).stdout
    assert "1 done" in run(*asked, "--aggregation", "mean", "max").stdout
    maps = list(out.rglob("*agg-m*[nx]_saliency.nii.gz"))
    assert len(maps) == 8
    # Fewer lesions and more again: what lies there of the others is still the cohort's own.
    assert "1 done" in run(*asked, "--largest", 1).stdout
    assert "1 done" in run(*asked, "--seed", 5).stdout
    high = run(*asked, "--aggregation", "mean", "max", "--threshold", 0.9999)
    assert "1 done" in high.stdout
    labels = load_segmentation(next(out.rglob("*dseg.nii.gz"))).labels
    left = list(out.rglob("*agg-m*[nx]_saliency.nii.gz"))
    assert len(left) == 4 * int(labels.max())
    for footprint in out.rglob("*footprint_mask.nii.gz"):
        label = int(footprint.name.partition("lesion-")[2][:3])
        mask = np.asarray(nib.load(footprint).dataobj) > 0
        np.testing.assert_array_equal(mask, labels == label)


def test_a_case_without_lesions_is_done_again_with_other_settings(twelve, tmp_path):
    asked = ("cohort", *few(twelve, tmp_path, "P05"), *QUICK, "--out", tmp_path / "out")
    assert "1 done" in run(*asked).stdout
    before = rows(tmp_path / "out")
    again = run(*asked, "--seed", 5)
    assert "1 done" in again.stdout, again.output
    assert rows(tmp_path / "out") == before


@pytest.mark.slow
def test_maps_of_other_noise_are_replaced_only_where_that_is_meant(twelve, tmp_path):
    out, data = tmp_path / "out", few(twelve, tmp_path, "P04")
    asked = ("cohort", *data, *QUICK, "--largest", 1, "--out")
    assert "in place of" not in run(*asked, out, "--noise-version", 1).stderr
    first = contents(out)
    assert first["cohort/cases/sub-P04_ses-1.json"]["noise_version"] == 1
    for more in ((), ("--dry-run",)):
        refused = run(*asked, out, *more)
        assert refused.exit_code == 2
        assert (
            "holds maps of 1 of these cases with the noise that --noise-version 1 gives again; go "
            "on with that, choose another folder, or replace them with --overwrite."
        ) in boxed(refused)
        assert contents(out) == first
    assert "1 there already" in run(*asked, out, "--noise-version", 1).stdout
    again = run(*asked, out, "--overwrite")
    assert "1 done" in again.stdout
    assert (
        "1/1 sub-P04_ses-1 done, 1 lesions; in place of maps with the noise that --noise-version 1 "
        "gives again"
    ) in again.stderr
    run(*asked, tmp_path / "new")
    second = contents(out)
    assert second == contents(tmp_path / "new")
    assert {name for name in first if "_saliency.nii" in name and first[name] != second[name]} == {
        name for name in first if "_saliency.nii" in name and "smoothgrad" in name
    }
    assert "1 there already" in run(*asked, out).stdout


@pytest.mark.slow
def test_what_others_wrote_or_changed_is_replaced_only_where_that_is_meant(twelve, tmp_path):
    out, data = tmp_path / "out", few(twelve, tmp_path, "P04")
    folder = tmp_path / "data" / "P04/ses1"
    images = (f"--image=FLAIR={folder / PREFIXES[0]}", f"--image=T1={folder / PREFIXES[1]}")
    segmented = run("segment", twelve.checkpoint, *images, "--threshold", 0.7, "--out", out)
    assert segmented.exit_code == 0
    asked = ("cohort", *data, "--method", "gradcam++", "--out", out)
    others = {name: what for name, what in contents(out).items() if name.startswith("sub-")}

    def kept(of_others):
        for _ in range(2):  # the second time there is a record
            refused = run(*asked)
            assert refused.exit_code == 1
            (row,) = rows(out)
            assert row["status"] == "failed"
            assert row["problem"].endswith("allow overwriting with --overwrite.")
            assert {name: contents(out)[name] for name in of_others} == of_others
        return row["problem"]

    assert "is no file of this cohort's run" in kept(others)
    assert "1 done" in run(*asked, "--overwrite").stdout
    ours = contents(out)
    assert all(ours[name] != what for name, what in others.items() if "lesions_probseg" not in name)
    assert "1 there already" in run(*asked).stdout
    labels = next(out.rglob("*_dseg.nii.gz"))
    image = nib.load(labels)
    corrected = np.asarray(image.dataobj) * (np.asarray(image.dataobj) != 2)
    nib.save(nib.Nifti1Image(corrected, image.affine), labels)
    name = labels.relative_to(out).as_posix()
    assert "was changed since" in kept({name: labels.read_bytes()})
    assert "1 done" in run(*asked, "--overwrite").stdout
    assert contents(out) == ours


@pytest.mark.slow
def test_killed_for_good_it_goes_on_and_ends_as_an_undisturbed_run(twelve, tmp_path, forks):
    """The program really dies, while files come to their places, again and again."""
    arguments = few(twelve, tmp_path, "P01", "P03")
    asked = [*arguments, *map(str, QUICK), "--layout", "ies", "--out"]
    assert "2 done, 1 failed" in run("cohort", *asked, tmp_path / "whole").stdout
    whole, out = contents(tmp_path / "whole"), tmp_path / "out"
    there = 0
    for moves in (5, 50):
        dying = forks.Process(target=program_dying, args=(moves, ["cohort", *asked, str(out)]))
        dying.start()
        dying.join(timeout=300)
        assert dying.exitcode == -signal.SIGKILL
        assert there < len(contents(out)) < len(whole)
        there = len(contents(out))
    result = run("cohort", *asked, out)
    assert result.exit_code == 1, result.output
    assert contents(out) == whole
    assert not list(out.rglob(".napari-ies-*"))


def test_two_runs_into_one_folder_refuse_each_other(twelve, copy):
    from filelock import FileLock

    with FileLock(copy / "cohort" / "lock"):
        refused = one_line(run("cohort", *twelve.arguments(), *QUICK, "--out", copy))
    assert f"Another run writes to {copy} (process {os.getpid()} on " in refused
    assert run("cohort", *twelve.arguments(), *QUICK, "--layout=ies", "--out", copy).exit_code == 1


@pytest.mark.slow
def test_a_full_disk_ends_the_run_and_no_half_file_is_left(twelve, tmp_path, monkeypatch):
    out = tmp_path / "out"
    save = one_case.save_segmentation
    written = []

    def full(folder, *arguments, **more):
        if len(written) == 2:
            monkeypatch.setattr("napari_ies.results.storage.writing._flush", refuse)
        written.append(save(folder, *arguments, **more))
        return written[-1]

    def refuse(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(one_case, "save_segmentation", full)
    asked = ("cohort", *few(twelve, tmp_path, "P01", "P02"), "--method", "gradcam++", "--out", out)
    refused = one_line(run(*asked))
    assert "No space left on device" in refused
    assert not list(out.rglob("sub-P02*_dseg.*"))
    assert not list(out.rglob(".napari-ies-*"))
    monkeypatch.undo()
    assert "1 done, 2 there already" in run(*asked).stdout


def test_a_lost_graphics_card_ends_the_run_and_the_next_one_goes_on(twelve, tmp_path, monkeypatch):
    work = one_case.working_on

    def lost(model, planned, *more):
        if planned.visit == "2":
            raise RuntimeError("CUDA error: unspecified launch failure\nCompile with …")
        return work(model, planned, *more)

    asked = ("cohort", *few(twelve, tmp_path, "P01"), "--method", "gradcam++", "--out")
    with monkeypatch.context() as patch:
        patch.setattr("napari_ies.cohort.run.working_on", lost)
        refused = one_line(run(*asked, tmp_path / "out"))
    assert refused.endswith(
        "The graphics card failed (CUDA error: unspecified launch failure); give the same command "
        "again, and the run goes on where it was."
    )
    result = run(*asked, tmp_path / "out")
    assert "1 done, 1 there already" in result.stdout


@pytest.mark.slow
def test_memory_does_not_grow_with_cases(twelve, tmp_path, monkeypatch):
    gc.collect()
    gc.freeze()  # what is there already need not be looked through each time
    alive: list[weakref.ref] = []
    most = []
    begin = Case.__post_init__

    def counted(case):
        begin(case)
        alive.append(weakref.ref(case.data))
        gc.collect()
        most.append(len({id(one()) for one in alive if one() is not None}))

    monkeypatch.setattr(Case, "__post_init__", counted)
    some = few(twelve, tmp_path, "P01", "P04", "P06", "P07")
    try:
        run("cohort", *some, "--method", "gradcam++", "--out", tmp_path / "out")
    finally:
        gc.unfreeze()
    assert len(alive) >= 5
    assert max(most) <= 2


def test_the_tables_are_described_and_the_lesions_have_all_measures(done):
    folder, _ = done
    for table in ("cases", "lesions"):
        described = json.loads((folder / "cohort" / f"{table}.json").read_text())
        assert list(described) == list(rows(folder, table)[0])
    lesions = rows(folder, "lesions")
    for row in lesions:
        measures = next(
            folder.rglob(
                f"sub-{row['subject']}_ses-{row['visit']}_lesion-{int(row['lesion']):03d}_*"
                f"{'agg-mean' if row['method'] == 'smoothgrad' else 'gradcampp'}_measures.tsv"
            )
        )
        with measures.open(newline="") as file:
            own = {one["sequence"]: one for one in csv.DictReader(file, delimiter="\t")}
        assert {name: row[name] for name in own[row["sequence"]]} == own[row["sequence"]]
    found = {row["subject"]: row for row in rows(folder)}["P02"]
    assert (found["TP"], found["FP"], found["FN"]) == ("0", "2", "1")
    kinds = [row["match"] for row in lesions if row["subject"] == "P02"]
    assert sorted(set(kinds)) == ["FN", "FP"]
    assert len(kinds) == 3 * 3  # Grad-CAM++ has one map, SmoothGrad two
