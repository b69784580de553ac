"""Whose images these are, of paths as people have them."""

from __future__ import annotations

import os

import nibabel as nib
import numpy as np
import pytest

from napari_ies.case import load_case
from napari_ies.identity import Identity, identify


@pytest.mark.parametrize(
    ("path", "subject", "visit"),
    [
        # BIDS: the file's name first, then its folders, the nearest first.
        ("bids/sub-07/ses-01/anat/sub-07_ses-01_FLAIR.nii.gz", "07", "01"),
        ("bids/sub-07/ses-02/anat/FLAIR.nii.gz", "07", "02"),
        ("bids/sub-07/anat/sub-07_FLAIR.nii.gz", "07", ""),
        ("bids/sub-08/anat/sub-07_ses-b_FLAIR.nii.gz", "07", "b"),
        ("sub-1/derivatives/sub-2/x.nii.gz", "2", ""),
        ("study/sub-07/visit2/FLAIR.nii.gz", "07", "visit2"),
        ("study/sub-07.nii.gz", "07", ""),
        # A folder per visit in one per patient.
        ("data/P07/ses1/flair.nii.gz", "P07", "1"),
        ("data/P19/ses1/flair.nii.gz", "P19", "1"),
        ("data/P19/Session 02/flair.nii.gz", "P19", "02"),
        ("data/P07/visit2/flair.nii", "P07", "visit2"),
        ("data/P07/v1/flair.nii", "P07", "v1"),
        ("data/P07/tp1/flair.nii", "P07", "tp1"),
        ("data/P07/month12/flair.nii", "P07", "month12"),
        ("data/P07/6months/flair.nii", "P07", "6months"),
        ("data/P07/baseline/flair.mgz", "P07", "baseline"),
        ("data/P07/follow-up 2/flair.mgz", "P07", "followup2"),
        ("data/P07/20200131/flair.nii.gz", "P07", "20200131"),
        ("data/P07/2020-01-31/flair.nii.gz", "P07", "20200131"),
        ("data/P07/20200131/nifti/flair.nii.gz", "P07", "20200131"),
        ("data/P07/baseline/P07_flair.nii.gz", "P07", "baseline"),
        ("data/ses1/patient3_flair.nii.gz", "patient3", "1"),
        # nnU-Net.
        ("nnUNet_raw/Dataset001/imagesTs/case001_0000.nii.gz", "case001", ""),
        ("nnUNet_raw/Dataset001/imagesTr/MS_012_0001.nii.gz", "MS012", ""),
        # A folder that says nothing.
        ("downloads/patient07_FLAIR.nii.gz", "patient07", ""),
        ("Downloads/FLAIR-patient07-brain.nii.gz", "patient07", ""),
        ("images/patient07_t2_flair_n4_bet.nii.gz", "patient07", ""),
        ("data/001_FLAIR.nii.gz", "001", ""),
        ("P07/anat/FLAIR.nii.gz", "P07", ""),
        ("P07/anat/FLAIR_run2.nii.gz", "P07", ""),
        ("P07/T1/image.nii.gz", "P07", ""),
        # The folder's name.
        ("patient07/FLAIR.nii.gz", "patient07", ""),
        ("open_ms/patient07/T1.nii.gz", "patient07", ""),
        ("patient07/other_name.nii.gz", "patient07", ""),
        ("Müller, Hans/flair.nii.gz", "MullerHans", ""),
        ("data/v1/flair.nii.gz", "v1", ""),
    ],
)
def test_patient_and_visit_are_read_from_the_path(path, subject, visit):
    for root in ("/", "/home/anna/"):
        assert identify([root + path]) == Identity(subject, visit)


def test_what_a_person_typed_counts_first():
    path = "/bids/sub-07/ses-01/anat/sub-07_ses-01_FLAIR.nii.gz"
    assert identify([path], subject="X-1") == Identity("X1", "01")
    assert identify([path], subject="sub-X1", visit="ses-b") == Identity("X1", "b")
    assert identify([path], visit="") == Identity("07", "")
    assert identify(["/P07/ses1/f.nii"], subject="A", visit="") == Identity("A", "")


def test_a_relative_path_counts_from_the_working_folder(tmp_path, monkeypatch):
    folder = tmp_path / "P07" / "visit2"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    assert identify(["FLAIR.nii.gz"]) == Identity("P07", "visit2")
    assert identify(["../FLAIR.nii.gz"]) == Identity("P07")


def test_links_are_not_followed(tmp_path):
    """As git-annex keeps files: a link named by the patient to one named by its content."""
    store = tmp_path / ".git" / "annex" / "objects" / "sub-25" / "MD5E-s42--abc.nii.gz"
    store.parent.mkdir(parents=True)
    nib.save(nib.Nifti1Image(np.arange(27, dtype=np.float32).reshape(3, 3, 3), np.eye(4)), store)
    link = tmp_path / "sub-07" / "ses-02" / "anat" / "FLAIR.nii.gz"
    link.parent.mkdir(parents=True)
    link.symlink_to(os.path.relpath(store, link.parent))
    case = load_case({"FLAIR": link})
    assert (case.subject, case.visit) == ("07", "02")


def test_an_image_without_a_file_says_nothing():
    assert identify([None, None]) == Identity("patient")
    assert identify([None, "/P07/ses1/T1.nii"]) == Identity("P07", "1")


def test_images_named_after_two_patients_are_noted():
    whose = identify(["/x/sub-1_FLAIR.nii.gz", "/x/sub-2_T1.nii.gz"])
    assert whose.subject == "1"
    (note,) = whose.notes
    assert note.startswith("sub-2_T1.nii.gz is named as of patient 2, sub-1_FLAIR.nii.gz as of")
    assert note.endswith(".")
    assert identify(["/x/sub-1_FLAIR.nii.gz", "/x/sub-2_T1.nii.gz"], subject="1").notes == ()


def test_the_words_of_an_identity():
    assert Identity("P07", "1").text == "sub-P07, ses-1"
    assert Identity("P07").text == Identity("P07").stem == "sub-P07"
    assert Identity("P07", "1").stem == "sub-P07_ses-1"
    # From a session.json that somebody else wrote: never out of the folder.
    assert Identity("../../a", "/b").folders == ("sub-a", "ses-b")
