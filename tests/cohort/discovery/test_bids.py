from __future__ import annotations

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
