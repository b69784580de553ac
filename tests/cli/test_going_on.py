"""`explain` that was stopped goes on where it was, and keeps nothing of what is done."""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import weakref
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from command_line import one_line, run
from dying import program_dying

from napari_ies import explain_together, load_saliency, segment
from napari_ies.cohort.row import explaining
from napari_ies.results import load_segmentation
from napari_ies.saliency.footprint import LabelledVoxels
from napari_ies.saliency.request import SaliencyRequest
from napari_ies.saliency.saliency import Saliency

TIMES = {"peak_memory_gib", "peak_memory_of"}


def contents(folder: Path) -> dict[str, object]:
    """Return what files say, but for what depends on the moment: memory taken."""
    found: dict[str, object] = {}
    for path in folder.rglob("*.*"):
        if path.suffix == ".json":
            content = json.loads(path.read_text())
            for key in TIMES:
                content.get("Provenance", {}).pop(key, None)
            found[path.name] = content
        elif path.is_file():
            found[path.name] = path.read_bytes()
    return found


def few(small, folder: Path) -> Path:
    """Return an image of three of the lesions that are there."""
    labels = segment(small.model(), small.case()).labels
    labels[labels > 3] = 0
    image = nib.load(small.images["FLAIR"])
    nib.save(nib.Nifti1Image(labels, image.affine), folder / "few.nii.gz")
    return folder / "few.nii.gz"


def tables(result) -> str:
    return result.stdout.partition("written to")[0]


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_and_gives_what_an_undisturbed_one_gives(
    small, tmp_path, monkeypatch
):
    asked = ("explain", *small.arguments, "--labels", few(small, tmp_path), "--all")
    asked = (*asked, "--mask", small.reference, "--method", "gradcam++", "--out")
    whole = run(*asked, tmp_path / "whole")
    assert whole.exit_code == 0, whole.output

    saved, save = [], explaining.save_saliency

    def stopped(*args, **kwargs):
        if len(saved) == 2:
            raise KeyboardInterrupt
        saved.append(kwargs["lesion"])
        return save(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(explaining, "save_saliency", stopped)
        assert run(*asked, tmp_path / "cut").exit_code == 130
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cut").rglob("*lesion*")}
    assert before
    result = run(*asked, tmp_path / "cut")

    assert result.exit_code == 0, result.output
    there = [line for line in result.stderr.splitlines() if line.endswith("there already")]
    assert there == [f"Lesion {lesion}: there already" for lesion in saved]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
    assert tables(result) == tables(whole)
    again = run(*asked, tmp_path / "cut", "--overwrite")
    assert "Region lesions: there already" in again.stderr
    assert tables(again) == tables(whole)


@pytest.mark.slow
def test_what_is_there_of_anything_else_is_refused_and_named(small, tmp_path):
    run("segment", *small.arguments, "--out", tmp_path)
    labels = next(tmp_path.rglob("*dseg.nii.gz"))
    asked = ("explain", *small.arguments, "--lesion", 1, "--method", "gradcam++")
    asked = (*asked, "--out", tmp_path, "--subject", "7")
    assert run(*asked, "--labels", labels).exit_code == 0
    anat = tmp_path / "sub-7" / "anat"
    before = {path.name: path.read_bytes() for path in anat.iterdir()}

    def refusal(*options) -> str:
        text = one_line(run(*asked, *options)).partition("is there already, ")[2]
        assert text.endswith("; choose another folder, or allow overwriting with --overwrite.")
        return text.partition(";")[0]

    other = tmp_path / "other.nii.gz"
    image = nib.load(labels)
    values = np.asarray(image.dataobj).copy()
    values[values == 1], values[values == 2] = 2, 1
    nib.save(nib.Nifti1Image(values, image.affine), other)
    assert refusal("--labels", labels, "--layer", "model.0.conv") == "computed with other settings"
    assert refusal("--labels", labels, "--class", "background") == "computed with other settings"
    assert refusal("--labels", other) == "of lesions from another file"
    assert refusal("--labels", labels, "--orientation", "PSR", "--labels-of-others") == (
        "of another network"
    )
    # No noise is added: another definition of it gives the same map, which is there.
    assert run(*asked, "--labels", labels, "--noise-version", 1).exit_code == 0
    assert before == {path.name: path.read_bytes() for path in anat.iterdir()}
    map_ = next(anat.glob("*saliency.nii.gz"))
    map_.write_bytes(before[map_.name][:-1])
    assert refusal("--labels", labels) == "changed or damaged since"
    map_.write_bytes(before[map_.name])
    next(anat.glob("*profile.json")).unlink()
    assert refusal("--labels", labels) == "changed or damaged since"
    assert run(*asked, "--labels", labels, "--overwrite").exit_code == 0
    assert before.keys() == {path.name for path in anat.iterdir()}


@pytest.mark.slow
def test_killed_for_good_it_goes_on_and_leaves_nothing_behind(small, tmp_path, forks):
    """The program really dies, while the files of the second lesion come to their places."""
    out = tmp_path / "out"
    asked = [*map(str, small.arguments), "--labels", str(few(small, tmp_path)), "--all"]
    asked += ["--method", "gradcam++"]
    dying = forks.Process(target=program_dying, args=(16, ["explain", *asked, "--out", str(out)]))
    dying.start()
    dying.join(timeout=300)
    assert dying.exitcode == -signal.SIGKILL
    assert list(out.rglob(".napari-ies-*"))
    result = run("explain", *asked, "--out", out)
    assert result.exit_code == 0, result.output
    assert "Lesion 1: there already" in result.stderr
    assert not list(out.rglob(".napari-ies-*"))
    assert run("explain", *asked, "--out", tmp_path / "whole").exit_code == 0
    assert contents(out) == contents(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "at_most"),
    # One is written while the next one is made; of SmoothGrad there is also the running map that
    # the finished one follows.
    [(("--method", "gradcam++"), 2), (("--samples", 1, "--memory-gib", 1e-6), 3)],
)
def test_neither_masks_nor_maps_of_lesions_are_kept(
    small, tmp_path, monkeypatch, settings, at_most
):
    """Those of one lesion are there at a time, and those being written, however many there are."""
    run("segment", *small.arguments, "--out", tmp_path)
    labels = next(tmp_path.rglob("*dseg.nii.gz"))
    lesions = int(load_segmentation(labels).labels.max())
    assert lesions > 4
    gc.collect()
    gc.freeze()  # only what comes now is looked through, again and again
    masks: list[weakref.ref] = []
    maps: list[weakref.ref] = []
    most = {"masks": 0, "maps": 0}
    make, finished = LabelledVoxels.boxed, Saliency.__init__

    def count() -> None:
        gc.collect()
        most["masks"] = max(most["masks"], sum(one() is not None for one in masks))
        alive = {id(one()) for one in maps if one() is not None}
        most["maps"] = max(most["maps"], len(alive))

    def made(self, *args, **kwargs):
        mask = make(self, *args, **kwargs)
        masks.append(weakref.ref(mask.values))
        count()
        return mask

    def created(self, *args, **kwargs):
        finished(self, *args, **kwargs)
        maps.append(weakref.ref(self.cropped))
        count()

    monkeypatch.setattr(LabelledVoxels, "boxed", made)
    monkeypatch.setattr(Saliency, "__init__", created)
    result = run(
        *("explain", *small.arguments, "--labels", labels, "--all"),
        *(*settings, "--out", tmp_path / "out"),
    )
    assert result.exit_code == 0, result.output
    assert len(masks) >= lesions
    assert len(maps) >= lesions
    assert most["masks"] <= 1
    assert most["maps"] <= at_most


