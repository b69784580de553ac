"""Whatever a ``session.json`` or a folder beside it holds: a sentence, or a whole session."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import math
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import nibabel as nib
import numpy as np
import pandas as pd
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from saved_maps import newest_session

from napari_ies import load_checkpoint
from napari_ies.errors import CaseError, ResultsError
from napari_ies.patient.images.volume import read_volume
from napari_ies.patient.loading import load_case
from napari_ies.results.session import (
    SESSION_FILE,
    Session,
    SessionGoneError,
    SessionWriter,
    load_session,
    load_session_progressively,
    next_session_folder,
    read_summary,
    search,
    sessions_in,
)
from napari_ies.results.session.record import RequestEntry
from napari_ies.results.session.schema import published_schema
from napari_ies.saliency import request as requests
from napari_ies.saliency.request import SaliencyRequest
from napari_ies.saliency.saliency import Saliency
from napari_ies.segmentation.segmentation import segment

PUBLISHED = Path(__file__).parents[3] / "docs" / "session.schema.json"


def a_map(case, number=0):
    box = (slice(3, 9), slice(5, 12), slice(2, 8))
    values = np.random.default_rng(number).normal(size=(2, 6, 7, 6)).astype(np.float32)
    return Saliency(
        request=SaliencyRequest(n_samples=4),
        sequences=case.sequences,
        shape=case.shape,
        affine=case.affine,
        box=box,
        cropped=values,
        cropped_standard_error=None,
        footprint=values[0] > 1,
        n_used=4,
        provenance={"device": "CPU"},
    )


@pytest.fixture(scope="module")
def kept(small, tmp_path_factory):
    """A patient's folder with a session that holds some of everything; not to be changed."""
    home = tmp_path_factory.mktemp("kept") / "sub-07"
    home.mkdir()
    images = {name: Path(shutil.copy(path, home)) for name, path in small.images.items()}
    case, model = load_case(images), load_checkpoint(small.checkpoint, device="cpu")
    writer = SessionWriter.begin(
        home / "napari-ies" / "sub-07",
        segment(model, case, smallest=3),
        case=case,
        model=model,
        reference=small.reference,
    )
    region = np.zeros(case.shape, dtype=bool)
    region[4:6, 5:9, 3] = True
    writer.set_regions({"rim": region})
    writer.add_map(1, a_map(case, 1), model)
    writer.add_map("rim", a_map(case, 2), model)
    steps = pd.DataFrame({"step": [0, 1]}, index=pd.Index(["1", "1"], name="lesion"))
    writer.add_context(1, SimpleNamespace(table=steps, content={"Threshold": 0.5}), model)
    writer.set_notes({1: "dark rim", "rim": "pale"})
    writer.set_view(SaliencyRequest(), 1)
    return home


@pytest.fixture
def home(kept, tmp_path):
    """A copy that a test may change, beside something of the person's own."""
    (tmp_path / "mine.txt").write_text("mine")
    home = Path(shutil.copytree(kept, tmp_path / "sub-07", symlinks=True))
    path = session_of(home) / SESSION_FILE
    path.write_text(path.read_text().replace(str(kept), str(home)))
    return home


def session_of(home: Path) -> Path:
    return home / "napari-ies" / "sub-07"


def everything(folder: Path) -> dict[str, str]:
    """Name all that lies in a folder, with the content of each file and the aim of each link."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"-> {os.readlink(path)}"  # noqa: PTH115 - as it is written
        elif path.is_file():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            found[name] = "folder"
    return found


def whole(session: Session) -> bool:
    """Whether all that a panel shows of a session at once is there."""
    labels = {int(label) for label in session.segmentation.lesions.index}
    return (
        isinstance(session, Session)
        and labels == set(np.unique(session.segmentation.labels).tolist()) - {0}
        and all(one.subject in {*labels, *session.regions} for one in session.maps)
        and session.text.endswith(".")
        and len(session.load_case().sequences) == len(session.images)
    )


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to each value of a JSON, the outer ones too."""
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [path] * bool(path) + [at for key, one in inner for at in places(one, (*path, key))]


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


