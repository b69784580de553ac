from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from command_line import run
from networks import small_model
from saved_cohort import write_cohort

NETWORK = "ab" * 32
PATIENTS = 10


def with_hashes(case):
    """Give images hashes, though there are no files."""
    names = [f"{case.subject} {name}" for name in case.sequences]
    return {"sha256": tuple(hashlib.sha256(name.encode()).hexdigest() for name in names)}


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    """Ten patients with a TP, an FP and an FN each; maps of TPs are larger inside."""
    folder = tmp_path_factory.mktemp("errors") / "results"
    model = replace(small_model(), sha256=NETWORK)
    write_cohort(folder, model, PATIENTS, with_files=with_hashes, lifted={1: 0.6})
    return folder


@pytest.fixture(scope="session")
def fitted_files(results, tmp_path_factory):
    """What the command writes of them, once; not to be changed."""
    pytest.importorskip("sklearn")
    pytest.importorskip("mahotas")
    out = tmp_path_factory.mktemp("model") / "qa"
    done = run("qa", "fit", results, "--out", out, "--draws", 200)
    assert done.exit_code == 0, done.output
    assert done.stdout.split() == [str(out / name) for name in (
        "model.json", "report.md", "lesions.csv", "coefficients.csv", "thresholds.csv",
        "calibration.csv", "thresholds.png", "calibration.png",
    )]  # fmt: skip
    return out
