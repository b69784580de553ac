from __future__ import annotations

import hashlib

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


def touch(folder, *files):
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()


def test_a_row_is_a_case_whose_paths_are_relative_to_the_table(tmp_path):
    file = table(
        tmp_path,
        ("participant_id", "session_id", "T1w", "flair", "reference", "lesions", "age"),
        ("sub-007", "01", "a/t1.nii.gz", "a/f.nii.gz", "a/m.nii.gz", "n/a", "33"),
        ("sub-007", "02", "b/t1.nii.gz", "/data/f.nii.gz", "", "b/l.nii.gz", "34"),
        ("sub-008", "n/a", "c/t1.nii.gz", "", "", "", ""),
    )
    touch(tmp_path, "a/t1.nii.gz")
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
    (tmp_path / "cases.xlsx").write_bytes(b"PK\3\4\xff\xfe")
    for path in (tmp_path, tmp_path / "cases.xlsx"):
        with pytest.raises(CohortError, match="cannot be read as a table of cases"):
            find_cases(path, SEQUENCES)
    with pytest.raises(CohortError, match=r"none\.tsv; .* holds cases\.xlsx\.$"):
        find_cases(tmp_path / "none.tsv", SEQUENCES)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_table_as_spreadsheets_and_other_systems_write_it(tmp_path, mark, newline):
    """With a mark in front, other line ends, empty columns behind, and names of all kinds."""
    rows = [
        ("Subject", "FLAIR", "T1w", "", ""),
        ("Jürgen 1", "Bilder von Jürgen/flair 1.NII.GZ", "Bilder von Jürgen/t1.nii", "", ""),
        ("患者2", "b/f.nii", "b/t.nii", "", ""),
        ("", "", "", "", ""),
    ]
    touch(tmp_path, *rows[1][1:3])
    (tmp_path / "b").symlink_to(tmp_path / "Bilder von Jürgen")
    file = tmp_path / "cases.tsv"
    text = newline.join("\t".join(row) for row in rows) + newline
    file.write_bytes((mark + text).encode("utf-8"))
    first, second = find_cases(file, SEQUENCES)
    assert (first.subject, first.trouble) == ("Jurgen1", "")
    assert first.images["T1"] == tmp_path / "Bilder von Jürgen/t1.nii"
    assert second.subject == f"2x{hashlib.sha256('患者2'.encode()).hexdigest()[:8]}"
    assert second.images["FLAIR"] == tmp_path / "b/f.nii"


def test_paths_from_a_home_are_taken_from_there(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    touch(tmp_path / "home", "f.nii")
    (case,) = find_cases(table(tmp_path, ("FLAIR", "T1"), ("~/f.nii", "t.nii")), SEQUENCES)
    assert case.images == {"FLAIR": tmp_path / "home/f.nii", "T1": tmp_path / "t.nii"}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (("f.nii", "x", "t.nii"), "Row 1 of cases.tsv has 3 cells under 2 columns; look for a tab"),
        (("images/f.nii", "images/t.nii"), r"images/f\.nii and the other images of cases\.tsv; .*"
         r"images is not there, and .* holds cases\.tsv, data/\."),
    ],
)  # fmt: skip
def test_rows_that_lead_nowhere_are_refused_before_anything_is_written(tmp_path, row, words):
    touch(tmp_path, "data/f.nii")
    with pytest.raises(CohortError, match=words):
        find_cases(table(tmp_path, ("FLAIR", "T1"), row), SEQUENCES)


def test_one_image_given_twice_is_the_rows_trouble(tmp_path):
    touch(tmp_path, "f.nii")
    (case,) = find_cases(table(tmp_path, ("FLAIR", "T1"), ("f.nii", "f.nii")), SEQUENCES)
    assert case.trouble == "Row 1 of the table names one image for several sequences."


def test_lesions_from_elsewhere_are_found_by_a_name_or_a_pattern(tmp_path):
    rows = [("subject", "visit", "FLAIR", "T1"), ("7", "2", "p/f.nii.gz", "p/t.nii.gz")]
    touch(tmp_path, "p/f.nii.gz", "p/labels.nii.gz", "p/x.nii.gz", "maps/sub-7_ses-2_7-2.nii")
    cases = find_cases(table(tmp_path, *rows), SEQUENCES)

    def lesions(pattern):
        return with_lesions_from(cases, pattern, expanded)[0].lesions

    assert lesions("labels.nii.gz") == tmp_path / "p" / "labels.nii.gz"
    maps = f"{tmp_path}/maps/{{case}}_{{subject}}-{{visit}}.nii"
    assert lesions(maps) == tmp_path / "maps/sub-7_ses-2_7-2.nii"
    assert lesions("{folder}/x.nii.gz") == tmp_path / "p" / "x.nii.gz"
    with pytest.raises(CohortError, match="may hold"):
        lesions("/maps/{patient}.nii.gz")
    instead = r"p holds f\.nii\.gz, labels\.nii\.gz, x\.nii\.gz"
    with pytest.raises(CohortError, match=rf"p/seg\.nii and its like for 1 cases; .*{instead}"):
        lesions("seg.nii")
