"""What is in a sidecar, a table or an image is believed only as far as it can be."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from saved_maps import SHAPE, a_map

from napari_ies.errors import ResultsError
from napari_ies.patient.case import Case
from napari_ies.results import load_saliency, load_segmentation, save_saliency
from napari_ies.results.explained import load_explained, result_of
from napari_ies.results.names import is_plain_name
from napari_ies.results.storage.json_files import LARGEST_SIDECAR
from napari_ies.results.storage.tables import read_table

FORMER = Path(__file__).parents[1] / "data" / "written_by_0_1_0" / "results"

hostile = st.sampled_from(
    [
        *(None, True, False, 0, -1, 1, 10**30, -(2**63), 32768, 1e308, float("inf"), float("nan")),
        *("", "x", ".", "..", "../x.nii.gz", "/etc/passwd", "a/b", "a\\b", "a\0b", "\x1b[31m"),
        *("x" * 5000, "\udcff", [], {}, [[[]]], [1, 2, 3], [-5, 99], {"a": {"b": [None]}}, [{}]),
        *([[0, 0]] * 3, [[-1, 3]] * 3, [[0, 10**9]] * 3, [[1e400] * 4] * 4, [0] * 4),
    ]
)


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    data = np.random.default_rng(0).normal(size=(2, *SHAPE)).astype(np.float32)
    affine = np.diag([-1.0, 1.0, 2.0, 1.0])
    case = Case(("FLAIR", "T1"), data, affine, subject="07", sha256=("a" * 64, "b" * 64))
    save_saliency(folder, a_map(case, 1), case=case, lesion=3)
    return folder / "sub-07" / "anat"


def places(content: object, path: tuple = ()) -> list[tuple]:
    """List where values stand in a JSON."""
    pairs: list = []
    if isinstance(content, dict):
        pairs = list(content.items())
    elif isinstance(content, list):
        pairs = list(enumerate(content))
    return [path, *(deep for key, value in pairs for deep in places(value, (*path, key)))]


def put(content, path: tuple, value: object):
    if not path:
        return value
    *before, last = path
    at = content
    for key in before:
        at = at[key]
    at[last] = value
    return content


def refused_or_read(read, path: Path) -> object:
    said = ""
    try:
        return read(path)
    except ResultsError as error:
        said = str(error)
    assert "\n" not in said
    assert 0 < len(said) < 2000
    return None


READERS = [
    (load_saliency, "sub-07_seq-FLAIR_lesion-001_method-smoothgrad_agg-mean_saliency.json"),
    (load_explained, "sub-07_region-ball_method-gradcampp_saliency.json"),
    (result_of, "sub-07_region-ball_method-gradcampp_saliency.json"),
    (load_segmentation, "sub-07_desc-lesions_dseg.json"),
]


@pytest.mark.slow
@settings(derandomize=True, deadline=None, max_examples=300)
@given(value=hostile, pick=st.integers(0, 10**6), reader=st.sampled_from(READERS))
def test_any_value_in_a_sidecar_is_read_or_refused_in_one_sentence(value, pick, reader):
    read, name = reader
    folder = Path(os.environ["PYTEST_DAMAGED"])
    content = json.loads((FORMER / name).read_text())
    where = places(content)
    (folder / name).write_text(json.dumps(put(content, where[pick % len(where)], value)))
    found = refused_or_read(read, folder / name)
    if read is load_saliency and found is not None:
        assert np.isfinite(found.cropped).all()
        assert found.footprint.any()
        assert all(0 <= s.start < s.stop <= n for s, n in zip(found.box, found.shape, strict=True))
        assert isinstance(found.request.n_samples, int)
    shutil.copy(FORMER / name, folder / name)


@pytest.fixture(autouse=True, scope="module")
def damaged(tmp_path_factory):
    """A copy of results of the former version, for one test after the other to damage."""
    folder = tmp_path_factory.mktemp("damaged") / "results"
    shutil.copytree(FORMER, folder)
    os.environ["PYTEST_DAMAGED"] = str(folder)
    yield folder
    del os.environ["PYTEST_DAMAGED"]


def test_results_of_the_former_version_are_read(damaged):
    for read, name in READERS:
        assert read(damaged / name) is not None


@pytest.mark.slow
@settings(derandomize=True, deadline=None, max_examples=150)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(["flip", "cut", "more", "zero"]))
def test_no_changed_byte_of_an_image_is_read_in_silence(written, seed, kind):
    images = sorted(written.glob("*.nii.gz"))
    dice = random.Random(seed)  # noqa: S311 - no secret
    image = images[seed % len(images)]
    before = image.read_bytes()
    at = dice.randrange(len(before))
    changed = bytearray(before)
    if kind == "flip":
        changed[at] ^= 1 << dice.randrange(8)
    elif kind == "cut":
        del changed[at:]
    elif kind == "more":
        changed += before[at:]
    else:
        changed[at : at + 64] = bytes(len(changed[at : at + 64]))
    image.write_bytes(changed)
    try:
        if bytes(changed) != before:
            with pytest.raises(ResultsError):
                load_saliency(images[0])
    finally:
        image.write_bytes(before)


@pytest.mark.slow
@settings(derandomize=True, deadline=None, max_examples=100)
@given(
    text=st.text(st.sampled_from("01\t\n\r\"'.,-ena/NI∞\0x"), max_size=60),
    at=st.integers(0, 200),
)
def test_any_table_is_read_or_refused_in_one_sentence(text, at):
    path = Path(os.environ["PYTEST_DAMAGED"]) / "sub-07_desc-lesions_dseg.tsv"
    before = (FORMER / path.name).read_text()
    path.write_text(before[:at] + text + before[at:], encoding="utf-8")
    found = refused_or_read(load_segmentation, path)
    if found is not None:
        lesions = found.lesions
        assert len(lesions) == 0 or (lesions.index > 0).all()
        assert lesions.index.is_unique
    shutil.copy(FORMER / path.name, path)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(name=st.text(st.sampled_from("ab./\\:\0 \n~*é\udcff"), min_size=0, max_size=12))
def test_no_name_in_a_sidecar_leads_out_of_its_folder(name):
    if is_plain_name(name):
        assert Path("folder", name).parent == Path("folder")
        assert Path(os.path.normpath(Path("folder", name))).parent == Path("folder")
    for outside in ("../a", "a/b", "/a", "..", ".", "", "c:a", "a\\b"):
        assert not is_plain_name(outside)
    assert is_plain_name("x" * 255)
    assert not is_plain_name("é" * 128)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("pattern", ["*_dseg.json", "*_dseg.tsv", "*_dseg.nii.gz"])
@pytest.mark.parametrize("make", ["pipe", "device", "folder"])
def test_a_pipe_or_device_in_place_of_a_file_is_neither_waited_for_nor_read(
    tmp_path, pattern, make
):
    shutil.copytree(FORMER, tmp_path / "results")
    (path,) = (tmp_path / "results").glob(pattern)
    path.unlink()
    if make == "pipe":
        os.mkfifo(path)
    elif make == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    with pytest.raises(ResultsError) as refused:
        load_segmentation(
            tmp_path / "results" / "sub-07_desc-lesions_probseg.nii.gz"
            if pattern != "*_dseg.json"
            else path
        )
    assert "\n" not in str(refused.value)


def test_text_without_end_is_refused_before_it_fills_the_memory(damaged, tmp_path):
    name = "sub-07_desc-lesions_dseg.json"
    with (damaged / name).open("r+b") as file:
        file.truncate(LARGEST_SIDECAR + 1)
    with pytest.raises(ResultsError, match="holds more than 16 MB"):
        load_segmentation(damaged / name)
    shutil.copy(FORMER / name, damaged / name)
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(ResultsError, match="cannot be read as JSON"):
        load_saliency(tmp_path / "deep.json")
    (tmp_path / "wide.tsv").write_bytes(b"\t" * 6_000_000)
    with pytest.raises(ValueError, match="more cells"):
        read_table(tmp_path / "wide.tsv")
    for nothing in ("/", ".", ""):
        with pytest.raises(ResultsError):
            load_saliency(nothing)


def test_a_mark_before_the_json_and_a_spreadsheets_table_are_read(damaged):
    name = "sub-07_desc-lesions_dseg"
    for ending in ("json", "tsv"):
        path = damaged / f"{name}.{ending}"
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert list(load_segmentation(damaged / f"{name}.json").lesions.index) == [1, 2, 3]
    for wrong in ("seven", "", "1e400", "7.5"):
        text = (FORMER / f"{name}.tsv").read_text().replace("\t70\t", f"\t{wrong}\t")
        (damaged / f"{name}.tsv").write_text(text)
        with pytest.raises(ResultsError, match="is no table of these lesions any more"):
            load_segmentation(damaged / f"{name}.json")


def test_a_result_of_another_kind_is_called_what_it_is(written):
    labels = FORMER / "sub-07_desc-lesions_dseg.nii.gz"
    for read in (load_saliency, load_explained, result_of):
        with pytest.raises(ResultsError, match="belongs to a segmentation, where a saliency map"):
            read(labels)
    footprint = next(written.glob("*footprint_mask.nii.gz"))
    with pytest.raises(ResultsError, match="belongs to a saliency map, where a segmentation was"):
        load_segmentation(footprint)


def test_a_sidecar_of_another_result_is_not_believed(written, tmp_path):
    case = Case(("FLAIR", "T1"), np.zeros((2, *SHAPE), np.float32), np.eye(4), subject="07")
    save_saliency(written, a_map(case, 1), case=case, lesion=6, flat=True)
    three, six = (
        next(folder.glob(f"*seq-FLAIR_lesion-00{number}*_saliency.json"))
        for folder, number in ((written, 3), (written, 6))
    )
    kept = six.read_bytes()
    shutil.copy(three, six)
    for read in (load_saliency, load_explained, result_of):
        for path in (six, six.with_suffix(".nii.gz")):
            with pytest.raises(ResultsError, match=f"describes {three.stem}"):
                read(path)
    six.write_bytes(kept)
    assert load_explained(six).subject == "lesion 6"

    labels = FORMER / "sub-07_desc-lesions_dseg.json"
    shutil.copy(labels, other := tmp_path / "sub-08_desc-lesions_dseg.json")
    with pytest.raises(ResultsError, match=f"describes {labels.stem}"):
        load_segmentation(other)
