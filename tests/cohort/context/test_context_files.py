"""The command writes what the paper's script writes, goes on where it was, and draws it."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from command_line import one_line, run

from napari_ies.cli import contexts
from napari_ies.cohort.context.growth import Growth
from napari_ies.cohort.context.perilesional import ContextRequest, perilesional
from napari_ies.cohort.context.plots import detected_figure, probability_figure
from napari_ies.cohort.context.table import curve, paper_table
from napari_ies.cohort.jobs.folder_lock import locked
from napari_ies.segmentation.segmentation import segment

PAPER_COLUMNS = ["distance_mm", "average_score", "std_dev", "n_predictions"]
"""Of ``contextual_info_nets_csv.py``, before score_0, score_1, …"""


def some_rows(scores, detected, distances=(0.0, 1.0, 2.0)):
    """Rows of lesions of one network, by their scores (lesions, steps)."""
    return pd.DataFrame(
        [
            {
                "subject": "1",
                "lesion": str(lesion),
                "step": step,
                "distance_mm": distances[step],
                "mean_probability": score,
                "detected": detected[lesion][step],
            }
            for lesion, own in enumerate(scores)
            for step, score in enumerate(own)
        ]
    )


def test_the_papers_columns_are_means_and_deviations_over_lesions():
    scores, detected = [[0.1, 0.2, 0.6], [0.3, 0.8, 0.9]], [[0, 0, 1], [0, 1, 1]]
    table = paper_table(some_rows(scores, detected))
    assert list(table) == [*PAPER_COLUMNS, "score_0", "score_1"]
    assert table["distance_mm"].tolist() == [1.0, 2.0]
    for step in (1, 2):
        row = table.loc[step - 1]
        own = [scores[0][step], scores[1][step]]
        assert row["average_score"] == pytest.approx(sum(own) / 2)
        assert row["std_dev"] == pytest.approx(abs(own[0] - own[1]) / 2)
        assert row["n_predictions"] == detected[0][step] + detected[1][step]
        assert [row["score_0"], row["score_1"]] == own


def test_the_plots_show_means_bands_and_counts():
    rows = {
        "unet": some_rows([[0.1, 0.2, 0.6], [0.3, 0.8, 0.9]], [[0, 0, 1], [0, 1, 1]]),
        "$x_1$": some_rows([[0.2, 0.2, 0.2]], [[1, 1, 1]]),
    }
    axes = probability_figure(rows).axes[0]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [0.2, 0.5, 0.75])
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (pytest.approx(0.1), pytest.approx(0.9))
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["unet (2 lesions)", "$x_1$ (1 lesion)"]
    axes = detected_figure(rows).axes[0]
    assert [list(line.get_ydata()) for line in axes.lines] == [[0, 1, 2], [1, 1, 1]]
    assert curve(rows["unet"])["lesions"].tolist() == [2, 2, 2]


@pytest.fixture
def no_charts(monkeypatch):
    """Give what leaves charts empty from then on: where only tables are looked at."""
    return lambda: monkeypatch.setattr("napari_ies.cohort.chart.chart_bytes", lambda *_: b"")


@pytest.mark.slow
def test_the_command_writes_csv_and_plots_and_goes_on(small, tmp_path, no_charts):
    chosen = ("--lesion=1", "--lesion=2", "--to=2", "--step=1")
    arguments = ("context", *small.arguments, *chosen, f"--out={tmp_path}")
    first = run(*arguments, f"--reference={small.reference}")
    assert first.exit_code == 0, first.output
    table = pd.read_csv(tmp_path / "context" / "context.csv")
    assert set(table["network"]) == {"unet"}
    assert set(table["match"]) <= {"TP", "FP", "FN"}
    assert sorted(set(table["distance_mm"])) == [0, 1, 2]
    model, case = small.model(), small.case()
    reference = np.asarray(_mask(small.reference))
    labels = segment(model, case, reference=reference).labels
    request = ContextRequest((), Growth(1.0, 2.0), model.profile.threshold)
    for lesion in set(table["lesion"]):
        own = table[table["lesion"] == lesion]
        expected = perilesional(model, case, labels == lesion, request)
        np.testing.assert_allclose(own["mean_probability"], expected.mean_probability, rtol=1e-12)
        assert own["detected"].tolist() == expected.detected.astype(int).tolist()
    drawn = {path.name for path in (tmp_path / "context").iterdir()}
    assert drawn == {
        "context.csv",
        *(
            f"1mmto2mm_all_{kind}.{ending}"
            for kind in ("probability", "detected")
            for ending in ("png", "pdf")
        ),
    }
    no_charts()
    again = run(*arguments, f"--reference={small.reference}", "--sequence=all", "--sequence=T1")
    assert again.exit_code == 0, again.output
    assert "Lesion 1, all" not in again.stderr
    assert "Lesion 1, T1" in again.stderr
    both = pd.read_csv(tmp_path / "context" / "context.csv")
    pd.testing.assert_frame_equal(
        both[both["background"] == "all"].reset_index(drop=True), table, check_exact=True
    )
    other = run(*arguments, "--threshold=0.9")
    assert "computed with other settings; choose another folder" in one_line(other)


def _write_corner(reference, path):
    """Write a region that few windows hold."""
    image = nib.load(reference)
    values = np.zeros(image.shape, dtype=np.uint8)
    values[7, 9:11, 7] = 1
    nib.save(nib.Nifti1Image(values, image.affine), path)


def _mask(path):
    return nib.load(path).get_fdata() > 0


@pytest.mark.slow
def test_the_papers_lesions_dilations_and_two_networks_in_one(small, tmp_path, no_charts):
    no_charts()
    second = tmp_path / "second.pth"
    shutil.copy(small.checkpoint, second)
    beside = small.checkpoint.with_suffix(".profile.json")
    second.with_suffix(".profile.json").write_text(beside.read_text())
    out = tmp_path / "out"
    mask = tmp_path / "corner.nii.gz"
    _write_corner(small.reference, mask)
    done = run(
        "context",
        small.arguments[0],
        second,
        *small.arguments[1:],
        f"--mask={mask}",
        "--paper",
        f"--out={out}",
    )
    assert done.exit_code == 0, done.output
    tables = [
        pd.read_csv(out / "context" / f"plots_{name}" / "contextual_info_data.csv")
        for name in ("unet", "second")
    ]
    assert list(tables[0]) == [*PAPER_COLUMNS, "score_0"]
    assert tables[0]["distance_mm"].tolist() == list(range(1, 35))
    pd.testing.assert_frame_equal(tables[0], tables[1])
    (sidecar,) = out.glob("sub-*/anat/*model-second*_context.json")
    content = json.loads(sidecar.read_text())
    assert content["Growth"]["dilations"] == 34
    assert content["Checkpoint"]["Name"] == "second.pth"


def test_the_paper_takes_true_positives_of_its_sizes(small, tmp_path):
    done = run(
        *("context", *small.arguments, f"--reference={small.reference}", "--paper"),
        f"--out={tmp_path}",
    )
    assert "0 lesions are true positives of 91 to 119 voxels" in done.stderr
    assert "has a lesion of the kind that was asked for" in one_line(done)
    again = run(
        *("context", *small.arguments, f"--reference={small.reference}", "--paper"),
        f"--out={tmp_path}",
    )
    assert "there already" in again.stderr
    assert "Segmentation" not in again.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "say which lesions"),
        (["--lesion=1", "--all"], "exclude each other"),
        (["--all", "--labels=x.nii.gz", "--reference=y.nii.gz"], "leave out --reference"),
        (["--lesion=1", "--bids=data"], "are about one patient"),
        (["--lesion=1", "--workers=2"], "--workers and --scheduler are about many cases"),
    ],
)
def test_wrong_usage_is_told(small, tmp_path, options, said):
    done = run("context", *small.arguments, f"--out={tmp_path / 'out'}", *options)
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.replace("│", " ").split())
    assert not (tmp_path / "out").exists()


def test_a_sequence_that_is_not_there_is_told_before_anything_runs(small, tmp_path):
    options = ("--all", "--sequence=T2", f"--out={tmp_path}")
    assert "no sequence T2" in one_line(run("context", *small.arguments, *options))


@pytest.fixture
def patients(small, tmp_path, monkeypatch):
    """Two patients as the scripts expect them, the second of which cannot be read."""
    monkeypatch.setattr("napari_ies.cohort.context.lesions.PAPER_VOXELS", (120, 135))
    names = {"flair.nii.gz": small.images["FLAIR"], "mprage.nii.gz": small.images["T1"]}
    for patient in ("P1", "P2"):
        place = tmp_path / "data" / patient / "ses1"
        place.mkdir(parents=True)
        for name, file in {**names, "lesions.nii.gz": small.reference}.items():
            shutil.copy(file, place / name)
    (tmp_path / "data" / "P2" / "ses1" / "flair.nii.gz").write_bytes(b"nothing")
    return tmp_path / "data"


README = (
    "--model_checkpoint {checkpoint.pth} --input_val_paths {PATH_TO_INPUT1} {PATH_TO_INPUT2} "
    "--target_val_path {TARGET_PATH} --input_prefixes {INPUT1_FILENAME} {INPUT2_FILENAME} "
    "--target_prefix {TARGET_FILENAME} --num_workers 0 --cache_rate 0.01 "
    "--threshold {0.3 for unet, 0.4 else} --model {network}"
)
"""The line of the original's README for contextual_info_nets_csv.py, but for the name of the
reference's file, where it says the path a second time."""


