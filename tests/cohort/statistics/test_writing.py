"""The files of the statistics hold what the maps' own tables say."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from command_line import one_line, run
from networks import small_model
from saved_cohort import MATCH, write_cohort

from napari_ies.cohort.report.content import report_of
from napari_ies.cohort.statistics.rows import lesion_rows, profile_rows
from napari_ies.cohort.statistics.writing import write_statistics
from napari_ies.errors import ResultsError
from napari_ies.saliency.reading_off.distance_profile import profile
from napari_ies.saliency.reading_off.measures import measure
from napari_ies.saliency.request import SaliencyRequest

REQUESTS = (
    SaliencyRequest(n_samples=3, aggregation="max"),
    SaliencyRequest(method="gradcam++", layer="model.0"),
)


@pytest.fixture(scope="session")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    return folder, write_cohort(folder, small_model(), 3, REQUESTS)


def test_each_map_is_a_row_per_sequence_with_its_lesion(cohort):
    folder, maps = cohort
    rows = lesion_rows(folder)
    assert len(rows) == 3 * 3 * (2 + 1)
    for (subject, lesion, method, _), saliency in maps.items():
        own = rows[
            (rows["subject"] == subject) & (rows["lesion"] == lesion) & (rows["method"] == method)
        ]
        assert set(own["match"]) == {MATCH[lesion]}
        assert set(own["voxels"]) == {8}
        expected = measure(saliency)
        for _, row in own.iterrows():
            for name in expected:
                np.testing.assert_equal(row[name], expected.loc[row["sequence"], name])
            assert (folder / row["file"]).exists()


def test_each_profile_is_that_of_its_map(cohort):
    folder, maps = cohort
    profiles = profile_rows(folder, lesion_rows(folder))
    expected = profile(maps["P1", 2, "smoothgrad", "max"])
    own = profiles[
        (profiles["subject"] == "P1") & (profiles["lesion"] == 2) & (profiles["sequence"] == "T1")
    ]
    assert set(own["match"]) == {"FP"}
    np.testing.assert_array_equal(own["value"], expected["T1"])
    np.testing.assert_array_equal(own["voxels"], expected["voxels"])


@pytest.mark.slow
def test_files_are_written_whole_and_the_same_each_time_and_by_the_command(cohort, tmp_path):
    folder, _ = cohort
    first = write_statistics(folder, tmp_path / "one", draws=100)
    done = run("statistics", folder, "--draws=100", f"--out={tmp_path / 'two'}")
    assert done.exit_code == 0, done.output
    assert "statistics.pdf" in done.stdout
    second = [tmp_path / "two" / path.relative_to(tmp_path / "one") for path in first]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    text = (tmp_path / "one" / "statistics.md").read_text(encoding="utf-8")
    assert "9 lesions (3 TP, 3 FP, 3 FN) of 3 patients, 27 maps." in text
    compared = pd.read_csv(tmp_path / "one" / "comparisons.csv", keep_default_na=False)
    row = compared[
        (compared["method"] == "smoothgrad")
        & (compared["measure"] == "share")
        & (compared["second"] == "FP")
    ].iloc[0]
    assert f"| {row['sequence']} | TP and FP | 3 and 3 | {float(row['u']):g} |" in text
    assert set(compared.loc[compared["sequence"] == "all", "measure"]).isdisjoint({"share"})
    raw = (tmp_path / "one" / "statistics.pdf").read_bytes()
    # SmoothGrad: two peaks, the share and the profile; Grad-CAM++ has no share.
    assert len(re.findall(rb"/Type /Page\b", raw)) == 4 + 3


def test_a_folder_without_maps_is_told(tmp_path):
    assert "There is no map of a lesion in" in one_line(run("statistics", tmp_path / "empty"))
    assert not (tmp_path / "empty").exists()


def test_a_table_that_was_changed_is_named_and_without_one_of_lesions_numbers_are_left(tmp_path):
    write_cohort(tmp_path, small_model(), 1)
    listed = sorted(tmp_path.rglob("*_desc-lesions_dseg.tsv"))[0]
    whole = listed.read_bytes()
    listed.write_bytes(whole.replace(b"TP", b"FP"))  # a match of somebody's own
    assert listed.read_bytes() != whole
    assert f"{listed.name} is not the file that" in one_line(run("statistics", tmp_path))
    listed.write_bytes(whole + b"junk\n")
    sidecar = listed.with_suffix(".json")
    sidecar.rename(tmp_path / "sidecar")  # nothing tells that it was changed, but what it says
    told = one_line(run("statistics", tmp_path))
    assert "dseg.tsv was changed: index holds what is no lesion's number" in told
    (tmp_path / "sidecar").rename(sidecar)
    listed.write_bytes(whole)
    for table in tmp_path.rglob("*_desc-lesions_dseg.tsv"):
        table.unlink()  # explain --labels makes none for lesions from elsewhere
    rows = lesion_rows(tmp_path)
    assert set(rows["match"]) == {"n/a"}
    assert rows["volume_mm3"].isna().all()
    assert "There was no reference" in report_of(rows).notes[0]
    path = next(tmp_path.glob("sub-*/anat/*_measures.tsv"))
    path.write_text(path.read_text().replace("FLAIR", "FLAIRS"))
    with pytest.raises(ResultsError, match=path.name):
        lesion_rows(tmp_path)
