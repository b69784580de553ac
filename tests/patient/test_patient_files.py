"""A patient's files are recognised by their names, in the folders that people have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from napari_ies.errors import CaseError
from napari_ies.patient.patient_files import images_in, is_result, patient_files

BOTH = ("FLAIR", "T1")


def lay(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


LAYOUTS = {
    "a folder for each patient": (
        ("FLAIR.nii.gz", "T1.nii.gz", "consensus_lesions.nii.gz"),
        ("FLAIR.nii.gz", "T1.nii.gz"),
        "consensus_lesions.nii.gz",
    ),
    "names with the patient, and what else was scanned": (
        *(
            (
                *("p07_FLAIR.nii.gz", "p07_T1W.nii.gz", "p07_T2W.nii.gz"),
                *("p07_brainmask.nii.gz", "p07_consensus_gt.nii.gz"),
            ),
            ("p07_FLAIR.nii.gz", "p07_T1W.nii.gz"),
        ),
        "p07_consensus_gt.nii.gz",
    ),
    "BIDS": (
        (
            *("anat/sub-1_FLAIR.nii.gz", "anat/sub-1_FLAIR.json", "anat/sub-1_T1w.nii.gz"),
            *("napari-ies/sub-1/sub-1_dseg.nii.gz", "func/sub-1_bold.tsv"),
        ),
        ("anat/sub-1_FLAIR.nii.gz", "anat/sub-1_T1w.nii.gz"),
        None,
    ),
    "lesions for want of a consensus, of any program": (
        ("flair.mgz", "mprage.mgz", "lesions.mgz", "mask.mgz"),
        ("flair.mgz", "mprage.mgz"),
        "lesions.mgz",
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folder_is_looked_through(tmp_path, layout):
    names, images, reference = LAYOUTS[layout]
    found = patient_files([lay(tmp_path, *names)], BOTH)
    assert tuple(found.images) == BOTH
    assert [path.relative_to(tmp_path).as_posix() for path in found.opened] == list(images)
    expected = None if reference is None else tmp_path / reference
    assert found.reference == expected
    assert found.checkpoint is None


def test_all_files_that_are_given_are_meant_and_a_checkpoint_too(tmp_path):
    names = ("FLAIR.nii.gz", "T1.nii.gz", "T2.nii.gz", "mask.nii.gz", "unet.pth")
    lay(tmp_path, *names)
    found = patient_files([tmp_path / name for name in names], BOTH)
    assert [path.name for path in found.opened] == ["FLAIR.nii.gz", "T1.nii.gz", "T2.nii.gz"]
    assert found.reference == tmp_path / "mask.nii.gz"
    assert found.checkpoint == tmp_path / "unet.pth"
    assert found.notes == ()
    # The folder: what the network does not take stays closed, and it is said.
    found = patient_files([tmp_path], BOTH)
    assert [path.name for path in found.opened] == ["FLAIR.nii.gz", "T1.nii.gz"]
    assert found.notes == ("Not opened: T2.nii.gz, which is not asked for.",)
    # Without a name that says T1, each of the others may be it.
    (tmp_path / "T1.nii.gz").rename(tmp_path / "scan3.nii.gz")
    found = patient_files([tmp_path], BOTH)
    assert [path.name for path in found.others] == ["T2.nii.gz", "scan3.nii.gz"]


def test_a_result_of_this_program_is_no_image_and_no_reference(tmp_path):
    lay(tmp_path, "FLAIR.nii.gz", "T1.nii.gz")
    for name in ("sub-1_dseg", "sub-1_seq-FLAIR_lesion-001_saliency"):
        (tmp_path / f"{name}.nii.gz").write_bytes(b"")
        (tmp_path / f"{name}.json").write_text(
            json.dumps({"Files": {"maps": [f"{name}.nii.gz"]}, "Images": []})
        )
    found = patient_files([tmp_path], BOTH)
    assert [path.name for path in found.opened] == ["FLAIR.nii.gz", "T1.nii.gz"]
    assert found.reference is None
    assert "are results of napari-ies" in found.notes[0]
    # Another program's label map of that name, with a JSON of its own, is a mask.
    (tmp_path / "sub-1_dseg.json").write_text("{}")
    assert patient_files([tmp_path], BOTH).reference == tmp_path / "sub-1_dseg.nii.gz"


def test_all_that_this_program_wrote_is_known_to_be_its_result():
    data = Path(__file__).parents[1] / "data"
    written = [*data.glob("*/results/**/*.nii.gz"), *data.glob("*/**/*_saliency.nii.gz")]
    assert len(written) > 10
    assert [path.name for path in written if not is_result(path)] == []
    assert not is_result(data / "written_by_0_1_0" / "sub-07" / "reference.nii.gz")


def test_several_masks_or_images_are_said(tmp_path):
    lay(tmp_path, "a_FLAIR.nii.gz", "b_FLAIR.nii.gz", "T1.nii.gz", "gt1.nii.gz", "gt2.nii.gz")
    found = patient_files([tmp_path], BOTH)
    # Both are opened: which of them is meant is asked in the panel.
    assert [p.name for p in found.opened] == ["a_FLAIR.nii.gz", "T1.nii.gz", "b_FLAIR.nii.gz"]
    assert "gt1.nii.gz was taken" in found.notes[0]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("sub-1/FLAIR.nii", "sub-2/FLAIR.nii", "sub-2/T1.nii"), r"several patients.*sub-1, sub-2"),
        (("ses-1/anat/FLAIR.nii", "ses-2/anat/FLAIR.nii"), "several patients or visits"),
        (tuple(f"slice{n}.nii" for n in range(40)), "40 images lie in .*FLAIR or T1"),
        (("mask.nii.gz",), "masks and results, but no image"),
        (("readme.txt",), "no image of a patient"),
    ],
)
def test_what_is_no_patient_is_refused(tmp_path, names, said):
    folder = lay(tmp_path / "P", *names)
    with pytest.raises(CaseError, match=said):
        patient_files([folder], BOTH)


def test_a_pair_of_files_is_one_image(tmp_path):
    lay(tmp_path, "flair.hdr", "flair.img", "t1.img", "lone.nii")
    assert [path.name for path in images_in(tmp_path)] == ["flair.hdr", "lone.nii", "t1.img"]
