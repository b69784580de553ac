from __future__ import annotations

import pytest

from napari_ies.cohort.cases import with_lesions_from
from napari_ies.cohort.discovery.table import find_cases
from napari_ies.errors import CohortError
from napari_ies.patient.images.volume import expanded

SEQUENCES = ("FLAIR", "T1")


def table(tmp_path, *rows):
    file = tmp_path / "cases.tsv"
    file.write_text("\n".join("\t".join(row) for row in rows) + "\n", encoding="utf-8")
    return file


def test_a_row_is_a_case_whose_paths_are_relative_to_the_table(tmp_path):
    file = table(
        tmp_path,
        ("participant_id", "session_id", "T1w", "flair", "reference", "lesions", "age"),
        ("sub-007", "01", "a/t1.nii.gz", "a/f.nii.gz", "a/m.nii.gz", "n/a", "33"),
        ("sub-007", "02", "b/t1.nii.gz", "/data/f.nii.gz", "", "b/l.nii.gz", "34"),
        ("sub-008", "n/a", "c/t1.nii.gz", "", "", "", ""),
    )
    first, second, third = find_cases(file, SEQUENCES)
    assert (first.name, second.name, third.name) == ("sub-007_ses-01", "sub-007_ses-02", "sub-008")
    assert first.images == {"FLAIR": tmp_path / "a/f.nii.gz", "T1": tmp_path / "a/t1.nii.gz"}
    assert (first.reference, first.lesions) == (tmp_path / "a/m.nii.gz", None)
    assert str(second.images["FLAIR"]) == "/data/f.nii.gz"
    assert second.lesions == tmp_path / "b/l.nii.gz"
    assert third.trouble == "Row 3 of the table names no image for FLAIR."


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([("FLAIR", "T2"), ("a", "b")], "no column for T1: its columns are FLAIR, T2"),
        ([("FLAIR,T1",), ("a,b",)], "no column for T1"),
        ([("FLAIR", "T1")], "no row besides its first"),
        ([("FLAIR", "T1", "T1"), ("a", "b", "c")], "more than one column T1"),
        (
            [("subject", "FLAIR", "T1"), ("7", "a.nii", "b.nii"), ("7", "c.nii", "d.nii")],
            "row 1 and row 2 would all be sub-7",
        ),
    ],
)
def test_what_is_no_table_of_cases_is_refused(tmp_path, rows, words):
    with pytest.raises(CohortError, match=words):
        find_cases(table(tmp_path, *rows), SEQUENCES)


def test_a_table_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(CohortError, match="cannot be read as a table of cases"):
        find_cases(tmp_path / "none.tsv", SEQUENCES)


def test_lesions_from_elsewhere_are_found_by_a_name_or_a_pattern(tmp_path):
    rows = [("subject", "visit", "FLAIR", "T1"), ("7", "2", "p/f.nii.gz", "p/t.nii.gz")]
    cases = find_cases(table(tmp_path, *rows), SEQUENCES)

    def lesions(pattern):
        return with_lesions_from(cases, pattern, expanded)[0].lesions

    assert lesions("labels.nii.gz") == tmp_path / "p" / "labels.nii.gz"
    assert str(lesions("/maps/{case}_{subject}-{visit}.nii")) == "/maps/sub-7_ses-2_7-2.nii"
    assert lesions("{folder}/x.nii.gz") == tmp_path / "p" / "x.nii.gz"
    with pytest.raises(CohortError, match="may hold"):
        lesions("/maps/{patient}.nii.gz")