ODD = [
    None,
    True,
    -1,
    0,
    1.5,
    2**31,
    10**30,
    1e30,
    math.nan,
    -math.inf,
    "",
    "\ud800",
    "\0",
    "../../sub-07/FLAIR.nii.gz",
    "/dev/zero",
    "session.json",
    "x" * 3_000_000,
    [],
    {},
    {"a": 1},
    nested(200),
    "9999-12-31T23:59:59-23:59",
]


def changed(content: Any, way: tuple[Any, ...], value: Any) -> Any:
    content = copy.deepcopy(content)
    *outer, last = way
    part = content
    for key in outer:
        part = part[key]
    part[last] = value
    return content


@pytest.fixture(scope="module")
def odd_home(kept, tmp_path_factory):
    """A copy of which each example changes ``session.json`` alone."""
    return shutil.copytree(kept, tmp_path_factory.mktemp("odd") / "sub-07")


@pytest.mark.slow
def test_any_value_of_a_session_may_be_odd(kept, odd_home):
    folder, good = session_of(odd_home), session_of(kept) / SESSION_FILE
    content = json.loads(good.read_text())
    ways = places(content)
    outcomes = []

    @settings(derandomize=True, deadline=None, max_examples=200)
    @given(st.sampled_from(ways), st.sampled_from(ODD))
    def opens_whole_or_says_why(way, value):
        (folder / SESSION_FILE).write_text(json.dumps(changed(content, way, value)))
        before = everything(odd_home)
        try:
            session = load_session(folder)
        except ResultsError as error:
            text = str(error)
            assert text.endswith(".")
            assert "\n" not in text
            assert len(text) < 1000
            assert str(folder) in text
            outcomes.append(False)
        else:
            assert whole(session)
            # And going on with it changes nothing but session.json, whatever it is said to name.
            writer = SessionWriter.resume(session, session.load_case())
            writer.drop_maps(range(len(session.record.maps)))
            outcomes.append(True)
        after = everything(odd_home)
        for one in (before, after):
            del one["napari-ies/sub-07/session.json"]
        assert after == before

    opens_whole_or_says_why()
    assert len(set(outcomes)) == 2


def test_what_a_hostile_session_names_stays_also_through_links(home, tmp_path, small):
    folder = session_of(home)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "thesis.docx").write_text("mine")
    # A file that is a link, a second name of a file, and a folder of sessions that is a link.
    (folder / "linked.nii.gz").symlink_to(elsewhere / "thesis.docx")
    os.link(elsewhere / "thesis.docx", folder / "second.nii.gz")
    (folder / "plain.txt").write_text("mine")
    (home / "napari-ies" / "sub-99").symlink_to(elsewhere)
    content = json.loads((folder / SESSION_FILE).read_text())
    named = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.name != SESSION_FILE
    }
    content["Obsolete"] = named
    content["Maps"][0]["Files"] = named
    content["Regions"][0].update(File="plain.txt", SHA256=named["plain.txt"])
    (folder / SESSION_FILE).write_text(json.dumps(content))
    shutil.copy(folder / SESSION_FILE, elsewhere)
    before = everything(tmp_path)

    for place in (folder, home / "napari-ies" / "sub-99"):
        try:
            session = load_session(place)
        except ResultsError:
            continue
        case = session.load_case()
        writer = SessionWriter.resume(session, case)
        writer.drop_maps([0, 1])
        writer.set_regions({"other": case.data[0] > 100})
        writer.set_regions({})
        model = load_checkpoint(small.checkpoint, device="cpu")
        writer.add_map(1, a_map(case), model)
        writer.drop_maps([0])
    after = everything(tmp_path)
    for one in (before, after):
        del one["sub-07/napari-ies/sub-07/session.json"]
    assert after == before


