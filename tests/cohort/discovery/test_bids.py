from __future__ import annotations

import os

import pytest

from napari_ies.cohort.discovery.bids import find_cases
from napari_ies.errors import CohortError

SEQUENCES = ("FLAIR", "T1")


def touch(root, *files):
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")


@pytest.fixture
def dataset(tmp_path):
    touch(
        tmp_path,
        "dataset_description.json",
        *(
            "sub-01/ses-a/anat/sub-01_ses-a_FLAIR.nii.gz",
            "sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz",
        ),
        *("sub-01/ses-b/anat/sub-01_ses-b_FLAIR.nii.gz", "sub-01/ses-b/anat/sub-01_ses-b_T1w.nii"),
        *("sub-02/anat/sub-02_FLAIR.nii.gz", "sub-02/anat/sub-02_T1w.nii.gz"),
        *("sub-02/anat/sub-02_T2w.nii.gz", "sub-02/anat/sub-02_FLAIR.json"),
        *("sub-03/anat/sub-03_acq-2D_FLAIR.nii.gz", "sub-03/anat/sub-03_acq-3D_FLAIR.nii.gz"),
        "sub-03/anat/sub-03_T1w.nii.gz",
        "sub-04/anat/sub-04_FLAIR.nii.gz",
        "sub-05/func/sub-05_bold.nii.gz",
        "derivatives/reg/sub-02/anat/sub-02_space-FLAIR_desc-brain_T1w.nii.gz",
        "derivatives/reg/sub-02/anat/sub-02_label-lesion_mask.nii.gz",
    )
    return tmp_path


def test_sessions_and_subjects_are_cases_with_the_images_of_their_suffix(dataset):
    cases = {case.name: case for case in find_cases(dataset, SEQUENCES)}
    assert list(cases) == ["sub-01_ses-a", "sub-01_ses-b", "sub-02", "sub-03", "sub-04"]
    assert cases["sub-01_ses-b"].images["T1"].name == "sub-01_ses-b_T1w.nii"
    assert cases["sub-02"].images["FLAIR"].name == "sub-02_FLAIR.nii.gz"
    assert not cases["sub-02"].trouble


def test_what_is_missing_or_not_clear_is_the_trouble_of_its_case_alone(dataset):
    cases = {case.name: case for case in find_cases(dataset, SEQUENCES)}
    assert cases["sub-03"].trouble == (
        "sub-03 has 2 images for FLAIR (sub-03_acq-2D_FLAIR.nii.gz and "
        "sub-03_acq-3D_FLAIR.nii.gz); say which with --image FLAIR=PATTERN."
    )
    assert cases["sub-04"].trouble == "sub-04 has no image for T1."
    cases = find_cases(dataset, SEQUENCES, patterns={"FLAIR": "*_acq-3D_FLAIR.nii.gz"})
    chosen = next(case for case in cases if case.name == "sub-03")
    assert (chosen.images["FLAIR"].name, chosen.trouble) == ("sub-03_acq-3D_FLAIR.nii.gz", "")


def test_derivatives_come_before_the_raw_images_and_bring_references(dataset):
    cases = find_cases(
        dataset,
        SEQUENCES,
        derivatives=[dataset / "derivatives/reg"],
        reference="*_label-lesion_mask.nii.gz",
    )
    case = next(case for case in cases if case.name == "sub-02")
    assert case.images["T1"].name == "sub-02_space-FLAIR_desc-brain_T1w.nii.gz"
    assert case.images["FLAIR"].name == "sub-02_FLAIR.nii.gz"
    assert case.reference.name == "sub-02_label-lesion_mask.nii.gz"
    assert next(case for case in cases if case.name == "sub-01_ses-a").reference is None


def test_no_case_says_what_was_searched_and_what_lies_there(tmp_path):
    touch(tmp_path, "data/P1/flair.nii.gz")
    with pytest.raises(CohortError, match=r"holds data/P1/flair\.nii\.gz"):
        find_cases(tmp_path, SEQUENCES)
    with pytest.raises(CohortError, match="no input T2; it takes FLAIR, T1"):
        find_cases(tmp_path, SEQUENCES, patterns={"T2": "*"})
    with pytest.raises(CohortError, match="reg is not there"):
        find_cases(tmp_path, SEQUENCES, derivatives=[tmp_path / "reg"])


def test_participants_and_sessions_are_chosen_with_their_prefix_or_without(dataset):
    def names(participants=(), sessions=()):
        found = find_cases(dataset, SEQUENCES, participants=participants, sessions=sessions)
        return [case.name for case in found]

    assert names(["sub-02", "01"]) == ["sub-01_ses-a", "sub-01_ses-b", "sub-02"]
    assert names(["01"], ["ses-b"]) == ["sub-01_ses-b"]
    assert names(sessions=["a"]) == ["sub-01_ses-a"]
    with pytest.raises(
        CohortError, match=r"sub-1 and sub-9 are not in .*; there are sub-01, sub-02"
    ):
        names(["1", "02", "9"])
    with pytest.raises(CohortError, match=r"ses-c is not in .*; there are ses-a, ses-b\.$"):
        names(["01"], ["c"])


