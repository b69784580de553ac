"""Whose images these are, of paths as people have them."""

from __future__ import annotations

import os

import nibabel as nib
import numpy as np
import pytest

from napari_ies.patient.identity import Identity, identify
from napari_ies.patient.loading import load_case


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
        # A folder of images, whatever its words, and one that numbers series.
        ("MSSEG/Center_01/Patient_03/Preprocessed_Data/FLAIR_preprocessed.nii", "Patient03", ""),
        ("P07/t1_mpr_sag_p2_iso/img.nii.gz", "P07", ""),
        ("P07/T1/5/img.nii.gz", "P07", ""),
        ("P07/output/flair.nii.gz", "P07", ""),
        # A visit that is only numbered, in the folder of a patient.
        ("data/P07/1/flair.nii.gz", "P07", "1"),
        ("data/P07/MRI_2020/flair.nii.gz", "P07", "2020"),
        ("data/07/1/flair.nii.gz", "07", "1"),
        ("data/07/flair.nii.gz", "07", ""),
        ("data/2020/07/flair.nii.gz", "07", ""),
        # A file's name that is clearly a patient's.
        ("ljubljana/patient01_study1_FLAIR.nii.gz", "patient01", "study1"),
        ("ljubljana/patient_01_FLAIR.nii.gz", "patient01", ""),
        ("eyes1/P07_ses-01_FLAIR.nii.gz", "P07", "01"),
        ("eyes1/Meier_ses-b_FLAIR.nii.gz", "Meier", "b"),
        ("data/P07_visit2_FLAIR.nii.gz", "P07", "visit2"),
        ("converted/case001_0000.nii.gz", "case001", ""),
        ("P07/case1_FLAIR.nii.gz", "P07", ""),
        # Entities in capitals.
        ("Sub-07/flair.nii.gz", "07", ""),
        ("SUB-07/Ses-02/anat/flair.nii.gz", "07", "02"),
        # Nothing says whose.
        ("data/ses-1/flair.nii.gz", "patient", "1"),
        ("output/flair.nii.gz", "patient", ""),
        ("data/T1/image.nii.gz", "patient", ""),
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


OTHERS = [
    ("data/P07/ses1/flair.nii.gz", "data/P19/ses1/t1.nii.gz", "patient", "P07", "P19"),
    ("P07/FLAIR/i.nii.gz", "P19/T1/i.nii.gz", "patient", "P07", "P19"),
    ("Anna/flair.nii.gz", "Berta/t1.nii.gz", "patient", "Anna", "Berta"),
    ("d/imagesTs/case001_0000.nii", "d/imagesTs/case002_0001.nii", "patient", "case001", "case002"),
    ("d/imagesTs/012_0000.nii", "d/imagesTs/013_0001.nii", "patient", "012", "013"),
    ("data/P07_FLAIR.nii", "data/P19_T1.nii", "patient", "P07", "P19"),
    ("a/patient01_FLAIR.nii", "a/patient02_T1.nii", "patient", "patient01", "patient02"),
    ("P07/ses1/flair.nii.gz", "P07/ses2/t1.nii.gz", "visit", "1", "2"),
    ("P07/1/flair.nii.gz", "P07/2/t1.nii.gz", "visit", "1", "2"),
    ("sub-07/visit1/flair.nii.gz", "sub-07/visit2/t1.nii.gz", "visit", "visit1", "visit2"),
    ("a/P07_visit1_f.nii", "a/P07_visit2_t1.nii", "visit", "visit1", "visit2"),
]


@pytest.mark.parametrize(("first", "second", "what", "one", "other"), OTHERS)
def test_images_in_the_places_of_two_patients_or_visits_are_noted(first, second, what, one, other):
    for root in ("/", "/home/anna/"):
        whose = identify([root + first, root + second])
        assert one in (whose.subject if what == "patient" else whose.visit)
        (note,) = whose.notes
        assert f"of {what} {other}, " in note
        assert f" of {what} {one}; the result is named after {one}, so check" in note
        assert note.split(" ")[0] in second
        assert note.endswith(".")
        typed = {"subject": "A"} if what == "patient" else {"visit": "1"}
        assert identify([root + first, root + second], **typed).notes == ()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("P07/flair/img.nii.gz", "P07/t1/img.nii.gz"),
        ("P07/t2_tirm_dark-fluid/i.nii", "P07/t1_mpr_ns/i.nii"),
        ("P07/FLAIR/3/i.nii", "P07/T1/5/i.nii"),
        ("data/series3/flair.nii", "data/series5/t1.nii"),
        ("sub-01/anat/flair.nii", "sub-01/perf/t1.nii"),
        ("Downloads/flair.nii", "Desktop/t1.nii"),
        ("P07/ses1/flair.nii", "P07/t1.nii"),
        ("P07/FLAIR.nii", "P07/T1.nii"),
        ("data/P07_FLAIR.nii", "data/P07_T1_3Dgrappa.nii"),
        ("data/FLAIR_te90.nii", "data/T1_te3.nii"),
        ("data/301_FLAIR.nii", "data/401_T1.nii"),
        ("d/imagesTs/case001_0000.nii.gz", "d/imagesTs/case001_0001.nii.gz"),
    ],
)
def test_one_patients_images_wherever_they_usually_lie_are_not_noted(first, second):
    for root in ("/", "/home/anna/"):
        assert identify([root + first, root + second]).notes == ()


def test_the_words_of_an_identity():
    assert Identity("P07", "1").text == "sub-P07, ses-1"
    assert Identity("P07").text == Identity("P07").stem == "sub-P07"
    assert Identity("P07", "1").stem == "sub-P07_ses-1"
    # From a session.json that somebody else wrote: never out of the folder.
    assert Identity("../../a", "/b").folders == ("sub-a", "ses-b")
