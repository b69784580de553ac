from __future__ import annotations

import json

import pytest

from napari_ies.cohort.discovery.nnunet import find_cases
from napari_ies.errors import CohortError

SEQUENCES = ("FLAIR", "T1")


@pytest.fixture
def dataset(tmp_path):
    for name in ("MS_001", "MS_002"):
        for folder, file in (
            ("imagesTs", f"{name}_0000.nii.gz"),
            ("imagesTs", f"{name}_0001.nii.gz"),
            ("labelsTs", f"{name}.nii.gz"),
        ):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / file).write_text("")
    (tmp_path / "labelsTs" / "MS_002.nii.gz").unlink()
    return tmp_path


def test_numbers_are_the_inputs_in_order_and_labels_the_references(dataset):
    first, second = find_cases(dataset / "imagesTs", SEQUENCES)
    assert (first.name, second.name) == ("sub-MS001", "sub-MS002")
    assert [path.name for path in first.images.values()] == [
        "MS_001_0000.nii.gz",
        "MS_001_0001.nii.gz",
    ]
    assert first.reference == dataset / "labelsTs" / "MS_001.nii.gz"
    assert second.reference is None


def test_names_in_the_description_say_which_number_is_which_input(dataset):
    names = {"channel_names": {"0": "T1w", "1": "FLAIR", "2": "T2w"}}
    (dataset / "dataset.json").write_text(json.dumps(names))
    (dataset / "imagesTs" / "MS_001_0002.nii.gz").write_text("")
    (dataset / "imagesTs" / "MS_002_0002.nii.gz").write_text("")
    case = find_cases(dataset / "imagesTs", SEQUENCES)[0]
    assert {name: path.name for name, path in case.images.items()} == {
        "FLAIR": "MS_001_0001.nii.gz",
        "T1": "MS_001_0000.nii.gz",
    }
    (dataset / "dataset.json").write_text("[")
    with pytest.raises(CohortError, match=r"dataset\.json cannot be read"):
        find_cases(dataset / "imagesTs", SEQUENCES)


def test_what_does_not_fit_is_refused(dataset):
    (dataset / "imagesTs" / "MS_002_0001.nii.gz").unlink()
    with pytest.raises(CohortError, match="CASE_0001 is missing in MS_002"):
        find_cases(dataset / "imagesTs", SEQUENCES)
    with pytest.raises(CohortError, match="numbered 0000, 0001, and the network takes FLAIR"):
        find_cases(dataset / "imagesTs", ("FLAIR",))
    with pytest.raises(CohortError, match=r"labelsTs holds MS_001\.nii\.gz"):
        find_cases(dataset / "labelsTs", SEQUENCES)


def test_names_as_other_systems_and_newcomers_write_them(dataset):
    images, labels = dataset / "imagesTs", dataset / "labelsTs"
    (images / "MS_001_0001.nii.gz").rename(images / "MS_001_0001.NII.GZ")
    (images / "._MS_001_0000.nii.gz").touch()  # macOS writes these
    (images / "MS_003_0000.nii.gz").mkdir()
    (images / "MS_002_0007.nii.gz.json").touch()
    (labels / "MS_002.nii").touch()
    first, second = find_cases(images, SEQUENCES)
    assert first.images["T1"].name == "MS_001_0001.NII.GZ"
    assert second.reference.name == "MS_002.nii"


def test_two_files_for_one_image_or_labels_of_no_case_are_refused(dataset):
    images, labels = dataset / "imagesTs", dataset / "labelsTs"
    (labels / "MS_001.nii.gz").rename(labels / "MS_001_0000.nii.gz")
    with pytest.raises(CohortError, match=r"labelsTs/CASE\.nii\.gz; .* holds MS_001_0000\.nii\.gz"):
        find_cases(images, SEQUENCES)
    (images / "MS_001_0000.nii").touch()
    with pytest.raises(CohortError, match=r"MS_001_0000\.nii and MS_001_0000\.nii\.gz, both"):
        find_cases(images, SEQUENCES)


def test_a_description_of_images_that_are_not_there_is_refused(dataset):
    names = {"channel_names": {"0": "FLAIR", "2": "T1"}}
    (dataset / "dataset.json").write_text(json.dumps(names))
    with pytest.raises(CohortError, match=r"T1 is number 2, .* numbered 0000, 0001 alone"):
        find_cases(dataset / "imagesTs", SEQUENCES)


def test_what_the_network_does_not_take_may_be_missing(dataset):
    names = {"channel_names": {"0": "FLAIR", "1": "T1", "2": "T2"}}
    (dataset / "dataset.json").write_text(json.dumps(names))
    (dataset / "imagesTs" / "MS_001_0002.nii.gz").touch()
    assert [case.name for case in find_cases(dataset / "imagesTs", SEQUENCES)] == [
        "sub-MS001",
        "sub-MS002",
    ]


def test_the_folder_above_is_refused_with_what_lies_in_it(dataset):
    with pytest.raises(CohortError, match=r"holds imagesTs/MS_001_0000\.nii\.gz, imagesTs/MS_001"):
        find_cases(dataset, SEQUENCES)
    (dataset / "empty").mkdir()
    with pytest.raises(CohortError, match=r"CASE_0000\.nii\.gz; .*empty holds nothing"):
        find_cases(dataset / "empty", SEQUENCES)
