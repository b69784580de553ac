"""A folder's own tables say what the maps' tables say, and are refused in one sentence."""

from __future__ import annotations

import csv
import json
import shutil

import pandas as pd
import pytest
from networks import small_model
from saved_cohort import MATCH, write_cohort

from napari_ies.cohort.record import CaseRecord, records_folder
from napari_ies.cohort.report.content import report_of
from napari_ies.cohort.report.tables_read import (
    cohort_folder,
    read_cases,
    read_cohort,
    read_cohort_progressively,
)
from napari_ies.cohort.statistics.rows import lesion_rows
from napari_ies.errors import ResultsError
from napari_ies.saliency.request import SaliencyRequest

REQUESTS = (
    SaliencyRequest(n_samples=3, aggregation="max"),
    SaliencyRequest(method="gradcam++", layer="model.0"),
)
CASES = [
    {"subject": "P0", "visit": "", "status": "done", "dice": 0.25, "lesions": 3},
    {"subject": "P1", "visit": "", "status": "done", "dice": 0.5, "lesions": 3},
    {"subject": "007", "visit": "", "status": "failed", "problem": "T1.nii.gz ends too early."},
]


def write_tables(folder):
    """Write the two tables as a run does, of what the maps' own tables say."""
    place = folder / "cohort"
    place.mkdir()
    rows = lesion_rows(folder).drop(columns="file")
    rows.to_csv(place / "lesions.tsv", sep="\t", na_rep="n/a", index=False)
    with (place / "cases.tsv").open("w", newline="") as file:
        names = dict.fromkeys(name for case in CASES for name in case)
        table = csv.DictWriter(file, names, "n/a", delimiter="\t", lineterminator="\n")
        table.writeheader()
        table.writerows({k: v or "n/a" for k, v in case.items()} for case in CASES)


def write_records(folder):
    """Write the records that a run leaves that was stopped: one case is not done."""
    rows = lesion_rows(folder).drop(columns="file")
    records_folder(folder).mkdir(parents=True)
    for case in CASES:
        own = rows[rows["subject"] == case["subject"]].to_dict("records")
        state = "failed" if case["status"] == "failed" else "done"
        record = {"inputs": {}, "segmentation": "", "key": "", "row": case, "lesions": own}
        text = CaseRecord(state=state, **record).model_dump_json()
        (records_folder(folder) / f"sub-{case['subject']}.json").write_text(text)
    running = CaseRecord(state="running", inputs={}, segmentation="", key="")
    (records_folder(folder) / "sub-P2.json").write_text(running.model_dump_json())


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("read") / "results"
    write_cohort(folder, small_model(), 2, REQUESTS)
    return folder


@pytest.fixture
def results(maps, tmp_path):
    return shutil.copytree(maps, tmp_path / "results")


def said(lesions):
    """What is said of each lesion; the file is known where maps are read only."""
    return [
        (
            *(one.case, one.lesion, one.match, one.volume_mm3, one.max_probability),
            *(one.title, one.values, one.suspicion, str(one.uncertainties)),
        )
        for one in lesions
    ]


@pytest.mark.slow
@pytest.mark.parametrize("write", [write_tables, write_records, None])
def test_tables_records_and_maps_say_the_same(results, write):
    expected = report_of(lesion_rows(results), pd.DataFrame(CASES) if write else None)
    if write is not None:
        write(results)
    folder, report = read_cohort(results)
    assert folder == results
    assert said(report.lesions) == said(expected.lesions)
    assert len(report.lesions) == 2 * len(MATCH)
    assert [(one.name, one.lesions, one.matches, one.suspicious) for one in report.cases] == [
        (one.name, one.lesions, one.matches, one.suspicious) for one in expected.cases
    ]
    if write is not None:
        failed = next(one for one in report.cases if one.name == "sub-007")
        assert failed.more["problem"] == "T1.nii.gz ends too early."
        assert next(one for one in report.cases if one.name == "sub-P0").more["dice"] == "0.25"
    assert ("has not come to its end" in report.notes[0]) == (write is write_records)


def test_the_folder_of_the_tables_means_the_one_around_it(results):
    write_tables(results)
    assert cohort_folder(results / "cohort") == results


def test_a_record_that_cannot_be_read_is_named(results):
    write_records(results)
    broken = records_folder(results) / "sub-P1.json"
    broken.write_text(json.dumps({"format": 9}))
    _, report = read_cohort(results)
    assert {one.subject for one in report.lesions} == {"P0"}
    assert f"1 of the records of cases cannot be read, the first is {broken}" in report.notes[1]


@pytest.mark.parametrize(
    ("table", "change", "words"),
    [
        ("lesions.tsv", lambda text: text.replace("share", "shares", 1), "nothing in the column"),
        ("lesions.tsv", lambda text: text.replace("\tT1\t", "\tT1\tmuch", 1), "could not convert"),
        ("lesions.tsv", lambda text: text[: len(text) // 2], "nothing in the column"),
        ("cases.tsv", lambda text: text.replace("subject", "patient"), "the column subject"),
        ("cases.tsv", lambda text: "\udcff" + text, "can't decode"),
    ],
)
def test_a_table_that_was_changed_is_refused(results, table, change, words):
    write_tables(results)
    path = results / "cohort" / table
    changed = change(path.read_text())
    path.write_bytes(changed.encode("utf-8", "surrogateescape"))
    with pytest.raises(ResultsError, match=words) as refused:
        read_cohort(results)
    assert str(path) in str(refused.value)
    assert "run it again" in str(refused.value)


def test_a_folder_that_is_no_cohort_says_what_lies_there_and_what_is_expected(tmp_path):
    (tmp_path / "P07").mkdir()
    (tmp_path / "P07" / "flair.nii.gz").touch()
    with pytest.raises(ResultsError) as refused:
        read_cohort(tmp_path)
    assert str(refused.value) == (
        f"There are no results of a cohort in {tmp_path} ({tmp_path} holds P07/flair.nii.gz); "
        "choose the folder that napari-ies cohort wrote, which holds cohort/cases.tsv."
    )
    with pytest.raises(ResultsError, match="is not there"):
        read_cohort(tmp_path / "nowhere")


@pytest.mark.slow
def test_a_long_table_is_read_in_steps_that_can_be_stopped(results):
    write_tables(results)
    path = results / "cohort" / "lesions.tsv"
    header, *lines = path.read_text().splitlines()
    text = [header]
    for number in range(300):
        text += [line.replace("P0", f"A{number}").replace("P1", f"B{number}") for line in lines]
    path.write_text("\n".join(text) + "\n")
    steps = list(read_cohort_progressively(results))
    assert len(steps) > 8
    assert [step.result is not None for step in steps] == [False] * (len(steps) - 1) + [True]
    counts = {one.name: one.lesions for one in steps[-1].result[1].cases}
    assert counts["sub-A7"] == counts["sub-B299"] == len(MATCH)
    assert len(steps[-1].result[1].lesions) == 600 * len(MATCH)


def test_labels_of_digits_stay_as_they_are(tmp_path):
    path = tmp_path / "cases.tsv"
    path.write_text("subject\tvisit\tdice\n007\t01\t0.5\n010\tn/a\tn/a\n")
    table = read_cases(path)
    assert [*zip(table["subject"], table["visit"], strict=True)] == [("007", "01"), ("010", "")]
