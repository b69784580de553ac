"""``qa fit`` and ``qa apply``, on a folder of results of ten patients."""

from __future__ import annotations

import csv
import json
import re
import shutil
import sys

import numpy as np
import pandas as pd
import pytest
from command_line import run

from napari_ies.cohort.qa.applying import probabilities_in
from napari_ies.cohort.qa.features import feature_names, map_features
from napari_ies.cohort.qa.fitting import Training, fitted
from napari_ies.cohort.report.content import report_of
from napari_ies.cohort.report.page import rendered
from napari_ies.cohort.statistics.rows import lesion_rows
from napari_ies.results import load_saliency

NAMES = feature_names(("FLAIR", "T1"))


def refused(*arguments):
    """Return the sentence with which a command ends with status 2."""
    done = run("qa", *arguments)
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert done.exit_code == 2, done.output
    assert len(errors) == 1
    assert "Traceback" not in done.output
    assert not done.stdout
    return errors[0]


def training_of(rows):
    return Training(
        rows[NAMES].to_numpy(np.float64),
        (rows["match"] == "FP").to_numpy(),
        rows["subject"].to_numpy(dtype=np.str_),
    )


@pytest.fixture(scope="module")
def lesions(fitted_files):
    table = pd.read_csv(fitted_files / "lesions.csv", dtype=str)
    numbers = [*NAMES, "probability_fp_unseen"]
    return table.astype({"lesion": int} | dict.fromkeys(numbers, float))


@pytest.fixture(scope="module")
def applied(results, fitted_files, tmp_path_factory):
    """The results again, with the table that the model gives."""
    folder = tmp_path_factory.mktemp("applied") / "results"
    shutil.copytree(results, folder)
    done = run("qa", "apply", folder, "--model", fitted_files / "model.json")
    assert done.exit_code == 0, done.output
    return folder


