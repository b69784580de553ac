"""Programs that really die, at each of the moments at which a set of files changes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from nibabel.affines import from_matvec
from saved_maps import SHAPE, a_map

from napari_ies.errors import ResultsError
from napari_ies.patient.case import Case
from napari_ies.results import load_saliency, save_saliency
from napari_ies.results.storage import staging
from napari_ies.results.storage.staging import finish_leftovers
from napari_ies.results.storage.writing import prepare, text_writer, write

if TYPE_CHECKING:
    from napari_ies.saliency.saliency import Saliency

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")

KILLED = 9


@pytest.fixture
def case() -> Case:
    data = np.random.default_rng(0).normal(size=(2, *SHAPE)).astype(np.float32)
    affine = from_matvec(np.diag([-1.0, 1.0, 2.0]), [3, -4, 5])
    return Case(("FLAIR", "T1"), data, affine, subject="07", sha256=("a" * 64, "b" * 64))


def same(one: Saliency, other: Saliency) -> bool:
    errors = one.cropped_standard_error, other.cropped_standard_error
    return (
        one.request == other.request
        and np.array_equal(one.cropped, other.cropped)
        and (errors[0] is None) == (errors[1] is None)
        and (errors[0] is None or np.array_equal(*errors))
    )


def test_each_file_is_on_the_disk_before_any_appears(tmp_path, monkeypatch):
    flushed = []

    def flush(descriptor):
        flushed.append((os.fstat(descriptor).st_ino, [*tmp_path.glob("[!.]*")]))

    monkeypatch.setattr(os, "fsync", flush)
    names = [f"{letter}.txt" for letter in "abc"]
    write(tmp_path, {name: text_writer(name) for name in names})
    assert {path.name for path in tmp_path.iterdir()} == {*names}
    there = {inode: seen for inode, seen in flushed if not seen}
    assert {(tmp_path / name).stat().st_ino for name in names} <= there.keys()


def read_or_refused(path: Path) -> Saliency | None:
    try:
        return load_saliency(path)
    except ResultsError:
        return None


def contents(folder: Path) -> frozenset[tuple[str, bytes]]:
    return frozenset((path.name, path.read_bytes()) for path in folder.iterdir())


def some(anat: Path) -> list[Path]:
    """Return the sidecars of a map, of its standard error if it has one, and of a table."""
    return [
        path
        for pattern in ("*T1*mean_saliency.json", "*T1*standarderror*.json", "*_measures.json")
        for path in anat.glob(pattern)
    ]


def forked(work, before_change) -> int:
    """Do work in another process, and something before each change of a name; how it ended."""
    child = os.fork()
    if child == 0:

        def observed(function):
            def changing(*args, **kwargs):
                before_change()
                return function(*args, **kwargs)

            return changing

        Path.replace, Path.unlink = observed(Path.replace), observed(Path.unlink)
        os.unlink, os.rmdir = observed(os.unlink), observed(os.rmdir)
        staging._put_json = observed(staging._put_json)
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed(work, moment: int) -> bool:
    """Do work in a process that dies before its n-th change of a name; whether it came to it."""
    left = moment

    def count() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os._exit(KILLED)

    return forked(work, count) == KILLED


def moments(work, fresh, place: Path):
    """Yield after each death, with the place as it is then; `fresh` makes what is there before.

    The work is done once, by a process that copies the place before each change of a name. At the
    first, a middle and the last one it really dies, and leaves what the copy holds.
    """
    copies = place.with_name("copies")
    copies.mkdir()

    def copy() -> None:
        to = copies / f"{len(list(copies.iterdir())):03d}"
        shutil.copytree(place, to) if place.exists() else to.mkdir()

    fresh()
    assert forked(work, copy) == 0
    left = sorted(copies.iterdir())
    for moment, one in enumerate(left, 1):
        shutil.rmtree(place, ignore_errors=True)
        if moment in (1, len(left) // 2, len(left)):
            fresh()
            assert killed(work, moment)
            assert everything(place) == everything(one)
        else:
            one.rename(place)
        yield moment


def everything(folder: Path) -> list[tuple[str, bytes]]:
    """Return the files of a folder, but for what names the process that wrote them."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted((one.name, one.read_bytes()) for one in files if one.name != staging.WRITER)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize("hashes", [True, False], ids=["of today", "of before hashes"])
