from __future__ import annotations

import contextlib
import json

import pytest

from napari_ies.cohort.cases import CohortCase
from napari_ies.cohort.jobs import folder_lock
from napari_ies.cohort.jobs.folder_lock import locked
from napari_ies.errors import CohortError


def cases(*subjects):
    return [CohortCase(subject, "1", {}) for subject in subjects]


def test_jobs_of_different_cases_are_there_together(tmp_path):
    with (
        locked(tmp_path, cases("A"), alone=False),
        locked(tmp_path, cases("B", "C"), alone=False),
        locked(tmp_path, cases("D"), alone=False),
    ):
        assert json.loads((tmp_path / "dataset_description.json").read_text())["GeneratedBy"]
    with locked(tmp_path, cases("A")):
        pass


@pytest.mark.parametrize(
    ("first", "alone", "second", "then", "said"),
    [
        ("AB", False, "BC", False, "Another job works on sub-B_ses-1 in "),
        ("A", False, "C", True, "Another job works on sub-A_ses-1 in "),
        ("A", True, "C", False, "Another run writes to "),
        ("A", True, "C", True, "Another run writes to "),
    ],
)
def test_who_excludes_another_is_refused_at_once_and_leaves_nothing_locked(
    tmp_path, first, alone, second, then, said
):
    with locked(tmp_path, cases(*first), alone=alone):
        for _ in range(2):
            with (
                pytest.raises(CohortError, match=said),
                locked(tmp_path, cases(*second), alone=then),
            ):
                pass
        if not alone:  # what the refused one had for itself is free
            with locked(tmp_path, cases("C"), alone=False):
                pass
    with locked(tmp_path, cases(*second), alone=then):
        pass


def test_a_job_of_many_cases_takes_the_folder_and_no_file_for_each(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_lock, "MOST_LOCKS", 2)
    with locked(tmp_path, cases(*"ABC"), alone=False):
        assert not list((tmp_path / "cohort" / "cases").iterdir())
        with (
            pytest.raises(CohortError, match="Another run writes to"),
            locked(tmp_path, cases("D"), alone=False),
        ):
            pass


def test_jobs_link_the_datasets_that_their_images_lie_in_under_names_that_stay(tmp_path):
    """Both begin before either writes: without the gate, each would call its own ``source``."""
    out, images = tmp_path / "out", {}
    for name in ("raw", "derived"):
        images[name] = tmp_path / name / "sub-A" / "anat" / "sub-A_FLAIR.nii.gz"
        images[name].parent.mkdir(parents=True)
        images[name].touch()
        (tmp_path / name / "dataset_description.json").write_text("{}")
    with contextlib.ExitStack() as stack:
        for label, image in images.items():
            case = CohortCase(label, "", {"FLAIR": image})
            stack.enter_context(locked(out, [case], alone=False))
        description = json.loads((out / "dataset_description.json").read_text())
    assert description["DatasetLinks"] == {"source": "../raw", "source2": "../derived"}