def rows_of(folder):
    with (folder / "qa" / "errors.tsv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.mark.slow
def test_the_table_holds_the_features_of_each_true_and_false_positive(results, lesions):
    assert [*zip(lesions["subject"], lesions["lesion"], lesions["match"], strict=True)] == [
        (f"P{n}", lesion, match) for n in range(10) for lesion, match in ((1, "TP"), (2, "FP"))
    ]
    row = lesions.iloc[7]
    expected = map_features(load_saliency(results / row["file"]))
    assert {name: row[name] for name in NAMES} == expected
    assert lesions["probability_fp_unseen"].between(0, 1).all()
    assert lesions.groupby("subject")["fold"].nunique().eq(1).all()


@pytest.mark.slow
def test_what_is_applied_is_what_scikit_learn_predicts(applied, lesions):
    pipeline = fitted(training_of(lesions))
    rows = rows_of(applied)
    assert [(row["subject"], row["lesion"], row["match"]) for row in rows] == [
        (row["subject"], str(row["lesion"]), row["match"]) for _, row in lesions.iterrows()
    ]
    found = [float(row["probability_fp"]) for row in rows]
    expected = pipeline.predict_proba(lesions[NAMES].to_numpy())[:, 1]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert {row["seen"] for row in rows} == {"yes"}
    described = json.loads((applied / "qa" / "errors.json").read_text())
    assert "false positive" in described["probability_fp"]["Description"]
    assert probabilities_in(applied) == dict(zip((r["file"] for r in rows), found, strict=True))


@pytest.mark.slow
def test_order_and_division_of_folders_change_no_byte_of_the_model(results, fitted_files, tmp_path):
    parts = [tmp_path / "later", tmp_path / "earlier"]
    for part, patients in zip(parts, (range(5, 10), range(5)), strict=True):
        for number in patients:
            shutil.copytree(results / f"sub-P{number}", part / f"sub-P{number}")
    out = tmp_path / "qa"
    done = run("qa", "fit", *parts, "--out", out, "--draws", 200)
    assert done.exit_code == 0, done.output
    for name in ("model.json", "report.md", "coefficients.csv", "thresholds.csv",
                 "calibration.csv", "thresholds.png", "calibration.png"):  # fmt: skip
        assert (out / name).read_bytes() == (fitted_files / name).read_bytes(), name


def test_the_report_says_what_it_is_and_what_it_is_not(fitted_files):
    text = (fitted_files / "report.md").read_text()
    model = json.loads((fitted_files / "model.json").read_text())
    assert model["Performance"]["TP"] == model["Performance"]["FP"] == 10
    for said in (
        "10 false positives of 10 patients, 10 true positives of 10",
        "not a medical device",
        "10 patients are few",
        "are left out: 10.",
        f"| area under the ROC curve (0.5: by chance) | {model['Performance']['AUC']:.3f} (",
    ):
        assert said in text
    used = {one["Name"] for one in model["Features"] if one["Coefficient"]}
    assert set(re.findall(r"^\| ((?:FLAIR|T1) \S+) \|", text, re.MULTILINE)) == used


def test_one_patient_or_too_few_are_a_sentence_and_no_model(results, tmp_path):
    shutil.copytree(results / "sub-P0", tmp_path / "one" / "sub-P0")
    sentence = refused("fit", tmp_path / "one")
    assert "1 TP of 1 patient and 1 FP of 1 patient" in sentence
    assert "at least 10 of 5 patients of either kind are needed" in sentence
    assert not (tmp_path / "one" / "qa").exists()


def test_lesions_that_are_there_twice_are_refused(results, tmp_path):
    shutil.copytree(results / "sub-P0", tmp_path / "again" / "sub-P0")
    sentence = refused("fit", results, tmp_path / "again", "--out", tmp_path / "qa")
    assert "The same lesion is there twice" in sentence
    assert not (tmp_path / "qa").exists()


def test_folders_without_the_maps_that_are_asked_for_are_refused(results, tmp_path):
    assert "There is no map of a lesion" in refused("fit", tmp_path)
    assert "is no folder" in refused("fit", tmp_path / "none")
    sentence = refused("fit", results, "--aggregation", "mean")
    assert "No such map is there (smoothgrad max (30))" in sentence


def test_a_model_of_other_maps_is_refused_and_nothing_is_written(results, fitted_files, tmp_path):
    content = json.loads((fitted_files / "model.json").read_text())
    content["FittedFor"]["Network"] = "cd" * 32
    other = tmp_path / "model.json"
    other.write_text(json.dumps(content))
    sentence = refused("apply", results, "--model", other)
    assert "with network SHA-256 cdcdcdcdcdcd…, and this one has SHA-256 abab" in sentence
    assert not (results / "qa").exists()


@pytest.mark.slow
def test_a_table_that_is_there_is_replaced_only_if_that_is_said(applied, fitted_files):
    model = fitted_files / "model.json"
    done = run("qa", "apply", applied, "--model", model)
    assert (done.exit_code, "is there already" in done.stderr) == (1, True)
    before = (applied / "qa" / "errors.tsv").read_bytes()
    assert run("qa", "apply", applied, "--model", model, "--overwrite").exit_code == 0
    assert (applied / "qa" / "errors.tsv").read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("lacking", ["sklearn.linear_model", "mahotas.features"])
def test_without_the_extra_a_sentence_says_how_to_install_it(
    results, tmp_path, monkeypatch, lacking
):
    for name in [name for name in sys.modules if name.startswith(lacking)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, lacking, None)
    sentence = refused("fit", results, "--out", tmp_path / "qa")
    assert "pip install 'napari-ies[qa]'" in sentence
    assert not (tmp_path / "qa").exists()


@pytest.mark.slow
def test_the_report_shows_the_probabilities_if_there_are_some(applied, results):
    assert "of a false positive" not in page_of(results)
    text = page_of(applied)
    for row in rows_of(applied):
        start = text.index(f'id="sub-{row["subject"]}_lesion-{row["lesion"]}"')
        article = text[start : text.index("</article>", start)]
        said = f"probability of a false positive {float(row['probability_fp']):.2f}<"
        assert said in article
        assert f'data-error="{row["probability_fp"]}"' in article
    missed = text[text.index('id="sub-P0_lesion-3"') :]
    assert "of a false positive" not in missed[: missed.index("</article>")]
    assert "most probable false positives first" in text


def page_of(folder):
    report = report_of(lesion_rows(folder), errors=probabilities_in(folder))
    return rendered(report, folder, {})