def test_killed_at_any_moment_the_former_or_the_new_map_is_read(tmp_path, case, hashes):
    """Overwritten by one without standard errors, so that files are removed too."""
    before, after = a_map(case, 1), a_map(case, 2, errors=False)
    model, place = tmp_path / "model", tmp_path / "out"
    save_saliency(model, before, case=case, lesion=3)
    if not hashes:
        for path in model.rglob("*.json"):
            content = json.loads(path.read_text())
            content.pop("SHA256", None)
            path.write_text(json.dumps(content))

    def fresh():
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(model, place)

    def work():
        save_saliency(place, after, case=case, lesion=3, overwrite=True)

    seen, refused, known = [], 0, {}
    for _ in moments(work, fresh, place):
        anat = place / "sub-07" / "anat"
        # As a reader that cannot finish the step sees it: whole, or refused.
        for path in some(anat):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(staging, "_host", lambda: "another computer")
                read = read_or_refused(path)
            refused += read is None
            assert read is None or same(read, before) or same(read, after)
        read = load_saliency(next(anat.glob("*footprint*.json")))
        assert same(read, before) or same(read, after)
        prepare(anat, [])
        assert not [name for name in names(anat) if name.startswith(staging.STAGING_PREFIX)]
        there = contents(anat)
        if there not in known:  # the same files are read the same
            settled = load_saliency(next(anat.glob("*footprint*.json")))
            assert same(settled, before) or same(settled, after)
            assert all(same(load_saliency(path), settled) for path in some(anat))
            known[there] = same(settled, after)
        seen.append(known[there])
    assert len(seen) > 20
    assert refused
    assert seen == sorted(seen)
    assert set(seen) == {False, True}


@pytest.mark.slow
def test_killed_at_any_moment_of_a_first_write_there_is_all_or_nothing(tmp_path, case):
    place = tmp_path / "out"

    def work():
        save_saliency(place, a_map(case, 1, errors=False), case=case, lesion=3)

    found = {}
    for _ in moments(work, lambda: shutil.rmtree(place, ignore_errors=True), place):
        anat = place / "sub-07" / "anat"
        finish_leftovers(anat)
        there = contents(anat)
        if there not in found:  # the same files are read the same
            files = sorted(anat.iterdir())
            assert all(same(load_saliency(path), a_map(case, 1, errors=False)) for path in files)
            found[there] = len(files)
    assert {*found.values()} == {0, 10}


def stopped(folder: Path, at: str, **files: str) -> Path:
    """Return the folder that a writer left which died at a call of a function."""
    child = os.fork()
    if child == 0:
        setattr(staging.Staging, at, lambda *_: os._exit(KILLED))
        write(folder, {name: text_writer(text) for name, text in files.items()})
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == KILLED
    return next(folder.glob(".napari-ies-*"))


def test_what_a_person_changed_since_is_not_replaced(tmp_path, caplog):
    for name in ("a", "b"):
        (tmp_path / name).write_text("former")
    left = stopped(tmp_path, "_move", a="new a", b="new b")
    (tmp_path / "b").write_text("annotated by hand")

    finish_leftovers(tmp_path)

    assert (tmp_path / "a").read_text() == "former"
    assert (tmp_path / "b").read_text() == "annotated by hand"
    assert (left / "a").read_text() == "new a"
    assert "b was changed after the program" in caplog.text
    (tmp_path / "b").write_text("former")
    finish_leftovers(tmp_path)
    assert [(tmp_path / name).read_text() for name in ("a", "b")] == ["new a", "new b"]
    assert names(tmp_path) == {"a", "b"}


def test_what_is_not_the_programs_stays(tmp_path):
    """A note of a person, a link, a copy from elsewhere, a folder of that name."""
    left = stopped(tmp_path, "publish", a="half")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "a").write_text("a person's")
    own = tmp_path / ".napari-ies-mine"
    own.mkdir()
    (own / "a").write_text("a person's")
    (tmp_path / ".napari-ies-link").symlink_to(elsewhere)

    def stays() -> bool:
        finish_leftovers(tmp_path)
        finish_leftovers(elsewhere)
        return left.exists() and (own / "a").exists() and (elsewhere / "a").exists()

    (left / "notes.txt").write_text("a person's")
    assert stays()
    (left / "notes.txt").unlink()
    (left / "a").unlink()
    (left / "a").symlink_to(elsewhere / "a")
    assert stays()
    (left / "a").unlink()
    os.link(elsewhere / "a", left / "a")
    assert stays()
    (left / "a").unlink()
    record = json.loads((left / staging.WRITER).read_text())
    for wrong in ({"Host": "another"}, {"Files": ["../elsewhere/a"]}, {"Files": "a"}):
        (left / staging.WRITER).write_text(json.dumps(record | wrong))
        assert stays()
    for text in ("", "[]", "null", "{", "[" * 100000):
        (left / staging.WRITER).write_text(text)
        assert stays()
    (left / staging.WRITER).write_text(json.dumps(record))
    finish_leftovers(tmp_path)
    assert not left.exists()


