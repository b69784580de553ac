from __future__ import annotations

import hashlib
import inspect
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import get_args

import nibabel as nib
import numpy as np
import pytest
import torch
from command_line import one_line, run
from rich.console import Console
from typer.testing import CliRunner

from napari_ies import (
    explain,
    load_case,
    load_checkpoint,
    load_saliency,
    segment,
    with_geometry,
)
from napari_ies.cli import app, expecting, options
from napari_ies.cli.tables import model_table
from napari_ies.cohort.row.images import assign, open_case
from napari_ies.cohort.row.targets import labels_from
from napari_ies.errors import CaseError, ResultsError, SaliencyError
from napari_ies.patient.masks import load_mask
from napari_ies.results import load_segmentation
from napari_ies.saliency import explain_together, request
from napari_ies.saliency.gradcam import layers_offered
from napari_ies.segmentation.segmentation import segment_progressively


@pytest.mark.parametrize("command", ["inspect", "segment", "explain", "demo"])
def test_help_has_a_purpose_and_an_example(command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"napari-ies {command}" in result.output.partition("Examples")[2]


def test_the_choices_offered_are_those_of_the_core():
    assert get_args(options.Method) == request.METHODS
    assert get_args(options.Aggregation) == request.AGGREGATIONS
    assert get_args(options.Forward) == request.FORWARDS
    assert get_args(options.Precision) == request.PRECISIONS


def test_inspect_says_what_the_checkpoint_is(small):
    result = run("inspect", small.checkpoint)
    assert result.exit_code == 0
    for expected in ("UNet", "FLAIR, T1", "16 × 16 × 16", "model.1.submodule", "strides"):
        assert expected in result.stdout
    model = small.model()
    layers, default, _ = layers_offered(model)
    assert len(layers) > 16
    rest = len(layers) - 1
    assert f"{default} (default)" in result.stdout
    assert f"and {rest} more: inspect --layers lists them" in result.stdout
    shown = Console(file=(listed := StringIO()), width=200)
    shown.print(model_table(model, layers, default, every_layer=True))
    assert [line.split()[0] for line in listed.getvalue().splitlines()][-rest:] == [*layers[1:]]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["segment", "explain"])
def test_what_was_guessed_is_said_with_the_result(command, small, tmp_path):
    asked = ("--all", "--samples", 1) if command == "explain" else ()

    result = run(command, *small.arguments, *asked, "--out", tmp_path)

    guessed = small.model().profile.guessed
    assert result.exit_code == 0, result.output
    assert [line[2:] for line in result.stderr.splitlines() if line.startswith("- ")] == [*guessed]
    assert "unet.profile.json can state it" in result.stderr
    for sidecar in tmp_path.rglob("*.json"):
        content = json.loads(sidecar.read_text())
        known = content.get("Checkpoint") or content.get("Provenance", {}).get("checkpoint")
        if known is not None:
            assert (known.get("Guessed") or known["guessed"]) == [*guessed], sidecar.name
    assert len(list(tmp_path.rglob("*.json"))) > 1


def test_orientation_and_voxel_size_are_options(small, tmp_path):
    stated = ("--orientation", "ras", "--spacing", 2, 2, 2.5)

    shown = run("inspect", small.checkpoint, *stated).stdout

    assert re.search(r"Orientation\s+RAS", shown)
    assert re.search(r"Trained at\s+2 × 2 × 2.5 mm along R A S, and run at that size", shown)
    assert "as it is stored" not in shown
    for wrong, words in ((("--orientation", "RAX"), "such as LAS"), (("--spacing", 1, 1, 0), "mm")):
        assert words in one_line(run("segment", *small.arguments, *wrong, "--out", tmp_path))