@pytest.mark.slow
def test_the_originals_readme_line_runs_word_for_word(small, patients, tmp_path, no_charts):
    threshold = small.model().profile.threshold
    line = README
    for name, value in {
        "{checkpoint.pth}": small.checkpoint,
        "{PATH_TO_INPUT1}": patients,
        "{PATH_TO_INPUT2}": patients,
        "{TARGET_PATH}": patients,
        "{INPUT1_FILENAME}": "flair.nii.gz",
        "{INPUT2_FILENAME}": "mprage.nii.gz",
        "{TARGET_FILENAME}": "lesions.nii.gz",
        "{0.3 for unet, 0.4 else}": f"{threshold:.17g}",
        "{network}": "unet-",
    }.items():
        line = line.replace(name, str(value))
    out = tmp_path / "out"
    done = run("context", *line.split(), f"--out={out}")
    assert done.exit_code == 1, done.output
    assert "2/2 sub-P2_ses-1 failed: " in done.stderr
    assert "--num_workers 0 has no effect" in done.stderr
    table = pd.read_csv(out / "context" / "plots_unet" / "contextual_info_data.csv")
    assert table["distance_mm"].tolist() == list(range(1, 35))
    no_charts()
    alone = run(
        *("context", *small.arguments, f"--reference={small.reference}", "--paper"),
        f"--out={tmp_path / 'alone'}",
    )
    assert alone.exit_code == 0, alone.output
    path = tmp_path / "alone" / "context" / "plots_unet" / "contextual_info_data.csv"
    pd.testing.assert_frame_equal(table, pd.read_csv(path))


