from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nibabel.affines import from_matvec
from nibabel.eulerangles import euler2mat
from pandas.testing import assert_frame_equal

from napari_ies.errors import ResultsError
from napari_ies.network.guesses.agreement import Agreement
from napari_ies.patient.case import Case
from napari_ies.patient.loading import load_case
from napari_ies.results import (
    label,
    load_saliency,
    load_segmentation,
    save_saliency,
    save_segmentation,
)
from napari_ies.saliency.reading_off.distance_profile import profile
from napari_ies.saliency.request import SaliencyRequest
from napari_ies.saliency.saliency import Saliency
from napari_ies.segmentation.segmentation import Segmentation

# Not representable in float32, so that a sform alone would not bring it back.
AFFINE = from_matvec(euler2mat(0.1, 0.2, -0.3) @ np.diag([-0.7, 0.9, 3.1]), [1 / 3, -20.1, 7])
SHAPE = (9, 8, 7)
BOX = (slice(1, 6), slice(0, 8), slice(2, 6))


@pytest.fixture
def case() -> Case:
    data = np.random.default_rng(0).normal(size=(2, *SHAPE)).astype(np.float32)
    return Case(("FLAIR", "T1 w"), data, AFFINE, subject="07", sha256=("a" * 64, "b" * 64))


def smoothgrad(case: Case, seed: int = 1, **changes: object) -> Saliency:
    generator = np.random.default_rng(seed)
    size = (2, 5, 8, 4)
    maps = generator.normal(size=size).astype(np.float32)
    # What careless writing loses: negative zero, the smallest and the largest of float32.
    maps[0, 0, 0] = [-0.0, 1e-45, -3.4e38, np.float32(1) / 3]
    values: dict[str, object] = {
        "request": SaliencyRequest(aggregation="max", n_samples=9, noise=0.1, seed=5),
        "sequences": case.sequences,
        "shape": case.shape,
        "affine": case.affine,
        "box": BOX,
        "cropped": maps,
        "cropped_standard_error": np.abs(generator.normal(size=size)).astype(np.float32),
        "footprint": generator.random(size[1:]) > 0.9,
        "n_used": 7,
        "provenance": {"device": "CPU (1 thread)", "versions": {"torch": "2"}, "notes": ["σ"]},
    }
    return Saliency(**(values | changes))  # type: ignore[arg-type]


def gradcam(case: Case) -> Saliency:
    maps = np.abs(np.random.default_rng(2).normal(size=(1, 5, 8, 4))).astype(np.float32)
    return smoothgrad(
        case,
        request=SaliencyRequest(method="gradcam++", layer="model.1"),
        sequences=("all",),
        cropped=maps,
        cropped_standard_error=None,
        n_used=1,
    )


def bits(array: np.ndarray) -> bytes:
    return array.dtype.str.encode() + np.ascontiguousarray(array).tobytes()


def assert_same(one: Saliency, other: Saliency) -> None:
    for field in dataclasses.fields(Saliency):
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        if isinstance(mine, np.ndarray):
            assert mine.shape == theirs.shape
            assert bits(mine) == bits(theirs), field.name
        else:
            assert mine == theirs, field.name


def all_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("make", [smoothgrad, gradcam])
def test_any_file_of_a_saliency_brings_it_back_bit_for_bit(tmp_path, case, make):
    saliency = make(case)
    save_saliency(tmp_path, saliency, case=case, lesion=3)
    parts = list((tmp_path / "sub-07" / "anat").iterdir())
    assert len(parts) == (14 if make is smoothgrad else 8)
    for path in parts:
        assert_same(load_saliency(path), saliency)


def test_maps_that_differ_in_their_settings_alone_lie_beside_each_other_as_runs(tmp_path, case):
    first, second = smoothgrad(case), smoothgrad(case, seed=2)
    paths = save_saliency(tmp_path, first, case=case, lesion=3)
    others = save_saliency(tmp_path, second, case=case, lesion=3, run=2)
    assert "_run-2_" in others[0].name
    assert_same(load_saliency(paths[0]), first)
    for path in others:
        assert_same(load_saliency(path), second)