def test_a_file_written_just_now_stays_if_it_was_changed_linked_or_given_a_second_name(
    home, small, tmp_path
):
    session = load_session(session_of(home))
    case, model = session.load_case(), load_checkpoint(small.checkpoint, device="cpu")
    writer = SessionWriter.resume(session, case)
    before = everything(tmp_path)
    writer.add_map(2, a_map(case, 3), model)
    written = sorted(set(everything(tmp_path)) - set(before))
    edited, linked, twice = (tmp_path / name for name in written[:3])
    edited.write_bytes(b"my own values")
    content = linked.read_bytes()
    linked.unlink()
    (tmp_path / "aim").write_bytes(content)
    linked.symlink_to(tmp_path / "aim")
    os.link(twice, tmp_path / "second name")
    writer.drop_maps([2])
    left = set(everything(tmp_path)) - set(before)
    assert left == {*written, "aim", "second name"}
    assert edited.read_bytes() == b"my own values"
    assert (tmp_path / "aim").read_bytes() == content
    again = load_session(session_of(home))
    assert set(again.unused) == {Path(name).name for name in written}
    assert set(again.annotated) == {edited.name, linked.name, twice.name}


@pytest.mark.slow
@pytest.mark.parametrize("which", [0, 1, -1])
def test_the_files_of_a_former_map_stay_together_if_one_is_kept_and_are_listed(home, small, which):
    session = load_session(session_of(home))
    case, model = session.load_case(), load_checkpoint(small.checkpoint, device="cpu")
    writer = SessionWriter.resume(session, case)
    writer.set_regions({"rim": session.regions["rim"], "core": session.regions["rim"]})
    writer.add_map("core", a_map(case, 3), model)
    writer.add_map("core", a_map(case, 4), model)
    first, second = writer.record.maps[-2:]
    (mask,) = [one.file for one in writer.record.regions if one.name == "core"]
    kept = writer.folder / list(first.files)[which]
    os.link(kept, home / "my copy")
    writer.drop_maps([2, 3])
    writer.set_regions({"rim": session.regions["rim"]})
    there = set(everything(writer.folder))
    assert there >= set(first.files)
    assert not there & {*second.files, mask}
    content = json.loads((writer.folder / SESSION_FILE).read_text())
    assert content["Obsolete"] == dict(first.files)
    again = load_session(writer.folder)
    assert set(again.unused) == set(first.files)
    assert again.annotated == (kept.name,)
    # Removed by hand, their names may be taken again, and then count.
    for name in first.files:
        (writer.folder / name).unlink()
    writer.add_map("core", a_map(case, 5), model)
    assert set(writer.record.maps[-1].files) == set(first.files)
    assert load_session(writer.folder).unused == ()
    writer.drop_maps([2])
    assert not writer.record.obsolete


@pytest.mark.parametrize("name", ["rim " * 200, "ИШЕМИЯ " * 100, "a" * 1000])
def test_regions_of_very_long_names_are_kept_apart(home, small, name):
    session = load_session(session_of(home))
    case, model = session.load_case(), load_checkpoint(small.checkpoint, device="cpu")
    writer = SessionWriter.resume(session, case)
    region = session.regions["rim"]
    names = [name, f"{name[:-1]}2"]
    writer.set_regions({"rim": region, names[0]: region, names[1]: ~region})
    for number, one in enumerate(names):
        writer.add_map(one, a_map(case, number), model)
    again = load_session(writer.folder)
    assert not again.problems
    assert list(again.regions) == ["rim", *names]
    np.testing.assert_array_equal(again.regions[names[1]], ~region)
    assert [one.subject for one in again.maps[2:]] == names
    assert again.maps[2].path.name != again.maps[3].path.name
    assert all(len(file) < 160 for file in everything(writer.folder))


def test_nothing_is_removed_from_a_folder_that_was_replaced_by_a_link(home, small, tmp_path):
    folder = session_of(home)
    session = load_session(folder)
    case, model = session.load_case(), load_checkpoint(small.checkpoint, device="cpu")
    writer = SessionWriter.resume(session, case)
    writer.add_map(2, a_map(case, 3), model)
    shutil.move(folder, tmp_path / "archive")
    folder.symlink_to(tmp_path / "archive")
    before = everything(tmp_path / "archive")
    writer.drop_maps([2])
    after = everything(tmp_path / "archive")
    assert set(after) == set(before)


