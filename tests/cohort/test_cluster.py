"""A real cluster of processes: tables as of a serial run, whoever is lost on the way."""

from __future__ import annotations

import os
import shutil
import signal

import pytest
from command_line import run

pytest.importorskip("distributed")

from napari_ies.cohort.cluster import NetworkSource, running_on, workers_of
from napari_ies.cohort.discovery.scripts import find_cases
from napari_ies.cohort.settings import CohortSettings
from napari_ies.saliency.request import SaliencyRequest

TABLES = ("cases.tsv", "lesions.tsv", "cases.json", "lesions.json")


@pytest.mark.slow
def test_a_lost_worker_costs_nothing_but_time(twelve, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for name in ("P01", "P03", "P04", "P06"):
        shutil.copytree(twelve.data / name, tmp_path / "data" / name)
    data = str(tmp_path / "data")
    cases = find_cases([data, data], ["flair.nii.gz", "t1.nii.gz"], ("FLAIR", "T1"))
    settings = CohortSettings((SaliencyRequest(n_samples=2, forward="whole-volume"),))
    out, lost = tmp_path / "cluster", []
    with workers_of(2, None) as client:
        source = NetworkSource(twelve.checkpoint, "cpu", threads=1)
        for report in running_on(client, source, cases, settings, out):
            assert report.outcome in ("done", "failed")
            if not lost:
                processes = client.run(os.getpid)
                lost.append(next(iter(processes.values())))
                os.kill(lost[0], signal.SIGKILL)
    serial = run(
        *("cohort", "--checkpoint", twelve.checkpoint, "--input-val-paths", data, data),
        *("--input-prefixes", "flair.nii.gz", "t1.nii.gz", "--method", "smoothgrad"),
        *("--samples", 2, "--out", tmp_path / "serial"),
    )
    assert "5 cases (4 done, 1 failed)" in serial.stdout
    for name in TABLES:
        one, other = (tmp_path / folder / "cohort" / name for folder in ("serial", "cluster"))
        assert one.read_text() == other.read_text()


@pytest.mark.slow
def test_workers_of_the_command_find_what_is_done(twelve, tmp_path):
    shutil.copytree(twelve.data / "P01", tmp_path / "data" / "P01")
    data = tmp_path / "data"
    asked = (
        *("cohort", "--checkpoint", twelve.checkpoint, "--input-val-paths", data, data),
        *("--input-prefixes", "flair.nii.gz", "t1.nii.gz", "--method", "gradcam++"),
        *("--out", tmp_path / "out"),
    )
    assert "2 done" in run(*asked, "--workers", 2).stdout
    assert "2 there already" in run(*asked).stdout
