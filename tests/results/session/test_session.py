"""A session comes back as it was, names what changed, and survives being stopped anywhere."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import signal
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dying import explaining_without_end, sine_model
from pandas.testing import assert_frame_equal
from saved_maps import newest_session

from napari_ies import explain, with_geometry
from napari_ies.errors import CaseError, CheckpointError, ResultsError
from napari_ies.patient.case import Case  # noqa: TC001 - of annotations
from napari_ies.patient.loading import load_case
from napari_ies.results.session import (
    SESSION_FILE,
    SessionWriter,
    is_session,
    load_session,
    new_session_folder,
    read_summary,
)
from napari_ies.results.storage import images as image_files
from napari_ies.results.storage import writing
from napari_ies.saliency.request import SaliencyRequest
from napari_ies.saliency.saliency import Saliency
from napari_ies.segmentation.segmentation import Segmentation, segment


@pytest.fixture(scope="session")
def marked(small) -> Segmentation:
    return segment(small.model(), small.case(), smallest=3)


@pytest.fixture
def images(small, tmp_path) -> dict[str, Path]:
    """Copies of the images that a test may change."""
    folder = tmp_path / "sub-07"
    folder.mkdir()
    return {name: Path(shutil.copy(path, folder)) for name, path in small.images.items()}


@pytest.fixture
def checkpoint(small, tmp_path) -> Path:
    shutil.copy(small.checkpoint.with_suffix(".profile.json"), tmp_path / "unet.profile.json")
    return Path(shutil.copy(small.checkpoint, tmp_path / "unet.pth"))


@pytest.fixture(scope="session")
def loaded(small):
    return small.model()


@pytest.fixture
def model(loaded, checkpoint):
    """The network as if it were loaded from that copy of its file."""
    return dataclasses.replace(loaded, path=checkpoint)


@pytest.fixture
def begun(tmp_path, images, model, marked, small) -> SessionWriter:
    folder = tmp_path / "sub-07" / "napari-ies" / "sub-07"
    return SessionWriter.begin(
        folder, marked, case=load_case(images), model=model, reference=small.reference
    )


def a_map(case: Case, number: int = 0, **request: object) -> Saliency:
    generator = np.random.default_rng(number)
    box = (slice(3, 9), slice(5, 12), slice(2, 8))
    size = (len(case.sequences), 6, 7, 6)
    return Saliency(
        request=SaliencyRequest(n_samples=4, **request),  # type: ignore[arg-type]
        sequences=case.sequences,
        shape=case.shape,
        affine=case.affine,
        box=box,
        cropped=generator.normal(size=size).astype(np.float32),
        cropped_standard_error=np.abs(generator.normal(size=size)).astype(np.float32),
        footprint=generator.random(size[1:]) > 0.8,
        n_used=4,
        provenance={"device": "CPU"},
    )


def same(one: Saliency, other: Saliency) -> bool:
    return (
        one.request == other.request
        and one.maps.tobytes() == other.maps.tobytes()
        and one.standard_error.tobytes() == other.standard_error.tobytes()
        and one.affine.tobytes() == other.affine.tobytes()
        and np.array_equal(one.mask, other.mask)
    )


def one_sentence(text: str) -> bool:
    return text.endswith(".") and "\n" not in text and "!" not in text


def test_a_session_comes_back_as_it_was(begun, images, model, marked, checkpoint, small):
    case = load_case(images)
    region = np.zeros(case.shape, dtype=bool)
    region[4:6, 5:9, 3] = True
    maps = [a_map(case, 1), a_map(case, 2, seed=3), a_map(case, 4, aggregation="max")]
    # As explaining returns them: the class is stated that was left open when asking.
    maps = [
        dataclasses.replace(m, request=dataclasses.replace(m.request, class_index=1)) for m in maps
    ]
    asked = [dataclasses.replace(one.request, class_index=None) for one in maps]
    subjects = [3, 3, "around it"]
    begun.set_regions({"around it": region, "around-it": ~region, "ø": region})
    for subject, saliency, request in zip(subjects, maps, asked, strict=True):
        begun.add_map(subject, saliency, model, request)
    begun.set_notes({3: "dark rim, σ", 4: "", "around it": "none"})
    begun.set_verdicts({3: "agree", "around it": "unsure"})
    begun.set_view(maps[2].request, "around it")

    session = load_session(begun.folder)
    assert session.problems == session.moved == ()
    assert session.complete
    assert [one.path for one in session.images] == list(images.values())
    assert session.checkpoints[0].path == checkpoint
    assert session.reference == small.reference
    assert session.notes == {3: "dark rim, σ", "around it": "none"}
    assert session.text.endswith(f": {len(marked.lesions)} lesions, 3 maps, 2 notes, 2 verdicts.")
    assert session.verdicts == {3: "agree", "around it": "unsure"}
    assert (session.record.request, session.record.selected) == (maps[2].request, "around it")
    settings = session.record.segmentation
    assert (settings.smallest_lesion, settings.forward) == (3, marked.forward)
    assert settings.threshold == marked.threshold
    assert session.segmentation.labels.tobytes() == marked.labels.tobytes()
    assert session.segmentation.probability.tobytes() == marked.probability.tobytes()
    assert_frame_equal(session.segmentation.lesions, marked.lesions, check_exact=True)
    assert list(session.regions) == ["around it", "around-it", "ø"]
    np.testing.assert_array_equal(session.regions["around it"], region)
    np.testing.assert_array_equal(session.regions["around-it"], ~region)
    assert [one.subject for one in session.maps] == subjects
    assert [one.request for one in session.maps] == asked
    assert all(same(saved.load(), one) for saved, one in zip(session.maps, maps, strict=True))
    again = session.load_case()
    assert again.data.tobytes() == case.data.tobytes()
    assert again.sha256 == case.sha256


def test_an_opened_session_goes_on(begun, images, model):
    case = load_case(images)
    region = np.zeros(case.shape, dtype=bool)
    region[2, 3, 4] = True
    begun.add_map(1, a_map(case, 1), model)
    begun.set_regions({"a": region})
    before = set(begun.folder.iterdir())
    session = load_session(begun.folder)
    writer = SessionWriter.resume(session, session.load_case())
    writer.set_regions({"a": region})
    assert set(begun.folder.iterdir()) == before
    writer.add_map(1, a_map(case, 2), model)
    writer.set_regions({"a": ~region})
    session = load_session(begun.folder)
    assert [same(one.load(), a_map(case, i)) for i, one in enumerate(session.maps, 1)] == [True] * 2
    np.testing.assert_array_equal(session.regions["a"], ~region)


def test_what_another_window_saved_is_never_overwritten(begun, images, model):
    case = load_case(images)
    session = load_session(begun.folder)
    other = SessionWriter.resume(session, case)
    begun.set_notes({1: "mine"})
    for change in (
        lambda: other.set_notes({1: "theirs"}),
        lambda: other.add_map(1, a_map(case), model),
        lambda: SessionWriter.resume(session, case),
    ):
        with pytest.raises(ResultsError, match="another window"):
            change()
    assert load_session(begun.folder).notes == {1: "mine"}
    with pytest.raises(ResultsError, match="is there already"):
        SessionWriter.begin(begun.folder, session.segmentation, case=case, model=model)


def test_layers_without_a_file_are_saved_with_the_session(tmp_path, images, model, marked):
    filed = load_case(images)
    # An affine that single precision cannot hold.
    affine = filed.affine + 1e-9
    case = dataclasses.replace(filed, affine=affine, paths=(), sha256=())
    reference = filed.data[0] > 100
    writer = SessionWriter.begin(
        tmp_path / "s", marked, case=case, model=model, reference=reference
    )
    writer.add_map(1, a_map(case), model)
    moved = tmp_path / "elsewhere"
    shutil.move(tmp_path / "s", moved)
    session = load_session(moved)
    assert not session.problems
    again = session.load_case()
    assert again.data.tobytes() == case.data.tobytes()
    assert again.affine.tobytes() == session.maps[0].load().affine.tobytes()
    np.testing.assert_array_equal(np.asarray(nib.load(session.reference).dataobj) > 0, reference)
    names = [one.path.name for one in session.images]
    assert names == ["sub-07_seq-FLAIR_image.nii.gz", "sub-07_seq-T1_image.nii.gz"]


def test_images_that_moved_with_the_session_are_found_and_named(begun, tmp_path, images):
    shutil.move(tmp_path / "sub-07", tmp_path / "archive")
    session = load_session(tmp_path / "archive" / "napari-ies" / "sub-07")
    assert session.complete
    assert not session.problems
    found = [one.path for one in session.images]
    assert found == [tmp_path / "archive" / path.name for path in images.values()]
    assert len(session.moved) == 2
    for name, text in zip(images, session.moved, strict=True):
        assert f"{name}.nii.gz was found at" in text
        assert one_sentence(text)


def test_a_checkpoint_that_lies_in_the_session_now_is_found(begun, checkpoint):
    shutil.move(checkpoint, begun.folder / checkpoint.name)
    session = load_session(begun.folder)
    assert session.checkpoints[0].path == begun.folder / checkpoint.name
    assert not session.problems


def test_what_is_missing_or_changed_is_named_and_not_used(begun, images, model, checkpoint):
    case = load_case(images)
    begun.add_map(1, a_map(case, 1), model)
    begun.add_map(2, a_map(case, 2), model)
    begun.add_map("rim", a_map(case, 3), model)
    region = np.zeros(case.shape, dtype=bool)
    begun.set_regions({"rim": region, "core": region})
    nib.save(nib.Nifti1Image(case.data[0] + 1, case.affine), images["FLAIR"])
    checkpoint.unlink()
    next(begun.folder.glob("*lesion-001*standarderror*.nii.gz")).unlink()
    sidecar = next(begun.folder.glob("*lesion-002*mask.json"))
    sidecar.write_text(sidecar.read_text().replace("FLAIR", "PD"))
    (begun.folder / "sub-07_region-core_mask.nii.gz").write_bytes(b"")

    session = load_session(begun.folder)
    assert [one.path for one in session.images] == [None, images["T1"]]
    assert session.checkpoints[0].path is None
    assert [one.subject for one in session.maps] == ["rim"]
    assert list(session.regions) == ["rim"]
    expected = [
        f"{images['FLAIR']} has changed",
        "unet.pth is missing",
        "region core is left out",
        "lesion 1 (smoothgrad) is left out: sub-07_seq-FLAIR_lesion-001",
        "lesion 2 (smoothgrad) is left out: sub-07_lesion-002",
    ]
    assert len(session.problems) == len(expected)
    for part, text in zip(expected, session.problems, strict=True):
        assert part in text
        assert one_sentence(text)
    assert not session.complete
    shown = session.load_case()
    assert not shown.data[0].any()
    np.testing.assert_array_equal(shown.data[1], case.data[1])
    assert shown.missing == ("FLAIR",)
    with pytest.raises(CaseError, match="FLAIR is not there as it was"):
        explain(model, shown, case.data[0] > 100, n_samples=1)
    images["T1"].unlink()
    assert not load_session(begun.folder).load_case().data.any()


def test_without_its_checkpoint_the_network_is_named_and_computes_nothing(begun, images, model):
    session = load_session(begun.folder)
    absent, case = session.absent_model(), session.load_case()
    assert (absent.sha256, absent.path) == (model.sha256, model.path)
    for name in ("sequences", "window", "normalisation", "overlap", "explained_class"):
        assert getattr(absent.profile, name) == getattr(model.profile, name)
    for compute in (
        lambda: explain(absent, case, case.data[0] > 100, n_samples=1),
        lambda: explain(absent, case, case.data[0] > 100, method="gradcam++"),
        lambda: segment(absent, case),
    ):
        with pytest.raises(CheckpointError, match=r"open its checkpoint unet\.pth") as caught:
            compute()
        assert one_sentence(str(caught.value))


def test_all_that_was_known_of_the_network_comes_back(tmp_path, images, model, marked):
    profile = dataclasses.replace(
        with_geometry(model, "LAS", (1, 1, 2.5)).profile,
        activation="sigmoid",
        brain_extracted=False,
        weights="ema_state_dict",
        guessed=("The strides are guessed.",),
    )
    known = model.with_profile(profile)
    folder = tmp_path / "known"
    SessionWriter.begin(folder, marked, case=load_case(images), model=known)

    absent = load_session(folder).absent_model().profile

    for name in (
        *("activation", "brain_extracted", "orientation", "spacing", "resample", "weights"),
        *("guessed", "classes"),
    ):
        assert getattr(absent, name) == getattr(profile, name), name
    assert absent.arguments == json.loads(json.dumps(profile.arguments))


def test_a_session_of_before_more_was_kept_of_the_network_is_read(begun):
    sidecar = next(begun.folder.glob("*dseg.json"))
    content = json.loads(sidecar.read_text())
    for key in ("BrainExtracted", "Orientation", "Spacing", "Resample", "Activation"):
        del content[key]
    for key in ("Arguments", "Weights", "Classes", "Guessed"):
        del content["Checkpoint"][key]
    sidecar.write_text(json.dumps(content))

    absent = load_session(begun.folder).absent_model().profile

    assert absent.classes[absent.explained_class] == "lesion"
    assert (absent.activation, absent.brain_extracted) == ("softmax", True)
    assert (absent.orientation, absent.spacing, absent.guessed) == (None, None, ())


def test_a_map_taken_out_is_gone_from_the_session(begun, images, model):
    case = load_case(images)
    for number in range(3):
        begun.add_map(1, a_map(case, number), model)
    begun.drop_maps([1])
    maps = load_session(begun.folder).maps
    assert [same(one.load(), a_map(case, n)) for one, n in zip(maps, (0, 2), strict=True)]


def test_changed_lesions_are_named(begun):
    table = next(begun.folder.glob("*.tsv"))
    table.write_text(table.read_text().replace("\n1\t", "\n1\t9", 1))
    (problem,) = load_session(begun.folder).problems
    assert str(table) in problem
    table.unlink()
    with pytest.raises(ResultsError, match="is missing"):
        load_session(begun.folder)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_the_session_names_no_more_is_removed_and_nothing_else(begun, images, model):
    case = load_case(images)
    mask = np.zeros(case.shape, dtype=bool)
    mask[4:6, 5:9, 3] = True
    begun.set_regions({"rim": mask})
    begun.add_map(1, a_map(case, 1), model)
    before = names(begun.folder)
    begun.add_map(2, a_map(case, 2), model)
    begun.add_map("rim", a_map(case, 3), model)
    # What a person put there: of the kind that a session writes, and a note.
    mine = begun.folder / "sub-07_lesion-002_method-smoothgrad_agg-max_desc-footprint_mask.nii.gz"
    mine.write_bytes(b"mine")
    (begun.folder / "read me.txt").write_text("mine")
    # And a file of the session that was edited since: what describes it stays with it.
    edited = next(begun.folder.glob("*lesion-002*measures.tsv"))
    edited.write_text("mine now")
    together = set(begun.record.maps[1].files)
    begun.drop_maps([1, 2])
    assert names(begun.folder) == before | together | {mine.name, "read me.txt"}
    begun.set_regions({"rim": ~mask})
    begun.set_regions({})
    regions = {name for name in before if "region" in name}
    assert len(regions) == 1
    assert names(begun.folder) == (before - regions) | together | {mine.name, "read me.txt"}
    session = load_session(begun.folder)
    assert not session.problems
    assert set(session.record.obsolete) == set(session.unused) == together
    assert session.annotated == (edited.name,)
    assert [same(one.load(), a_map(case, 1)) for one in session.maps] == [True]


@pytest.mark.slow
def test_killed_while_a_map_is_taken_out_its_files_stay_and_are_named(
    begun, images, model, tmp_path, monkeypatch
):
    case = load_case(images)
    begun.add_map(1, a_map(case, 1), model)
    before = names(begun.folder)
    begun.add_map(2, a_map(case, 2), model)
    every = names(begun.folder)
    with monkeypatch.context() as patched:
        stops = _Stops(begun.folder, tmp_path / "copies", patched)
        begun.drop_maps([1])
    assert names(begun.folder) == before
    assert stops.count > 10
    for copy in sorted((tmp_path / "copies").iterdir()):
        session = load_session(copy)
        assert not [text for text in session.problems if "left out" in text]
        there = names(copy) & every
        SessionWriter.resume(session, session.load_case()).set_notes({1: "x"})
        # No later run of the program can know that it wrote them.
        assert names(copy) == there
        unused = load_session(copy).unused
        assert set(unused) == (there - before if len(session.maps) == 1 else set())


def test_a_folder_that_is_only_called_like_one_of_a_write_stays(begun, images):
    folder = begun.folder / ".napari-ies-mine"
    folder.mkdir()
    (folder / "half.nii.gz").write_bytes(b"half")
    os.utime(folder, (0, 0))  # of long ago
    SessionWriter.resume(load_session(begun.folder), load_case(images))
    assert (folder / "half.nii.gz").read_bytes() == b"half"


def test_a_map_whose_record_cannot_be_written_leaves_no_files(begun, images, model, monkeypatch):
    from napari_ies.results.session import writing

    before = {path.name: path.read_bytes() for path in begun.folder.iterdir()}

    def refuse(*_):
        raise ResultsError("No space left.")

    with monkeypatch.context() as patched:
        patched.setattr(writing, "write", refuse)
        with pytest.raises(ResultsError, match="No space left"):
            begun.add_map(1, a_map(load_case(images)), model)
    assert {path.name: path.read_bytes() for path in begun.folder.iterdir()} == before


def test_an_obsolete_list_made_by_somebody_else_removes_nothing(begun, images, model, small):
    # An image, a checkpoint and a mask that lie in the session's folder, and what it wrote itself.
    inside = [Path(shutil.copy(path, begun.folder)) for path in (*images.values(), small.reference)]
    begun.add_map(1, a_map(load_case(images)), model)
    path = begun.folder / SESSION_FILE
    content = json.loads(path.read_text())
    listed = {one.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in inside}
    content["Obsolete"] = {**listed, **content["Segmentation"]["Files"], **_files(content)}
    path.write_text(json.dumps(content))
    before = names(begun.folder)
    writer = SessionWriter.resume(load_session(begun.folder), load_case(images))
    writer.drop_maps([0])
    assert names(begun.folder) == before
    session = load_session(begun.folder)
    assert not [text for text in session.problems if "missing" in text]
    content["Obsolete"] = {f"../{next(iter(images.values())).name}": "0" * 64}
    path.write_text(json.dumps(content))
    with pytest.raises(ResultsError, match="not the name of a file"):
        load_session(begun.folder)


def _edit(change):
    def edit(path: Path) -> None:
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return edit


def _files(content):
    return content["Maps"][0]["Files"]


@pytest.fixture(scope="module")
def with_a_map(small, loaded, marked, tmp_path_factory) -> Path:
    """Write a session with a map once; not to be changed."""
    folder, case = tmp_path_factory.mktemp("with-a-map") / "sub-07", small.case()
    writer = SessionWriter.begin(folder, marked, case=case, model=loaded, reference=small.reference)
    writer.add_map(1, a_map(case), loaded)
    assert len(load_session(folder).maps) == 1
    return folder


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-40]), "cannot be read as JSON"),
        (lambda path: path.write_bytes(b""), "cannot be read as JSON"),
        (lambda path: path.write_bytes(b"\x1f\x8b\xff"), "cannot be read as JSON"),
        (lambda path: path.write_text("[" * 100_000), "cannot be read as JSON"),
        (lambda path: path.write_text("[1]"), "expected a JSON object"),
        (lambda path: path.write_text('{"session": 1}'), "not written by napari-ies as a session"),
        (lambda path: path.unlink(), "There is no session"),
        (_edit(lambda c: c.update(FormatVersion=2)), "newer napari-ies"),
        (_edit(lambda c: c.pop("Notes")), "does not hold what napari-ies writes"),
        (_edit(lambda c: c.update(Images=[])), "names no image"),
        (_edit(lambda c: c["Maps"][0].update(Checkpoint=7)), "Checkpoint is 7, but there are 1"),
        (_edit(lambda c: c["Maps"][0].update(Checkpoint=-1)), "Checkpoint is -1, expected at le"),
        (_edit(lambda c: c["Maps"][0]["Request"].update(method="guess")), "no method"),
        (_edit(lambda c: c["Maps"][0].update(Subject=[1])), "Maps, entry 1, Subject is a list"),
        (_edit(lambda c: c["Maps"][0]["Request"].update(n_samples=1e30)), r"n_samples is 1e\+30"),
        (_edit(lambda c: c["Maps"][0]["Request"].update(noise=float("nan"))), "noise is nan"),
        (_edit(lambda c: c["Maps"][0]["Request"].update(seed=True)), "seed is true, expected a wh"),
        (_edit(lambda c: c["Segmentation"].update(SmallestLesion={"a": 1})), "is an object, exp"),
        (_edit(lambda c: c["Segmentation"].update(Threshold=float("inf"))), "Threshold is inf"),
        (_edit(lambda c: c["Images"][0].update(Sequence="")), "entry 1, Sequence is the text ''"),
        (_edit(lambda c: c["Images"][1].update(Sequence="FLAIR")), "same name twice"),
        (_edit(lambda c: c["Notes"].append({"Subject": 1, "Text": "\ud800"})), "a Unicode text"),
        (_edit(lambda c: c["Images"][0]["File"].update(SHA256="0" * 63)), "64 hexadecimal"),
        (_edit(lambda c: c.update(Saved="0001-01-01T00:00:00+23:59")), "expected a date"),
        (_edit(lambda c: c.update(Saved="9999-12-31T23:59:59-23:59")), "expected a date"),
        (_edit(lambda c: c.update(Saved="today")), "expected a date"),
        (_edit(lambda c: c.update(Subject="///")), "holds no letter or digit"),
        (_edit(lambda c: c.update(FormatVersion=True)), "FormatVersion is true"),
        (_edit(lambda c: c.update(FormatVersion="1")), "FormatVersion is the text '1'"),
        (_edit(lambda c: c.update(FormatVersion=1.5)), "FormatVersion is 1.5"),
        (_edit(lambda c: _files(c).update({"../../FLAIR.nii.gz": "0"})), "not the name of a file"),
        (_edit(lambda c: _files(c).update({"/etc/passwd": "0"})), "not the name of a file"),
        (_edit(lambda c: _files(c).update({"..": "0"})), "not the name of a file"),
        (_edit(lambda c: _files(c).update({"C:\\x": "0"})), "not the name of a file"),
        (_edit(lambda c: c["Images"][0]["File"].update(Name="../x", MadeHere=True)), "not the nam"),
    ],
)
def test_damaged_and_foreign_sessions_are_refused_in_one_sentence(
    with_a_map, tmp_path, damage, message
):
    folder = shutil.copytree(with_a_map, tmp_path / "sub-07")
    damage(folder / SESSION_FILE)
    with pytest.raises(ResultsError, match=message) as caught:
        load_session(folder)
    assert one_sentence(str(caught.value))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a pipe with a name")
def test_a_pipe_in_place_of_an_image_is_not_waited_for(begun, images):
    images["T1"].unlink()
    os.mkfifo(images["T1"])
    assert "T1.nii.gz is missing" in load_session(begun.folder).problems[0]


class _Stops:
    """Copies a folder at every moment at which the program could be killed."""

    def __init__(self, folder: Path, copies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.copies, self.count = folder, copies, 0
        for owner, name in ((image_files, "write_packed"), (writing, "_flush")):
            monkeypatch.setattr(owner, name, self._before_and_halfway(getattr(owner, name)))
        for name in ("replace", "unlink", "write_text", "mkdir", "rmdir"):
            monkeypatch.setattr(Path, name, self._before(getattr(Path, name)))

    def _copy(self) -> None:
        if self.folder.exists():
            self.count += 1
            shutil.copytree(self.folder, self.copies / f"{self.count:04d}")

    def _before(self, function):
        def stopping(*args, **kwargs):
            if self.folder in args[0].parents:
                self._copy()
            return function(*args, **kwargs)

        return stopping

    def _before_and_halfway(self, function):
        def stopping(*args):
            self._copy()
            function(*args)
            path = Path(args[0])
            content = path.read_bytes()
            path.write_bytes(content[: len(content) // 2])
            self._copy()
            path.write_bytes(content)

        return stopping


@pytest.mark.slow
def test_killed_at_any_moment_the_session_before_or_after_is_there(
    begun, images, model, tmp_path, monkeypatch
):
    case = load_case(images)
    first, second = a_map(case, 1), a_map(case, 2)
    begun.add_map(1, first, model)
    region = np.zeros(case.shape, dtype=bool)
    with monkeypatch.context() as patched:
        stops = _Stops(begun.folder, tmp_path / "copies", patched)
        begun.add_map(1, second, model)
        begun.set_notes({1: "a"})
        begun.set_regions({"r": region})
    assert stops.count > 40
    seen = []
    for copy in sorted((tmp_path / "copies").iterdir()):
        session = load_session(copy)
        assert not [text for text in session.problems if "unet" not in text and "nii" in text]
        assert same(session.maps[0].load(), first)
        assert all(same(one.load(), second) for one in session.maps[1:])
        seen.append((len(session.maps), len(session.notes), len(session.regions)))
    assert seen == sorted(seen)
    assert set(seen) == {(1, 0, 0), (2, 0, 0), (2, 1, 0)}
    # And it goes on from there: what was left half done is in nobody's way.
    middle = sorted((tmp_path / "copies").iterdir())[stops.count // 3]
    session = load_session(middle)
    SessionWriter.resume(session, case).add_map(1, second, model)
    assert same(load_session(middle).maps[-1].load(), second)


def test_killed_at_any_moment_of_its_beginning_there_is_a_whole_session_or_none(
    tmp_path, images, model, marked, monkeypatch
):
    case = dataclasses.replace(load_case(images), paths=(), sha256=())
    with monkeypatch.context() as patched:
        stops = _Stops(tmp_path / "s", tmp_path / "copies", patched)
        SessionWriter.begin(tmp_path / "s", marked, case=case, model=model)
    assert stops.count > 20
    assert not any(is_session(copy) for copy in (tmp_path / "copies").iterdir())
    assert load_session(tmp_path / "s").complete


@pytest.mark.parametrize("stage", ["write_packed", "_flush", "replace"])
def test_a_disk_that_refuses_leaves_the_session_as_it_was(begun, images, model, monkeypatch, stage):
    case = load_case(images)
    begun.add_map(1, a_map(case, 1), model)
    before = {path.name: path.read_bytes() for path in begun.folder.iterdir()}

    def refuse(*_):
        raise OSError(28, "No space left on device")

    owner = {"write_packed": image_files, "_flush": writing, "replace": Path}[stage]
    with monkeypatch.context() as patched:
        patched.setattr(owner, stage, refuse)
        with pytest.raises(ResultsError, match="No space left"):
            begun.add_map(1, a_map(case, 2), model)
    assert {path.name: path.read_bytes() for path in begun.folder.iterdir()} == before
    begun.add_map(1, a_map(case, 2), model)
    assert len(load_session(begun.folder).maps) == 2


@pytest.mark.slow
def test_killed_in_the_middle_of_a_computation_the_finished_map_is_there(small, tmp_path, forks):
    out, running = tmp_path / "out", forks.Event()
    run = forks.Process(target=explaining_without_end, args=(small.images, out, running))
    run.start()
    try:
        assert running.wait(timeout=300)
    finally:
        run.kill()
        run.join()
    assert run.exitcode == -signal.SIGKILL
    session = load_session(out)
    assert not session.problems
    (saved,) = session.maps
    footprint = session.segmentation.labels == 1
    expected = explain(sine_model(), session.load_case(), footprint, n_samples=2)
    np.testing.assert_allclose(saved.load().maps, expected.maps, rtol=1e-4, atol=1e-7)


def test_a_session_of_the_same_case_and_checkpoint_is_found(begun, images, model):
    case = load_case(images)
    root, digests = begun.folder.parent, dict(zip(case.sequences, case.sha256, strict=True))
    assert newest_session(root, digests, model.sha256) is None  # nothing but a segmentation
    begun.set_notes({1: "x"})
    (root / "sub-broken").mkdir()
    (root / "sub-broken" / SESSION_FILE).write_text("{")
    found = newest_session(root, digests, model.sha256)
    assert found.folder == begun.folder
    assert found.text.startswith("1 note, saved 20")
    assert newest_session(root, digests, "0" * 64) is None
    assert newest_session(root, {**digests, "T1": "0" * 64}, model.sha256) is None
    assert newest_session(root, {"FLAIR": digests["FLAIR"]}, model.sha256) is None
    assert hashlib.sha256(images["FLAIR"].read_bytes()).hexdigest() == digests["FLAIR"]


def test_a_new_folder_never_holds_anything(tmp_path):
    first = new_session_folder(tmp_path / "root", "07")
    assert first == new_session_folder(tmp_path / "root", "07")  # still empty
    (first / "notes.txt").write_text("mine")
    second = new_session_folder(tmp_path / "root", "07")
    assert (first.name, second.name) == ("sub-07", "sub-07_2")
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultsError, match="where you may write"):
        new_session_folder(tmp_path / "file", "07")


def test_a_summary_needs_no_other_file(begun):
    begun.set_notes({1: "x", 2: "y"})
    for path in begun.folder.glob("sub-*"):
        path.unlink()
    assert read_summary(begun.folder).text.startswith("2 notes, saved")
    assert is_session(begun.folder)
    assert not is_session(begun.folder.parent)