def test_the_files_of_an_earlier_day_stay_and_are_named(home):
    folder = session_of(home)
    before = everything(folder)
    session = load_session(folder)
    assert session.unused == ()
    SessionWriter.resume(session, session.load_case()).drop_maps([0])
    assert set(everything(folder)) == set(before)
    again = load_session(folder)
    assert [one.subject for one in again.maps] == ["rim"]
    assert set(again.unused) == set(session.record.maps[0].files)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a pipe with a name")
def test_each_session_is_read_apart_from_its_neighbours(home):
    root = home / "napari-ies"
    record = read_summary(root / "sub-07").record
    digests = {one.sequence: one.file.sha256 for one in record.images}
    checkpoint = record.checkpoints[0].file.sha256
    content = (root / "sub-07" / SESSION_FILE).read_text()
    bad = {
        "sub-a": b"{",
        "sub-b": b"[" * 100_000,
        "sub-c": json.dumps({**json.loads(content), "Saved": [1]}).encode(),
        "sub-d": b"\xff\xfe",
        "sub-e": content.replace('"n_samples": 4', '"n_samples": 1e30').encode(),
    }
    for name, raw in bad.items():
        (root / name).mkdir()
        (root / name / SESSION_FILE).write_bytes(raw)
    (root / "sub-f").mkdir()
    os.mkfifo(root / "sub-f" / SESSION_FILE)
    (root / "sub-g").mkdir()
    (root / "sub-g" / SESSION_FILE).symlink_to("/dev/zero")
    (root / "sub-h").mkdir()
    (root / "sub-h" / SESSION_FILE).symlink_to(SESSION_FILE)
    (root / "sub-i" / SESSION_FILE).mkdir(parents=True)
    before = everything(home)
    found = newest_session(root, digests, checkpoint)
    assert found.folder == root / "sub-07"
    sessions, problems = sessions_in(root)
    assert [one.folder.name for one in sessions] == ["sub-07"]
    assert len(problems) == 9
    for name, text in zip("abcdefghi", problems, strict=True):
        assert f"sub-{name}" in text
        assert text.endswith(".")
    assert everything(home) == before
    assert next_session_folder(root, "07") == root / "sub-07_2"


def test_a_session_that_was_removed_is_said_to_be_gone(home):
    session = load_session(session_of(home))
    writer = SessionWriter.resume(session, session.load_case())
    assert not writer.gone
    shutil.rmtree(session.folder)
    assert writer.gone
    with pytest.raises(SessionGoneError, match="removed or moved away"):
        writer.set_notes({1: "x"})
    assert not session.folder.exists()


def test_what_lies_in_a_folder_is_not_written_over_and_a_beginning_that_fails_leaves_it(
    home, small, tmp_path
):
    case = dataclasses.replace(load_case(small.images), paths=(), sha256=())
    model = load_checkpoint(small.checkpoint, device="cpu")
    marked = load_session(session_of(home)).segmentation
    folder = tmp_path / "new"
    folder.mkdir()
    mine = folder / f"sub-{case.subject}_seq-T1_image.nii.gz"
    mine.write_bytes(b"mine")
    with pytest.raises(ResultsError, match="is there already"):
        SessionWriter.begin(folder, marked, case=case, model=model)
    assert list(folder.iterdir()) == [mine]
    assert mine.read_bytes() == b"mine"


def test_a_reference_that_changed_between_reading_and_the_first_work_is_not_taken_for_it(
    home, small, tmp_path
):
    case, model = load_case(small.images), load_checkpoint(small.checkpoint, device="cpu")
    marked = load_session(session_of(home)).segmentation
    reference = Path(shutil.copy(small.reference, tmp_path / "mask.nii.gz"))
    read = hashlib.sha256(reference.read_bytes()).hexdigest()
    reference.write_bytes(reference.read_bytes() + b"later")
    SessionWriter.begin(
        tmp_path / "new",
        marked,
        case=case,
        model=model,
        reference=reference,
        reference_sha256=read,
    )
    session = load_session(tmp_path / "new")
    assert session.reference is None
    assert any("mask.nii.gz has changed" in problem for problem in session.problems)


