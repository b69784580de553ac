"""``napari-ies figure``: from saved results to pictures."""

from __future__ import annotations

import re
import shutil

import command_line
import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from napari_ies.figures.content import FigureContent
from napari_ies.figures.files import figure_bytes
from napari_ies.figures.settings import FigureSettings
from napari_ies.patient.masks import load_mask
from napari_ies.results import load_saliency, save_saliency
from napari_ies.saliency import explain

pytestmark = pytest.mark.xdist_group("results to draw")  # made once, by one worker


def run(*arguments: object):
    return command_line.run("figure", *arguments)


def one_line(result) -> str:
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert result.exit_code == 1, result.output
    assert len(errors) == 1
    return errors[0]


@pytest.fixture(scope="module")
def results(small, tmp_path_factory):
    """A folder with a patient's images and, below it, two results of one region."""
    folder = tmp_path_factory.mktemp("sub-07")
    for path in small.images.values():
        shutil.copy(path, folder)
    model, case = small.model(), small.case()
    mask = load_mask(small.reference, case)
    for method in ("smoothgrad", "gradcam++"):
        saliency = explain(model, case, mask, method=method, n_samples=1)
        save_saliency(folder / "results", saliency, case=case, model=model, region="balls")
    return folder


def test_help_has_a_purpose_and_an_example():
    result = run("--help")
    assert result.exit_code == 0
    assert "napari-ies figure" in result.output.partition("Examples")[2]


@pytest.mark.slow
def test_each_result_gives_one_figure_of_its_own_images(small, results, tmp_path):
    every_file = [path for path in (results / "results").rglob("*") if "region" in path.name]
    result = run(*every_file, "--out", tmp_path / "new", "--width", 88, "--sequence", "FLAIR")
    assert result.exit_code == 0, result.output
    written = sorted((tmp_path / "new").iterdir())
    assert [path.name.partition("_")[2] for path in written] == [
        f"region-balls_method-{method}_desc-planes_figure.png"
        for method in ("gradcampp", "smoothgrad_agg-mean")
    ]
    assert sorted(result.stdout.split()) == [str(path) for path in written]
    saliency = load_saliency(next((results / "results").rglob("*FLAIR*_saliency.json")))
    expected = FigureContent(small.case(), saliency, "region balls")
    settings = FigureSettings(width=88, sequences=("FLAIR",))
    assert written[1].read_bytes() == figure_bytes(expected, settings, "png")
    with Image.open(written[0]) as image:
        assert image.info["Title"] == "Region balls: Grad-CAM++ saliency"


@pytest.mark.slow
def test_the_ending_says_the_format_and_nothing_is_overwritten(results, tmp_path):
    saved = next((results / "results").rglob("*FLAIR*_saliency.nii.gz"))
    out = tmp_path / "figure.svg"
    options = ("--out", out, "--layout", "montage", "--slices", 2, "--theme", "dark", "--no-plain")
    assert run(saved, *options).exit_code == 0
    first = out.read_text()
    texts = " ".join(re.findall(r"<text[^>]*>([^<]*)</text>", first))
    method = "SmoothGrad mean, 1 sample, noise 5 % (version 2), seed 0, sliding window"
    assert f"{method}; network unet.pth" in texts
    assert texts.count("z = ") == 2
    assert "text-anchor: middle; fill: #ffffff" in first
    assert "--overwrite" in one_line(run(saved, "--out", out))
    assert out.read_text() == first
    assert run(saved, "--out", out, "--sequence", "T1", "--overwrite").exit_code == 0
    assert out.read_text() != first