def test_files_are_named_as_bids_derivatives(tmp_path, case):
    save_saliency(tmp_path, smoothgrad(case), case=case, lesion=3)
    save_saliency(tmp_path, gradcam(case), case=case, region="brain-stem")
    images = {path.name for path in tmp_path.rglob("*.nii.gz")}
    start, end = "sub-07_", "lesion-003_method-smoothgrad_agg-max"
    assert images == {
        f"{start}seq-FLAIR_{end}_saliency.nii.gz",
        f"{start}seq-T1w_{end}_saliency.nii.gz",
        f"{start}seq-FLAIR_{end}_desc-standarderror_saliency.nii.gz",
        f"{start}seq-T1w_{end}_desc-standarderror_saliency.nii.gz",
        f"{start}{end}_desc-footprint_mask.nii.gz",
        f"{start}region-brainstem_method-gradcampp_saliency.nii.gz",
        f"{start}region-brainstem_method-gradcampp_desc-footprint_mask.nii.gz",
    }
    tables = {path.name for path in tmp_path.rglob("*.tsv")}
    assert tables == {
        f"{start}{end}_measures.tsv",
        f"{start}{end}_profile.tsv",
        f"{start}region-brainstem_method-gradcampp_measures.tsv",
        f"{start}region-brainstem_method-gradcampp_profile.tsv",
    }
    assert {path.name for path in (tmp_path / "sub-07" / "anat").glob("*.json")} == {
        name.replace(".nii.gz", ".json") for name in images
    } | {name.replace(".tsv", ".json") for name in tables}
    description = json.loads((tmp_path / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"][0]["Name"] == "napari-ies"


def test_another_program_sees_the_values_where_the_case_has_them(tmp_path, case):
    saliency = smoothgrad(case)
    first, *_ = save_saliency(tmp_path, saliency, case=case, lesion=1)
    image = nib.load(first)
    assert image.get_data_dtype() == np.float32
    assert bits(np.asarray(image.dataobj)) == bits(np.asfortranarray(saliency.maps[0]))
    for affine, code in (image.get_sform(coded=True), image.get_qform(coded=True)):
        np.testing.assert_allclose(affine, AFFINE, atol=1e-5)
        assert code == 1
    assert image.header.get_xyzt_units()[0] == "mm"


def test_a_sheared_affine_is_kept_in_the_sform_alone(tmp_path, case):
    sheared = AFFINE @ np.array([[1, 0.2, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    case = dataclasses.replace(case, affine=sheared)
    first, *_ = save_saliency(tmp_path, smoothgrad(case), case=case, lesion=1)
    image = nib.load(first)
    np.testing.assert_allclose(image.affine, sheared, atol=1e-5)
    assert int(image.header["qform_code"]) == 0


def test_the_code_of_the_space_is_that_of_the_image_the_case_came_from(tmp_path):
    source = tmp_path / "flair.nii.gz"
    values = np.random.default_rng(0).random((9, 8, 7)).astype(np.float32)
    image = nib.Nifti1Image(values, AFFINE)
    image.set_sform(AFFINE, code=4)  # MNI
    nib.save(image, source)
    other = tmp_path / "t1.nii.gz"
    nib.save(nib.Nifti1Image(values[::-1], AFFINE), other)
    case = load_case({"FLAIR": source, "T1 w": other})
    first, *_ = save_saliency(tmp_path / "out", smoothgrad(case), case=case, lesion=1)
    assert int(nib.load(first).header["sform_code"]) == 4


def test_the_sidecar_says_how_a_map_was_made(tmp_path, case):
    first, *_ = save_saliency(tmp_path, smoothgrad(case), case=case, lesion=3)
    content = json.loads(first.with_name(first.name.replace(".nii.gz", ".json")).read_text())
    expected = {
        "SamplesUsed": 7,
        "Units": "logit per standard deviation",
        "FootprintVoxels": int(smoothgrad(case).footprint.sum()),
        "Lesion": 3,
        "Sequence": "FLAIR",
        "Request": dataclasses.asdict(smoothgrad(case).request),
    }
    assert expected == {key: content[key] for key in expected}
    assert content["Provenance"] == smoothgrad(case).provenance


def test_a_map_of_before_precision_could_be_chosen_is_read_as_float32(tmp_path, case):
    first, *_ = save_saliency(tmp_path, smoothgrad(case), case=case, lesion=3)
    sidecar = first.with_name(first.name.replace(".nii.gz", ".json"))
    content = json.loads(sidecar.read_text())
    del content["Request"]["precision"]
    # What such files said twice:
    content |= {"Device": "CPU (1 thread)", "Precision": "float32", "Versions": {"torch": "2"}}
    sidecar.write_text(json.dumps(content))
    assert_same(load_saliency(first), smoothgrad(case))
    assert load_saliency(first).request.precision == "float32"


@pytest.mark.parametrize(("make", "version"), [(smoothgrad, 1), (gradcam, 2)])
def test_a_map_of_before_there_was_another_noise_is_of_the_first(tmp_path, case, make, version):
    first, *_ = save_saliency(tmp_path, make(case), case=case, lesion=3)
    sidecar = first.with_name(first.name.replace(".nii.gz", ".json"))
    content = json.loads(sidecar.read_text())
    assert content["Request"].pop("noise_version") == 2
    sidecar.write_text(json.dumps(content))
    # Grad-CAM++ adds no noise: its requests are one, whatever the noise.
    expected = dataclasses.replace(make(case).request, noise_version=version)
    assert load_saliency(first).request == expected


@pytest.mark.parametrize("make", [smoothgrad, gradcam])
def test_the_tables_hold_the_numbers_and_describe_each_column(tmp_path, case, make):
    saliency = make(case)
    *_, measures, profiled = save_saliency(tmp_path, saliency, case=case, lesion=3)
    for path, expected in ((measures, saliency.measures), (profiled, profile(saliency))):
        table = pd.read_csv(path, sep="\t", na_values=["n/a"])
        assert_frame_equal(table.set_index(expected.index.name), expected, rtol=1e-14)
        described = json.loads(path.with_suffix(".json").read_text())
        for column in table.columns:
            assert described[column]["Description"], column
        assert described["SamplesUsed"] == saliency.n_used
    assert described["to_mm"]["Units"] == "mm"
    assert described[saliency.sequences[0]]["Units"] == saliency.unit


def test_what_is_there_is_kept_unless_told(tmp_path, case):
    save_saliency(tmp_path, smoothgrad(case), case=case, lesion=3)
    before = all_files(tmp_path)
    with pytest.raises(ResultsError, match=r"seq-FLAIR_lesion-003.*is there already"):
        save_saliency(tmp_path, smoothgrad(case, seed=8), case=case, lesion=3)
    assert all_files(tmp_path) == before


def test_overwriting_leaves_nothing_of_the_former_result(tmp_path, case):
    save_saliency(tmp_path, smoothgrad(case), case=case, lesion=3)
    later = smoothgrad(case, seed=8, cropped_standard_error=None)
    first, *_ = save_saliency(tmp_path, later, case=case, lesion=3, overwrite=True)
    assert_same(load_saliency(first), later)
    assert not list(tmp_path.rglob("*standarderror*"))


def test_a_disk_that_fills_up_leaves_no_file(tmp_path, case, monkeypatch):
    written = []

    def save(path, *content):
        written.append(path)
        Path(path).write_bytes(b"half")
        if len(written) == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_ies.results.storage.images.write_packed", save)
    with pytest.raises(ResultsError, match="No space left on device"):
        save_saliency(tmp_path, smoothgrad(case), case=case, lesion=3)
    assert len(written) == 3
    assert all_files(tmp_path) == {}


def test_an_interruption_while_writing_leaves_no_file(tmp_path, case, monkeypatch):
    def save(path, *content):
        Path(path).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("napari_ies.results.storage.images.write_packed", save)
    with pytest.raises(KeyboardInterrupt):
        save_saliency(tmp_path, smoothgrad(case), case=case, lesion=3)
    assert all_files(tmp_path) == {}


def test_a_folder_that_is_a_file_is_refused(tmp_path, case):
    (tmp_path / "out").write_text("")
    with pytest.raises(ResultsError, match="cannot be written"):
        save_saliency(tmp_path / "out", smoothgrad(case), case=case, lesion=3)


def test_a_saliency_of_another_case_is_refused(tmp_path, case):
    moved = dataclasses.replace(case, affine=AFFINE + np.eye(4))
    with pytest.raises(ResultsError, match="does not lie on the grid"):
        save_saliency(tmp_path, smoothgrad(case), case=moved, lesion=3)


def damage_truncate(folder: Path, first: Path) -> None:
    first.write_bytes(first.read_bytes()[:-40])


def damage_remove(folder: Path, first: Path) -> None:
    next(folder.rglob("*mask.nii.gz")).unlink()


def without_hashes(folder: Path) -> None:
    """Make the sidecars those of versions that recorded no hashes of their files."""
    for path in folder.rglob("*.json"):
        content = json.loads(path.read_text())
        content.pop("SHA256", None)
        path.write_text(json.dumps(content))


def damage_foreign_image(folder: Path, first: Path) -> None:
    without_hashes(folder)
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), np.float32), np.eye(4)), first)


def damage_outside_box(folder: Path, first: Path) -> None:
    without_hashes(folder)
    nib.save(nib.Nifti1Image(np.ones(SHAPE, np.float32), AFFINE), first)


def damage_not_json(folder: Path, first: Path) -> None:
    first.with_name(first.name.replace(".nii.gz", ".json")).write_bytes(b"\xff\x00")


def damage_other_json(folder: Path, first: Path) -> None:
    first.with_name(first.name.replace(".nii.gz", ".json")).write_text('{"Units": "mm"}')


def damage_bad_request(folder: Path, first: Path) -> None:
    path = first.with_name(first.name.replace(".nii.gz", ".json"))
    content = json.loads(path.read_text())
    content["Request"]["aggregation"] = "median"
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_truncate, "damaged or cut short"),
        (damage_remove, "is missing"),
        (damage_foreign_image, "sidecar says"),
        (damage_outside_box, "outside the box"),
        (damage_not_json, "cannot be read as JSON"),
        (damage_other_json, "does not hold what napari-ies writes"),
        (damage_bad_request, "no aggregation 'median'"),
    ],
)
def test_damaged_and_foreign_files_are_refused_in_one_sentence(tmp_path, case, damage, message):
    first, *_ = save_saliency(tmp_path, smoothgrad(case), case=case, lesion=3)
    damage(tmp_path, first)
    with pytest.raises(ResultsError, match=message) as caught:
        load_saliency(first)
    assert "\n" not in str(caught.value)