def test_regions_whose_record_cannot_be_written_leave_no_file(home, monkeypatch):
    from napari_ies.results.session import writing

    session = load_session(session_of(home))
    case = session.load_case()
    writer = SessionWriter.resume(session, case)
    before = everything(home)
    real = writing.write

    def refuse(folder, files):
        if SESSION_FILE in files:
            raise ResultsError("No space left.")
        return real(folder, files)

    monkeypatch.setattr(writing, "write", refuse)
    with pytest.raises(ResultsError, match="No space left"):
        writer.set_regions({"new": case.data[0] > 100})
    assert everything(home) == before


def test_where_the_next_session_will_lie_is_told_without_writing(tmp_path):
    root = tmp_path / "a" / "b"
    assert next_session_folder(root, "07", "2") == root / "sub-07_ses-2"
    (tmp_path / "file").write_text("")
    assert next_session_folder(tmp_path / "file" / "napari-ies", "07") is None
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("kind", ["*dseg.nii.gz", "*probseg.nii.gz", "*dseg.tsv", "*dseg.json"])
def test_lesions_that_cannot_be_read_are_said_with_the_place_of_their_session(home, kind):
    (file,) = session_of(home).glob(kind)
    file.write_bytes(b"something else")
    with pytest.raises(ResultsError) as caught:
        load_session(session_of(home))
    text = str(caught.value)
    assert str(session_of(home)) in text
    assert file.name in text
    assert text.endswith(".")


@pytest.mark.parametrize("index", [10**9, -1, 1e400, "1e30"])
def test_a_class_that_no_network_has_takes_no_memory(home, index):
    (sidecar,) = session_of(home).glob("*dseg.json")
    content = json.loads(sidecar.read_text())
    content["Class"]["Index"] = index
    del content["Checkpoint"]["Classes"]  # as earlier versions wrote it
    sidecar.write_text(json.dumps(content))
    with pytest.raises(ResultsError, match=r"dseg\.json") as caught:
        load_session(session_of(home)).absent_model()
    assert str(caught.value).endswith(".")


def test_an_image_is_read_once_and_what_was_checked_is_what_is_used(home, monkeypatch):
    from napari_ies import regular_files

    opened, open_one = [], regular_files.os.open

    def counted(path, *args, **kwargs):
        opened.append(Path(path).name)
        return open_one(path, *args, **kwargs)

    monkeypatch.setattr(regular_files.os, "open", counted)
    before = load_case({"FLAIR": home / "FLAIR.nii.gz"}).data[0]
    opened.clear()
    session = load_session(session_of(home))
    image = nib.load(home / "FLAIR.nii.gz")
    other = nib.Nifti1Image(np.asarray(image.dataobj) + 1, image.affine)
    nib.save(other, home / "FLAIR.nii.gz")
    np.testing.assert_array_equal(session.load_case().data[0], before)
    assert [opened.count(f"{name}.nii.gz") for name in ("FLAIR", "T1")] == [1, 1]


def test_an_image_too_large_to_keep_is_not_taken_for_another_either(home, monkeypatch):
    monkeypatch.setattr(search, "MOST_KEPT", 10)
    assert load_session(session_of(home)).complete

    def changed(path, **options):
        Path(path).write_bytes((home / "T1.nii.gz").read_bytes())
        return read_volume(path, **options)

    monkeypatch.setattr(search, "read_volume", changed)
    with pytest.raises(CaseError, match=r"FLAIR\.nii\.gz was changed while"):
        load_session(session_of(home))


@pytest.mark.slow
def test_opening_can_be_given_up_within_a_file(home):
    with (home / "FLAIR.nii.gz").open("ab") as file:
        file.truncate(10**13)  # ten terabytes that take no place, and hours to read
    reports = load_session_progressively(session_of(home))
    steps = [next(reports).step for _ in range(4)]
    assert steps == ["Opening the session", *["Checking FLAIR.nii.gz"] * 3]
    reports.close()