def test_a_journal_of_somebody_else_moves_and_removes_nothing(tmp_path):
    left = stopped(tmp_path, "_move", a="new a", b="new b")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    journal = json.loads((left / staging.JOURNAL).read_text())
    (tmp_path / "image").write_text("a person's")
    outside = tmp_path.parent / "outside"
    outside.write_text("a person's")
    digest = staging._state(outside)
    for wrong in (
        {"Obsolete": {"../outside": digest}},
        {"Obsolete": {"/outside": digest}},
        {"Obsolete": {"image": "0" * 64}},
        {"Obsolete": [1]},
        {"Moves": journal["Moves"] | {"../outside": {"SHA256": digest, "Replaces": digest}}},
        {"Moves": {"a": journal["Moves"]["a"]}},
        {"Moves": {name: {"SHA256": "0" * 64, "Replaces": None} for name in ("a", "b")}},
        {"Moves": {"a": 1, "b": None}},
    ):
        (left / staging.JOURNAL).write_text(json.dumps(journal | wrong))
        finish_leftovers(tmp_path)
        now = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        changed = {left / staging.JOURNAL, tmp_path / "image"}
        assert {k: v for k, v in now.items() if k not in changed} == {
            k: v for k, v in before.items() if k not in changed
        }
        assert (tmp_path / "image").read_text() == outside.read_text() == "a person's"


def test_what_a_living_writer_is_writing_stays(tmp_path):
    with staging.staged(tmp_path, ["a"]) as writing:
        (writing.folder / "a").write_text("half")
        finish_leftovers(tmp_path)
        assert (writing.folder / "a").read_text() == "half"
        (writing.folder / "a").write_text("whole")
        writing.publish()
    assert names(tmp_path) == {"a"}
    assert (tmp_path / "a").read_text() == "whole"


def test_ctrl_c_between_two_moves_leaves_the_new_files_whole(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).write_text("former")
    replace, calls = Path.replace, []

    def interrupted(self, target):
        calls.append(self)
        if len(calls) == 3:  # the journal, one file, and now the other
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, {"a": text_writer("new"), "b": text_writer("new")})
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "new", "b": "new"}


def test_a_disk_that_refuses_between_two_moves_is_told_and_finished_later(
    tmp_path, case, monkeypatch
):
    before, after = a_map(case, 1), a_map(case, 2)
    first, *_ = save_saliency(tmp_path, before, case=case, lesion=3)
    replace, calls = Path.replace, []

    def refusing(self, target):
        calls.append(self)
        if len(calls) > 9:
            raise OSError(5, "Input/output error")
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refusing)
        with pytest.raises(ResultsError, match="Input/output error"):
            save_saliency(tmp_path, after, case=case, lesion=3, overwrite=True)
    assert same(load_saliency(first), after)


def test_a_map_beside_the_sidecar_of_another_is_refused(tmp_path, case):
    """What a copy that was cut short makes: no journal is there to finish it."""
    first, *_ = save_saliency(tmp_path / "a", a_map(case, 1), case=case, lesion=3)
    others = save_saliency(tmp_path / "b", a_map(case, 2), case=case, lesion=3)
    for other in others[:4]:  # the footprint is the same
        kept = first.with_name(other.name).read_bytes()
        shutil.copy(other, first.with_name(other.name))
        with pytest.raises(ResultsError, match=rf"{other.name} is not the file that .* describes"):
            load_saliency(first)
        first.with_name(other.name).write_bytes(kept)
    assert same(load_saliency(first), a_map(case, 1))
    # A sidecar that names hashes, but not that of a file it names.
    sidecar = first.with_name(first.name.replace(".nii.gz", ".json"))
    content = json.loads(sidecar.read_text())
    del content["SHA256"][others[4].name]
    sidecar.write_text(json.dumps(content))
    with pytest.raises(ResultsError, match="without the SHA-256 of the others"):
        load_saliency(first)


def test_each_sidecar_names_the_hash_of_every_file(tmp_path, case):
    paths = save_saliency(tmp_path, a_map(case, 1), case=case, lesion=3)
    expected = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    assert len(expected) == 7
    for path in paths:
        sidecar = path.with_name(path.name.partition(".")[0] + ".json")
        assert json.loads(sidecar.read_text())["SHA256"] == expected


def test_names_and_folders_that_cannot_be_are_refused_before_anything_is_computed(
    tmp_path, case, monkeypatch
):
    with pytest.raises(ResultsError, match="has 300 letters, and names of files have 255 at most"):
        prepare(tmp_path, ["sub/" + "x" * 300])
    (tmp_path / "sub-07").write_text("a file")
    with pytest.raises(ResultsError, match="cannot be written"):
        prepare(tmp_path, ["sub-07/anat/a.nii.gz"])
    with pytest.raises(ResultsError, match="cannot be the name of a folder"):
        prepare("a\0b", [])
    long = dataclasses.replace(case, subject="p" * 240)
    with pytest.raises(ResultsError, match="give the patient, the sequence or the region"):
        save_saliency(tmp_path / "out", a_map(long, 1), case=long, lesion=3)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_ies.results.storage.writing.tempfile.TemporaryFile", full)
    with pytest.raises(ResultsError, match="No space left on device"):
        prepare(tmp_path / "new", ["a"])