@pytest.fixture
def asked(small, patients):
    """Every lesion of both patients and a third one, in few steps."""
    shutil.copytree(patients / "P1", patients / "P3")
    return (
        *("context", "--model-checkpoint", small.checkpoint, "--all", "--to=2", "--step=1"),
        *("--input-val-paths", patients, patients, "--device=cpu"),
        *("--input-prefixes", "flair.nii.gz", "mprage.nii.gz"),
    )


@pytest.fixture
def threads_as_workers(monkeypatch):
    """Two workers of dask.distributed in this process; test_cluster.py has real ones."""
    distributed = pytest.importorskip("distributed", reason="there is no dask.distributed")

    @contextmanager
    def workers_of(count, scheduler):
        assert (count, scheduler) == (2, None)
        with (
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client

    monkeypatch.setattr(contexts, "workers_of", workers_of)
    monkeypatch.setattr(contexts, "shared_out", lambda source, *_: source)


@pytest.mark.slow
def test_workers_write_what_one_process_writes(
    small, asked, tmp_path, threads_as_workers, no_charts
):
    no_charts()
    rehearsed = run(*asked, "--dry-run", f"--out={tmp_path / 'serial'}")
    assert rehearsed.exit_code == 0, rehearsed.output
    assert not (tmp_path / "serial").exists()
    told = rehearsed.stdout
    assert "3 cases, 3 to do with unet; curves of each lesion: all, 3 steps each" in told
    model, case = small.model(), small.case()
    count = len(segment(model, case).lesions)
    assert f"By sub-P1_ses-1 with {count} lesions: " in told
    for name, options in {"serial": (), "several": ("--workers=2",)}.items():
        done = run(*asked, *options, f"--out={tmp_path / name}")
        assert done.exit_code == 1, done.output
        assert "2/3 sub-P2_ses-1 failed: " in done.stderr
        cases = pd.read_csv(tmp_path / name / "context" / "cases.tsv", sep="\t")
        assert cases["status"].tolist() == ["done", "failed", "done"]
        assert cases["problem"].notna().tolist() == [False, True, False]
        assert cases["lesions"].tolist() == [count, 0, count]
        assert "sub-P2_ses-1" in (tmp_path / name / "cohort" / "log.txt").read_text()
    one, other = (
        (tmp_path / name / "context" / "context.csv").read_text() for name in ("serial", "several")
    )
    assert one == other
    assert len(one.splitlines()) == 1 + 2 * count * 3
    # Another run finds all of it, and a rehearsal says so.
    again = run(*asked, f"--out={tmp_path / 'several'}")
    assert again.stderr.count(f" there already, {count} lesions") == 2
    rehearsed = run(*asked, "--dry-run", f"--out={tmp_path / 'several'}")
    assert "3 cases, 1 to do" in rehearsed.stdout
    assert "sub-P1_ses-1 (P1/ses1): there already" in rehearsed.stdout
    # Changed images are told apart, and not taken for done.
    lost = tmp_path / "several" / "sub-P1" / "ses-1" / "anat"
    (table,) = lost.glob("*_context.tsv")
    table.write_text(table.read_text().replace("0.", "0.1", 1))
    rehearsed = run(*asked, "--dry-run", f"--out={tmp_path / 'several'}")
    assert "3 cases, 2 to do" in rehearsed.stdout


def test_two_runs_into_one_folder_refuse_each_other(small, tmp_path):
    asked = ("context", *small.arguments, "--lesion=1", "--to=1", f"--out={tmp_path}")
    with locked(tmp_path, []):
        assert "Another run writes to" in one_line(run(*asked))
    assert not list(tmp_path.glob("sub-*"))
    (tmp_path / "file").write_text("mine")
    done = run(*asked[:-1], f"--out={tmp_path / 'file'}")
    assert done.exit_code == 2
    assert (tmp_path / "file").read_text() == "mine"