def test_the_published_schema_is_what_is_checked(kept):
    published = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    # Before 2.10 pydantic wrote a fixed value twice, as "const" and as "enum".
    if tuple(map(int, pydantic.VERSION.split(".")[:2])) >= (2, 10):
        outdated = "write published_schema() to docs/session.schema.json"
        assert published == published_schema(), outdated
    jsonschema = pytest.importorskip(
        "jsonschema", reason="napari brings it; the published schema is checked by it"
    )
    content = json.loads((session_of(kept) / SESSION_FILE).read_text())
    jsonschema.validate(content, published)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**content, "Notes": 1}, published)


def test_every_setting_of_a_map_can_be_kept():
    assert set(RequestEntry.model_fields) == {
        one.name for one in dataclasses.fields(SaliencyRequest)
    }
    # Where none is named there was but one definition of the noise.
    assert RequestEntry().request() == SaliencyRequest(noise_version=1)
    assert RequestEntry(noise_version=2).request() == SaliencyRequest()
    gradcam = RequestEntry(method="gradcam++").request()
    assert gradcam == SaliencyRequest(method="gradcam++")
    for name, words in (
        ("method", requests.METHODS),
        ("aggregation", requests.AGGREGATIONS),
        ("forward", requests.FORWARDS),
        ("precision", requests.PRECISIONS),
    ):
        assert get_args(RequestEntry.model_fields[name].annotation) == words


def test_what_could_not_be_read_back_is_not_written(home):
    session = load_session(session_of(home))
    writer = SessionWriter.resume(session, session.load_case())
    before = everything(home)
    with pytest.raises(ResultsError, match="Notes, entry 1, Text is the text"):
        writer.set_notes({1: "a\ud800"})
    with pytest.raises(ResultsError, match="Notes, entry 1, Subject is -1"):
        writer.set_notes({-1: "a"})
    assert everything(home) == before
    writer.set_notes({1: "a"})
    assert load_session(session.folder).notes == {1: "a"}


def rewritten_labels(home: Path, change) -> Path:
    """Save the image of lesions as another program would; return its path."""
    path = next(session_of(home).glob("*dseg.nii.gz"))
    image = nib.load(path)
    data, affine = change(np.asarray(image.dataobj).copy(), image.affine)
    nib.save(nib.Nifti1Image(data, affine), path)
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32, np.int32])
def test_lesions_corrected_by_hand_are_shown_whatever_type_they_were_saved_in(home, dtype):
    def smaller(data, affine):
        data[tuple(np.argwhere(data == 1)[0])] = 0
        return data.astype(dtype), affine

    before = load_session(session_of(home)).segmentation.labels
    path = rewritten_labels(home, smaller)
    session = load_session(session_of(home))
    expected = before.copy()
    expected[tuple(np.argwhere(before == 1)[0])] = 0
    np.testing.assert_array_equal(session.segmentation.labels, expected)
    assert session.segmentation.labels.dtype == np.int32
    assert any(path.name in one and "as this file has them" in one for one in session.problems)
    count = np.count_nonzero(before == 1)
    said = f"Lesion 1 has {count - 1} voxels now, the table says {count}"
    assert any(said in one for one in session.problems)


def mirrored(data, affine):
    """Store the first axis the other way round: the same image, elsewhere in the array."""
    flip = np.diag([-1.0, 1, 1, 1])
    flip[0, 3] = len(data) - 1
    return data[::-1].astype(np.int16), affine @ flip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (mirrored, "does not lie on the voxels"),
        (lambda data, affine: (data[1:].astype(np.int16), affine), "does not lie on the voxels"),
        (lambda data, affine: (data * np.float32(0.5), affine), "values that are no labels"),
        (lambda data, affine: (data * np.float32(np.nan), affine), "values that are no labels"),
    ],
)
def test_lesions_saved_elsewhere_or_as_something_else_are_named(home, change, message):
    rewritten_labels(home, change)
    with pytest.raises(ResultsError, match=message):
        load_session(session_of(home))
