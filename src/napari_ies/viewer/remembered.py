"""What is remembered from one day to the next: folders, the last checkpoint, recent patients.

It lies in a small file of the person at this machine, with paths of this machine; a file that is
damaged, or cannot be written, is as good as none. No network drive is asked whether anything of it
is still there: whoever opens it says so.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from platformdirs import user_state_dir
from pydantic import BaseModel, ConfigDict

FILE_VARIABLE = "NAPARI_IES_RECENT"
"""Environment variable: the folder of the file, in place of one of the person's own folders."""
MOST_PATIENTS = 12
"""So many patients are remembered, those opened last."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True)


class KnownPatient(_Entry):
    """A patient that was read here."""

    name: str
    """Labels of patient and visit."""
    files: tuple[str, ...] = ()
    """The images, and the reference mask; none of a patient without files, such as the demo's."""
    session: str = ""
    """The folder of the session, once there is one."""
    told: str = ""
    """What the session holds, and since when."""

    @property
    def key(self) -> object:
        """What tells patients apart: one that is read again takes the place of itself."""
        return self.files or self.session


class KnownCheckpoint(_Entry):
    """The checkpoint that was loaded last."""

    path: str
    sequences: tuple[str, ...]
    """What it takes."""


class Remembered(_Entry):
    """All of it."""

    folders: dict[str, str] = {}
    """The folder that was looked into last, by what was looked for."""
    checkpoint: KnownCheckpoint | None = None
    patients: tuple[KnownPatient, ...] = ()
    """The one read last first."""


def remembered() -> Remembered:
    """Return what is remembered."""
    with suppress(OSError, ValueError):
        return Remembered.model_validate_json(_file().read_bytes())
    return Remembered()


def remember_folder(what: str, path: str | Path) -> None:
    """Look here next time: in a folder, or in that of a file."""
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    known = remembered()
    _write(known.model_copy(update={"folders": {**known.folders, what: str(folder)}}))


def remember_checkpoint(path: str | Path, sequences: tuple[str, ...]) -> None:
    """Take this checkpoint for the next patient."""
    last = KnownCheckpoint(path=str(path), sequences=sequences)
    _write(remembered().model_copy(update={"checkpoint": last}))


def remember_patient(patient: KnownPatient) -> None:
    """Put a patient first, with the session known of before where none is named now."""
    known = remembered()
    others = [one for one in known.patients if one.key != patient.key]
    before = next((one for one in known.patients if one.key == patient.key), None)
    if before is not None and not patient.session:
        patient = patient.model_copy(update={"session": before.session, "told": before.told})
    others = [one for one in others if not patient.session or one.session != patient.session]
    _write(known.model_copy(update={"patients": (patient, *others)[:MOST_PATIENTS]}))


def forget_patients() -> None:
    """Remember no patient any more."""
    _write(remembered().model_copy(update={"patients": ()}))


def _file() -> Path:
    named = os.environ.get(FILE_VARIABLE)
    return Path(named or user_state_dir("napari-ies", appauthor=False)) / "recent.json"


def _write(known: Remembered) -> None:
    """Write the file in one step; what cannot be remembered is no reason to stop anybody."""
    file = _file()
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=file.name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as written:
                written.write(known.model_dump_json(indent=1))
            Path(name).replace(file)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