def test_a_stated_orientation_is_that_of_the_profile(small, tmp_path):
    turned = run("segment", *small.arguments, "--orientation", "PSR", "--out", tmp_path)

    assert turned.exit_code == 0, turned.output
    case = small.case()
    expected = segment(with_geometry(small.model(), "PSR"), case)
    written = load_segmentation(next(tmp_path.rglob("*dseg.nii.gz")), case)
    np.testing.assert_array_equal(written.probability, expected.probability)
    assert not np.array_equal(expected.probability, segment(small.model(), case).probability)


def test_segment_writes_what_segment_returns(small, tmp_path):
    result = run("segment", *small.arguments, "--reference", small.reference, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    case = small.case()
    expected = segment(small.model(), case, reference=load_mask(small.reference, case))
    written = load_segmentation(next(tmp_path.rglob("*dseg.nii.gz")), case)
    np.testing.assert_array_equal(written.labels, expected.labels)
    np.testing.assert_array_equal(written.probability, expected.probability)
    rows = [line.split() for line in result.stdout.splitlines()]
    shown = {int(row[0]): row for row in rows if row and row[-1] in ("TP", "FP", "FN")}
    assert {label: int(row[1]) for label, row in shown.items()} == (
        expected.lesions["voxels"].to_dict()
    )


@pytest.mark.slow
def test_explain_writes_what_explain_returns(small, tmp_path):
    result = run(
        *("explain", *small.arguments, "--lesion", 4, "--aggregation", "max", "--samples", 2),
        *("--noise", 0.2, "--seed", 4, "--out", tmp_path, "--subject", "X-1"),
    )
    assert result.exit_code == 0, result.output
    model, case = small.model(), small.case()
    labels = segment(model, case).labels
    settings = {"aggregation": "max", "n_samples": 2, "noise": 0.2, "seed": 4}
    expected = explain(model, case, labels == 4, **settings)
    name = "sub-X1_seq-FLAIR_lesion-004_method-smoothgrad_agg-max_saliency.nii.gz"
    written = load_saliency(tmp_path / "sub-X1" / "anat" / name)
    assert written.request == expected.request
    np.testing.assert_array_equal(written.mask, labels == 4)
    np.testing.assert_allclose(written.maps, expected.maps, rtol=1e-5, atol=1e-7)
    assert "FLAIR" in result.stdout


def test_explain_takes_an_earlier_segmentation_and_every_lesion_of_it(small, tmp_path):
    run("segment", *small.arguments, "--out", tmp_path)
    labels = next(tmp_path.rglob("*dseg.nii.gz"))
    result = run(
        *("explain", *small.arguments, "--labels", labels, "--all", "--samples", 1),
        *("--method", "gradcam++", "--out", tmp_path),
    )
    assert result.exit_code == 0, result.output
    expected = load_segmentation(labels).labels
    for label in np.unique(expected[expected > 0]):
        (written,) = tmp_path.rglob(f"*_lesion-{label:03d}_method-gradcampp_saliency.nii.gz")
        np.testing.assert_array_equal(load_saliency(written).mask, expected == label)


@pytest.mark.slow
def test_each_of_several_is_the_same_as_alone_and_written_when_it_is_done(
    small, tmp_path, monkeypatch
):
    """Two lesions and a region, the last of which fails: the others are on disk."""

    def failing(model, case, footprints, request, **settings):
        *_, last = footprints
        for (target, way), report in explain_together(model, case, footprints, request, **settings):
            if target is last:
                raise SaliencyError("It failed.")
            yield (target, way), report

    monkeypatch.setattr("napari_ies.cohort.row.explaining.explain_together", failing)
    result = run(
        *("explain", *small.arguments, "--lesion", 2, "--lesion", 4, "--mask", small.reference),
        *("--samples", 2, "--memory-gib", 1, "--precision", "tf32", "--out", tmp_path),
    )
    assert one_line(result) == "Error: It failed."
    assert [line.partition(":")[0] for line in result.stderr.splitlines()[-3:-1]] == [
        "Lesion 2",
        "Lesion 4",
    ]
    model, case = small.model(), small.case()
    labels = segment(model, case).labels
    for lesion in (2, 4):
        written = load_saliency(next(tmp_path.rglob(f"*_seq-T1_lesion-{lesion:03d}*saliency.json")))
        expected = explain(model, case, labels == lesion, n_samples=2, precision="tf32")
        assert written.request == expected.request
        np.testing.assert_allclose(written.maps, expected.maps, rtol=1e-5, atol=1e-7)
    assert not list(tmp_path.rglob("*region*"))


def test_explain_takes_a_region_named_after_its_file(small, tmp_path):
    result = run(
        *("explain", *small.arguments, "--mask", small.reference, "--samples", 1),
        *("--forward", "whole-volume", "--class", "background", "--out", tmp_path),
        *("--jacobian", "loop"),
    )
    assert result.exit_code == 0, result.output
    assert "Careful: the class that is found and explained is background" in result.stderr
    (written,) = tmp_path.rglob(
        "*_seq-T1_region-lesions_method-smoothgrad_agg-mean_saliency.nii.gz"
    )
    saliency = load_saliency(written)
    np.testing.assert_array_equal(saliency.mask, load_mask(small.reference, small.case()))
    assert (saliency.request.class_index, saliency.request.forward) == (0, "whole-volume")
    assert saliency.provenance["jacobian"] == "loop"


def test_a_missed_lesion_can_be_explained(small, tmp_path):
    case = small.case()
    reference = load_mask(small.reference, case)
    strict = segment(small.model(), case, threshold=0.99, reference=reference)
    assert list(strict.lesions["match"]) == ["FN", "FN"]
    result = run(
        *("explain", *small.arguments, "--threshold", 0.99, "--reference", small.reference),
        *("--lesion", 2, "--samples", 1, "--out", tmp_path),
    )
    assert result.exit_code == 0, result.output
    written = next(tmp_path.rglob("*_lesion-002_*mask.nii.gz"))
    np.testing.assert_array_equal(load_saliency(written).mask, strict.labels == 2)


@pytest.mark.parametrize(
    "wrong",
    [
        ["--image=FLAIR", "--all"],
        ["--image=FLAIR=", "--all"],
        ["--image=FLAIR=a.nii", "--image=FLAIR=b.nii", "--all"],
        ["--image=FLAIR=a.nii"],
        ["--image=FLAIR=a.nii", "--all", "--lesion=1"],
        ["--image=FLAIR=a.nii", "--all", "--labels=x.nii.gz", "--threshold=0.5"],
        ["--image=FLAIR=a.nii", "--all", "--method=magic"],
        ["--image=FLAIR=a.nii", "--all", "--samples=0"],
        ["--image=FLAIR=a.nii", "--all", "--labels-of-others"],
        ["--all"],
    ],
)
def test_wrong_usage_ends_with_2(wrong, tmp_path):
    result = run("explain", "unet.pth", *wrong, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_done_is_one_line_and_ends_with_1(small, tmp_path):
    checkpoint, *images = small.arguments
    out = ("--out", tmp_path)
    missing = one_line(run("segment", tmp_path / "no.pth", *images, *out))
    assert "no.pth" in missing
    absent = one_line(run("explain", *small.arguments, "--lesion", 99, *out))
    assert "There is no lesion 99; the segmentation holds the lesions 1 to" in absent
    single = one_line(run("segment", checkpoint, images[0], *out))
    assert "add an --image NAME=FILE for T1" in single
    unknown = one_line(run("explain", *small.arguments, "--lesion", 1, "--class", "tumour", *out))
    assert "0 background, 1 lesion" in unknown


@pytest.mark.slow
def test_a_result_that_is_there_is_refused_before_anything_is_computed(
    small, tmp_path, monkeypatch
):
    explained = ("explain", *small.arguments, "--mask", small.reference, "--samples", 1)
    assert run(*explained, "--out", tmp_path).exit_code == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    with monkeypatch.context() as patch:
        patch.setattr("napari_ies.cohort.row.explaining.explain_together", None)
        refused = one_line(run(*explained, "--seed", 3, "--out", tmp_path))
        assert "is there already, computed with other settings; choose" in refused
        former = one_line(run(*explained, "--noise-version", 1, "--out", tmp_path))
        assert (
            "is there already, computed with the noise that --noise-version 2 gives again; choose"
            in former
        )
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before
    again = run(*explained, "--seed", 3, "--overwrite", "--out", tmp_path)
    assert again.exit_code == 0, again.output
    assert load_saliency(next(tmp_path.rglob("*FLAIR*.json"))).request.seed == 3


def test_a_defect_shows_its_traceback_only_with_debug(small, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("a defect")
        yield

    monkeypatch.setattr("napari_ies.cli.segmenting.segment_progressively", broken)
    arguments = ("segment", *small.arguments, "--out", tmp_path)
    said = one_line(run(*arguments))
    assert "an error that it does not know (ZeroDivisionError: a defect)" in said
    assert "Traceback" in run(*arguments, "--debug").stderr


def test_images_are_matched_by_name_and_else_by_order():
    wanted = ["FLAIR", "T1"]
    assert assign(["MPRAGE", "flair"], wanted) == ({"MPRAGE": "T1", "flair": "FLAIR"}, [])
    assert assign(["x", "FLAIR"], wanted) == ({"x": "T1", "FLAIR": "FLAIR"}, ["T1"])
    assert assign(["b", "a"], wanted) == ({"b": "FLAIR", "a": "T1"}, wanted)
    assert assign(["T2", "T1", "FLAIR"], wanted) == ({"T1": "T1", "FLAIR": "FLAIR"}, [])
    with pytest.raises(CaseError, match="for T1"):
        assign(["FLAIR"], ["FLAIR", "T1"])


def test_an_image_of_another_name_is_no_sequence_that_a_network_is_known_to_take(small, caplog):
    files = dict(zip(("FLAIR", "T2"), small.images.values(), strict=True))
    with pytest.raises(CaseError, match=r"T2 is given and T1 expected: .* --image T1=FILE, or"):
        open_case(files, ("FLAIR", "T1"))
    assumed = open_case(files, ("FLAIR", "T1"), assumed=True)
    assert "The image given as T2 was taken as T1, a name that is assumed" in assumed.notes[-1]
    for name in ("T2_TSE", "T2star", "SWI", "T1c", "sub-1_T2w_brain"):
        given = dict(zip(("FLAIR", name), small.images.values(), strict=True))
        with pytest.raises(CaseError, match=f"{name} is given and T1 expected"):
            open_case(given, ("FLAIR", "T1"))
    # Of none but the one that was taken.
    assert [one[:20] for one in caplog.messages] == ["No name says which i", "The image T2 is take"]
    for names, known in (
        (("FLAIR", "T1w"), ("FLAIR", "T1")),
        (("T2_FLAIR", "T1n"), ("FLAIR", "T1")),
        (("T2f", "T1_axial"), ("FLAIR", "T1")),
        (("a", "b"), ("FLAIR", "T1")),
        (("FLAIR", "T2"), ("0000", "0001")),
    ):
        given = dict(zip(names, small.images.values(), strict=True))
        assert open_case(given, known).notes == ()


def test_the_order_of_the_images_does_not_matter(small, tmp_path):
    checkpoint, flair, t1 = small.arguments
    run("segment", checkpoint, flair, t1, "--out", tmp_path / "a")
    run("segment", checkpoint, t1, flair, "--out", tmp_path / "b")
    one, other = (load_segmentation(next((tmp_path / n).rglob("*dseg.nii.gz"))) for n in "ab")
    np.testing.assert_array_equal(one.probability, other.probability)


def test_a_pipe_gets_few_plain_lines(small, tmp_path):
    result = run("segment", *small.arguments, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.stdout + result.stderr
    assert "\r" not in result.stderr
    said = [line for line in result.stderr.splitlines() if not line.startswith("- ")]
    # What computes and for whom, what was assumed, the voxel size, what testing the guesses
    # showed, and how long it took.
    assert len(said) == 5


@pytest.fixture
def heard_interrupt():
    """A shell that runs the tests in its background lets them ignore Ctrl-C."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


@pytest.mark.usefixtures("heard_interrupt")
def test_ctrl_c_ends_with_130_and_no_file(small, tmp_path, monkeypatch):
    def interrupted(*arguments, **settings):
        reports = segment_progressively(*arguments, **settings)
        yield next(reports)
        os.kill(os.getpid(), signal.SIGINT)
        yield from reports

    monkeypatch.setattr("napari_ies.cli.segmenting.segment_progressively", interrupted)
    result = run("segment", *small.arguments, "--out", tmp_path)
    assert result.exit_code == 130
    assert "Interrupted" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.output
    assert list(tmp_path.iterdir()) == []


def test_the_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "napari_ies", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.fullmatch(r"napari-ies \d+\.\d+\.\d+\S*\n", done.stdout)


def test_demo_without_the_viewer_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "napari_ies.viewer.demo", None)
    assert "pip install 'napari-ies[all]'" in one_line(run("demo"))


def test_whose_result_it_is_is_said_and_can_be_typed(small, tmp_path):
    typed = run("segment", *small.arguments, "--out", tmp_path, "--subject", "P07", "--visit", "b")
    assert typed.exit_code == 0, typed.output
    assert "sub-P07, ses-b" in typed.stderr
    assert (
        tmp_path / "sub-P07" / "ses-b" / "anat" / "sub-P07_ses-b_desc-lesions_dseg.tsv"
    ).exists()
    guessed = run("segment", *small.arguments, "--out", tmp_path)
    assert f"sub-{small.case().subject}\n" in guessed.stderr


def test_overwriting_never_replaces_another_patient(small, tmp_path):
    checkpoint, *images = small.arguments
    out = tmp_path / "out"
    given = ("--out", out, "--subject", "P07", "--overwrite")
    assert run("segment", checkpoint, *images, *given).exit_code == 0
    before = {path: path.read_bytes() for path in (out / "sub-P07").rglob("*.*")}
    others = []
    for name, path in small.images.items():
        image = nib.load(path)
        values = np.asarray(image.dataobj) * np.float32(1.5)
        nib.save(nib.Nifti1Image(values, image.affine), tmp_path / f"{name}.nii.gz")
        others.append(f"--image={name}={tmp_path / name}.nii.gz")
    result = run("segment", checkpoint, *others, *given)
    assert result.exit_code == 0, result.output
    assert "out holds results of other images as sub-P07, so these are named sub-P07x2" in (
        " ".join(result.stderr.split())
    )
    assert {path: path.read_bytes() for path in (out / "sub-P07").rglob("*.*")} == before
    assert (out / "sub-P07x2" / "anat" / "sub-P07x2_desc-lesions_dseg.nii.gz").exists()


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sidecars(folder, pattern):
    return [json.loads(path.read_text()) for path in sorted(folder.rglob(pattern))]


def test_results_name_their_reference_and_what_was_said_of_it(small, tmp_path):
    """From segment, from explain, and from explain that takes the lesions of segment."""
    image = nib.load(small.reference)
    values = np.asarray(image.dataobj).copy()
    values[13:] *= 2
    reference = tmp_path / "two.nii.gz"
    nib.save(nib.Nifti1Image(values, image.affine), reference)
    said = "two.nii.gz holds the values 1 and 2; all of them were taken as marked."
    record = {"Name": "two.nii.gz", "SHA256": sha256(reference)}
    gradcam = ("--lesion", 1, "--method", "gradcam++")

    done = run("segment", *small.arguments, "--reference", reference, "--out", tmp_path / "a")
    assert done.exit_code == 0, done.output
    (segmented,) = sidecars(tmp_path / "a", "*dseg.json")
    assert segmented["Reference"] == record
    assert said in segmented["SegmentationNotes"]
    labels = next((tmp_path / "a").rglob("*dseg.nii.gz"))

    given = ("--reference", reference, "--out", tmp_path / "b")
    done = run("explain", *small.arguments, *gradcam, *given)
    assert done.exit_code == 0, done.output
    earlier = run(
        *("explain", *small.arguments, *gradcam, "--labels", labels, "--out", tmp_path / "c")
    )
    assert earlier.exit_code == 0, earlier.output
    assert "other images" not in earlier.stderr
    of_labels = {"Name": labels.name, "SHA256": sha256(labels)}
    for folder, files in (
        ("b", {"reference": record}),
        ("c", {"labels": of_labels, "reference": record}),
    ):
        for content in sidecars(tmp_path / folder, "*method-*.json"):
            notes = content["Provenance"]["notes"]
            assert said in notes
            assert len(set(notes)) == len(notes)
            assert content["Provenance"]["footprint_from"] == files


def test_maps_name_the_mask_or_label_image_of_their_footprint(small, tmp_path):
    shared = ("explain", *small.arguments, "--method", "gradcam++", "--out", tmp_path)
    done = run(*shared, "--mask", small.reference, "--labels", small.reference, "--lesion", 1)
    assert done.exit_code == 0, done.output
    record = {"Name": small.reference.name, "SHA256": sha256(small.reference)}
    for pattern, kind in (("*region-*saliency.json", "mask"), ("*lesion-*saliency.json", "labels")):
        (content,) = sidecars(tmp_path, pattern)
        assert content["Provenance"]["footprint_from"] == {kind: record}


def test_lesions_of_other_images_are_refused_unless_that_is_meant_and_said_then(small, tmp_path):
    run("segment", *small.arguments, "--out", tmp_path / "a")
    labels = next((tmp_path / "a").rglob("*dseg.nii.gz"))
    image = nib.load(small.images["FLAIR"])
    other = tmp_path / "later.nii.gz"
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj) * np.float32(1.1), image.affine), other)
    asked = (
        *("explain", small.checkpoint, "--image", f"FLAIR={other}"),
        *("--image", f"T1={small.images['T1']}", "--labels", labels, "--lesion", 1),
        *("--method", "gradcam++", "--out", tmp_path / "b"),
    )
    refused = one_line(run(*asked))
    found = (
        f"The lesions of {labels.name} were found in other images (FLAIR of FLAIR.nii.gz differs "
        "by SHA-256) than those that are explained; "
    )
    assert found in refused
    assert "say that it is meant with --labels-of-others" in refused
    assert not list((tmp_path / "b").rglob("*.*"))

    result = run(*asked, "--labels-of-others")
    assert result.exit_code == 0, result.output
    said = f"{found}check that both are of the same patient and visit, or segment these images."
    assert said in " ".join(result.stderr.split())
    for content in sidecars(tmp_path / "b", "*method-*.json"):
        assert said in content["Provenance"]["notes"]


def test_sequences_that_changed_places_are_other_images(small, tmp_path):
    run("segment", *small.arguments, "--out", tmp_path)
    labels = next(tmp_path.rglob("*dseg.nii.gz"))
    swapped = load_case({"FLAIR": small.images["T1"], "T1": small.images["FLAIR"]})
    with pytest.raises(ResultsError, match=r"FLAIR of FLAIR.nii.gz, T1 of T1.nii.gz differ by"):
        labels_from(labels, swapped)


@pytest.mark.slow
def test_lesions_of_another_network_are_refused_unless_that_is_meant_and_said_then(small, tmp_path):
    """Another checkpoint, or the same one run otherwise."""
    run("segment", *small.arguments, "--out", tmp_path / "a")
    labels = next((tmp_path / "a").rglob("*dseg.nii.gz"))
    weights = torch.load(small.checkpoint, weights_only=True)
    other = tmp_path / "other.pth"
    torch.save({key: value * 1.0001 for key, value in weights.items()}, other)
    asked = (*small.arguments[1:], "--labels", labels, "--lesion", 1, "--method", "gradcam++")

    shutil.copy(small.checkpoint.with_name("unet.profile.json"), tmp_path / "other.profile.json")
    for network, more, what in (
        (other, (), "SHA-256 differs"),
        (small.checkpoint, ("--orientation", "PSR"), "Orientation differs"),
    ):
        out = tmp_path / f"to {what}"
        refused = one_line(run("explain", network, *asked, *more, "--out", out))
        marked = f"were marked by another network (unet.pth; {what}) than the one that is explained"
        assert marked in refused
        assert not list(out.rglob("*.*"))
        done = run("explain", network, *asked, *more, "--labels-of-others", "--out", out)
        assert done.exit_code == 0, done.output
        assert marked in " ".join(done.stderr.split())
        for content in sidecars(out, "*method-*.json"):
            assert any(marked in note for note in content["Provenance"]["notes"])


def test_a_segmentation_of_the_former_version_is_compared_as_far_as_it_says(tmp_path):
    former = Path(__file__).parents[1] / "data" / "written_by_0_1_0"
    images = {name: former / "sub-07" / f"{name}.nii.gz" for name in ("FLAIR", "T1")}
    labels = former / "results" / "sub-07_desc-lesions_dseg.nii.gz"
    model = load_checkpoint(former / "unet.pth", device="cpu")
    assert labels_from(labels, load_case(images), model).notes == ()
    with pytest.raises(ResultsError, match="other images"):
        labels_from(labels, load_case({"FLAIR": images["T1"], "T1": images["FLAIR"]}), model)


def test_lesions_corrected_by_hand_are_not_taken_for_those_of_the_network(small, tmp_path):
    run("segment", *small.arguments, "--out", tmp_path)
    labels = next(tmp_path.rglob("*dseg.nii.gz"))
    image = nib.load(labels)
    values = np.asarray(image.dataobj).copy()
    values[values == 2] = 1
    nib.save(nib.Nifti1Image(values, image.affine, image.header), labels)
    with pytest.raises(ResultsError, match=r"is not the file that .*dseg.json describes"):
        labels_from(labels, small.case(), small.model())
    corrected = labels.rename(tmp_path / "corrected.nii.gz")
    taken = labels_from(corrected, small.case(), small.model())
    assert taken.files["labels"]["SHA256"] == sha256(corrected)


def test_one_file_for_two_sequences_is_refused_whatever_it_is_called(small, tmp_path):
    flair = small.images["FLAIR"]
    for make in (shutil.copy, os.link, lambda file, other: other.symlink_to(file)):
        other = tmp_path / f"{len(list(tmp_path.iterdir()))}.nii.gz"
        make(flair, other)
        with pytest.raises(CaseError, match="FLAIR and T1 are given the same image"):
            load_case({"FLAIR": flair, "T1": other})


def test_an_earlier_segmentation_that_names_neither_images_nor_reference_is_read(small, tmp_path):
    run("segment", *small.arguments, "--out", tmp_path)
    labels = next(tmp_path.rglob("*dseg.nii.gz"))
    sidecar = next(tmp_path.rglob("*dseg.json"))
    content = json.loads(sidecar.read_text())
    sidecar.write_text(json.dumps({k: v for k, v in content.items() if k != "Images"}))
    found = labels_from(labels, small.case())
    assert found.notes == tuple(content["SegmentationNotes"])
    assert found.files == {"labels": {"Name": labels.name, "SHA256": sha256(labels)}}


@pytest.fixture
def slow(monkeypatch):
    """Let the clock of the trial jump an hour whenever it is asked."""
    hours = iter(range(0, 10**9, 3600))
    real = expecting.expected_time

    def expected_time(*arguments, **settings):
        return real(*arguments, **settings, clock=lambda: next(hours))

    monkeypatch.setattr(expecting, "expected_time", expected_time)


@pytest.mark.slow
def test_more_than_an_hour_is_announced_and_not_begun_without_yes(small, slow, tmp_path):
    long = ("explain", *small.arguments, "--lesion", 4, "--aggregation", "max", "--samples", 2)
    refused = run(*long, "--out", tmp_path)
    assert refused.exit_code == 2
    said = " ".join(re.sub("[│╭╮╰╯─]", " ", refused.stderr).split())
    assert re.search(r"this will take about [\d,]+ \w+: give --yes", said)
    assert "fewer noise samples than 2, the aggregation mean instead of max, the forward" in said
    assert "smaller region" not in said  # another map
    assert not list(tmp_path.rglob("*saliency*"))
    agreed = run(*long, "--yes", "--out", tmp_path)
    assert agreed.exit_code == 0, agreed.output
    assert re.search(r"This will take about [\d,]+ \w+\.", agreed.stderr)
    assert list(tmp_path.rglob("*saliency*"))


@pytest.mark.slow
@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("n\n", 1)])
def test_at_a_terminal_more_than_an_hour_is_asked_for(
    small, slow, tmp_path, monkeypatch, answer, status
):
    monkeypatch.setattr(expecting, "at_a_terminal", lambda _: True)
    long = ("explain", *small.arguments, "--lesion", 4, "--aggregation", "max", "--samples", 2)
    asked = CliRunner().invoke(app, [*map(str, long), "--out", str(tmp_path)], input=answer)
    assert asked.exit_code == status, asked.output
    assert "Start it? [y/N]" in asked.stderr
    assert bool(list(tmp_path.rglob("*saliency*"))) == (status == 0)


def test_what_is_short_is_begun_without_a_word(small, tmp_path):
    done = run("explain", *small.arguments, "--lesion", 1, "--samples", 2, "--out", tmp_path)
    assert done.exit_code == 0
    assert "This will take" not in done.output


def test_wherever_a_checkpoint_is_taken_its_class_is_chosen():
    for command in app.registered_commands:
        asked = {one.name for one in inspect.signature(command.callback).parameters.values()}
        assert ("class_name" in asked) == ("trust" in asked), command.callback.__name__


@pytest.mark.slow
def test_the_lesions_of_a_chosen_class_are_those_that_are_explained(small, tmp_path):
    _, *images = small.arguments
    checkpoint = shutil.copy(small.arguments[0], tmp_path / "net.pth")
    chosen = (*images, "--class", "background", "--out", tmp_path / "out")
    assert run("segment", checkpoint, *chosen).exit_code == 0
    found = load_segmentation(next(tmp_path.rglob("*dseg.nii.gz")))
    asked = ("--lesion", 1, "--method", "gradcam++")

    result = run("explain", checkpoint, *chosen, *asked)

    assert result.exit_code == 0, result.output
    explained = load_saliency(next(tmp_path.rglob("*saliency.nii.gz")))
    np.testing.assert_array_equal(explained.mask, found.labels == 1)
    assert explained.request.class_index == 0
    shown = run("inspect", checkpoint, "--class", "0", "--write-profile")
    assert "Explained class    background" in shown.stdout
    assert ".profile.json: used" in shown.stdout
    assert "not there" not in shown.stdout
    for rest in (("inspect", checkpoint), ("segment", checkpoint, *chosen)):
        said = one_line(run(*rest, "--class", "nope"))
        assert said.endswith(
            "There is no class nope: the network has 0 background, 1 lesion; give one of these "
            "names or numbers."
        )
