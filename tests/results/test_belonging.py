"""Patients who share a label are told apart by their images, whatever may be overwritten."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np

from napari_ies.patient.case import Case
from napari_ies.results import (
    load_saliency,
    save_saliency,
    save_segmentation,
    told_apart,
)
from napari_ies.saliency.request import SaliencyRequest
from napari_ies.saliency.saliency import Saliency
from napari_ies.segmentation.segmentation import segment


def a_case(digest: str = "a", **changes: object) -> Case:
    data = np.random.default_rng(0).normal(size=(2, 6, 6, 6)).astype(np.float32)
    values = {"subject": "P07", "sha256": (digest * 64, f"{digest}0" * 32)} | changes
    return Case(("FLAIR", "T1"), data, np.eye(4), **values)  # type: ignore[arg-type]


def a_map(case: Case, seed: int = 0) -> Saliency:
    values = np.random.default_rng(seed).normal(size=(2, 6, 6, 6)).astype(np.float32)
    return Saliency(
        request=SaliencyRequest(n_samples=2),
        sequences=case.sequences,
        shape=case.shape,
        affine=case.affine,
        box=(slice(0, 6),) * 3,
        cropped=values,
        cropped_standard_error=None,
        footprint=np.ones((6, 6, 6), dtype=bool),
        n_used=2,
        provenance={},
    )


def test_overwriting_never_touches_another_patients_results(tmp_path):
    mine, other = a_case("a"), a_case("b")
    first = save_saliency(tmp_path, a_map(mine, 1), case=mine, lesion=1)[0]
    before = {path: path.read_bytes() for path in first.parent.iterdir()}
    second = save_saliency(tmp_path, a_map(other, 2), case=other, lesion=1, overwrite=True)[0]
    assert second.parent == tmp_path / "sub-P07x2" / "anat"
    assert {path: path.read_bytes() for path in first.parent.iterdir()} == before
    # The same images come to the same label, in whatever order.
    for case, place in ((other, second), (mine, first)):
        again = save_saliency(tmp_path, a_map(case, 3), case=case, lesion=1, overwrite=True)[0]
        assert again == place
        np.testing.assert_array_equal(load_saliency(again).maps, a_map(case, 3).maps)


def test_the_note_says_so_and_stays_with_the_result(tmp_path):
    save_saliency(tmp_path / "out", a_map(a_case("a")), case=a_case("a"), lesion=1)
    case, note = told_apart(tmp_path / "out", a_case("b", notes=("Before.",)))
    assert case.subject == "P07x2"
    assert note.startswith("out holds results of other images as sub-P07, so these are named")
    assert case.notes == ("Before.", note)
    assert told_apart(tmp_path / "out", case) == (case, "")
    free, none = told_apart(tmp_path / "new", a_case("b"))
    assert (free.subject, none) == ("P07", "")


def test_another_visit_shares_the_label(tmp_path):
    save_saliency(tmp_path, a_map(a_case("a")), case=a_case("a", visit="1"), lesion=1)
    later = a_case("b", visit="2")
    path = save_saliency(tmp_path, a_map(later), case=later, lesion=1)[0]
    assert path.parent == tmp_path / "sub-P07" / "ses-2" / "anat"
    assert path.name.startswith("sub-P07_ses-2_seq-FLAIR_")


def test_names_that_reduce_to_one_label_are_told_apart(tmp_path):
    paths = [
        save_saliency(tmp_path, a_map(case), case=case, lesion=1)[0]
        for case in (
            a_case("a", subject="Müller"),
            a_case("b", subject="Muller"),
            a_case("c", subject="Muller"),
        )
    ]
    assert [path.parents[1].name for path in paths] == [
        "sub-Muller",
        "sub-Mullerx2",
        "sub-Mullerx3",
    ]


def test_one_image_in_common_is_the_same_patient(tmp_path):
    both = a_case("a")
    save_saliency(tmp_path, a_map(both), case=both, lesion=1)
    alone = both.select(["T1"])
    assert told_apart(tmp_path, alone) == (alone, "")


def test_images_without_files_are_told_apart_by_their_values(tmp_path):
    layers = a_case(sha256=())
    save_saliency(tmp_path, a_map(layers), case=layers, lesion=1)
    assert told_apart(tmp_path, layers)[0].subject == "P07"
    assert told_apart(tmp_path, dataclasses.replace(layers, data=layers.data + 1))[1]
    # The session has written them to files since: other files, the same values.
    assert told_apart(tmp_path, dataclasses.replace(layers, sha256=("c" * 64, "d" * 64)))[1] == ""


def test_sidecars_of_the_images_themselves_are_no_results(tmp_path):
    beside = tmp_path / "sub-P07" / "anat" / "sub-P07_FLAIR.json"
    beside.parent.mkdir(parents=True)
    beside.write_text(json.dumps({"EchoTime": 0.1}))
    assert told_apart(tmp_path, a_case())[1] == ""


def test_results_of_a_flat_folder_count_too(tmp_path):
    mine = a_case("a")
    save_saliency(tmp_path, a_map(mine), case=mine, lesion=1, flat=True)
    assert told_apart(tmp_path, mine)[1] == ""
    assert told_apart(tmp_path, a_case("b"))[0].subject == "P07x2"


def test_a_segmentation_goes_where_the_maps_of_its_images_go(tmp_path, small):
    model, case = small.model(), small.case()
    marked = segment(model, case)
    other = a_case("b", subject=case.subject)
    save_saliency(tmp_path, a_map(other), case=other, lesion=1)
    labels = save_segmentation(tmp_path, marked, case=case, model=model)[0]
    assert labels.parent == tmp_path / f"sub-{case.subject}x2" / "anat"
    content = json.loads(Path(str(labels).replace(".nii.gz", ".json")).read_text())
    assert "holds results of other images" not in " ".join(case.notes)
    assert any("holds results of other images" in note for note in content["Notes"])
