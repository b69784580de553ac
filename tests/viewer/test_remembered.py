"""What is remembered lies in one file, is found again, and stops nobody."""

from __future__ import annotations

import stat

from napari_ies.viewer.remembered import (
    FILE_VARIABLE,
    MOST_PATIENTS,
    KnownPatient,
    Remembered,
    forget_patients,
    remember_checkpoint,
    remember_folder,
    remember_patient,
    remembered,
)


def test_patients_folders_and_checkpoint_are_found_again(tmp_path, monkeypatch):
    monkeypatch.setenv(FILE_VARIABLE, str(tmp_path / "own"))
    assert remembered() == Remembered()
    (tmp_path / "flair.nii").write_bytes(b"")
    remember_folder("images", tmp_path / "flair.nii")
    remember_checkpoint("unet.pth", ("FLAIR", "T1"))
    for number in range(MOST_PATIENTS + 2):
        remember_patient(KnownPatient(name=str(number), files=(f"{number}.nii",)))
    # With the session that begins, and read again without one, it is the same patient.
    remember_patient(KnownPatient(name="5", files=("5.nii",), session="s5", told="1 map"))
    remember_patient(KnownPatient(name="5", files=("5.nii",)))
    # The demo's patient has no file, until its session is opened.
    remember_patient(KnownPatient(name="demo", session="d"))
    remember_patient(KnownPatient(name="demo", files=("d/image.nii",), session="d"))
    known = remembered()
    assert known.folders == {"images": str(tmp_path)}
    assert known.checkpoint.sequences == ("FLAIR", "T1")
    assert [one.name for one in known.patients][:3] == ["demo", "5", str(MOST_PATIENTS + 1)]
    assert (known.patients[1].session, known.patients[1].told) == ("s5", "1 map")
    assert len(known.patients) == MOST_PATIENTS
    assert [path.name for path in (tmp_path / "own").iterdir()] == ["recent.json"]
    forget_patients()
    assert remembered() == known.model_copy(update={"patients": ()})


def test_a_file_that_is_damaged_or_cannot_be_written_is_as_good_as_none(tmp_path, monkeypatch):
    monkeypatch.setenv(FILE_VARIABLE, str(tmp_path))
    (tmp_path / "recent.json").write_text('{"patients": 3}')
    assert remembered() == Remembered()
    remember_folder("images", tmp_path)
    assert remembered().folders == {"images": str(tmp_path)}
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv(FILE_VARIABLE, str(tmp_path / "file"))
    remember_folder("images", tmp_path)
    assert remembered() == Remembered()
    assert stat.S_ISREG((tmp_path / "file").stat().st_mode)