@pytest.mark.slow
def test_footprints_of_several_are_made_when_their_turn_comes(small):
    case = small.case()
    labels = segment(small.model(), case).labels
    alive: list[weakref.ref] = []

    class Lazy:
        def __init__(self, lesion: int) -> None:
            self.lesion = lesion

        def __array__(self, dtype=None, copy=None):
            gc.collect()
            assert sum(one() is not None for one in alive) <= 1
            mask = labels == self.lesion
            alive.append(weakref.ref(mask))
            return mask

    model = small.model()
    lesions = [int(value) for value in np.unique(labels) if value > 0][:3]
    request = SaliencyRequest(n_samples=1)
    footprints = {lesion: Lazy(lesion) for lesion in lesions}
    finished = {
        key: report.result
        for (key, _), report in explain_together(model, case, footprints, request)
        if report.finished
    }
    assert len(alive) == len(lesions)
    for lesion in lesions:
        np.testing.assert_array_equal(finished[lesion].mask, labels == lesion)


def test_measures_are_computed_once(small, tmp_path, monkeypatch):
    from napari_ies.results import saliency
    from napari_ies.saliency.reading_off import measures

    calls, measure = [], measures.measure

    def counted(*args):
        calls.append(args)
        return measure(*args)

    monkeypatch.setattr(measures, "measure", counted)
    monkeypatch.setattr(saliency, "measure", counted)
    asked = ("explain", *small.arguments, "--lesion", 1, "--lesion", 2, "--method", "gradcam++")
    assert run(*asked, "--out", tmp_path).exit_code == 0
    assert len(calls) == 2