def test_an_image_without_sidecar_is_refused(tmp_path):
    with pytest.raises(ResultsError, match="expected the JSON"):
        load_saliency(tmp_path / "flair.nii.gz")


def test_labels_hold_letters_and_digits_only():
    assert label("T1-w (3D)") == "T1w3D"
    assert label("Müller-Łódź ß7") == "MullerLodzss7"
    with pytest.raises(ResultsError, match="no letter or digit"):
        label("_-")


def test_sequences_that_would_share_a_file_are_refused(tmp_path, case):
    case = dataclasses.replace(case, sequences=("T1-w", "T1w"))
    with pytest.raises(ResultsError, match="same file name"):
        save_saliency(tmp_path, smoothgrad(case), case=case, lesion=3)


@pytest.fixture
def segmentation() -> Segmentation:
    generator = np.random.default_rng(4)
    lesions = pd.DataFrame(
        {
            "voxels": [12, 7],
            "volume_mm3": [12 / 7, 1e-17],
            "mean_probability": [1 / 3, 0.1],
            "max_probability": [0.9, 0.3],
            "centre_x_mm": [-0.1, 1e22],
            "centre_y_mm": [0.1, 2.0],
            "centre_z_mm": [0.2, 3.0],
            "hemisphere": ["left", "unknown"],
            "midline_mm": [1 / 7, np.nan],
            "match": ["TP", "FN"],
        },
        index=pd.Index([1, 2], name="label"),
    )
    return Segmentation(
        probability=generator.random(SHAPE).astype(np.float32),
        labels=generator.permutation(np.arange(np.prod(SHAPE)) % 3).reshape(SHAPE).astype(np.int32),
        lesions=lesions,
        threshold=1 / 3,
        forward="whole-volume",
        device="CPU (2 threads)",
        notes=("T1 was resampled.",),
        smallest=4,
    )


