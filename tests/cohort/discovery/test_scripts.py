"""Cases as the original scripts lay them: what their own lines find, and what is refused."""

from __future__ import annotations

import glob
import os
import re

import pytest

from napari_ies.cohort.discovery.scripts import find_cases
from napari_ies.errors import CohortError

SEQUENCES = ("FLAIR", "T1")


def lay(root, places, names=("flair.nii.gz", "t1.nii.gz")):
    for place in places:
        (root / place).mkdir(parents=True, exist_ok=True)
        for name in names:
            (root / place / name).write_text("")
    return str(root)


def found(data, **more):
    return find_cases([data, data], ["flair.nii.gz", "t1.nii.gz"], SEQUENCES, **more)


def test_cases_come_in_the_order_of_the_original_scripts(tmp_path):
    """Written out from the scripts' get_filepaths: a glob, sorted by the number of all digits."""
    places = ["P10/2019", "P2/2020", "P2/2019", "A001/7", "P10/12", "B1/007", "P2/100_b"]
    data = lay(tmp_path / "with space [7]", places)
    pattern = f"{glob.escape(os.path.realpath(data))}/*/*/flair.nii.gz"
    there = glob.glob(pattern)  # noqa: PTH207
    expected = sorted(there, key=lambda name: int(re.sub(r"\D", "", name)))
    assert [str(case.images["FLAIR"]) for case in found(data)] == expected
    assert len(expected) == len(places)
    for case in found(data):
        assert case.images["T1"] == case.images["FLAIR"].with_name("t1.nii.gz")


def test_patient_and_visit_are_named_as_explain_names_them(tmp_path):
    data = lay(
        tmp_path / "data", ["P07/ses1", "P07/ses2", "sub-3/ses-02", "Müller/baseline", "x/y"]
    )
    names = {case.place: case.name for case in found(data)}
    assert names == {
        "P07/ses1": "sub-P07_ses-1",
        "P07/ses2": "sub-P07_ses-2",
        "sub-3/ses-02": "sub-3_ses-02",
        "Müller/baseline": "sub-Muller_ses-baseline",
        "x/y": "sub-x_ses-y",
    }


def test_references_and_images_may_lie_in_trees_of_their_own(tmp_path):
    images = lay(tmp_path / "a", ["P1/1", "P2/1"], ["flair.nii.gz"])
    others = lay(tmp_path / "b", ["P1/1", "P2/1"], ["mprage.nii"])
    masks = lay(tmp_path / "c", ["P1/1", "P2/1"], ["mask_1.nii.gz"])
    cases = find_cases(
        *([images, others], ["flair.nii.gz", "mprage.nii"], SEQUENCES),
        target_path=masks,
        target_prefix="mask_*.nii.gz",
    )
    assert [case.reference.relative_to(tmp_path).as_posix() for case in cases] == [
        "c/P1/1/mask_1.nii.gz",
        "c/P2/1/mask_1.nii.gz",
    ]
    assert cases[1].images["T1"] == tmp_path / "b/P2/1/mprage.nii"


def refusal(*arguments, **more):
    with pytest.raises(CohortError) as refused:
        find_cases(*arguments, **more)
    return str(refused.value)


def test_what_was_searched_and_what_lies_there_is_said(tmp_path):
    data = lay(tmp_path / "data", ["P1/1"], ["FLAIR.nii.gz"])
    said = refusal([data, data], ["flair.nii.gz", "t1.nii.gz"], SEQUENCES)
    assert f"searched for {data}/*/*/flair.nii.gz; {data} holds P1/1/FLAIR.nii.gz." in said
    nowhere = str(tmp_path / "dta")
    said = refusal([nowhere, data], ["flair.nii.gz", "FLAIR.nii.gz"], SEQUENCES)
    assert f"{nowhere} is not there, and {tmp_path} holds data" in said


def test_which_cases_lack_which_file_is_said(tmp_path):
    data = lay(tmp_path / "data", [f"P{number}/1" for number in range(1, 10)])
    (tmp_path / "data/P3/1/t1.nii.gz").unlink()
    (tmp_path / "data/P5/1/flair.nii.gz").unlink()
    said = refusal([data, data], ["flair.nii.gz", "t1.nii.gz"], SEQUENCES)
    assert "8 of flair.nii.gz (FLAIR), 8 of t1.nii.gz (T1)" in said
    assert "flair.nii.gz (FLAIR) is missing in P5/1" in said
    assert "t1.nii.gz (T1) is missing in P3/1" in said


def test_two_cases_of_one_label_and_two_files_of_one_name_are_refused(tmp_path):
    data = lay(tmp_path / "data", ["P-7/1", "P7/1"])
    assert "P-7/1 and P7/1 would all be sub-P7, ses-1" in refusal(
        [data, data], ["flair.nii.gz", "t1.nii.gz"], SEQUENCES
    )
    assert "holds more than one file" in refusal([data, data], ["*.nii.gz"] * 2, SEQUENCES)
    assert "1 path and 1 prefix were given, and the network takes 2 images (FLAIR, T1)" in refusal(
        [data], ["flair.nii.gz"], SEQUENCES
    )
    assert "--target_prefix" in refusal(
        [data, data], ["flair.nii.gz", "t1.nii.gz"], SEQUENCES, target_path=data
    )
