"""A cohort as it is listed, of made-up numbers: no file and no map."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_ies.cohort.report.content import Report, ReportCase, ReportLesion
from napari_ies.cohort.report.suspicion import Suspicion
from napari_ies.viewer.cohort.columns import case_columns, lesion_columns
from napari_ies.viewer.state.listed.cohort import Cohort
from napari_ies.viewer.state.listed.listing import Listing

KINDS = ("unlike", "outside", "unstable")


def report(cases=30, lesions=10, seed=0):
    """Return a report on cases of some lesions each; every seventh case failed."""
    generator = np.random.default_rng(seed)
    listed, of_cases = [], []
    for number in range(cases):
        failed = number % 7 == 6
        own = 0 if failed else lesions
        for label in range(1, own + 1):
            weight = max(0.0, generator.normal(-1, 1))
            kind = KINDS[generator.integers(3)]
            suspicion = Suspicion((f"It is {kind}.",), (kind,), weight) if weight else Suspicion()
            numbers = tuple(generator.normal(0, 1, 5).tolist())
            listed.append(
                ReportLesion(
                    subject=f"{number:04d}",
                    visit="1",
                    lesion=label,
                    match=("TP", "FP", "FN")[generator.integers(3)],
                    volume_mm3=float(generator.lognormal(4, 1)),
                    mean_probability=0.5,
                    max_probability=float("nan") if label == 3 else float(generator.random()),
                    title="SmoothGrad max",
                    values=(("FLAIR", numbers), ("T1", numbers[::-1])),
                    suspicion=suspicion,
                    file="",
                )
            )
        more = {"status": "failed", "problem": "T1.nii.gz ends too early."} if failed else {}
        more = more or {"status": "done", "dice": f"{generator.random():.3g}"}
        of_cases.append(ReportCase(f"sub-{number:04d}_ses-1", own, more=more))
    listed.sort(key=lambda one: -one.suspicion.weight)
    return Report(tuple(of_cases), tuple(listed), ("A note.",))


def cohort(found=None, folder=Path("results")):
    """Return a report as a cohort that is listed."""
    found = report() if found is None else found
    lesions = Listing(found.lesions, lesion_columns(found))
    return Cohort(folder, found, lesions, Listing(found.cases, case_columns(found)))