def test_names_as_other_systems_and_newcomers_write_them(tmp_path):
    touch(
        tmp_path,
        *("sub-A b/anat/sub-Ab_FLAIR.NII.GZ", "sub-A b/anat/sub-Ab_T1w.nii"),
        *("sub-A b/anat/._sub-Ab_FLAIR.nii.gz", "sub-A b/anat/sub-Ab_T1w.json"),
        "sub-A b/anat/sub-Ab_T1w.nii.gz/IMG_0001.dcm",
        "real/sub-Jürgen_FLAIR.nii.gz",
        "real/sub-Jürgen_T1w.nii.gz",
    )
    (tmp_path / "sub-Jürgen").mkdir()
    (tmp_path / "sub-Jürgen" / "anat").symlink_to(tmp_path / "real")
    (tmp_path / "sub-gone").mkdir()
    (tmp_path / "sub-gone" / "anat").symlink_to(tmp_path / "nowhere")
    first, second = find_cases(tmp_path, SEQUENCES)
    assert (first.subject, second.subject) == ("Ab", "Jurgen")
    assert [path.name for path in first.images.values()] == [
        "sub-Ab_FLAIR.NII.GZ",
        "sub-Ab_T1w.nii",
    ]
    assert not first.trouble + second.trouble


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (("sub-a/anat/x_FLAIR.nii", "sub-A/anat/x_FLAIR.nii"), "large or small alike; rename"),
        (("sub-/anat/x_FLAIR.nii",), "sub- has no letter or digit by which"),
        (("ds/sub-01/ses-1/anat/sub-01_FLAIR.nii.gz", "README"), "holds README, ds/sub-01/ses-1/"),
        (
            ("sub-01/FLAIR.nii.gz",),
            r"anat with FLAIR as \*_FLAIR, T1 as \*_T1; .* holds sub-01/FLA",
        ),
        ((), "holds nothing"),
    ],
)
def test_what_is_no_dataset_with_cases_of_their_own_is_refused(tmp_path, files, words):
    touch(tmp_path, *files)
    with pytest.raises(CohortError, match=words):
        find_cases(tmp_path, SEQUENCES)


def test_references_that_no_file_fits_are_not_left_out_in_silence(dataset, caplog):
    roots = {"derivatives": [dataset / "derivatives/reg"]}
    searched = r"searched for \*_mask\.nii in sub-\*\[/ses-\*\]/anat of "
    instead = r".*; .*sub-02/anat holds sub-02_label-lesion_mask\.nii\.gz"
    with pytest.raises(CohortError, match=searched + instead):
        find_cases(dataset, SEQUENCES, **roots, reference="*_mask.nii", participants=["02"])
    find_cases(dataset, SEQUENCES, **roots, reference="*_mask.nii.gz")
    assert "Without a reference: sub-01/ses-a, sub-01/ses-b." in caplog.text


def test_images_in_different_spaces_are_not_taken_together_unless_named(tmp_path):
    touch(
        tmp_path,
        *("raw/sub-01/anat/sub-01_T1w.nii.gz", "raw/sub-01/anat/sub-01_FLAIR.nii.gz"),
        "mni/sub-01/anat/sub-01_space-MNI152_FLAIR.nii.gz",
        "reg/sub-01/anat/sub-01_space-T1w_FLAIR.nii.gz",
    )

    def trouble(derivative, **patterns):
        roots = [tmp_path / derivative]
        (case,) = find_cases(tmp_path / "raw", SEQUENCES, derivatives=roots, patterns=patterns)
        return case.trouble

    assert trouble("mni") == (
        "sub-01 has images in different spaces (sub-01_space-MNI152_FLAIR.nii.gz in MNI152 and "
        "sub-01_T1w.nii.gz in its own); say which with --image NAME=PATTERN."
    )
    assert trouble("reg") == ""
    assert trouble("mni", FLAIR="*MNI152_FLAIR*", T1="*_T1w*") == ""


def test_images_beside_sessions_are_not_left_out_in_silence(dataset, caplog):
    touch(dataset, "sub-01/anat/sub-01_FLAIR.nii.gz")
    assert [case.visit for case in find_cases(dataset, SEQUENCES, participants=["01"])] == [
        "a",
        "b",
    ]
    assert "sub-01 has sessions; its images outside them are not used." in caplog.text


@pytest.mark.parametrize("folder", ["", "sub-02", "sub-02/anat", "sub-01"])
def test_a_folder_that_may_not_be_read_is_one_sentence(dataset, monkeypatch, folder):
    list_ = os.scandir

    def refuses(place):
        if dataset / folder == place:
            raise PermissionError(13, "Permission denied", str(place))
        return list_(place)

    monkeypatch.setattr("os.scandir", refuses)
    with pytest.raises(CohortError, match=rf"{folder} cannot be read \(Permission denied\); ask"):
        find_cases(dataset, SEQUENCES)


def test_no_participant_at_all_is_said_with_what_lies_there(tmp_path):
    touch(tmp_path, "data/flair.nii.gz")
    with pytest.raises(CohortError, match=r"holds data/flair\.nii\.gz"):
        find_cases(tmp_path, SEQUENCES, participants=["02"])