def test_any_file_of_a_segmentation_brings_it_back(tmp_path, small, segmentation, case):
    save_segmentation(tmp_path, segmentation, case=case, model=small.model())
    parts = list((tmp_path / "sub-07" / "anat").iterdir())
    assert {path.name.removeprefix("sub-07_desc-lesions_") for path in parts} == {
        "dseg.nii.gz",
        "dseg.json",
        "dseg.tsv",
        "probseg.nii.gz",
        "probseg.json",
    }
    for path in parts:
        loaded = load_segmentation(path, case)
        assert bits(loaded.labels) == bits(segmentation.labels)
        assert bits(loaded.probability) == bits(segmentation.probability)
        assert_frame_equal(loaded.lesions, segmentation.lesions, check_exact=True)
        for name in ("threshold", "forward", "device", "notes", "smallest"):
            assert getattr(loaded, name) == getattr(segmentation, name)


def test_tested_guesses_come_back_and_older_files_have_none(tmp_path, small, segmentation, case):
    tested = (
        Agreement("orientation", "PSR", "LAS", {"PSR": 0.5, "LAS": 0.25}, "Better.", True, "LAS"),
        Agreement("strides", "2, 2", "2, 2", {"2, 2": 0.125, "1, 2": math.inf}, "Agrees.", True),
    )
    segmentation = dataclasses.replace(segmentation, agreements=tested)
    labels, *_ = save_segmentation(tmp_path, segmentation, case=case, model=small.model())
    assert load_segmentation(labels).agreements == tested

    sidecar = labels.with_name("sub-07_desc-lesions_dseg.json")
    content = json.loads(sidecar.read_text())
    del content["Agreements"]
    sidecar.write_text(json.dumps(content))
    assert load_segmentation(labels).agreements == ()