@pytest.mark.slow
def test_maps_of_a_former_numbering_are_named(small, tmp_path, caplog):
    run("segment", *small.arguments, "--out", tmp_path)
    labels = next(tmp_path.rglob("*dseg.nii.gz"))
    explained = ("--method", "gradcam++", "--out", tmp_path, "--lesion", 1, "--lesion", 2)
    assert run("explain", *small.arguments, "--labels", labels, *explained).exit_code == 0
    first = load_segmentation(labels).labels
    figures = tmp_path / "figures"
    result = next(tmp_path.rglob("*lesion-002*saliency.nii.gz"))
    drawn = ("figure", result, "--out", figures)
    images = [f"--image={name}={path}" for name, path in small.images.items()]
    assert "another segmentation" not in run(*drawn, *images).stderr

    unchanged = run("segment", *small.arguments, "--out", tmp_path, "--overwrite")
    assert "another segmentation" not in unchanged.stderr
    strict = ("--threshold", float(small.model().profile.threshold) + 0.01)
    changed = run("segment", *small.arguments, *strict, "--out", tmp_path, "--overwrite")
    assert changed.exit_code == 0, changed.output
    second = load_segmentation(labels).labels
    other = [n for n in (1, 2) if not np.array_equal(first == n, second == n)]
    assert 2 in other
    words = "lesions 1 and 2" if len(other) == 2 else "lesion 2"
    said = " ".join(changed.stderr.split())
    assert f"The maps of {words} in " in said
    assert "are of another segmentation than this one" in said
    again = run(*drawn, *images, "--overwrite")
    assert again.exit_code == 0, again.output
    assert "This map of lesion 2 is of another segmentation than" in " ".join(again.stderr.split())
    assert len(list(tmp_path.rglob("*lesion-*"))) == 2 * 8 + 1  # nothing is deleted


def test_names_in_any_script_work_and_too_long_ones_are_refused_first(small, tmp_path, monkeypatch):
    mask = tmp_path / "маска.nii.gz"
    mask.write_bytes(small.reference.read_bytes())
    network = small.checkpoint.with_suffix(".profile.json")
    profile = json.loads(network.read_text()) | {"sequences": ["ФЛЕР", "T1"]}
    checkpoint = tmp_path / "сеть.pth"
    checkpoint.write_bytes(small.checkpoint.read_bytes())
    checkpoint.with_suffix(".profile.json").write_text(json.dumps(profile))
    images = [f"--image=ФЛЕР={small.images['FLAIR']}", f"--image=T1={small.images['T1']}"]
    done = run(
        *("explain", checkpoint, *images, "--mask", mask, "--samples", 1, "--out", tmp_path / "я"),
    )
    assert done.exit_code == 0, done.output
    maps = list((tmp_path / "я").rglob("*_saliency.nii.gz"))
    assert load_saliency(maps[0]).sequences == ("ФЛЕР", "T1")

    monkeypatch.setattr("napari_ies.cli.segmenting.segmented", None)
    monkeypatch.setattr("napari_ies.cohort.row.explaining.explain_together", None)
    named_long = shutil.copy(mask, tmp_path / f"{'m' * 240}.nii.gz")
    for long in (["--subject", "p" * 300], ["--mask", named_long]):
        refused = one_line(
            run("explain", *small.arguments, "--all", *long, "--out", tmp_path / "out")
        )
        assert "names of files have 255 at most" in refused
    refused = one_line(run("explain", *small.arguments, "--all", "--out", tmp_path / ("o" * 300)))
    assert "Results cannot be written to" in refused
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "sub-7").write_text("a file")
    refused = one_line(
        run("explain", *small.arguments, "--all", "--subject", 7, "--out", tmp_path / "full")
    )
    assert "cannot be written" in refused


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX alone")
def test_a_name_that_is_no_text_can_be_written_down(small, tmp_path):
    flair = Path(os.fsdecode(os.fsencode(tmp_path) + b"/FL\xc9.nii.gz"))
    flair.write_bytes(small.images["FLAIR"].read_bytes())
    done = run(
        *("segment", small.checkpoint, f"--image=FLAIR={flair}"),
        *(f"--image=T1={small.images['T1']}", "--out", tmp_path / "out"),
    )
    assert done.exit_code == 0, done.output
    (content,) = (json.loads(p.read_text()) for p in tmp_path.rglob("*dseg.json"))
    assert content["Images"][0]["Name"] == "FL\\xc9.nii.gz"
