"""One patient written in other ways is the same patient, and what was made of the file is said."""

from __future__ import annotations

import json
from dataclasses import replace

import command_line
import nibabel as nib
import numpy as np
import pytest
from rewritten import KINDS, rewrite

from napari_ies import load_case, load_checkpoint
from napari_ies.checkpoints import with_geometry
from napari_ies.geometry import Grid, onto
from napari_ies.network.assumptions import notes_on
from napari_ies.network.inference import network_input
from napari_ies.results import load_segmentation


def run(*arguments):
    result = command_line.run(*arguments)
    assert result.exit_code == 0, result.output
    return result


def segmented(small, images, out, *options):
    """Segment with the command line; return what was written, its JSON and what was said."""
    given = [f"--image={name}={path}" for name, path in images.items()]
    said = run("segment", small.checkpoint, *given, "--reference", small.reference, *options,
               "--subject", "one", "--out", out)  # fmt: skip
    labels = next(out.rglob("*dseg.nii.gz"))
    sidecar = json.loads(labels.with_name(labels.name.replace(".nii.gz", ".json")).read_text())
    return load_segmentation(labels), sidecar, " ".join(said.stderr.split())


@pytest.fixture(scope="module")
def expected(small, tmp_path_factory):
    """What is found in the image as it was."""
    return segmented(small, small.images, tmp_path_factory.mktemp("plain"))[0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_lesions_are_those_of_the_image_as_it_was(small, expected, tmp_path, kind):
    stored = "".join(nib.aff2axcodes(nib.load(small.images["FLAIR"]).affine))
    options = ("--orientation", stored) if kind == "PSR" else ()
    images = rewrite(kind, small.images, tmp_path / "files")
    found, sidecar, said = segmented(small, images, tmp_path / "out", *options)
    columns = ["voxels", "volume_mm3", "max_probability"]
    ours, theirs = (one.lesions.sort_values(columns)[columns] for one in (found, expected))
    np.testing.assert_allclose(ours, theirs, rtol=2e-3)
    assert sorted(found.lesions["match"]) == sorted(expected.lesions["match"])
    note = f"from the stored PSR to {stored}, exactly" if kind == "PSR" else KINDS[kind].said
    assert note in said
    assert note in " ".join(sidecar["SegmentationNotes"])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_made_of_the_file_is_stored_with_a_map(small, tmp_path, kind):
    images = rewrite(kind, small.images, tmp_path / "files")
    given = [f"--image={name}={path}" for name, path in images.items()]
    run("explain", small.checkpoint, *given, "--labels", small.reference, "--lesion", 1,
        "--samples", 1, "--out", tmp_path)  # fmt: skip
    for path in tmp_path.rglob("*_saliency.json"):
        notes = " ".join(json.loads(path.read_text())["Provenance"]["notes"])
        assert KINDS[kind].said in notes
        assert "lesions.nii.gz is a mask: its 2 connected parts" in notes


@pytest.fixture(scope="module")
def real_patient(real_file, tmp_path_factory):
    """The network, a patient's files, the patient as stored, and what the network is given.

    A part of the images is enough, from outside the head to beyond the middle of the brain:
    background, its edge and tissue.
    """
    model = load_checkpoint(real_file("checkpoints/unet_flair_t1_epoch_31.pth"), device="cpu")
    # What is guessed about it is tested in windows, and small ones do.
    model = model.with_profile(replace(model.profile, window=(32, 32, 32)))
    names = ("FLAIR", "T1")
    folder = tmp_path_factory.mktemp("patient07")
    images = {n: folder / f"{n}.nii" for n in names}
    for name, path in images.items():
        whole = nib.load(real_file(f"data/open_ms/patient07/{name}.nii.gz"))
        nib.save(whole.slicer[16:96, 16:96, 16:80], path)
    plain = load_case(images)
    return model, images, plain, network_input(model, plain).numpy()


@pytest.mark.real_data
@pytest.mark.parametrize("kind", KINDS)
def test_a_real_patient_gives_the_network_the_same_input(real_patient, tmp_path, kind):
    """With the same input the network marks the same."""
    model, images, plain, expected = real_patient
    case = load_case(rewrite(kind, images, tmp_path))
    assert any(KINDS[kind].said in note for note in notes_on(model, case)) or not KINDS[kind].said
    if kind == "PSR":
        model = with_geometry(model, orientation="LAS")
    found = network_input(model, case).numpy()
    differing = np.abs(found - expected) > KINDS[kind].atol
    # Rounding makes a voxel or two at the edge of the brain equal to the background beside it.
    assert np.count_nonzero(differing) <= (5 if kind == "int16" else 0)
    assert case.grid.voxel_mm3 == pytest.approx(1, abs=1e-5)
    back = onto(np.asarray(case.data[0]), case.grid, plain.grid)
    assert back.how == ("turned" if kind == "PSR" else "same")
    assert plain.grid.same_as(Grid(plain.shape, plain.affine))
