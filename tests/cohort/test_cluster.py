"""A real cluster of processes: tables as of a serial run, whoever is lost on the way."""

from __future__ import annotations

import os
import shutil
import signal
import sys

import pytest
from command_line import run

from napari_ies.cli import many
from napari_ies.cohort.cluster import workers_of
from napari_ies.errors import CohortError

TABLES = ("cases.tsv", "lesions.tsv", "cases.json", "lesions.json")


@pytest.mark.slow
def test_a_lost_worker_costs_nothing_but_time(twelve, tmp_path, monkeypatch, forks):
    distributed = pytest.importorskip("distributed", reason="there is no dask.distributed")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for name in ("P01", "P03", "P04", "P06"):
        shutil.copytree(twelve.data / name, tmp_path / "data" / name)
    data = tmp_path / "data"
    asked = (
        *("cohort", "--checkpoint", twelve.checkpoint, "--input-val-paths", data, data),
        *("--input-prefixes", "flair.nii.gz", "t1.nii.gz", "--method", "smoothgrad"),
        *("--device", "cpu", "--samples", 2, "--out"),
    )
    follow, lost = many.followed, []

    def losing(terminal, reports):
        for followed in follow(terminal, reports):
            if not lost:
                processes = distributed.get_client().run(os.getpid)
                assert len({os.getpid(), *processes.values()}) == 3
                lost.append(next(iter(processes.values())))
                os.kill(lost[0], signal.SIGKILL)
            yield followed

    with monkeypatch.context() as patch:
        patch.setattr(many, "followed", losing)
        clustered = run(*asked, tmp_path / "cluster", "--workers", 2)
    assert lost
    assert "5 cases (4 done, 1 failed)" in clustered.stdout, clustered.output
    serial = run(*asked, tmp_path / "serial")
    assert "5 cases (4 done, 1 failed)" in serial.stdout
    for name in TABLES:
        one, other = (tmp_path / folder / "cohort" / name for folder in ("serial", "cluster"))
        assert one.read_text() == other.read_text()
    # What workers have done, a run without them finds done.
    assert "4 there already, 1 failed" in run(*asked, tmp_path / "cluster").stdout


def test_without_dask_distributed_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(CohortError, match="pip install"), workers_of(2, None):
        pass