def test_the_lesion_table_starts_with_index_and_name_and_says_what_is_missing(
    tmp_path, small, segmentation, case
):
    *_, table = save_segmentation(tmp_path, segmentation, case=case, model=small.model())
    heading, first, second = table.read_text().splitlines()
    assert heading.split("\t")[:3] == ["index", "name", "voxels"]
    assert first.split("\t")[:2] == ["1", "lesion 1"]
    assert float(first.split("\t")[4]) == 1 / 3
    assert dict(zip(heading.split("\t"), second.split("\t"), strict=True))["midline_mm"] == "n/a"


def test_the_sidecar_of_the_lesion_table_says_what_each_column_is(
    tmp_path, small, segmentation, case
):
    labels, _, table = save_segmentation(tmp_path, segmentation, case=case, model=small.model())
    columns = table.read_text().splitlines()[0].split("\t")
    described = json.loads(labels.with_name("sub-07_desc-lesions_dseg.json").read_text())
    assert all(described[column]["Description"] for column in columns)
    assert described["centre_x_mm"]["Units"] == "mm"
    assert set(described["match"]["Levels"]) == {"TP", "FP", "FN"}


def test_a_segmentation_of_another_patient_on_the_same_grid_is_refused(
    tmp_path, small, segmentation, case
):
    first, *_ = save_segmentation(tmp_path, segmentation, case=case, model=small.model())
    other = dataclasses.replace(
        case, data=case.data + 1, sha256=tuple("0" * 64 for _ in case.sequences)
    )
    with pytest.raises(ResultsError, match="was made from other images"):
        load_segmentation(first, other)
    assert load_segmentation(first).labels.shape == case.shape


def test_a_segmentation_of_another_grid_is_refused(tmp_path, small, segmentation, case):
    first, *_ = save_segmentation(tmp_path, segmentation, case=case, model=small.model())
    with pytest.raises(ResultsError, match="does not lie on the grid"):
        load_segmentation(first, dataclasses.replace(case, affine=AFFINE + 1))