@pytest.mark.slow
def test_a_figure_about_a_point_with_limits_of_each_sequence(small, results, tmp_path):
    saved = next((results / "results").rglob("*FLAIR*_saliency.nii.gz"))
    case, out = small.case(), tmp_path / "at.png"
    voxel = np.array([8, 13, 5, 1])
    at = [round(float(value), 2) for value in (case.affine @ voxel)[:3]]
    assert min(at) < 0
    result = run(saved, "--out", out, "--at", *at, "--limits", "own", "--width", 88)
    assert result.exit_code == 0, result.output
    saliency = load_saliency(saved)
    settings = FigureSettings(width=88, at=tuple(at), limits="own")
    expected = FigureContent(case, saliency, "region balls")
    assert out.read_bytes() == figure_bytes(expected, settings, "png")
    outside = one_line(run(saved, "--out", tmp_path / "b.png", "--at", 900, 0, 0))
    assert "900, 0, 0 mm lies outside the images" in outside
    both = one_line(run(saved, "--out", tmp_path / "b.png", "--limits", "own", "--limit", 1))
    assert "leave one of the two out" in both


@pytest.mark.slow
def test_an_image_that_is_missing_or_changed_is_said(small, results, tmp_path):
    folder = tmp_path / "moved" / "a" / "b"
    shutil.copytree(results / "results", folder)
    saved = next(folder.rglob("*T1*_saliency.nii.gz"))
    flair, t1 = small.images["FLAIR"], small.images["T1"]
    out = tmp_path / "figure.svg"
    assert "--image FLAIR=FILE" in one_line(run(saved, "--out", out))
    # A file of the right name and another content lies beside the result.
    image = nib.load(t1)
    nib.save(nib.Nifti1Image(image.get_fdata() + 1, image.affine), folder / flair.name)
    changed = one_line(run(saved, "--out", out))
    assert "SHA-256 differs" in changed
    assert "--image FLAIR=FILE" in changed
    assert not out.exists()
    given = ("--image", f"flair={folder / flair.name}", "--image", f"T1={t1}")
    used = run(saved, *given, "--out", out)
    assert used.exit_code == 0, used.output
    assert used.stderr.count("SHA-256 differs") == 1
    texts = " ".join(re.findall(r"<text[^>]*>([^<]*)</text>", out.read_text()))
    assert "FLAIR is not the image explained" in texts
    assert "T1 is not the image explained" not in texts
    unknown = one_line(run(saved, "--image", f"T2={t1}", "--out", tmp_path / "b.svg"))
    assert "not computed from an image T2" in unknown


@pytest.mark.slow
def test_a_figure_names_no_patient_so_none_is_asked_for(small, results, tmp_path):
    given = []
    for patient, (name, path) in zip(("patient07", "patient19"), small.images.items(), strict=True):
        (tmp_path / patient).mkdir()
        given += ["--image", f"{name}={shutil.copy(path, tmp_path / patient / f'{name}.nii.gz')}"]
    saved = next((results / "results").rglob("*T1*_saliency.nii.gz"))
    result = run(saved, *given, "--out", tmp_path / "figure.png")
    assert result.exit_code == 0, result.output
    assert "--subject" not in result.output
    assert "--visit" not in result.output


@pytest.mark.parametrize(
    "wrong",
    [["--layout=spiral"], ["--format=gif"], ["--image=FLAIR"], ["--width=wide"]],
)
def test_wrong_usage_ends_with_2(wrong, tmp_path):
    assert run("a.json", "--out", tmp_path, *wrong).exit_code == 2


def test_what_cannot_be_drawn_is_one_line(results, tmp_path):
    saved = sorted((results / "results").rglob("*region*_saliency.nii.gz"))
    assert "give a folder" in one_line(run(*saved, "--out", tmp_path / "one.pdf"))
    assert "no sequence T2" in one_line(run(saved[0], "--sequence", "T2", "--out", tmp_path))
    assert "1000 mm" in one_line(run(saved[0], "--width", 1000, "--out", tmp_path))
    assert "--format says png" in one_line(
        run(saved[0], "--format", "png", "--out", tmp_path / "a.pdf")
    )
    assert "There is no" in one_line(run(tmp_path / "nothing.nii.gz", "--out", tmp_path))
    assert list(tmp_path.iterdir()) == []
